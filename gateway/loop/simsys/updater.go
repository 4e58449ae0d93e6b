// SPDX-License-Identifier: EUPL-1.2

package simsys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Updater writes records of TLS 1.3 with AES-128-GCM in place of a side that has done its handshake, and can change its
// keys, which crypto/tls never does by itself. From its first record on that side must not write.
type Updater struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    byte
}

// ErrSuite says that another suite was agreed to.
var ErrSuite = errors.New("not a suite with SHA-256")

// NewUpdater goes on where a client is that logged its keys (tls.Config.KeyLogWriter) and has written nothing yet.
func NewUpdater(keys string) (*Updater, error) { return newUpdater(keys, "CLIENT_TRAFFIC_SECRET_0", 0) }

// NewServerUpdater goes on where a server is that has written nothing but one ticket behind its handshake.
func NewServerUpdater(keys string) (*Updater, error) {
	return newUpdater(keys, "SERVER_TRAFFIC_SECRET_0", 1)
}

func newUpdater(keys, wanted string, written byte) (*Updater, error) {
	for line := range strings.Lines(keys) {
		var label, random, secret string
		if _, err := fmt.Sscan(line, &label, &random, &secret); err == nil && label == wanted {
			b, err := hex.DecodeString(secret)
			if err != nil || len(b) != sha256.Size {
				return nil, ErrSuite
			}
			u := new(Updater)
			u.use(b)
			u.seq = written
			return u, nil
		}
	}
	return nil, errors.New("no traffic secret was logged")
}

func (u *Updater) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, u.secret, string(append(info, 0)), n)
	if err != nil {
		panic(err) // n is too large
	}
	return out
}

func (u *Updater) use(secret []byte) {
	u.secret, u.seq = secret, 0
	block, err := aes.NewCipher(u.expand("key", 16))
	if err != nil {
		panic(err) // a wrong size
	}
	if u.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	u.iv = u.expand("iv", 12)
}

// Record seals content, at most 200 octets, of a type; at most 256 times under the same keys.
func (u *Updater) Record(kind byte, content string) []byte {
	nonce := bytes.Clone(u.iv)
	nonce[11] ^= u.seq
	u.seq++
	inner := append([]byte(content), kind)
	head := []byte{23, 3, 3, 0, byte(len(inner) + 16)}
	return u.aead.Seal(head, nonce, inner, head)
}

// Update seals a KeyUpdate that asks for one (RFC 8446, section 4.6.3), and changes the keys.
func (u *Updater) Update() []byte {
	r := u.Record(22, "\x18\x00\x00\x01\x01")
	u.use(u.expand("traffic upd", sha256.Size))
	return r
}
