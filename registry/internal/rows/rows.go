// SPDX-License-Identifier: EUPL-1.2

// Package rows reads separated values (RFC 4180) of any size in bounded memory and tells good rows from bad ones: a
// broken row is reported with its line and costs no other row. [NewReader] and [Reader.Next] are all there is.
//
// It does not guess: the separator is given or taken from the header's only candidates, the text must be UTF-8, and
// nothing is converted. encoding/csv is not used because a quote that nobody closes swallows the rest of a file there,
// and because its lines have no bound.
package rows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxRow bounds one row in bytes, line breaks inside quotes included.
const MaxRow = 64 << 10

// Fault says that one row cannot be used; the reader goes on with the next line.
type Fault struct {
	Line   int // where the row begins, from 1
	Reason string
	Last   bool // the file ends inside this row: it was probably cut off
}

func (f *Fault) Error() string { return fmt.Sprintf("line %d: %s", f.Line, f.Reason) }

// Row is one record. It is valid until the next call of Next.
type Row struct {
	Line   int // where it begins, from 1
	Fields [][]byte
	Open   bool // it is the last one and has no line break behind it
}

// Reader reads rows. Not safe for concurrent use.
type Reader struct {
	r      io.Reader
	sep    byte
	buf    []byte // unread bytes are buf[at:]
	at     int
	line   int // of buf[at]
	eof    bool
	err    error
	fields [][]byte
	plain  []byte // texts of the present row's quoted fields
}

// NewReader reads from r. sep 0 takes ";", "," or tab, whichever the first line has most of.
func NewReader(r io.Reader, sep byte) *Reader {
	return &Reader{r: r, sep: sep, buf: make([]byte, 0, 2*MaxRow), line: 1}
}

// Header reads the first row: the names of the columns, without a byte order mark. An empty file is io.EOF.
func (r *Reader) Header() ([]string, error) {
	for !r.eof && len(r.buf)-r.at < MaxRow && bytes.IndexByte(r.buf[r.at:], '\n') < 0 {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	r.at += len(r.buf[r.at:]) - len(bytes.TrimPrefix(r.buf[r.at:], []byte("\xEF\xBB\xBF")))
	if r.sep == 0 {
		r.sep = guessSeparator(r.buf[r.at:])
	}
	row, err := r.Next()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(row.Fields))
	for i, f := range row.Fields {
		names[i] = strings.TrimSpace(string(f))
	}
	return names, nil
}

func guessSeparator(text []byte) byte {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	best := byte(',')
	for _, c := range [...]byte{';', '\t'} {
		if bytes.Count(line, []byte{c}) > bytes.Count(line, []byte{best}) {
			best = c
		}
	}
	return best
}

// Next gives the next row that is not blank. Errors are io.EOF at the end, *[Fault] for a row that cannot be used, and
// what the underlying reader says.
func (r *Reader) Next() (Row, error) {
	for {
		text, err := r.firstLine()
		if err != nil {
			return Row{}, err
		}
		if len(bytes.TrimRight(text, "\r\n")) > 0 {
			break
		}
		r.skip(len(text))
	}
	start := r.line
	n, err := r.scan()
	if err != nil {
		return Row{}, err
	}
	open := n > 0 && r.buf[r.at+n-1] != '\n'
	raw := r.buf[r.at : r.at+n]
	if !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		r.skip(n)
		return Row{}, &Fault{Line: start, Reason: "the row is not UTF-8 text"}
	}
	r.split(raw)
	r.skip(n)
	return Row{Line: start, Fields: r.fields, Open: open}, nil
}

// firstLine makes sure that the buffer holds the present line as far as a row may be long, and gives it.
func (r *Reader) firstLine() ([]byte, error) {
	scanned := 0
	for {
		i := bytes.IndexByte(r.buf[r.at+scanned:], '\n')
		if i >= 0 {
			scanned += i
		} else {
			scanned = len(r.buf) - r.at
		}
		if scanned > MaxRow {
			return nil, r.dropLine("the line is longer than 64 KiB")
		}
		if i >= 0 {
			return r.buf[r.at : r.at+scanned+1], nil
		}
		if r.eof {
			if scanned == 0 {
				return nil, r.end()
			}
			return r.buf[r.at:], nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) end() error {
	if r.err != nil {
		return r.err
	}
	return io.EOF
}

// fill reads more behind the unread bytes. At a read error the bytes before it are still used.
func (r *Reader) fill() error {
	if r.at > 0 {
		n := copy(r.buf, r.buf[r.at:])
		r.buf, r.at = r.buf[:n], 0
	}
	for range 100 { // as many empty reads as io.ErrNoProgress is for
		n, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.eof = true
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			return nil
		}
		if n > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

// skip moves over n bytes and counts their lines.
func (r *Reader) skip(n int) {
	r.line += bytes.Count(r.buf[r.at:r.at+n], []byte{'\n'})
	r.at += n
}

// dropLine passes over the present line without keeping it.
func (r *Reader) dropLine(reason string) error {
	f := &Fault{Line: r.line, Reason: reason}
	for {
		if i := bytes.IndexByte(r.buf[r.at:], '\n'); i >= 0 {
			r.skip(i + 1)
			return f
		}
		r.skip(len(r.buf) - r.at)
		if r.eof {
			f.Last = true
			return f
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// The states of scan: where in a row it is.
const (
	atFieldStart = iota
	inPlain
	inQuotes
	afterQuote
)

// scan finds the length of the row at the buffer's front, with its line break. Where a quote is wrong it gives up this
// line only: what looks like a row over many lines may be a row with one quote too many.
func (r *Reader) scan() (int, error) {
	state := atFieldStart
	for i := 0; ; i++ {
		if i > MaxRow {
			return 0, r.dropLine("a quoted field is not closed within 64 KiB")
		}
		if r.at+i >= len(r.buf) {
			if r.eof {
				if state == inQuotes {
					return 0, r.dropLine("a quoted field is not closed")
				}
				return i, nil
			}
			if err := r.fill(); err != nil {
				return 0, err
			}
			i--
			continue
		}
		c := r.buf[r.at+i]
		switch {
		case state == inQuotes:
			if c == '"' {
				state = afterQuote
			}
		case c == '\n':
			return i + 1, nil
		case c == r.sep:
			state = atFieldStart
		case c == '"' && state == atFieldStart, c == '"' && state == afterQuote:
			state = inQuotes
		case state == afterQuote && c != '\r':
			return 0, r.dropLine("text follows a closing quote; a quote inside a field is written twice")
		case state == atFieldStart:
			state = inPlain
		}
	}
}

// split cuts a whole row into fields. A quoted field is slices of plain, which has room for all of the row and so never
// moves.
func (r *Reader) split(raw []byte) {
	raw = bytes.TrimSuffix(raw, []byte{'\n'})
	raw = bytes.TrimSuffix(raw, []byte{'\r'})
	r.fields = r.fields[:0]
	r.plain = slices.Grow(r.plain[:0], len(raw))
	for {
		if len(raw) == 0 || raw[0] != '"' {
			i := bytes.IndexByte(raw, r.sep)
			if i < 0 {
				r.fields = append(r.fields, raw)
				return
			}
			r.fields = append(r.fields, raw[:i])
			raw = raw[i+1:]
			continue
		}
		start := len(r.plain)
		i := 1
		for ; i < len(raw); i++ {
			if raw[i] == '"' {
				if i+1 >= len(raw) || raw[i+1] != '"' {
					break
				}
				i++
			}
			r.plain = append(r.plain, raw[i])
		}
		r.fields = append(r.fields, r.plain[start:])
		if i+1 >= len(raw) {
			return
		}
		raw = raw[i+2:]
	}
}
