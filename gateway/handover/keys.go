// SPDX-License-Identifier: EUPL-1.2

package handover

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the size of a key, bytes.
const KeySize = 32

// maxKeys is how many keys there may be: the one in use, and the one before it
// or after it.
const maxKeys = 2

// Keys sign and check contexts: the first signs, all check. Immutable, safe for
// concurrent use.
type Keys struct {
	keys []key
}

// key is a key ready for HMAC-SHA-256 (RFC 2104): it fills one block of the hash
// in two guises. The state of package hmac cannot be shared by loops, and a new
// one for each request would be an allocation.
type key struct {
	inner, outer [sha256.BlockSize]byte
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

func derive(secret []byte) (k key) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(label))
	derived := h.Sum(nil)
	for i := range k.inner {
		k.inner[i], k.outer[i] = 0x36, 0x5c
	}
	for i, b := range derived {
		k.inner[i] ^= b
		k.outer[i] ^= b
	}
	return k
}

// sum is the first half of HMAC-SHA-256 over at most maxRaw bytes.
func (k *key) sum(message []byte) (mac [macSize]byte) {
	var buf [sha256.BlockSize + maxRaw]byte
	copy(buf[:], k.inner[:])
	n := copy(buf[sha256.BlockSize:], message)
	inner := sha256.Sum256(buf[:sha256.BlockSize+n])
	copy(buf[:], k.outer[:])
	n = copy(buf[sha256.BlockSize:], inner[:])
	outer := sha256.Sum256(buf[:sha256.BlockSize+n])
	copy(mac[:], outer[:])
	return mac
}
