// SPDX-License-Identifier: EUPL-1.2

// Package mac computes HMAC-SHA-256 (RFC 2104) on loops: what crypto/hmac makes cannot be shared by them, and a new one
// for each request would be an allocation.
//
// The calls you want are [NewKey] and [Key.Sum]. It deliberately compares nothing: use crypto/subtle.
package mac

import "crypto/sha256"

// Key is a key in its two guises, each of which fills one block of the hash. Immutable and safe for concurrent use.
type Key struct{ inner, outer [sha256.BlockSize]byte }

// NewKey makes a key of a secret.
func NewKey(secret []byte) (k Key) {
	if len(secret) > sha256.BlockSize {
		sum := sha256.Sum256(secret)
		secret = sum[:]
	}
	copy(k.inner[:], secret)
	copy(k.outer[:], secret)
	for i := range k.inner {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// Sum works in the free part of scratch, of which it wants a block and the message, and returns scratch for the next use.
func (k *Key) Sum(message, scratch []byte) (sum [sha256.Size]byte, _ []byte) {
	from := len(scratch)
	scratch = append(append(scratch, k.inner[:]...), message...)
	sum = sha256.Sum256(scratch[from:])
	scratch = append(append(scratch[:from], k.outer[:]...), sum[:]...)
	sum = sha256.Sum256(scratch[from:])
	return sum, scratch[:from]
}
