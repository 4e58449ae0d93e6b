// SPDX-License-Identifier: EUPL-1.2

package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Manifest is what was signed of a folder: exactly these files with exactly this content.
//
// Its text has one form, and the signatures are over its octets. A line signed for each key follows:
//
//	pvgate signed files 1
//	created 2026-11-22T13:00:00Z
//	sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 06-hessen.yaml
//	signed 6ec812ce6847d808 bXl+…==
type Manifest struct {
	Created time.Time // to the second
	Files   map[string]Digest
}

// Digest is the SHA-256 of a file.
type Digest = [sha256.Size]byte

const (
	manifestHead = "pvgate signed files 1"
	maxSigned    = 4096 // files
)

// Text is what is signed. Names of files are relative, with slashes, and have no control characters.
func (m *Manifest) Text() ([]byte, error) {
	if len(m.Files) == 0 {
		return nil, errors.New("there is no file to sign")
	}
	if len(m.Files) > maxSigned {
		return nil, fmt.Errorf("%d files are more than %d; sign folders inside by themselves", len(m.Files), maxSigned)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\ncreated %s\n", manifestHead, m.Created.UTC().Format(time.RFC3339))
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if !isFileName(name) {
			return nil, fmt.Errorf("the name %q cannot be signed; rename the file", name)
		}
		fmt.Fprintf(&b, "sha256 %x %s\n", m.Files[name], name)
	}
	return b.Bytes(), nil
}

func isFileName(name string) bool {
	return fs.ValidPath(name) && name != "." && strings.TrimSpace(name) == name && strings.IndexFunc(name, unicode.IsControl) < 0
}

// Seal is the text with a signature of each key.
func (m *Manifest) Seal(keys ...*Private) ([]byte, error) {
	text, err := m.Text()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(text)
	for _, k := range keys {
		s := k.Sealed(text)
		out = fmt.Appendf(out, "signed %s %s\n", s.Key, base64.StdEncoding.EncodeToString(s.Bytes[:]))
	}
	return out, nil
}

// ParseManifest reads what [Manifest.Seal] writes: the manifest, the text that was signed, and the signatures, none of
// them verified. Errors begin with the line, "3: ".
func ParseManifest(data []byte) (m Manifest, text []byte, sigs []Signature, err error) {
	m.Files = map[string]Digest{}
	n, last := 0, ""
	for line := range bytes.Lines(data) {
		n++
		words := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 3)
		switch {
		case n == 1 && string(line) == manifestHead+"\n":
		case n == 2 && words[0] == "created" && len(words) == 2:
			m.Created, err = time.Parse(time.RFC3339, words[1])
		case n > 2 && words[0] == "sha256" && len(words) == 3 && len(sigs) == 0 && words[2] > last && len(m.Files) < maxSigned:
			last = words[2]
			m.Files[last], err = parseDigest(words[1])
		case n > 3 && words[0] == "signed" && len(words) == 3 && len(sigs) < MaxKeys:
			var s Signature
			s, err = parseSignature(words)
			sigs = append(sigs, s)
		default:
			err = errors.New("no line of a signature; sign the folder again")
		}
		if err != nil {
			return Manifest{}, nil, nil, fmt.Errorf("%d: %w", n, err)
		}
	}
	if text, err = m.Text(); err != nil || !bytes.HasPrefix(data, text) {
		return Manifest{}, nil, nil, fmt.Errorf("%d: the file is not whole; sign the folder again", max(n, 1))
	}
	return m, text, sigs, nil
}

func parseDigest(digits string) (d Digest, err error) {
	if len(digits) != hex.EncodedLen(len(d)) {
		return d, errors.New("no SHA-256")
	}
	_, err = hex.Decode(d[:], []byte(digits))
	return d, err
}

func parseSignature(words []string) (s Signature, err error) {
	s.Key = words[1]
	octets, err := base64.StdEncoding.Strict().DecodeString(words[2])
	if err != nil || len(octets) != ed25519.SignatureSize {
		return s, errors.New("no Ed25519 signature in base64")
	}
	copy(s.Bytes[:], octets)
	return s, nil
}
