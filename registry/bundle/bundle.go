// SPDX-License-Identifier: EUPL-1.2

// Package bundle is the file in which a compiled registry travels and is kept (x.pvb): [Write] makes one, [ReadFile] reads
// one into memory, [Bundle.Sign] and [Bundle.Verify] say whose it is, and [Store] keeps the last good one on disk.
//
// A bundle is a list of named sections of bytes, aligned so that numbers in them are used where they lie ([View]), and facts
// about them ([Meta]). The same input gives the same bytes: whoever builds it gives the sequence number and the time. Its
// name is the [Digest] of everything but the signatures, so a signature more does not make another bundle of it.
//
// A file is believed only whole: its length and checksum before anything in it, then its form, and there is one form for
// each content. The package does not know what sections mean, nor whether a bundle is better than the one in use.
//
// # Form
//
// Numbers are little-endian. The head has 64 bytes:
//
//	 0   8  89 'P' 'V' 'B' 0d 0a 1a 0a, which no text has and which no change of line ends survives
//	 8   4  version of the form: 1
//	12   4  number of sections, 1 to 64
//	16   8  size: the bytes before the seal, a multiple of 64
//	24  40  zero
//
// The table of sections follows, 24 bytes each: a tag of 16 bytes (small letters, digits, "." and "-", then zeros), and the
// section's length. Tags ascend. Then come the sections in that order, each at the next multiple of 64; what is between
// them is zero. No place is written down, so no two sections overlap and none is outside. The section "meta" is JSON.
//
// The seal ends the file: the SHA-256 of all before it (32 bytes), the number of signatures, at most 16 (4 bytes), four
// zero bytes, and for each signature the ID of its key (8 bytes, ascending) and its 64 bytes. Signed is the text
// "pvgate bundle 1", a zero byte and the SHA-256.
//
// A bundle of meta (say 150 bytes) and one section "index" of 5 bytes: the table is at 64 to 112, meta at 128 to 278, index
// at 320 to 325, size is 384, and unsigned the file has 424 bytes.
package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// The form's constants.
const (
	magic   = "\x89PVB\r\n\x1a\n"
	version = 1

	headSize      = 64
	tagSize       = 16
	entrySize     = tagSize + 8
	sealSize      = sha256.Size + 8
	keySize       = 8
	signatureSize = keySize + 64

	// Align is where sections begin: multiples of a cache line.
	Align = 64
	// MaxSections bounds the sections of a bundle, meta included.
	MaxSections = 64
	// MaxSignatures bounds the signatures under a bundle.
	MaxSignatures = 16

	// MaxMeta bounds the section meta in bytes.
	MaxMeta = 1 << 20

	metaTag = "meta"
)

// Section is one part of a bundle.
type Section struct {
	Tag  string // 1 to 16 of a–z, 0–9, "." and "-"; not "meta"
	Data []byte
}

// Digest names a bundle: the SHA-256 of all but its signatures.
type Digest [sha256.Size]byte

// String is "sha256:" and 64 hexadecimal digits.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// ParseDigest reads what String writes.
func ParseDigest(text string) (d Digest, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(d) {
		return Digest{}, errors.New("no digest; want sha256: and 64 hexadecimal digits")
	}
	return Digest(raw), nil
}

// Bundle is one in memory. Immutable but for [Bundle.Sign]; what it gives out is not to be written to.
type Bundle struct {
	Digest   Digest
	Meta     Meta
	data     []byte // all before the seal
	sections []Section
	sigs     []signing.Signature // by key
	file     string              // that it was read from, for messages
}

// Sections are the sections by tag, without meta.
func (b *Bundle) Sections() []Section { return b.sections }

// Section is the content of a section; false if there is none of that tag.
func (b *Bundle) Section(tag string) ([]byte, bool) {
	i := slices.IndexFunc(b.sections, func(s Section) bool { return s.Tag == tag })
	if i < 0 {
		return nil, false
	}
	return b.sections[i].Data, true
}

// Size is the length of the file in bytes.
func (b *Bundle) Size() int64 {
	return int64(len(b.data)) + sealSize + int64(len(b.sigs))*signatureSize
}

// Signatures are the signatures under the bundle, by key; whether they count says [Bundle.Verify].
func (b *Bundle) Signatures() []signing.Signature { return b.sigs }

// Sign adds a signature, in the place of an earlier one of the same key.
func (b *Bundle) Sign(key *signing.Private) error {
	sig := key.Sealed(message(b.Digest))
	sigs := slices.DeleteFunc(slices.Clone(b.sigs), func(s signing.Signature) bool { return s.Key == sig.Key })
	if len(sigs) == MaxSignatures {
		return fmt.Errorf("the bundle bears %d signatures, and no more fit", MaxSignatures)
	}
	b.sigs = sorted(append(sigs, sig))
	return nil
}

// Verify finds the key whose signature counts at a time; see [signing.Keys.Verify]. The error is a *source.Refusal.
func (b *Bundle) Verify(keys signing.Keys, at time.Time) (signing.Named, error) {
	key, err := keys.Verify(message(b.Digest), b.sigs, at)
	if err != nil {
		return key, &source.Refusal{Cause: source.CauseSignature, Origin: registry.Origin{File: b.file}, Text: err.Error(), Err: err}
	}
	return key, nil
}

// message is what a signature signs. It begins with what it is, so that it is a signature under nothing else.
func message(d Digest) []byte {
	return append([]byte("pvgate bundle 1\x00"), d[:]...)
}

func sorted(sigs []signing.Signature) []signing.Signature {
	slices.SortFunc(sigs, func(a, b signing.Signature) int { return strings.Compare(a.Key, b.Key) })
	return sigs
}

// WriteTo writes the file.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.data)
	if err != nil {
		return int64(n), err
	}
	m, err := w.Write(seal(b.Digest, b.sigs))
	return int64(n) + int64(m), err
}

// seal is the end of a file.
func seal(d Digest, sigs []signing.Signature) []byte {
	out := make([]byte, 0, sealSize+len(sigs)*signatureSize)
	out = append(out, d[:]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(sigs))) // the number, and four zero bytes
	for i := range sigs {
		id, err := hex.DecodeString(sigs[i].Key)
		if err != nil || len(id) != keySize {
			panic("bundle: the ID of a key is not 16 hexadecimal digits: " + sigs[i].Key)
		}
		out = append(append(out, id...), sigs[i].Bytes[:]...)
	}
	return out
}

// checkTag says what is wrong with a section's tag.
func checkTag(tag string) error {
	if tag == "" || len(tag) > tagSize {
		return fmt.Errorf("a section's tag has 1 to %d characters, not %d", tagSize, len(tag))
	}
	for _, c := range []byte(tag) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-') {
			return fmt.Errorf("section %q: a tag has only a to z, 0 to 9, . and -", tag)
		}
	}
	return nil
}

// align is the next multiple of Align.
func align(n uint64) uint64 { return (n + Align - 1) &^ (Align - 1) }
