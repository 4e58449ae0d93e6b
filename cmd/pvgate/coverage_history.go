// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// The history of coverage is a csv file with one row a day, which any spreadsheet reads.

// maxHistory bounds the file: a century has half as much.
const maxHistory = 16 << 20

// historyHeader are the columns: shares are of inhabitants but for online_gemeinden, the last sixteen those of the Länder.
func historyHeader() []string {
	h := []string{"date", "leistungen", "gemeinden", "inhabitants", "online_gemeinden", "online_inhabitants"}
	for land := 1; land <= 16; land++ {
		h = append(h, fmt.Sprintf("land_%02d", land))
	}
	return h
}

// historyRow is the row of a report's day.
func historyRow(r *coverageReport) []string {
	row := []string{
		r.At.In(registry.Berlin()).Format(time.DateOnly), strconv.Itoa(r.Leistungen), strconv.Itoa(r.Gemeinden), strconv.Itoa(r.Inhabitants),
		ratio(r.Bund.ShareOfGemeinden()), ratio(r.Bund.ShareOfInhabitants()),
	}
	for land := 1; land <= 16; land++ {
		share := ""
		for _, x := range r.Lands {
			if x.Key == fmt.Sprintf("%02d", land) {
				share = ratio(x.ShareOfInhabitants())
			}
		}
		row = append(row, share)
	}
	return row
}

// addToHistory writes the day's row into the file: in place of the one it has of the day, else in the order of days. It
// returns all rows, the header first.
func addToHistory(path string, r *coverageReport) ([][]string, error) {
	rows, err := readHistory(path)
	if err != nil {
		return nil, err
	}
	own := historyRow(r)
	at, found := slices.BinarySearchFunc(rows[1:], own[0], func(row []string, day string) int { return strings.Compare(row[0], day) })
	if found {
		rows[1+at] = own
	} else {
		rows = slices.Insert(rows, 1+at, own)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Comma = ';'
	if err = w.WriteAll(rows); err == nil {
		err = replaceWith(path, b.Bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	return rows, nil
}

// readHistory reads the rows of a file, the header first. One that is not there yet has no more.
func readHistory(path string) ([][]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return [][]string{historyHeader()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	if info.Size() > maxHistory {
		return nil, fmt.Errorf("%s has more than %d bytes and is no history of coverage", path, maxHistory)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.Comma = ';'
	rows, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s is no history of coverage: %w", path, err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], historyHeader()) {
		return nil, fmt.Errorf("%s is no history of coverage: its first line is not %s", path, strings.Join(historyHeader(), ";"))
	}
	for i, row := range rows[1:] {
		if _, err := time.Parse(time.DateOnly, row[0]); err != nil || i > 0 && rows[i][0] >= row[0] {
			return nil, fmt.Errorf("%s:%d: %q is no day after the one before it", path, i+2, row[0])
		}
	}
	return rows, nil
}

// replaceWith gives a file new content, whole or not at all, and on disk when it returns.
func replaceWith(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
