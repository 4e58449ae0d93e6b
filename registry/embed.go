// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the table below
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The table is derived from the official Gemeindeverzeichnis GV100AD, Gebietsstand 30.11.2021:
// © Statistisches Bundesamt (Destatis), 2021. Vervielfältigung und Verbreitung, auch auszugsweise, mit Quellenangabe
// gestattet.
//
//go:generate go run ./internal/mkareas -in $PVGATE_MATERIAL/data/gv100ad/GV100AD_301121.ASC -out areas.tsv.gz
//go:embed areas.tsv.gz
var embeddedTable []byte

// EmbeddedSource names where the built-in table comes from, as its licence demands.
const EmbeddedSource = "© Statistisches Bundesamt (Destatis), 2021, Gebietsstand 30.11.2021"

// tableMagic is the first line of a compact table.
const tableMagic = "pvgate areas 2"

// maxTable bounds a compact table when it is unpacked.
const maxTable = 16 << 20

// embedded is parsed once per process; the table is immutable.
var embedded = sync.OnceValues(func() (*Areas, error) {
	a, err := ReadTable(bytes.NewReader(embeddedTable))
	if err != nil {
		return nil, fmt.Errorf("read built-in areas: %w", err)
	}
	return a, nil
})

// EmbeddedAreas is the built-in table, without aliases (see [DefaultAliases]).
func EmbeddedAreas() (*Areas, error) { return embedded() }

// defaults is made once per process too: to index the table anew was most of what a reload cost [21 ms].
var defaults = sync.OnceValues(func() (*Areas, error) {
	a, err := EmbeddedAreas()
	if err != nil {
		return nil, err
	}
	return a.WithAliases(DefaultAliases())
})

// DefaultAreas are those of an operator who names no files: the built-in table with [DefaultAliases].
func DefaultAreas() (*Areas, error) { return defaults() }

// DefaultAliases are the dated changes since the built-in table's Gebietsstand, and before it, that we know a source
// for. They hold if the operator names no file of aliases.
func DefaultAliases() []Alias {
	return []Alias{
		// Eisenach was kreisfrei up to 30.06.2021; rows and links with the old key are still about.
		{From: []string{"160560000000"}, To: []string{"160630105105"}, On: time.Date(2021, 7, 1, 0, 0, 0, 0, berlin)},
		// Hanau has been kreisfrei since 01.01.2026.
		{From: []string{"064350014014"}, To: []string{"064150000000"}, On: time.Date(2026, 1, 1, 0, 0, 0, 0, berlin)},
	}
}

// WriteTable writes the areas, without those that aliases added, in the compact form that [ReadTable] reads: gzip of
// lines separated by tabs. The first names the format, the second the source, the third the kinds; then one line per
// area in order of keys: ARS, name, number of the kind, seat, postcode, inhabitants (nothing for none). Equal tables give
// equal bytes.
func (a *Areas) WriteTable(w io.Writer, source string) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("write areas: %w", err)
	}
	var kinds []string
	for i := range a.areas[1:] {
		if k := a.areas[i+1].Kind; !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n%s\n", tableMagic, source, strings.Join(kinds, "\t"))
	for i := range a.areas[1:] {
		x := &a.areas[i+1]
		if x.Added {
			continue
		}
		if strings.ContainsAny(x.Name+x.Kind+x.Seat+x.Postcode, "\t\n\r") {
			return fmt.Errorf("write areas: %s: a text has a tab or a line break", x.ARS)
		}
		people := ""
		if x.Inhabitants > 0 {
			people = strconv.Itoa(x.Inhabitants)
		}
		fmt.Fprintf(&b, "%s\t%s\t%d\t%s\t%s\t%s\n", x.ARS, x.Name, slices.Index(kinds, x.Kind), x.Seat, x.Postcode, people)
	}
	if _, err = z.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write areas: %w", err)
	}
	if err = z.Close(); err != nil {
		return fmt.Errorf("write areas: %w", err)
	}
	return nil
}

// ReadTable reads what [Areas.WriteTable] wrote.
func ReadTable(r io.Reader) (*Areas, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read areas: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("read areas: %w", err)
	}
	if len(raw) > maxTable {
		return nil, fmt.Errorf("read areas: more than %d bytes", maxTable)
	}
	text := string(raw) // one allocation for all names
	magic, text, _ := strings.Cut(text, "\n")
	_, text, _ = strings.Cut(text, "\n")
	kindLine, text, ok := strings.Cut(text, "\n")
	if magic != tableMagic || !ok {
		return nil, errors.New("read areas: not a table of areas")
	}
	kinds := strings.Split(kindLine, "\t")
	areas := make([]Area, 0, strings.Count(text, "\n")+1)
	for line := 4; text != ""; line++ {
		var row string
		row, text, _ = strings.Cut(text, "\n")
		x, err := parseTableRow(row, kinds)
		if err != nil {
			return nil, fmt.Errorf("read areas: line %d: %w", line, err)
		}
		if n := len(areas); n > 0 && areas[n-1].ARS.Compare(x.ARS) >= 0 {
			return nil, fmt.Errorf("read areas: line %d: %s is out of order", line, x.ARS)
		}
		areas = append(areas, x)
	}
	return build(areas, nil)
}

func parseTableRow(row string, kinds []string) (Area, error) {
	var f [6]string
	for i := range f {
		f[i], row, _ = strings.Cut(row, "\t")
	}
	ars, err := ParseARS(f[0])
	if err != nil {
		return Area{}, err
	}
	kind, err := strconv.Atoi(f[2])
	if err != nil || kind < 0 || kind >= len(kinds) || ars.IsBund() || f[1] == "" || row != "" {
		return Area{}, fmt.Errorf("%s: broken row", ars)
	}
	people := 0
	if f[5] != "" {
		if people, err = strconv.Atoi(f[5]); err != nil || people <= 0 {
			return Area{}, fmt.Errorf("%s: broken row", ars)
		}
	}
	return Area{ARS: ars, Name: f[1], Kind: kinds[kind], Seat: f[3], Postcode: f[4], Inhabitants: people}, nil
}
