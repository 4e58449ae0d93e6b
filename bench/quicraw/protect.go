// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	ivLength     = 12
	sampleLength = 16
	tagLength    = 16
)

// initialSalt makes Initial secrets of version 1 (RFC 9001, section 5.2).
var initialSalt = [...]byte{
	0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
}

// protection is the keys of one direction at one level (RFC 9001, section 5).
type protection struct {
	suite  uint16
	secret []byte
	aead   cipher.AEAD
	iv     [ivLength]byte
	mask   func(sample []byte) [5]byte // of the header (section 5.4.1)
}

// hashOf is the hash of a cipher suite of TLS 1.3.
func hashOf(suite uint16) func() hash.Hash {
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		return sha512.New384
	}
	return sha256.New
}

// expandLabel is HKDF-Expand-Label without a context (RFC 8446, section 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, length int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len(label)))
	info = append(info, label...)
	return hkdf.Expand(h, secret, string(append(info, 0)), length)
}

// initialSecrets are those of both sides, from the destination connection id of the client's first packet.
func initialSecrets(id []byte) (client, server []byte, err error) {
	common, err := hkdf.Extract(sha256.New, id, initialSalt[:])
	if err != nil {
		return nil, nil, err
	}
	if client, err = expandLabel(sha256.New, common, "client in", sha256.Size); err != nil {
		return nil, nil, err
	}
	server, err = expandLabel(sha256.New, common, "server in", sha256.Size)
	return client, server, err
}

// protect makes the keys of a secret.
func protect(suite uint16, secret []byte) (*protection, error) {
	p, err := packetKeys(suite, secret)
	if err != nil {
		return nil, err
	}
	key, err := expandLabel(hashOf(suite), secret, "quic hp", keyLength(suite))
	if err != nil {
		return nil, err
	}
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		p.mask = func(sample []byte) (mask [5]byte) {
			c, err := chacha20.NewUnauthenticatedCipher(key, sample[4:sampleLength])
			if err == nil { // lengths are right
				c.SetCounter(binary.LittleEndian.Uint32(sample))
				c.XORKeyStream(mask[:], mask[:])
			}
			return mask
		}
		return p, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	p.mask = func(sample []byte) [5]byte {
		var out [aes.BlockSize]byte
		block.Encrypt(out[:], sample)
		return [5]byte(out[:])
	}
	return p, nil
}

// packetKeys makes what seals payloads.
func packetKeys(suite uint16, secret []byte) (*protection, error) {
	p := &protection{suite: suite, secret: secret}
	key, err := expandLabel(hashOf(suite), secret, "quic key", keyLength(suite))
	if err != nil {
		return nil, err
	}
	iv, err := expandLabel(hashOf(suite), secret, "quic iv", ivLength)
	if err != nil {
		return nil, err
	}
	p.iv = [ivLength]byte(iv)
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384:
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			p.aead, err = cipher.NewGCM(block)
		}
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		p.aead, err = chacha20poly1305.New(key)
	default:
		err = fmt.Errorf("cipher suite %#x is not one of TLS 1.3", suite)
	}
	return p, err
}

func keyLength(suite uint16) int {
	if suite == tls.TLS_AES_128_GCM_SHA256 {
		return 16
	}
	return 32
}

// next is the keys after a key update; headers keep theirs (RFC 9001, section 6.1).
func (p *protection) next() (*protection, error) {
	secret, err := expandLabel(hashOf(p.suite), p.secret, "quic ku", len(p.secret))
	if err != nil {
		return nil, err
	}
	n, err := packetKeys(p.suite, secret)
	if err == nil {
		n.mask = p.mask
	}
	return n, err
}

func (p *protection) nonce(number uint64) []byte {
	n := p.iv
	low := n[ivLength-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^number)
	return n[:]
}

// seal appends payload to a header that ends with a packet number of numberLength octets, and protects both. Header and
// payload must be long enough for a sample: four octets of number and payload.
func (p *protection) seal(header []byte, numberLength int, number uint64, payload []byte) []byte {
	packet := p.aead.Seal(header, p.nonce(number), payload, header)
	at := len(header) - numberLength
	p.hide(packet, at, numberLength)
	return packet
}

// hide applies the mask to the first octet and the number at an offset.
func (p *protection) hide(packet []byte, at, numberLength int) {
	mask := p.mask(packet[at+4 : at+4+sampleLength])
	packet[0] ^= mask[0] & hidden(packet[0])
	for i := range numberLength {
		packet[at+i] ^= mask[1+i]
	}
}

// hidden is which bits of a first octet are protected.
func hidden(first byte) byte {
	if first&longHeader != 0 {
		return 0x0f
	}
	return 0x1f
}

var errShort = errors.New("packet is too short")

// reveal removes the protection of a header whose packet number is at an offset; it changes packet. What it returns is
// the truncated number and its length.
func (p *protection) reveal(packet []byte, at int) (number uint64, length int, err error) {
	if len(packet) < at+4+sampleLength {
		return 0, 0, errShort
	}
	mask := p.mask(packet[at+4 : at+4+sampleLength])
	packet[0] ^= mask[0] & hidden(packet[0])
	length = int(packet[0]&3) + 1
	for i := range length {
		packet[at+i] ^= mask[1+i]
		number = number<<8 | uint64(packet[at+i])
	}
	return number, length, nil
}

// open opens what comes behind a revealed header.
func (p *protection) open(header, sealed []byte, number uint64) ([]byte, error) {
	return p.aead.Open(nil, p.nonce(number), sealed, header)
}

// Of the pseudo-packet that a Retry's tag is made of (RFC 9001, section 5.8).
var (
	retryKey   = [...]byte{0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e}
	retryNonce = [...]byte{0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb}
)

// retryTag is the integrity tag of a Retry packet without it, in answer to a packet to a connection id.
func retryTag(id, retry []byte) ([tagLength]byte, error) {
	block, err := aes.NewCipher(retryKey[:])
	if err != nil {
		return [tagLength]byte{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return [tagLength]byte{}, err
	}
	pseudo := append([]byte{byte(len(id))}, id...)
	return [tagLength]byte(aead.Seal(nil, retryNonce[:], nil, append(pseudo, retry...))), nil
}
