// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// sorter brings records into the order of their keys in bounded memory: what it holds goes to a file, sorted, when it is
// arenaBytes, and each reads the files side by side. Of records with one key the last that was added is given.
type sorter struct {
	dir   string
	limit int // bytes held at once
	arena []byte
	spans []span
	runs  []string
	added int
}

// span is a record in the arena: key, then value.
type span struct {
	at       uint32
	key, val uint32
}

const (
	arenaBytes = 6 << 20
	// maxRuns bounds the files that are read side by side, each through runBuffer bytes.
	maxRuns   = 800
	runBuffer = 16 << 10
	// maxRecord bounds a key and a value: a record that says more is damaged.
	maxRecord = 16 << 20
)

// errTooMany says that a delivery does not fit into what may be sorted: some 4 GiB of objects.
var errTooMany = errors.New("the delivery holds more objects than can be sorted; deliver it in parts")

// newSorter sorts in a folder, where only it writes files called sort-….
func newSorter(dir string) *sorter { return &sorter{dir: dir, limit: arenaBytes} }

func (s *sorter) add(key, value []byte) error {
	if len(s.arena)+len(key)+len(value) > s.limit && len(s.spans) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.spans = append(s.spans, span{uint32(len(s.arena)), uint32(len(key)), uint32(len(value))})
	s.arena = append(append(s.arena, key...), value...)
	s.added++
	return nil
}

func (s *sorter) keyOf(p span) []byte { return s.arena[p.at : p.at+p.key] }

func (s *sorter) valueOf(p span) []byte { return s.arena[p.at+p.key : p.at+p.key+p.val] }

// order sorts what is held; of one key the last stays.
func (s *sorter) order() {
	slices.SortStableFunc(s.spans, func(a, b span) int { return bytes.Compare(s.keyOf(a), s.keyOf(b)) })
	out := s.spans[:0]
	for i, p := range s.spans {
		if i+1 < len(s.spans) && bytes.Equal(s.keyOf(p), s.keyOf(s.spans[i+1])) {
			continue
		}
		out = append(out, p)
	}
	s.spans = out
}

func (s *sorter) spill() error {
	if len(s.runs) == maxRuns {
		return errTooMany
	}
	s.order()
	path := filepath.Join(s.dir, fmt.Sprintf("sort-%d-%d", os.Getpid(), len(s.runs)))
	w, err := createRun(path)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, path)
	for _, p := range s.spans {
		if err := w.add(s.keyOf(p), s.valueOf(p)); err != nil {
			return errors.Join(err, w.close(false))
		}
	}
	s.arena, s.spans = s.arena[:0], s.spans[:0]
	return w.close(false)
}

// each gives all records in order. Key and value are valid during the call. It can be called again.
func (s *sorter) each(give func(key, value []byte) error) error {
	if len(s.runs) == 0 {
		s.order()
		for _, p := range s.spans {
			if err := give(s.keyOf(p), s.valueOf(p)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.spans) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.arena, s.spans = nil, nil
	return s.merge(give)
}

func (s *sorter) merge(give func(key, value []byte) error) (err error) {
	var h runHeap
	var open []*runReader
	defer func() {
		for _, r := range open {
			err = errors.Join(err, r.close())
		}
	}()
	for i, path := range s.runs {
		r, err := openRun(path, runBuffer)
		if err != nil {
			return err
		}
		r.number = i
		open = append(open, r)
		if ok, err := r.next(); err != nil {
			return err
		} else if ok {
			h = append(h, r)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		r := h[0]
		// Equal keys stand in the order of their runs: the last of them is the one that another key follows.
		if !h.nextEquals(r.key) {
			if err := give(r.key, r.value); err != nil {
				return err
			}
		}
		ok, err := r.next()
		switch {
		case err != nil:
			return err
		case ok:
			heap.Fix(&h, 0)
		default:
			heap.Pop(&h)
		}
	}
	return nil
}

// close removes its files.
func (s *sorter) close() error {
	var errs []error
	for _, path := range s.runs {
		errs = append(errs, os.Remove(path))
	}
	s.runs, s.arena, s.spans = nil, nil, nil
	return errors.Join(errs...)
}

// runHeap has the run with the least key first, and of equal keys the older one.
type runHeap []*runReader

func (h runHeap) Len() int { return len(h) }

func (h runHeap) Less(i, j int) bool {
	if c := bytes.Compare(h[i].key, h[j].key); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}

func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *runHeap) Push(x any) { *h = append(*h, x.(*runReader)) }

func (h *runHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}

// nextEquals reports whether another run than the first has this key first.
func (h runHeap) nextEquals(key []byte) bool {
	return len(h) > 1 && bytes.Equal(h[1].key, key) || len(h) > 2 && bytes.Equal(h[2].key, key)
}

// A run is a file of records, then their checksum: length of the key plus one, length of the value, key, value; a zero
// and CRC-32C in four bytes at the end.
type runWriter struct {
	f   *os.File
	w   *bufio.Writer
	crc uint32
	buf []byte
}

func createRun(path string) (*runWriter, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &runWriter{f: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (w *runWriter) add(key, value []byte) error {
	w.buf = binary.AppendUvarint(w.buf[:0], uint64(len(key))+1)
	w.buf = binary.AppendUvarint(w.buf, uint64(len(value)))
	w.buf = append(append(w.buf, key...), value...)
	w.crc = crc32.Update(w.crc, castagnoli(), w.buf)
	_, err := w.w.Write(w.buf)
	return err
}

// close ends the file; with sync it is on disk for certain.
func (w *runWriter) close(sync bool) error {
	_, err := w.w.Write(binary.LittleEndian.AppendUint32([]byte{0}, w.crc))
	if err == nil {
		err = w.w.Flush()
	}
	if err == nil && sync {
		err = w.f.Sync()
	}
	return errors.Join(err, w.f.Close())
}

// castagnoli is the table of CRC-32C, which processors compute.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// runReader reads a run. Key and value are valid until next.
type runReader struct {
	f          *os.File
	r          *bufio.Reader
	crc        uint32
	buf        []byte
	key, value []byte
	number     int
}

func openRun(path string, buffer int) (*runReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &runReader{f: f, r: bufio.NewReaderSize(f, buffer)}, nil
}

var errDamaged = errors.New("a file of sorted objects is damaged; import the delivery again")

// next goes to the next record; false is the end of a whole file.
func (r *runReader) next() (bool, error) {
	k, err := binary.ReadUvarint(r.r)
	if err != nil {
		return false, damaged(err)
	}
	if k == 0 {
		var sum [4]byte
		if _, err := io.ReadFull(r.r, sum[:]); err != nil {
			return false, damaged(err)
		}
		if binary.LittleEndian.Uint32(sum[:]) != r.crc {
			return false, errDamaged
		}
		return false, nil
	}
	v, err := binary.ReadUvarint(r.r)
	if err != nil || k > maxRecord || v > maxRecord {
		return false, damaged(err)
	}
	r.buf = binary.AppendUvarint(r.buf[:0], k)
	r.buf = binary.AppendUvarint(r.buf, v)
	head := len(r.buf)
	n := head + int(k-1) + int(v)
	r.buf = slices.Grow(r.buf, n-head)[:n]
	if _, err := io.ReadFull(r.r, r.buf[head:]); err != nil {
		return false, damaged(err)
	}
	r.crc = crc32.Update(r.crc, castagnoli(), r.buf)
	r.key, r.value = r.buf[head:head+int(k-1)], r.buf[head+int(k-1):]
	return true, nil
}

func damaged(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}

func (r *runReader) close() error { return r.f.Close() }
