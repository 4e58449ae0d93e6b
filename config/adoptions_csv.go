// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// adoptionColumns are the columns of an adoptions file, in any order; the first
// two must be there.
var adoptionColumns = [...]string{"offer", "area", "oe_id", "contract", "begin", "end", "state"}

// adoptionStates is the form of a state, as in the schema.
const adoptionStates = "interessenbekundung|contracted|live"

// adoptionRows reads the csv file that a file's adoptions name. The path starts
// from the file's own folder and stays inside routes.d; for pvgate.yaml (root is
// nil) it stays inside its folder.
func (l *loader) adoptionRows(root *os.Root, file *RouteFile) {
	a := &file.Blocks.Adoptions
	if a.CSV.V == "" {
		return
	}
	if !filepath.IsLocal(a.CSV.V) {
		l.fail(a.CSV.Origin, "csv %q leads out of the folder; name a file beside this one", a.CSV.V)
		return
	}
	name := path.Join(path.Dir(file.Name), a.CSV.V)
	inRoot := strings.TrimPrefix(name, routesDir+"/")
	if root == nil {
		r, err := os.OpenRoot(l.cfg.Dir)
		if err != nil {
			l.fail(a.CSV.Origin, "csv %q cannot be read: %v", a.CSV.V, cause(err))
			return
		}
		defer r.Close()
		root, inRoot = r, a.CSV.V
	}
	f, err := root.Open(inRoot)
	if err != nil {
		l.fail(a.CSV.Origin, "csv %q cannot be read: %v", a.CSV.V, cause(err))
		return
	}
	data, ok := l.slurp(name, f, nil)
	if !ok {
		return
	}
	l.cfg.read = append(l.cfg.read, filepath.Join(l.cfg.Dir, name))
	a.List = l.adoptionRecords(name, data)
}

func (l *loader) adoptionRecords(name string, data []byte) []Adoption {
	at := Origin{Where: FromFile, Name: name, Line: 1, Col: 1}
	if !utf8.Valid(data) {
		l.fail(at, "the file is not UTF-8; save it as UTF-8")
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // spreadsheets write one
	r := csv.NewReader(bytes.NewReader(data))
	r.ReuseRecord = true
	if first, _, _ := bytes.Cut(data, []byte("\n")); bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		r.Comma = ';'
	}
	columns, ok := l.adoptionHeader(r, at)
	if !ok {
		return nil
	}
	var out []Adoption
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			var pe *csv.ParseError
			if errors.As(err, &pe) {
				at.Line, at.Col, err = pe.Line, max(pe.Column, 1), pe.Err
			}
			l.fail(at, "not csv: %v", err)
			return out
		}
		out = append(out, l.adoptionRecord(r, rec, columns, name))
	}
}

// adoptionHeader reads the first line and returns each column's position in
// adoptionColumns.
func (l *loader) adoptionHeader(r *csv.Reader, at Origin) ([]int, bool) {
	known := strings.Join(adoptionColumns[:], ",")
	head, err := r.Read()
	if err != nil {
		l.fail(at, "the first line must name the columns %s", known)
		return nil, false
	}
	ok := true
	columns := make([]int, len(head))
	for i, h := range head {
		at.Line, at.Col = r.FieldPos(i)
		columns[i] = slices.Index(adoptionColumns[:], strings.TrimSpace(h))
		if columns[i] < 0 {
			l.fail(at, "unknown column %q; known: %s", h, known)
			ok = false
		} else if slices.Index(columns[:i], columns[i]) >= 0 {
			l.fail(at, "column %q is given twice; remove one", h)
			ok = false
		}
	}
	for c, need := range adoptionColumns[:2] {
		if slices.Index(columns, c) < 0 {
			at.Line, at.Col = 1, 1
			l.fail(at, "column %q is missing; the first line names %s", need, known)
			ok = false
		}
	}
	return columns, ok
}

func (l *loader) adoptionRecord(r *csv.Reader, rec []string, columns []int, name string) Adoption {
	line, _ := r.FieldPos(0)
	a := Adoption{At: Origin{Where: FromFile, Name: name, Line: line, Col: 1}}
	a.Areas = make(AdoptionAreas, 1)
	a.State.V = "live"
	fields := [...]*Text{&a.Offer, &a.Areas[0].Name, &a.Areas[0].V, &a.Contract, &a.Begin, &a.End, &a.State}
	forms := [len(fields)]string{4: "time", 5: "time", 6: adoptionStates}
	for i, c := range columns {
		o := Origin{Where: FromFile, Name: name}
		o.Line, o.Col = r.FieldPos(i)
		v := strings.TrimSpace(rec[i])
		if v == "" {
			if c < 2 {
				l.fail(o, "%s is empty; every row names an offer and an area", adoptionColumns[c])
			}
			continue
		}
		if problem := checkForm(forms[c], v); problem != "" {
			l.fail(o, "%s %q %s", adoptionColumns[c], v, problem)
			continue
		}
		*fields[c] = Text{V: strings.Clone(v), Origin: o}
	}
	return a
}
