// SPDX-License-Identifier: EUPL-1.2

package fitconnect

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
)

// Keys are public keys by their kid.
type Keys map[string]*rsa.PublicKey

// The bounds of keys and signatures.
const (
	maxKeyFile   = 1 << 20
	maxKeys      = 64
	minBits      = 3072 // FIT-Connect's have 4096; TR-02102-1 wants 3000 or more
	maxBits      = 16384
	maxSignature = 64 << 10
)

// ReadKeys reads a JWK set (RFC 7517, section 5) from a file.
func ReadKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s: longer than %d KiB", path, maxKeyFile>>10)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// jwk is a public key as RFC 7517 and RFC 7518, section 6.3.1, write it.
type jwk struct {
	Type       string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	ID         string   `json:"kid"`
	N          string   `json:"n"`
	E          string   `json:"e"`
}

// ParseKeys reads a JWK set. Keys that are for something else than PS512 signatures are passed over.
func ParseKeys(text []byte) (Keys, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("no JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	keys := Keys{}
	for i := range set.Keys {
		j := &set.Keys[i]
		if !j.verifies() {
			continue
		}
		if j.ID == "" || keys[j.ID] != nil {
			return nil, fmt.Errorf("key %d has no kid, or that of another", i+1)
		}
		key, err := j.public()
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", j.ID, err)
		}
		keys[j.ID] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key for PS512 signatures (kty RSA, alg PS512, key_ops verify)")
	}
	return keys, nil
}

func (j *jwk) verifies() bool {
	return j.Type == "RSA" && (j.Algorithm == "" || j.Algorithm == "PS512") && (j.Use == "" || j.Use == "sig") &&
		(j.Operations == nil || slices.Contains(j.Operations, "verify"))
}

func (j *jwk) public() (*rsa.PublicKey, error) {
	n, errN := decode(j.N)
	e, errE := decode(j.E)
	if err := errors.Join(errN, errE); err != nil {
		return nil, err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	switch bits := modulus.BitLen(); {
	case bits < minBits || bits > maxBits:
		return nil, fmt.Errorf("has %d bits; want %d to %d", bits, minBits, maxBits)
	case modulus.Bit(0) == 0:
		return nil, errors.New("its modulus is even")
	case exponent.BitLen() > 31 || exponent.Bit(0) == 0 || exponent.Int64() < 65537:
		return nil, errors.New("its exponent is not an odd number from 65537 on")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// claim is what a signature has to say.
type claim struct {
	destination string
	key         lookup.Key
	areas       *registry.Areas
	at          time.Time
}

// verify reads a compact JWS (RFC 7515, section 7.1) and holds it against a claim. It gives the signed area around the asked
// one, the deepest. Of the header only kid and alg are believed, and alg may be nothing but PS512.
func (k Keys) verify(signature string, c claim) (registry.ARS, error) {
	text, sig, ok := cutLast(signature)
	head, body, ok2 := strings.Cut(text, ".")
	if !ok || !ok2 || len(signature) > maxSignature || strings.Contains(body, ".") {
		return registry.ARS{}, errors.New("the signature is no compact JWS")
	}
	var header struct {
		Algorithm string          `json:"alg"`
		ID        string          `json:"kid"`
		Critical  json.RawMessage `json:"crit"`
	}
	if err := decodeJSON(head, &header); err != nil {
		return registry.ARS{}, fmt.Errorf("the signature's header: %w", err)
	}
	switch {
	case header.Algorithm != "PS512":
		return registry.ARS{}, fmt.Errorf("the signature's algorithm is %.20q; want PS512", header.Algorithm)
	case header.Critical != nil: // RFC 7515, section 4.1.11: who does not know an extension that is critical refuses
		return registry.ARS{}, errors.New("the signature wants extensions that pvgate does not know (crit)")
	}
	key := k[header.ID]
	if key == nil {
		return registry.ARS{}, fmt.Errorf("the signature is by the key %.64q, which is none of keys", header.ID)
	}
	raw, err := decode(sig)
	if err != nil {
		return registry.ARS{}, fmt.Errorf("the signature: %w", err)
	}
	sum := sha512.Sum512([]byte(text))
	// RFC 7518, section 3.5: the salt is as long as the hash.
	if err := rsa.VerifyPSS(key, crypto.SHA512, sum[:], raw, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
		return registry.ARS{}, fmt.Errorf("the signature does not fit the key %.64q", header.ID)
	}
	var p payload
	if err := decodeJSON(body, &p); err != nil {
		return registry.ARS{}, fmt.Errorf("what is signed: %w", err)
	}
	return p.covers(&c)
}

// cutLast cuts at the last dot.
func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// payload is what FIT-Connect signs.
type payload struct {
	Host        string  `json:"submissionHost"`
	Destination string  `json:"destinationId"`
	NotBefore   float64 `json:"nbf"` // seconds since 1970; 0 = not said
	Expires     float64 `json:"exp"`
	Services    []struct {
		Areas      []string `json:"gebietIDs"`
		Leistungen []string `json:"leistungIDs"`
	} `json:"services"`
}

// The URNs of areas, before their digits.
const (
	urnARS = "urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs:"
	urnAGS = "urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:ags:"
)

func (p *payload) covers(c *claim) (registry.ARS, error) {
	now := float64(c.at.Unix())
	switch {
	case p.Destination != c.destination || p.Destination == "":
		return registry.ARS{}, errors.New("it is signed for another destination")
	case p.Host == "":
		return registry.ARS{}, errors.New("what is signed names no submissionHost")
	case p.NotBefore > now:
		return registry.ARS{}, errors.New("the signature is not valid yet")
	case p.Expires != 0 && p.Expires <= now:
		return registry.ARS{}, errors.New("the signature has ended")
	}
	asked, err := c.areas.EntryArea(c.key.Area.String())
	if err != nil {
		return registry.ARS{}, err
	}
	best, found := registry.ARS{}, false
	for _, s := range p.Services {
		if !slices.ContainsFunc(s.Leistungen, func(text string) bool {
			l, err := registry.ParseLeistung(text)
			return err == nil && l == c.key.Leistung
		}) {
			continue
		}
		for _, urn := range s.Areas {
			id, ok := c.area(urn)
			if a := c.areas.ARS(id); ok && c.areas.ContainsAt(id, asked, c.at) && (!found || a.Level() > best.Level()) {
				best, found = a, true
			}
		}
	}
	if !found {
		return registry.ARS{}, fmt.Errorf("it is not signed for %s at %s", c.key.Leistung, c.key.Area)
	}
	return best, nil
}

// area is the area of a URN.
func (c *claim) area(urn string) (registry.AreaID, bool) {
	digits, ok := strings.CutPrefix(urn, urnARS)
	if !ok {
		digits, ok = strings.CutPrefix(urn, urnAGS)
	}
	if !ok {
		return registry.Bund, false
	}
	id, err := c.areas.EntryArea(digits)
	return id, err == nil
}

func decodeJSON(text string, v any) error {
	raw, err := decode(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// decode is base64url without padding (RFC 7515, section 2): no other character, not even the line breaks that the decoder
// would pass over, and no bits that mean nothing.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("a line break in base64url")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("no base64url")
	}
	return raw, nil
}
