// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry/internal/rows"
)

// OZG is a service of the OZG's catalogue (Umsetzungskatalog), to which several Leistungen belong.
type OZG struct {
	ID    string // e.g. "10110"
	Title string // "" if the file has none
}

// ozgColumns are the names of the columns: in a file of one's own, and in an export of the Data Hub.
var ozgColumns = [2][3]string{{"leistung", "ozg_id", "title"}, {"leika_key", "ozgid", "ozg_bezeichnung"}}

// maxOZGID bounds an id; the real ones have five digits.
const maxOZGID = 32

// ReadOZG reads which OZG service a Leistung belongs to, from separated values with the columns leistung, ozg_id and
// perhaps title, or from an export of the Data Hub, whose rows without a key or an id it passes over. In a file of one's own
// any fault refuses it. A Leistung belongs to one service: the first that is named; in a file of one's own a second one is a
// fault. The error lists faults as name:line: reason.
func ReadOZG(r io.Reader, name string) (map[Leistung]OZG, error) {
	o := ozgReader{ownFile: ownFile{name: name}, m: map[Leistung]OZG{}}
	if err := o.read(r, ozgColumns[0][:], o.setHeader, o.add); err != nil {
		return nil, err
	}
	return o.m, nil
}

type ozgReader struct {
	ownFile        // lenient if it is an export of the Data Hub
	column  [3]int // place of each column in a row, -1 if absent
	m       map[Leistung]OZG
}

func (o *ozgReader) setHeader(header []string) error {
	for form, names := range ozgColumns {
		for i, want := range names {
			o.column[i] = slices.Index(header, want)
		}
		if o.column[0] >= 0 && o.column[1] >= 0 {
			o.lenient = form == 1
			return nil
		}
	}
	return fmt.Errorf("%s:1: the columns are %q; want %s, or %s of a Data Hub export",
		o.name, header, strings.Join(ozgColumns[0][:], ","), strings.Join(ozgColumns[1][:], ","))
}

func (o *ozgReader) add(row rows.Row) {
	var f [3]string
	for i, at := range o.column {
		if at >= 0 && at < len(row.Fields) {
			f[i] = strings.TrimSpace(string(row.Fields[at]))
		}
		if o.lenient && f[i] == "null" {
			f[i] = ""
		}
	}
	l, err := ParseLeistung(f[0])
	if err != nil {
		o.fail(row.Line, err)
		return
	}
	if f[1] == "" || len(f[1]) > maxOZGID || strings.ContainsFunc(f[1], func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		o.fail(row.Line, fmt.Errorf("ozg_id %q is none; want e.g. 10110", clip(f[1])))
		return
	}
	if has, twice := o.m[l]; twice {
		if has.ID != f[1] {
			o.fail(row.Line, fmt.Errorf("leistung %s belongs to %s already", l, has.ID))
		}
		return
	}
	o.m[l] = OZG{ID: f[1], Title: f[2]}
}
