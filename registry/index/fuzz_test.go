// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"encoding/binary"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
)

// askAll asks everything that can be asked; whatever an index was read from, it must answer.
func askAll(t testing.TB, x *index.Index) {
	areas := x.Areas()
	n, buf := 0, make([]byte, 0, 1<<12)
	for row, e := range x.Entries() {
		if n++; n > 2000 {
			break // a few bytes can make groups of very many rows
		}
		b := x.Find(e.Leistung)
		if b == index.None {
			t.Fatalf("%s has rows and is not found", e.Leistung)
		}
		group, area := x.Around(b, uint32(e.Area))
		if group == index.None || area != uint32(e.Area) || x.Exact(b, area) != group {
			t.Fatalf("%s at %d has rows and is not found", e.Leistung, e.Area)
		}
		if l, at := x.Locate(row); l != e.Leistung || at != area {
			t.Fatalf("row %d is located at %s %d, not at %s %d", row, l, at, e.Leistung, area)
		}
		_ = x.Traits()[x.TraitsOf(row)]
		_, _ = x.Context(row), x.Others(row)
		buf = x.AppendText(buf[:0], x.Record(row).URL, e.Leistung, area)
		x.SameURL(index.At{Row: row, Leistung: e.Leistung, Area: area}, index.At{Row: row, Leistung: e.Leistung, Area: 1})
	}
	for _, key := range []string{"99050012104000", "06000000000012", "99999999999999"} {
		if !x.Types(leistung(t, key)).Known() {
			t.Fatalf("%s has types that there are not", key)
		}
	}
	for id := range uint32(areas.Len()) {
		for b := range uint32(min(x.Blocks(), 8)) {
			x.Around(b, id)
			x.Uniform(b)
		}
	}
	for b := range uint32(min(x.Blocks(), 64)) {
		for range x.Inside(b, 1, x.Places().End(1)) { //nolint:revive // that it ends is the test
		}
	}
}

// fewAreas is a small Gemeindeverzeichnis, so that a fuzzer is quick.
func fewAreas(t testing.TB) *registry.Areas {
	t.Helper()
	var records []registry.AreaRecord
	for _, s := range []string{"01", "01001", "010010000", "010010000000", "01053", "010530032", "010530032032", "06", "065", "06534", "065340014", "065340014014"} {
		ars, err := registry.ParseARS(s)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, registry.AreaRecord{ARS: ars, Name: s})
	}
	areas, err := registry.NewAreas(records)
	if err != nil {
		t.Fatal(err)
	}
	return areas
}

// small is an index in which everything occurs.
func small(t testing.TB, areas *registry.Areas) *index.Index {
	t.Helper()
	var in []registry.Entry
	for i, key := range []string{"99050012104000", "99050012104001", "06000000000012"} {
		for id := registry.AreaID(0); int(id) < areas.Len(); id++ {
			e := registry.Entry{Leistung: leistung(t, key), Area: id, Source: 2, Origin: registry.Origin{Source: "first", File: "f", Line: int32(id)}}
			e.URL = "https://a.example/" + key + "?ars=" + areas.ARS(id).Padded()
			e.Title, e.Inactive = "Antrag "+key, id%3 == 0
			if id == 0 && i == 2 || int(id)%(i+1) != 0 {
				continue
			}
			in = append(in, e)
			if id%2 == 0 {
				e.Kind, e.URL, e.OE, e.Lang, e.Role, e.Priority = registry.Page, "https://b.example/#x", "L1", "en", "02", 3
				e.Others = []registry.LangURL{{Lang: "fr", URL: "https://c.example/"}}
				in = append(in, e)
				e.Refused, e.URL, e.OE, e.LB, e.AreaKey, e.Others = "no", "\x01", "L2", "B", areas.ARS(id).AGS(), nil
				in = append(in, e)
			}
		}
	}
	x, _ := build(t, areas, in)
	return x
}

// FuzzFromSections changes sections of a good index: section, place and value, three bytes each time, and cuts or
// prolongs the last one that is named. What is read must answer.
func FuzzFromSections(f *testing.F) {
	areas := fewAreas(f)
	sections := small(f, areas).Sections()
	f.Add([]byte{})
	for i := range sections {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			f.Add([]byte{byte(i), 0, v})
			f.Add([]byte{byte(i), byte(len(sections[i].Data)), v})
			f.Add([]byte{byte(i), 3, v, byte(i), 7, v, byte(i)})
		}
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		changed := make([]bundle.Section, len(sections))
		for i, s := range sections {
			changed[i] = bundle.Section{Tag: s.Tag, Data: append(make([]byte, 0, len(s.Data)+16), s.Data...)}
		}
		for ; len(edits) >= 4; edits = edits[4:] {
			s := changed[int(edits[0])%len(changed)].Data
			if at := int(binary.LittleEndian.Uint16(edits[1:])); len(s) > 0 {
				s[at%len(s)] = edits[3]
			}
		}
		if len(edits) >= 2 {
			s := &changed[int(edits[0])%len(changed)]
			s.Data = s.Data[:min(cap(s.Data), max(0, len(s.Data)+int(int8(edits[1]))))]
		}
		x, err := index.FromSections(areas, keep(changed))
		if err != nil {
			return
		}
		askAll(t, x)
	})
}

// Every single byte of a small index is changed to several values: what is still read answers.
func TestNoChangedByteBreaksALookUp(t *testing.T) {
	t.Parallel()
	areas := fewAreas(t)
	x := small(t, areas)
	askAll(t, x)
	sections := x.Sections()
	read, refused := 0, 0
	for i := range sections {
		was := sections[i].Data
		for at := range was {
			for _, v := range []byte{was[at] + 1, was[at] - 1, was[at] ^ 0x80, 0, 0xff} {
				data := append([]byte(nil), was...)
				data[at] = v
				sections[i].Data = data
				x, err := index.FromSections(areas, keep(sections))
				if err != nil {
					refused++
					continue
				}
				read++
				askAll(t, x)
			}
		}
		for _, n := range []int{0, len(was) / 2, len(was) - 1} {
			sections[i].Data = was[:max(n, 0)]
			if x, err := index.FromSections(areas, keep(sections)); err == nil {
				askAll(t, x)
			}
		}
		sections[i].Data = was
	}
	if refused < read {
		t.Errorf("only %d changes were refused, %d were read", refused, read)
	}
	t.Logf("%d changes refused, %d read", refused, read)
}
