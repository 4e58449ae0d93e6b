// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"syscall"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// DefaultMaxSize is what a file may have in bytes if nothing else is said: six times ten million entries.
const DefaultMaxSize = 1 << 30

// ReadFile reads a bundle of at most maxSize bytes (0 = [DefaultMaxSize]); see [Read].
func ReadFile(path string, maxSize int64) (*Bundle, error) {
	// Without O_NONBLOCK a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	defer f.Close()
	return Read(f, maxSize)
}

// Read reads an open file from its beginning into one piece of memory, which is taken only after head and length of the
// file agree. An error is a *source.Refusal of one of the causes empty, truncated, oversized, checksum and schema, or says
// that the file cannot be read.
func Read(f *os.File, maxSize int64) (*Bundle, error) {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: errors.New("no regular file")}
	}
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	b, err := read(io.NewSectionReader(f, 0, math.MaxInt64), st.Size(), maxSize)
	var r *source.Refusal
	if errors.As(err, &r) {
		r.Origin = registry.Origin{File: f.Name()}
		return nil, r
	}
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	b.file = f.Name()
	return b, nil
}

// Parse reads a bundle from memory. It keeps data, which nobody may change any more.
func Parse(data []byte) (*Bundle, error) {
	if err := checkHead(data[:min(len(data), headSize)], int64(len(data)), DefaultMaxSize); err != nil {
		return nil, err
	}
	if !isAligned(data) {
		moved := aligned(len(data))
		copy(moved, data)
		data = moved
	}
	return parse(data)
}

// read reads size bytes, which must be all there are.
func read(r io.Reader, size, maxSize int64) (*Bundle, error) {
	var first [headSize]byte
	n, err := io.ReadFull(r, first[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if err := checkHead(first[:n], size, maxSize); err != nil {
		return nil, err
	}
	data := aligned(int(size))
	copy(data, first[:])
	_, err = io.ReadFull(r, data[headSize:])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, refuse(source.CauseTruncated, "the file became shorter while it was read")
	case err != nil:
		return nil, err
	}
	if n, _ := r.Read(first[:1]); n > 0 {
		return nil, refuse(source.CauseTruncated, "the file became longer while it was read")
	}
	return parse(data)
}

func refuse(cause source.Cause, format string, args ...any) *source.Refusal {
	return &source.Refusal{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// checkHead judges what can be judged before memory is taken: what kind of file it is, and that its length is one that its
// head allows.
func checkHead(head []byte, size, maxSize int64) error {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	switch {
	case size == 0:
		return refuse(source.CauseEmpty, "the file is empty")
	case size > maxSize:
		return refuse(source.CauseOversized, "%d bytes, more than %d", size, maxSize)
	case len(head) < len(magic) && bytes.HasPrefix([]byte(magic), head):
		return refuse(source.CauseTruncated, "the file ends after %d bytes", size)
	case !bytes.HasPrefix(head, []byte(magic)):
		return refuse(source.CauseSchema, "no bundle: the file begins with %q", head[:min(len(head), len(magic))])
	case len(head) < headSize:
		return refuse(source.CauseTruncated, "the file ends after %d bytes", size)
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != version {
		return refuse(source.CauseSchema, "version %d of the form; this pvgate reads version %d", v, version)
	}
	// A size that no file can have is not compared as if one could.
	covered := binary.LittleEndian.Uint64(head[16:])
	switch rest := size - sealSize - int64(min(covered, 1<<62)); {
	case covered > 1<<62 || covered%Align != 0 || covered < headSize+Align:
		return refuse(source.CauseSchema, "the head says a size of %d, which no bundle has", covered)
	case rest < 0:
		return refuse(source.CauseTruncated, "the file has %d bytes, and its head says at least %d", size, covered+sealSize)
	case rest > MaxSignatures*signatureSize:
		return refuse(source.CauseSchema, "%d bytes follow the seal, more than %d signatures", rest, MaxSignatures)
	}
	return nil
}

// digestOf takes the checksum in pieces: nothing interrupts a hash over one piece, and whoever stops the world for the
// garbage collector waits for its end with all loops [10 million entries: 50 ms in one piece].
func digestOf(data []byte) (d Digest) {
	h := sha256.New()
	for piece := range slices.Chunk(data, 64<<10) {
		_, _ = h.Write(piece) // a hash never fails
	}
	h.Sum(d[:0])
	return d
}

// parse reads what checkHead has let pass: the length and the checksum first, and only if they are right anything else.
func parse(data []byte) (*Bundle, error) {
	covered := int(binary.LittleEndian.Uint64(data[16:]))
	b := &Bundle{data: data[:covered:covered]}
	end := data[covered:]
	n := binary.LittleEndian.Uint64(end[sha256.Size:])
	switch want := n * signatureSize; {
	case n > MaxSignatures:
		return nil, refuse(source.CauseSchema, "the seal says %d signatures, more than %d", n, MaxSignatures)
	case uint64(len(end)-sealSize) < want:
		return nil, refuse(source.CauseTruncated, "the file ends inside its signatures")
	case uint64(len(end)-sealSize) > want:
		return nil, refuse(source.CauseSchema, "%d bytes follow the last signature", uint64(len(end)-sealSize)-want)
	}
	b.Digest = digestOf(b.data)
	if b.Digest != Digest(end[:sha256.Size]) {
		return nil, refuse(source.CauseChecksum, "the content is not what was written: its checksum is %s, and the file says %s", b.Digest, Digest(end[:sha256.Size]))
	}
	if err := b.parseSignatures(end[sealSize:]); err != nil {
		return nil, err
	}
	if err := b.parseSections(); err != nil {
		return nil, err
	}
	return b, nil
}

// parseSignatures reads whole signatures.
func (b *Bundle) parseSignatures(end []byte) error {
	for ; len(end) > 0; end = end[signatureSize:] {
		id := hex.EncodeToString(end[:keySize])
		if last := len(b.sigs) - 1; last >= 0 && b.sigs[last].Key >= id {
			return refuse(source.CauseSchema, "the signatures are not in the order of their keys")
		}
		b.sigs = append(b.sigs, signing.Signature{Key: id, Bytes: [signatureSize - keySize]byte(end[keySize:signatureSize])})
	}
	return nil
}

// parseSections reads the table and cuts the sections out.
func (b *Bundle) parseSections() error {
	n := binary.LittleEndian.Uint32(b.data[12:])
	if n == 0 || n > MaxSections {
		return refuse(source.CauseSchema, "%d sections; want 1 to %d", n, MaxSections)
	}
	if !zero(b.data[24:headSize]) {
		return refuse(source.CauseSchema, "the end of the head is not zero")
	}
	table := b.data[headSize:]
	if len(table) < int(n)*entrySize {
		return refuse(source.CauseSchema, "the table of %d sections is longer than the file", n)
	}
	at := uint64(headSize + int(n)*entrySize) // the end of what has been read
	var last string
	for ; n > 0; n-- {
		tag := string(bytes.TrimRight(table[:tagSize], "\x00"))
		length := binary.LittleEndian.Uint64(table[tagSize:])
		table = table[entrySize:]
		if err := checkTag(tag); err != nil {
			return refuse(source.CauseSchema, "%v", err)
		}
		if tag <= last {
			return refuse(source.CauseSchema, "section %q follows %q; tags ascend", tag, last)
		}
		last = tag
		start := align(at)
		if start > uint64(len(b.data)) || length > uint64(len(b.data))-start {
			return refuse(source.CauseSchema, "section %q of %d bytes is longer than the file", tag, length)
		}
		if !zero(b.data[at:start]) {
			return refuse(source.CauseSchema, "what is before section %q is not zero", tag)
		}
		at = start + length
		b.sections = append(b.sections, Section{tag, b.data[start:at:at]})
	}
	if align(at) != uint64(len(b.data)) || !zero(b.data[at:]) {
		return refuse(source.CauseSchema, "what follows section %q is not zero up to the next multiple of %d", last, Align)
	}
	return b.takeMeta()
}

// takeMeta takes the section meta out of the others.
func (b *Bundle) takeMeta() error {
	for i, s := range b.sections {
		if s.Tag != metaTag {
			continue
		}
		if len(s.Data) > MaxMeta {
			return refuse(source.CauseOversized, "meta of %d bytes, more than %d", len(s.Data), MaxMeta)
		}
		m, err := decodeMeta(s.Data)
		if err != nil {
			return refuse(source.CauseSchema, "meta: %v", err)
		}
		b.Meta = m
		b.sections = append(b.sections[:i], b.sections[i+1:]...)
		return nil
	}
	return refuse(source.CauseSchema, "section %q is missing", metaTag)
}

func zero(data []byte) bool {
	for _, c := range data {
		if c != 0 {
			return false
		}
	}
	return true
}
