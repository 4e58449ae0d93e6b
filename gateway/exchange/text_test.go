// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	stdhex "encoding/hex"
	"math/rand/v2"
	"testing"
)

func TestHexIsWhatEverybodyWrites(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{})
	var src [24]byte
	for i := range 1000 {
		_, _ = random.Read(src[:])
		src[i%len(src)] = byte(i) // each octet there is
		n := i % (len(src)/4 + 1) * 4
		dst := make([]byte, 2*n)
		hex(dst, src[:n])
		if got, want := string(dst), stdhex.EncodeToString(src[:n]); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
