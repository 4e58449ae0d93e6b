// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// A file of rows: its name, then each row as lengths and texts of its fields, where 0 stands for what the row before has; then
// the types of Leistungen, ascending, as number of the key and set; its end and CRC-32C of all. The same objects give the same bytes.
const rowsName = "pvgate rows of objects 1\n"

// What stands before each part of it.
const (
	markEnd   = 0
	markRow   = 1
	markTypes = 2
)

// maxField bounds a text of a row in bytes; no target is as long, and of a title it is enough.
const maxField = 8200

// fields are a row's texts in the order of the file.
func (r *row) fields() [15]*string {
	return [...]*string{
		&r.leistung, &r.area, &r.url, &r.page, &r.title, &r.lang, &r.begin, &r.end, &r.role, &r.oe, &r.lb, &r.od, nil, &r.from, &r.with,
	}
}

const specialisedField = 12

// Export writes the store's rows, in an order and with bytes that depend on its objects alone.
func (s *Store) Export(ctx context.Context, w io.Writer) (RowCounts, error) {
	sum := crc32.New(castagnoli())
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	var last row
	var buf []byte
	_, _ = out.WriteString(rowsName) // bufio keeps its error
	counts, types, err := s.rows(ctx, func(r *row) error {
		buf = append(buf[:0], markRow)
		before, now := last.fields(), r.fields()
		for i := range now {
			text, same := "", last.specialised == r.specialised
			if i == specialisedField {
				if r.specialised {
					text = "1"
				}
			} else {
				text = clipped(*now[i])
				same = text == *before[i]
				*before[i] = text
			}
			if same {
				buf = append(buf, 0)
				continue
			}
			buf = binary.AppendUvarint(buf, uint64(len(text))+1)
			buf = append(buf, text...)
		}
		last.specialised = r.specialised
		_, err := out.Write(buf)
		return err
	})
	if err != nil {
		return counts, err
	}
	for _, l := range slices.SortedFunc(maps.Keys(types), registry.Leistung.Compare) {
		buf = binary.AppendUvarint(append(buf[:0], markTypes), l.Number())
		_, _ = out.Write(binary.AppendUvarint(buf, uint64(types[l])))
	}
	if err := out.WriteByte(markEnd); err != nil {
		return counts, err
	}
	if err := out.Flush(); err != nil {
		return counts, err
	}
	if _, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return counts, err
	}
	return counts, s.count(counts)
}

// count notes what became of links.
func (s *Store) count(counts RowCounts) error {
	state, err := s.State()
	if err != nil || state.Rows == counts {
		return err
	}
	state.Rows = counts
	return s.finish(&state)
}

// rows gives the rows of the store, and when all are given the types of its Leistungen.
func (s *Store) rows(ctx context.Context, give func(*row) error) (counts RowCounts, types map[registry.Leistung]registry.Types, err error) {
	if err := s.settle(ctx); err != nil {
		return counts, nil, err
	}
	sorter, err := s.sorting()
	if err != nil {
		return counts, nil, err
	}
	defer func() { err = errors.Join(err, sorter.close()) }()
	err = s.db.View(func(tx *bbolt.Tx) error {
		r := &rows{tx: tx, sorter: sorter, give: give, most: s.maxRows, types: map[registry.Leistung]registry.Types{}}
		err := r.run(ctx)
		counts, types = r.counts, r.types
		return err
	})
	return counts, types, err
}

func clipped(s string) string {
	if len(s) <= maxField {
		return s
	}
	return strings.ToValidUTF8(s[:maxField], "")
}

// Entries gives the store's entries as a reader of any source does, in the order of their Leistung and area.
func (s *Store) Entries(ctx context.Context, o source.Options, emit source.Emit) (source.Report, error) {
	b := source.NewBuilder(&o, emit)
	n := 0
	_, types, err := s.rows(ctx, func(r *row) error {
		n++
		return b.Add(ctx, r.source(n))
	})
	if err != nil {
		return b.Report(), err
	}
	report, err := b.Finish(ctx)
	report.Types = types
	return report, err
}

// source is a row as readers of sources understand it.
func (r *row) source(line int) *source.Row {
	out := &source.Row{
		Line: line, From: registry.MadeOf(r.from), Leistung: []byte(r.leistung), Area: []byte(r.area), URL: []byte(r.url), Page: []byte(r.page), Title: []byte(r.title),
		Lang: []byte(r.lang), Begin: []byte(r.begin), End: []byte(r.end), Role: []byte(r.role), OE: []byte(r.oe), LB: []byte(r.lb), OD: []byte(r.od),
	}
	if r.specialised {
		out.Specialised = []byte("1")
	}
	return out
}

// Read reads a file of rows, as every format is read. A row's line is its number.
func Read(ctx context.Context, in io.Reader, o source.Options, emit source.Emit) (source.Report, error) {
	b := source.NewBuilder(&o, emit)
	f := &rowReader{r: bufio.NewReaderSize(in, 64<<10), o: &o, types: map[registry.Leistung]registry.Types{}}
	if err := f.each(func(n int, r *row) error { return b.Add(ctx, r.source(n)) }); err != nil {
		return b.Report(), err
	}
	report, err := b.Finish(ctx)
	report.Types = f.types
	return report, err
}

// Made names the objects that a row of a file is made of.
func Made(in io.Reader, number int) (string, error) {
	found := ""
	f := &rowReader{r: bufio.NewReaderSize(in, 64<<10), o: &source.Options{}, types: map[registry.Leistung]registry.Types{}}
	err := f.each(func(n int, r *row) error {
		if n == number {
			found = strings.TrimSuffix(r.from+", "+r.with, ", ")
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	} else if err == nil {
		err = fmt.Errorf("there is no row %d", number)
	}
	return found, err
}

var errFound = errors.New("found")

// each gives the rows of a file with their numbers. A row is valid during the call.
func (f *rowReader) each(give func(n int, r *row) error) error {
	name := make([]byte, len(rowsName))
	n, err := io.ReadFull(f.r, name)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return f.o.Refuse(source.CauseEmpty, 0, "the file is empty")
	case string(name[:n]) != rowsName[:n]:
		return f.o.Refuse(source.CauseSchema, 0, "it is no file of rows that pvgate has made")
	case err != nil:
		return f.refuse(err)
	}
	f.crc = crc32.Update(0, castagnoli(), name)
	r := &row{}
	for {
		f.row++
		more, err := f.read(r)
		if err != nil || !more {
			return err
		}
		if err := give(f.row, r); err != nil {
			return err
		}
	}
}

type rowReader struct {
	r     *bufio.Reader
	o     *source.Options
	crc   uint32
	row   int
	buf   []byte
	types map[registry.Leistung]registry.Types
	last  registry.Leistung // of types
}

var errRowForm = errors.New("a row is not in its form")

func (f *rowReader) refuse(err error) error {
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return f.o.Refuse(source.CauseTruncated, f.row, "the file breaks off")
	case errors.Is(err, errRowForm):
		return f.o.Refuse(source.CauseSchema, f.row, "%v", err)
	}
	r := f.o.Refuse(source.CauseTruncated, f.row, "cannot be read to its end: %v", err)
	r.Err = err
	return r
}

// read goes to the next row; false is the end of a whole file.
func (f *rowReader) read(r *row) (bool, error) {
	for {
		mark, err := f.r.ReadByte()
		if err != nil {
			return false, f.refuse(err)
		}
		f.crc = crc32.Update(f.crc, castagnoli(), []byte{mark})
		switch {
		case mark == markRow && f.last.IsZero():
			return true, f.fields(r)
		case mark == markTypes:
			err = f.typed()
		case mark == markEnd:
			return false, f.end()
		default:
			err = errRowForm
		}
		if err != nil {
			return false, f.refuse(err)
		}
	}
}

// typed reads the types of a Leistung.
func (f *rowReader) typed() error {
	key, err := binary.ReadUvarint(f.r)
	if err != nil {
		return err
	}
	types, err := binary.ReadUvarint(f.r)
	if err != nil {
		return err
	}
	f.buf = binary.AppendUvarint(binary.AppendUvarint(f.buf[:0], key), types)
	f.crc = crc32.Update(f.crc, castagnoli(), f.buf)
	l, err := registry.ParseLeistung(fmt.Sprintf("%014d", key))
	t := registry.Types(types)
	if err != nil || t == 0 || !t.Known() || l.Compare(f.last) <= 0 || len(f.types) == maxTyped {
		return errRowForm
	}
	f.types[l], f.last = t, l
	return nil
}

// fields reads a row.
func (f *rowReader) fields(r *row) error {
	f.buf = f.buf[:0]
	for i, to := range r.fields() {
		n, err := binary.ReadUvarint(f.r)
		if err != nil {
			return f.refuse(err)
		}
		if n > maxField+1 {
			return f.refuse(errRowForm)
		}
		f.buf = binary.AppendUvarint(f.buf, n)
		if n == 0 {
			continue
		}
		at := len(f.buf)
		f.buf = append(f.buf, make([]byte, n-1)...)
		if _, err := io.ReadFull(f.r, f.buf[at:]); err != nil {
			return f.refuse(err)
		}
		if i == specialisedField {
			r.specialised = n > 1
		} else {
			*to = string(f.buf[at:])
		}
	}
	f.crc = crc32.Update(f.crc, castagnoli(), f.buf)
	return nil
}

func (f *rowReader) end() error {
	var sum [4]byte
	if _, err := io.ReadFull(f.r, sum[:]); err != nil {
		return f.refuse(err)
	}
	if binary.LittleEndian.Uint32(sum[:]) != f.crc {
		return f.o.Refuse(source.CauseChecksum, 0, "the file is damaged")
	}
	return nil
}
