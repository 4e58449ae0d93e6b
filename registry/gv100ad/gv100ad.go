// SPDX-License-Identifier: EUPL-1.2

// Package gv100ad reads the official Gemeindeverzeichnis GV100AD of the Statistisches Bundesamt: fixed width, UTF-8,
// CRLF, 220 characters a line. [Read] gives the table of areas, [ReadFile] the same from a file.
//
// It reads the keys, names, kinds, seats, postcodes and inhabitants, and nothing else of the file. Older editions in ISO 8859-1 are
// refused, because their names would come out wrong.
package gv100ad

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry"
)

// The record types (Satzart).
const (
	recordLand     = "10"
	recordRB       = "20"
	recordRegion   = "30" // of Baden-Württemberg, beside the Regierungsbezirke: no areas
	recordKreis    = "40"
	recordVerband  = "50"
	recordGemeinde = "60"
)

// maxLine bounds a line; the real ones have at most 225 bytes.
const maxLine = 4096

// Read reads a whole Gemeindeverzeichnis. Any line that is not as described is an error with its number: half a
// directory is worse than the old one.
func Read(r io.Reader) (*registry.Areas, error) {
	records, err := ReadRecords(r)
	if err != nil {
		return nil, err
	}
	return registry.NewAreas(records)
}

// ReadFile is [Read] of a file.
func ReadFile(name string) (_ *registry.Areas, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read areas: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// ReadRecords gives the records as they stand in the file, without the Regionen.
func ReadRecords(r io.Reader) ([]registry.AreaRecord, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	var records []registry.AreaRecord
	line := 0
	for s.Scan() {
		line++
		text := strings.TrimSuffix(s.Text(), "\r")
		if line == 1 {
			text = strings.TrimPrefix(text, "\uFEFF")
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		rec, ok, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("gv100ad line %d: %w", line, err)
		}
		if ok {
			records = append(records, rec)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("gv100ad line %d: %w", line+1, err)
	}
	if len(records) == 0 {
		return nil, errors.New("gv100ad: the file has no records")
	}
	return records, nil
}

// parseLine reads one record; ok is false for a Region. Columns count characters, not bytes.
func parseLine(text string) (rec registry.AreaRecord, ok bool, err error) {
	if !utf8.ValidString(text) {
		return rec, false, errors.New("not UTF-8; editions since 2021 are, older ones have to be converted from ISO 8859-1")
	}
	c := columns{text: text}
	kind := c.next(2)
	_ = c.next(8) // Gebietsstand
	land, rb, kreis := c.next(2), c.next(1), c.next(2)
	gemeinde, verband := c.next(3), c.next(4)
	rec.Name, rec.Seat = strings.TrimSpace(c.next(50)), strings.TrimSpace(c.next(50))
	mark := strings.TrimSpace(c.next(2)) // Textkennzeichen
	var key string
	switch kind {
	case recordLand:
		key = land
	case recordRB:
		key = land + rb
	case recordRegion:
		return rec, false, nil
	case recordKreis:
		key = land + rb + kreis
	case recordVerband:
		key = land + rb + kreis + verband
	case recordGemeinde:
		key = land + rb + kreis + verband + gemeinde
		_ = c.next(4 + 11) // reserved, area
		if rec.Inhabitants, err = number(c.next(11)); err != nil {
			return rec, false, fmt.Errorf("record %s: inhabitants %w", key, err)
		}
		_ = c.next(11 + 4) // of them male, reserved
		rec.Postcode = strings.TrimSpace(c.next(5))
	default:
		return rec, false, fmt.Errorf("record type %q, want 10, 20, 30, 40, 50 or 60; is this a GV100AD file?", kind)
	}
	if rec.ARS, err = registry.ParseARS(key); err != nil {
		return rec, false, err
	}
	if rec.ARS.IsBund() || rec.Name == "" {
		return rec, false, fmt.Errorf("record %s has no key or no name", key)
	}
	rec.Kind = kindName(kind, mark, rec.Name)
	return rec, true, nil
}

// number reads a field of digits; blanks are 0.
func number(field string) (int, error) {
	field = strings.TrimSpace(field)
	if field == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(field, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", field)
	}
	return int(n), nil
}

// columns cuts a line by characters; past its end everything is empty, as trailing blanks may be missing.
type columns struct{ text string }

func (c *columns) next(n int) string {
	end := 0
	for ; n > 0 && end < len(c.text); n-- {
		_, size := utf8.DecodeRuneInString(c.text[end:])
		end += size
	}
	field := c.text[:end]
	c.text = c.text[end:]
	return field
}

// kindName says the Textkennzeichen in words.
func kindName(record, mark, name string) string {
	switch record {
	case recordLand:
		return "Land"
	case recordRB:
		switch {
		case strings.HasPrefix(name, "Statistische Region"):
			return "Statistische Region"
		case strings.HasPrefix(name, "früher:"): // kept in the keys of Rheinland-Pfalz and Sachsen
			return "Früherer Bezirk"
		}
		return "Regierungsbezirk"
	}
	for _, k := range textkennzeichen {
		if k.mark == mark {
			return k.name
		}
	}
	return map[string]string{recordKreis: "Kreis", recordVerband: "Gemeindeverband", recordGemeinde: "Gemeinde"}[record]
}

// textkennzeichen as in the official description of the records.
var textkennzeichen = [...]struct{ mark, name string }{
	{"41", "Kreisfreie Stadt"},
	{"42", "Stadtkreis"},
	{"43", "Kreis"},
	{"44", "Landkreis"},
	{"45", "Regionalverband"},
	{"50", "Verbandsfreie Gemeinde"},
	{"51", "Amt"},
	{"52", "Samtgemeinde"},
	{"53", "Verbandsgemeinde"},
	{"54", "Verwaltungsgemeinschaft"},
	{"55", "Kirchspielslandgemeinde"},
	{"56", "Verwaltungsverband"},
	{"58", "Erfüllende Gemeinde"},
	{"60", "Markt"},
	{"61", "Kreisfreie Stadt"},
	{"62", "Stadtkreis"},
	{"63", "Stadt"},
	{"64", "Gemeinde"},
	{"65", "Gemeindefreies Gebiet (bewohnt)"},
	{"66", "Gemeindefreies Gebiet (unbewohnt)"},
	{"67", "Große Kreisstadt"},
}
