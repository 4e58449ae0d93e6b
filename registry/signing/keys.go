// SPDX-License-Identifier: EUPL-1.2

package signing

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// MaxKeys bounds a set of keys.
const MaxKeys = 256

// Named is a trusted key and the name that people know it by.
type Named struct {
	Name string
	Trusted
}

// Signature is a signature and the [Public.ID] of the key that made it.
type Signature struct {
	Key   string
	Bytes [ed25519.SignatureSize]byte
}

// Sealed signs a message as [Private.Sign] does and names the key.
func (p *Private) Sealed(message []byte) Signature {
	return Signature{Key: p.public.id, Bytes: [ed25519.SignatureSize]byte(p.Sign(message))}
}

// Why no signature counts.
var (
	ErrUnsigned   = errors.New("it bears no signature")
	ErrUnknownKey = errors.New("a key that is not trusted")
	ErrRetired    = errors.New("the key is trusted no more")
	ErrBroken     = errors.New("the signature is not one of the key for this content")
)

// Keys is a set of trusted keys. Keys rotate in it: the new one is trusted before it signs, both sign for a while, the
// old one ends on its day. The zero value trusts nobody. Immutable.
type Keys struct {
	list []Named // by name
}

// NewKeys makes a set. Names and keys occur once.
func NewKeys(list ...Named) (Keys, error) {
	if len(list) > MaxKeys {
		return Keys{}, fmt.Errorf("more than %d keys", MaxKeys)
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Named) int { return cmp.Compare(a.Name, b.Name) })
	for i, k := range list {
		if i > 0 && list[i-1].Name == k.Name {
			return Keys{}, fmt.Errorf("two keys are called %q; rename one", k.Name)
		}
		if j := slices.IndexFunc(list[:i], func(o Named) bool { return o.Key == k.Key }); j >= 0 {
			return Keys{}, fmt.Errorf("%q and %q are the same key; remove one", list[j].Name, k.Name)
		}
	}
	return Keys{list}, nil
}

// All are the keys by name; not to be changed.
func (ks Keys) All() []Named { return ks.list }

// Find is the key of an id, retired or not.
func (ks Keys) Find(id string) (Named, bool) {
	if i := slices.IndexFunc(ks.list, func(k Named) bool { return k.Key.id == id }); i >= 0 {
		return ks.list[i], true
	}
	return Named{}, false
}

// Verify finds a signature of the message that counts at a time. One is enough; signatures of keys that nobody here knows
// do no harm. Otherwise the error is the nearest miss: it fits [ErrBroken], else [ErrRetired], [ErrUnknownKey] or
// [ErrUnsigned].
func (ks Keys) Verify(message []byte, sigs []Signature, at time.Time) (Named, error) {
	var broken, retired error
	for i := range sigs {
		k, ok := ks.Find(sigs[i].Key)
		switch {
		case !ok:
		case !k.Key.Verify(message, sigs[i].Bytes[:]):
			broken = fmt.Errorf("key %q: %w", k.Name, ErrBroken)
		case !k.Good(at):
			retired = fmt.Errorf("key %q: %w, since %s", k.Name, ErrRetired, k.Until.In(registry.Berlin()).Format(time.DateTime))
		default:
			return k, nil
		}
	}
	switch {
	case broken != nil:
		return Named{}, broken
	case retired != nil:
		return Named{}, retired
	case len(sigs) > 0:
		return Named{}, fmt.Errorf("signed by %s: %w", sigs[0].Key, ErrUnknownKey)
	}
	return Named{}, ErrUnsigned
}

// ReadKeys reads a file of trusted keys: lines of a name, a public key in base64 and, for one that ends, until and its
// last day. Empty lines and what follows a # do not count:
//
//	bund-2026   MCowBQYDK2VwAyEAumgz5veztpeV1S/txj7cIVgodevrDavgoKblmxDbXQ8=   until 2027-06-30
//	bund-2027   MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
//
// The base64 is what openssl pkey -pubout writes between the lines of PEM. A file of such PEM is a set too: one key
// without an end, named as the file.
func ReadKeys(path string) (Keys, error) {
	data, err := read(path, maxKeysFile)
	if err != nil {
		return Keys{}, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN ")) {
		key, err := ParsePublic(data)
		if err != nil {
			return Keys{}, fmt.Errorf("%s: %w", path, err)
		}
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		return NewKeys(Named{name, Trusted{Key: key}})
	}
	list, line, err := parseLines(data)
	if err != nil {
		return Keys{}, fmt.Errorf("%s:%d: %w", path, line, err)
	}
	ks, err := NewKeys(list...)
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w", path, err)
	}
	return ks, nil
}

// parseLines reads lines of keys; on an error n is the line.
func parseLines(data []byte) (list []Named, n int, err error) {
	for line := range bytes.Lines(data) {
		n++
		text, _, _ := strings.Cut(string(line), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		k, err := parseLine(words)
		if err != nil {
			return nil, n, err
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, 1, errors.New("no keys; write lines of a name and a public key in base64")
	}
	return list, n, nil
}

// parseLine reads NAME BASE64 [until DAY].
func parseLine(words []string) (k Named, err error) {
	if len(words) != 2 && (len(words) != 4 || words[2] != "until") {
		return Named{}, errors.New("want a name, a public key in base64 and perhaps until YYYY-MM-DD")
	}
	k.Name = words[0]
	der, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil {
		return Named{}, fmt.Errorf("key %q is no base64", k.Name)
	}
	if k.Key, err = publicOfDER(der); err != nil {
		return Named{}, fmt.Errorf("key %q: %w", k.Name, err)
	}
	if len(words) == 4 {
		if k.Until, err = registry.ParseEnd(words[3]); err != nil {
			return Named{}, fmt.Errorf("key %q: until: %w", k.Name, err)
		}
	}
	return k, nil
}

// Line is the key as a line of a file of keys, without an end.
func (p Public) Line(name string) string {
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(p.key))
	if err != nil {
		panic("signing: an Ed25519 key has no SubjectPublicKeyInfo: " + err.Error()) // its type allows no error
	}
	return name + " " + base64.StdEncoding.EncodeToString(der)
}

// Generate makes a new key from the system's random numbers.
func Generate() (*Private, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	public, err := publicOf(key.Public().(ed25519.PublicKey)) // always of that type
	return &Private{key, public}, err
}

// PEM is the private key as [ReadPrivate] reads it.
func (p *Private) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		panic("signing: an Ed25519 key has no PKCS#8 form: " + err.Error()) // its type allows no error
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
