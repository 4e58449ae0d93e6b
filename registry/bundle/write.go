// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry/signing"
)

// Write writes a bundle of sections in any order, signed by the keys. It holds nothing in memory beside them. The same
// input gives the same bytes.
func Write(w io.Writer, m *Meta, sections []Section, keys ...*signing.Private) (Digest, error) {
	meta, err := m.encode()
	if err != nil {
		return Digest{}, fmt.Errorf("write bundle: meta: %w", err)
	}
	all := append([]Section{{metaTag, meta}}, sections...)
	slices.SortStableFunc(all, func(a, b Section) int { return strings.Compare(a.Tag, b.Tag) })
	if err := checkSections(all); err != nil {
		return Digest{}, fmt.Errorf("write bundle: %w", err)
	}
	hash := sha256.New()
	out := io.MultiWriter(hash, w)
	if _, err := out.Write(head(all)); err != nil {
		return Digest{}, fmt.Errorf("write bundle: %w", err)
	}
	var zeros [Align]byte
	for _, s := range all {
		n := uint64(len(s.Data))
		for _, part := range [...][]byte{s.Data, zeros[:align(n)-n]} {
			if _, err := out.Write(part); err != nil {
				return Digest{}, fmt.Errorf("write bundle: %w", err)
			}
		}
	}
	b := Bundle{Digest: Digest(hash.Sum(nil))}
	for _, key := range keys {
		if err := b.Sign(key); err != nil {
			return Digest{}, fmt.Errorf("write bundle: %w", err)
		}
	}
	if _, err := w.Write(seal(b.Digest, b.sigs)); err != nil {
		return Digest{}, fmt.Errorf("write bundle: %w", err)
	}
	return b.Digest, nil
}

func checkSections(all []Section) error {
	if len(all) > MaxSections {
		return fmt.Errorf("%d sections, more than %d", len(all), MaxSections)
	}
	for i, s := range all {
		if err := checkTag(s.Tag); err != nil {
			return err
		}
		if i > 0 && all[i-1].Tag == s.Tag {
			return fmt.Errorf("two sections are called %q", s.Tag)
		}
	}
	return nil
}

// head is what stands before the sections.
func head(all []Section) []byte {
	n := align(uint64(headSize + entrySize*len(all)))
	out := make([]byte, n)
	copy(out, magic)
	for i, s := range all {
		entry := out[headSize+entrySize*i:]
		copy(entry[:tagSize], s.Tag)
		binary.LittleEndian.PutUint64(entry[tagSize:], uint64(len(s.Data)))
		n += align(uint64(len(s.Data)))
	}
	binary.LittleEndian.PutUint32(out[8:], version)
	binary.LittleEndian.PutUint32(out[12:], uint32(len(all)))
	binary.LittleEndian.PutUint64(out[16:], n)
	return out
}
