// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry/internal/rows"
)

// catalogueColumns are the columns of a catalogue file; leistung must be there.
var catalogueColumns = [...]string{"leistung", "title", "types", "successor"}

// maxMessages bounds the faults that are reported of one operator's file.
const maxMessages = 20

// ReadCatalogue reads an operator's file of Leistungen: separated values with the columns leistung, title, types and
// successor in any order. Types are separated by spaces, "|" or ",". The file is the operator's own, so any fault refuses
// it; the error lists them as name:line: reason.
func ReadCatalogue(r io.Reader, name string) (*Catalogue, error) {
	c := catalogueReader{ownFile: ownFile{name: name}, m: map[Leistung]LeistungInfo{}, line: map[Leistung]int{}}
	if err := c.read(r, catalogueColumns[:], c.setHeader, c.add); err != nil {
		return nil, err
	}
	return NewCatalogue(c.m), nil
}

// ownFile is an operator's file of separated values. All its faults are told at once.
type ownFile struct {
	name    string
	lenient bool // faults of rows cost these alone
	faults  []error
}

func (o *ownFile) fail(line int, err error) {
	if !o.lenient {
		o.faults = append(o.faults, fmt.Errorf("%s:%d: %w", o.name, line, err))
	}
}

// read takes the header, then each row. The columns are for who has written nothing.
func (o *ownFile) read(r io.Reader, columns []string, setHeader func([]string) error, add func(rows.Row)) error {
	in := rows.NewReader(r, 0)
	header, err := in.Header()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty; want the columns %s", o.name, strings.Join(columns, ","))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if err := setHeader(header); err != nil {
		return err
	}
	for len(o.faults) <= maxMessages {
		row, err := in.Next()
		var fault *rows.Fault
		switch {
		case errors.Is(err, io.EOF):
			return errors.Join(o.faults...)
		case errors.As(err, &fault):
			o.fail(fault.Line, errors.New(fault.Reason))
		case err != nil:
			return fmt.Errorf("%s: %w", o.name, err)
		default:
			add(row)
		}
	}
	return errors.Join(append(o.faults[:maxMessages:maxMessages], fmt.Errorf("%s: and more", o.name))...)
}

type catalogueReader struct {
	ownFile
	column [len(catalogueColumns)]int // place of each column in a row, -1 if absent
	m      map[Leistung]LeistungInfo
	line   map[Leistung]int
}

func (c *catalogueReader) setHeader(header []string) error {
	for _, h := range header {
		if !slices.Contains(catalogueColumns[:], h) {
			return fmt.Errorf("%s:1: unknown column %q; columns are %s", c.name, clip(h), strings.Join(catalogueColumns[:], ","))
		}
	}
	for i, want := range catalogueColumns {
		c.column[i] = slices.Index(header, want)
	}
	if c.column[0] < 0 {
		return fmt.Errorf("%s:1: column leistung is missing", c.name)
	}
	return nil
}

func (c *catalogueReader) add(row rows.Row) {
	var f [len(catalogueColumns)]string
	for i, at := range c.column {
		if at >= 0 && at < len(row.Fields) {
			f[i] = strings.TrimSpace(string(row.Fields[at]))
		}
	}
	l, err := ParseLeistung(f[0])
	if err != nil {
		c.fail(row.Line, err)
		return
	}
	info := LeistungInfo{Title: f[1]}
	for t := range strings.FieldsFuncSeq(f[2], func(r rune) bool { return r == ' ' || r == '|' || r == ',' }) {
		if len(t) > 4 || strings.Trim(t, "0123456789ab/") != "" {
			c.fail(row.Line, fmt.Errorf("type %q is no Typisierung; want e.g. 2b, 2/3a or 11", clip(t)))
			return
		}
		info.Types |= ParseType(t)
	}
	if f[3] != "" {
		if info.Successor, err = ParseLeistung(f[3]); err != nil {
			c.fail(row.Line, fmt.Errorf("successor: %w", err))
			return
		}
		if info.Successor == l || !l.Federal() {
			c.fail(row.Line, fmt.Errorf("successor %s: a Leistung cannot succeed itself, and local keys have no successor", info.Successor))
			return
		}
	}
	if first := c.line[l]; first > 0 {
		c.fail(row.Line, fmt.Errorf("leistung %s stands in line %d already", l, first))
		return
	}
	c.m[l], c.line[l] = info, row.Line
}
