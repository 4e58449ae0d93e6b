// SPDX-License-Identifier: EUPL-1.2

package mac_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/gateway/mac"
)

func TestSumIsThatOfCryptoHMAC(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "secret")
		message := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "message")
		k := mac.NewKey(secret)
		h := hmac.New(sha256.New, secret)
		h.Write(message)
		got, scratch := k.Sum(message, []byte("kept"))
		if !hmac.Equal(got[:], h.Sum(nil)) || string(scratch) != "kept" {
			t.Fatalf("got %x and %q, want %x", got, scratch, h.Sum(nil))
		}
	})
}

func TestSumInScratchAllocatesNothing(t *testing.T) {
	k := mac.NewKey([]byte("secret"))
	message := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		var buf [sha256.BlockSize + 100]byte
		_, _ = k.Sum(message, buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
