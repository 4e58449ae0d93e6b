// SPDX-License-Identifier: EUPL-1.2

package scripted

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// Signer signs destinations as FIT-Connect does: a compact JWS with PS512.
type Signer struct {
	KeyID string
	key   *rsa.PrivateKey
}

// NewSigner makes a key of so many bits.
func NewSigner(keyID string, bits int) (*Signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	return &Signer{keyID, key}, err
}

// Services are the Leistungen in the areas for which a destination is signed, as URNs.
type Services struct {
	Areas      []string `json:"gebietIDs"`
	Leistungen []string `json:"leistungIDs"`
}

// The URNs of what a destination is signed for.
const (
	AreaURN     = "urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs:"
	LeistungURN = "urn:de:fim:leika:leistung:"
)

// Destination signs one for a Leistung in an area.
func (s *Signer) Destination(id, leistung, area string) string {
	return s.Sign(map[string]any{"kid": s.KeyID, "typ": "jwt", "alg": "PS512"}, map[string]any{
		"submissionHost": "submission-api.example.net", "iss": "https://portal.auth.example.net", "destinationId": id, "iat": 1637863481,
		"jti": "2d1426f2-d673-46de-868e-d96844d24fe1", "services": []Services{{[]string{AreaURN + area}, []string{LeistungURN + leistung}}},
	})
}

// Sign signs any payload under any header; whatever the header says, it is PS512.
func (s *Signer) Sign(header, payload any) string {
	text := encoded(header) + "." + encoded(payload)
	sum := sha512.Sum512([]byte(text))
	sig, err := rsa.SignPSS(rand.Reader, s.key, crypto.SHA512, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		panic(err) // a key too short for the hash: a mistake in the test
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// JWK is the public key as one member of a JWK set.
func (s *Signer) JWK() map[string]any {
	return map[string]any{
		"kty": "RSA", "alg": "PS512", "kid": s.KeyID, "key_ops": []string{"verify"},
		"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
	}
}

// JWKS is a JWK set (RFC 7517, section 5) of signers' public keys.
func JWKS(signers ...*Signer) []byte {
	keys := make([]map[string]any, 0, len(signers))
	for _, s := range signers {
		keys = append(keys, s.JWK())
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}
