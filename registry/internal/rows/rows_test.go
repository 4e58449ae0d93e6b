// SPDX-License-Identifier: EUPL-1.2

package rows

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAll gives every row and fault as "line: a|b" and "line! reason".
func readAll(r *Reader) ([]string, error) {
	var out []string
	for {
		row, err := r.Next()
		var fault *Fault
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case errors.As(err, &fault):
			last := ""
			if fault.Last {
				last = " (last)"
			}
			out = append(out, fmt.Sprintf("%d! %s%s", fault.Line, fault.Reason, last))
		case err != nil:
			return out, err
		default:
			open := ""
			if row.Open {
				open = " (open)"
			}
			out = append(out, fmt.Sprintf("%d: %s%s", row.Line, bytes.Join(row.Fields, []byte("|")), open))
		}
	}
}

func TestGoodRowsSurviveBadOnes(t *testing.T) {
	t.Parallel()
	const unclosed, behind = "a quoted field is not closed", "text follows a closing quote; a quote inside a field is written twice"
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"plain":               {"a;b\nc;d\n", []string{"1: a|b", "2: c|d"}},
		"CRLF":                {"a;b\r\nc;d\r\n", []string{"1: a|b", "2: c|d"}},
		"blank lines":         {"\n\r\na;b\n\n\nc;d\n\n", []string{"3: a|b", "6: c|d"}},
		"no final break":      {"a;b\nc;d", []string{"1: a|b", "2: c|d (open)"}},
		"empty fields":        {";;\na;\n", []string{"1: ||", "2: a|"}},
		"quotes":              {`"a;b";"c ""d""";""` + "\n", []string{`1: a;b|c "d"|`}},
		"quotes at the end":   {`a;"b"`, []string{"1: a|b (open)"}},
		"break in quotes":     {"a;\"b\nc\"\r\nd;e\n", []string{"1: a|b\nc", "3: d|e"}},
		"quote inside":        {`a 5" b;c` + "\n", []string{`1: a 5" b|c`}},
		"quote too many":      {"1;\"ab\n2;b\n3;\"c\"\n4;d\n", []string{"1! " + behind, "2: 2|b", "3: 3|c", "4: 4|d"}},
		"open to the end":     {"1;\"ab\n2;b\n", []string{"1! " + unclosed, "2: 2|b"}},
		"cut in quotes":       {"1;b\n2;\"b", []string{"1: 1|b", "2! " + unclosed + " (last)"}},
		"text behind quote":   {"1;\"b\"x\n2;b\n", []string{"1! " + behind, "2: 2|b"}},
		"not UTF-8":           {"1;\xe4\n2;b\n", []string{"1! the row is not UTF-8 text", "2: 2|b"}},
		"NUL":                 {"1;\x00\n2;b\n", []string{"1! the row is not UTF-8 text", "2: 2|b"}},
		"long line":           {"1;" + strings.Repeat("x", 3*MaxRow) + "\n2;b\n", []string{"1! the line is longer than 64 KiB", "2: 2|b"}},
		"long last line":      {"1;" + strings.Repeat("x", 3*MaxRow), []string{"1! the line is longer than 64 KiB (last)"}},
		"long quotes":         {"1;\"" + strings.Repeat("x\n", MaxRow) + "\"\n", nil},
		"empty":               {"", nil},
		"CR inside":           {"a\rb;c\n", []string{"1: a\rb|c"}},
		"separator in quotes": {"\";\"\n", []string{"1: ;"}},
	} {
		for step, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in)),
			"data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			got, err := readAll(NewReader(r, ';'))
			if err != nil {
				t.Errorf("%s, %s: %v", name, step, err)
			}
			if name == "long quotes" {
				if len(got) == 0 || got[0] != "1! a quoted field is not closed within 64 KiB" {
					t.Errorf("%s: %.100q", name, got)
				}
				continue
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %s:\n got %.300q\nwant %.300q", name, step, got, c.want)
			}
		}
	}
}

func TestHeaderFindsTheSeparatorAndDropsTheMark(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\xEF\xBB\xBFa;b,c;d\n1;2;3\n": "a|b,c|d", "a,b;c,d\n": "a|b;c|d", "a\tb\n": "a|b", "a\n": "a", " a ; b \r\n": "a|b",
	} {
		got, err := NewReader(iotest.OneByteReader(strings.NewReader(in)), 0).Header()
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("Header(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	if _, err := NewReader(strings.NewReader("\xEF\xBB\xBF\n\n"), 0).Header(); !errors.Is(err, io.EOF) {
		t.Errorf("a file without rows: %v, want EOF", err)
	}
}

func TestReadErrorsAreReportedBehindTheLastRow(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk")
	r := NewReader(io.MultiReader(strings.NewReader("a;b\nc;"), iotest.ErrReader(broken)), ';')
	got, err := readAll(r)
	if !errors.Is(err, broken) || !slices.Equal(got, []string{"1: a|b", "2: c| (open)"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSameAsTheLibraryOnWellFormedFiles writes with encoding/csv and reads back.
func TestSameAsTheLibraryOnWellFormedFiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.StringMatching(`[a-zäß";, \n]{0,12}`)
		want := rapid.SliceOf(rapid.SliceOfN(field, 2, 4)).Draw(t, "rows")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Comma = ';'
		if err := w.WriteAll(want); err != nil {
			t.Fatal(err)
		}
		r := NewReader(iotest.HalfReader(&b), ';')
		for i := range want {
			row, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			for j, f := range row.Fields {
				if string(f) != want[i][j] {
					t.Fatalf("row %d: %q, want %q", i, row.Fields, want[i])
				}
			}
			if len(row.Fields) != len(want[i]) {
				t.Fatalf("row %d: %q, want %q", i, row.Fields, want[i])
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}

// FuzzRows checks that every line of the input is read once and that all comes to an end, in any slices of input.
func FuzzRows(f *testing.F) {
	for _, s := range []string{"a;b\n\"c\"\"\nd\";e\n", "\"", "\"a\"b\n\"", "\n\n", "a;\"b\r\n\"\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readAll(NewReader(bytes.NewReader(in), ';'))
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) > bytes.Count(in, []byte{'\n'})+1 {
			t.Fatalf("%d rows of %q", len(whole), in)
		}
		parts, err := readAll(NewReader(iotest.OneByteReader(bytes.NewReader(in)), ';'))
		if err != nil || !slices.Equal(whole, parts) {
			t.Fatalf("%q:\nwhole %q\nparts %q %v", in, whole, parts, err)
		}
	})
}
