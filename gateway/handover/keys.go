// SPDX-License-Identifier: EUPL-1.2

package handover

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/pvgate/pvgate/gateway/mac"
)

// KeySize is the size of a key, bytes.
const KeySize = 32

// maxKeys is how many keys there may be: the one in use, and the one before it
// or after it.
const maxKeys = 2

// Keys sign and check contexts: the first signs, all check. Immutable, safe for
// concurrent use.
type Keys struct {
	keys []mac.Key
}

// label keeps these keys apart from what else might once be made of the same
// file.
const label = "pvgate handover context 1"

// NewKeys returns keys made of one or two secrets.
func NewKeys(secrets ...[KeySize]byte) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("holds no key")
	}
	if len(secrets) > maxKeys {
		return nil, fmt.Errorf("holds %d keys; keep two: the one that signs, and the one before it or after it", len(secrets))
	}
	k := &Keys{}
	for i := range secrets {
		k.keys = append(k.keys, derive(secrets[i][:]))
	}
	return k, nil
}

func derive(secret []byte) mac.Key {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(label))
	return mac.NewKey(h.Sum(nil))
}

// sum is the first half of HMAC-SHA-256 over at most maxRaw bytes.
func sum(k *mac.Key, message []byte) (half [macSize]byte) {
	var buf [sha256.BlockSize + maxRaw]byte
	whole, _ := k.Sum(message, buf[:0])
	copy(half[:], whole[:])
	return half
}
