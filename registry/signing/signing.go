// SPDX-License-Identifier: EUPL-1.2

// Package signing holds the keys with which what comes from elsewhere is signed: files of routes.d and bundles. All are
// Ed25519 (RFC 8032), in the files that openssl makes:
//
//	openssl genpkey -algorithm ed25519 -out hessen.key
//	openssl pkey -in hessen.key -pubout -out hessen.pem
//
// [Keys] is a set of those that are trusted, [Keys.Verify] says whose signature counts.
package signing

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// What a file may have in octets: far above what a key, or MaxKeys lines, need.
const (
	maxKeyFile  = 16 << 10
	maxKeysFile = 64 << 10
)

// Private is a key that signs.
type Private struct {
	key    ed25519.PrivateKey
	public Public
}

// Public is a key that verifies. Comparable; the zero value verifies nothing.
type Public struct {
	key string // 32 octets
	id  string
}

// Trusted is a key whose signatures count, until it is retired.
type Trusted struct {
	Key   Public
	Until time.Time // from then on they do not; zero = open
}

// Good says whether a signature of the key counts at a time.
func (t Trusted) Good(at time.Time) bool { return t.Until.IsZero() || at.Before(t.Until) }

// ReadPrivate reads a key in PEM, PKCS#8 (RFC 8410).
func ReadPrivate(path string) (*Private, error) {
	data, err := read(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	p, err := ParsePrivate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// ParsePrivate reads the text of a key file.
func ParsePrivate(text []byte) (*Private, error) {
	der, err := block(text, "PRIVATE KEY", "openssl genpkey -algorithm ed25519")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the private key cannot be read; want PKCS#8, as openssl genpkey -algorithm ed25519 makes it")
	}
	own, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the key is no Ed25519 key; make one by openssl genpkey -algorithm ed25519")
	}
	public, err := publicOf(own.Public().(ed25519.PublicKey)) // always of that type
	return &Private{own, public}, err
}

// ReadPublic reads a key in PEM, SubjectPublicKeyInfo (RFC 8410).
func ReadPublic(path string) (Public, error) {
	data, err := read(path, maxKeyFile)
	if err != nil {
		return Public{}, err
	}
	p, err := ParsePublic(data)
	if err != nil {
		return Public{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// ParsePublic reads the text of a key file.
func ParsePublic(text []byte) (Public, error) {
	der, err := block(text, "PUBLIC KEY", "openssl pkey -pubout")
	if err != nil {
		return Public{}, err
	}
	return publicOfDER(der)
}

func publicOfDER(der []byte) (Public, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Public{}, errors.New("the public key cannot be read; want what openssl pkey -pubout makes of an Ed25519 key")
	}
	own, ok := key.(ed25519.PublicKey)
	if !ok {
		return Public{}, errors.New("the key is no Ed25519 key; make one by openssl genpkey -algorithm ed25519")
	}
	return publicOf(own)
}

// block is the content of the only PEM block of a file.
func block(text []byte, kind, makes string) ([]byte, error) {
	b, rest := pem.Decode(text)
	switch {
	case b == nil:
		return nil, fmt.Errorf("no PEM block; want a %s, as %s makes it", kind, makes)
	case b.Type != kind:
		return nil, fmt.Errorf("the file holds a %s; want a %s, as %s makes it", b.Type, kind, makes)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("the file holds several keys; want one in each file")
	}
	return b.Bytes, nil
}

func publicOf(key ed25519.PublicKey) (Public, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Public{}, fmt.Errorf("name the key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Public{string(key), hex.EncodeToString(sum[:8])}, nil
}

func read(path string, most int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // else a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = errors.New("larger than any key file")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Public is the key that verifies what p signs.
func (p *Private) Public() Public { return p.public }

// Sign signs a message. Its first octets must say what it is, so that a signature of one kind of file is none of another.
func (p *Private) Sign(message []byte) []byte { return ed25519.Sign(p.key, message) }

// ID names the key: the first 16 hexadecimal digits of SHA-256 over its SubjectPublicKeyInfo, which is what
// openssl pkey -pubin -outform DER | sha256sum shows.
func (p Public) ID() string { return p.id }

// Verify says whether the signature is p's of the message.
func (p Public) Verify(message, signature []byte) bool {
	return len(p.key) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(p.key), message, signature)
}
