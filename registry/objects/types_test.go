// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

func typisierung(codes ...string) (out string) {
	for _, c := range codes {
		out += `<typisierung><code>` + c + `</code></typisierung>`
	}
	return out
}

// typesOf are those that a store gives, the same by its file.
func typesOf(t *testing.T, s *Store) map[string]string {
	t.Helper()
	nobody := func(*registry.Entry) error { return nil }
	a, err := s.Entries(t.Context(), options(t), nobody)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read(t.Context(), bytes.NewReader(exported(t, s)), options(t), nobody)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, types := range []map[registry.Leistung]registry.Types{a.Types, b.Types} {
		for l, set := range types {
			out[l.String()] = strings.Join(set.Codes(), " ")
		}
		if len(out) != len(types) {
			t.Fatalf("the store has %d, its file %d", len(a.Types), len(b.Types))
		}
	}
	return out
}

// What the Leistungen of a key say of its type is known together, whether it has rows or not, until they are gone (R13).
func TestTypesOfLeistungenAreKnown(t *testing.T) {
	t.Parallel()
	s := store(t)
	imported(t, s, change(message(append(beginning(),
		leistung(11, gewerbe, typisierung("11")), leistung(12, gewerbe, typisierung("2b", "2b")),
		leistung(13, "99154016000000", typisierung("11", "12")), leistung(14, "99000000000001", ""), leistung(15, "99000000000002", typisierung("x")),
	)...)))
	want := map[string]string{gewerbe: "2b 11", "99154016000000": "11 12", "99000000000002": "other"}
	if d := cmp.Diff(want, typesOf(t, s)); d != "" {
		t.Error(d)
	}
	imported(t, s, change(message(gone("Leistung", "Leistung", 12), leistung(13, "99154016000000", ""))))
	want = map[string]string{gewerbe: "11", "99000000000002": "other"}
	if d := cmp.Diff(want, typesOf(t, s)); d != "" {
		t.Error("after a loesche: ", d)
	}
}

func TestTypesAreBounded(t *testing.T) {
	t.Parallel()
	o := &xzufi.Leistung{Types: []string{"11"}}
	for i := range maxTyped {
		l, err := registry.ParseLeistung(fmt.Sprintf("%014d", i))
		if err != nil {
			t.Fatal(err)
		}
		o.Keys = append(o.Keys, l)
	}
	r := &rows{types: map[registry.Leistung]registry.Types{}}
	if err := r.typed(o); err != nil {
		t.Error(err)
	}
	one, err := registry.ParseLeistung(gewerbe)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.typed(&xzufi.Leistung{Types: []string{"11"}, Keys: []registry.Leistung{one}}); causeOf(err) != source.CauseOversized {
		t.Errorf("one more: %v", err)
	}
}

// CP-02: types that no store writes are not read.
func TestCP02TypesInAFileOfRowsAreChecked(t *testing.T) {
	t.Parallel()
	s := store(t)
	imported(t, s, change(message(append(beginning(), leistung(11, gewerbe, typisierung("11")))...)))
	good := exported(t, s)
	key, err := registry.ParseLeistung(gewerbe)
	if err != nil {
		t.Fatal(err)
	}
	types := func(key, set uint64) []byte {
		return binary.AppendUvarint(binary.AppendUvarint([]byte{markTypes}, key), set)
	}
	mine := types(key.Number(), uint64(registry.ParseType("11")))
	rows, ok := bytes.CutSuffix(good[:len(good)-5], mine)
	if !ok {
		t.Fatal("the types do not stand at the end")
	}
	first := rows[len(rowsName):]
	for name, c := range map[string]struct {
		parts [][]byte
		cause source.Cause
	}{
		"as it was":           {[][]byte{mine}, ""},
		"none":                {nil, ""},
		"two":                 {[][]byte{mine, types(key.Number()+1, 1)}, ""},
		"twice":               {[][]byte{mine, mine}, source.CauseSchema},
		"descending":          {[][]byte{mine, types(key.Number()-1, 1)}, source.CauseSchema},
		"a key of 15 digits":  {[][]byte{types(1e14, 1)}, source.CauseSchema},
		"no type":             {[][]byte{types(key.Number(), 0)}, source.CauseSchema},
		"a type that is none": {[][]byte{types(key.Number(), 1<<40)}, source.CauseSchema},
		"a row behind them":   {[][]byte{mine, first}, source.CauseSchema},
	} {
		text := bytes.Clone(rows)
		for _, p := range c.parts {
			text = append(text, p...)
		}
		text = append(text, markEnd)
		text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli()))
		_, err := Read(t.Context(), bytes.NewReader(text), options(t), func(*registry.Entry) error { return nil })
		if causeOf(err) != c.cause {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for n := len(rows); n < len(good)-1; n++ {
		var r *source.Refusal
		if _, err := Read(t.Context(), bytes.NewReader(good[:n]), options(t), func(*registry.Entry) error { return nil }); !errors.As(err, &r) || r.Cause != source.CauseTruncated {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}
