// SPDX-License-Identifier: EUPL-1.2

package gv100ad

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// material gives a file of the full-size material, or skips.
func material(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PVGATE_MATERIAL")
	if dir == "" {
		t.Skip("PVGATE_MATERIAL is not set: the test needs the full " + name)
	}
	return filepath.Join(dir, name)
}

func TestExcerptIsRead(t *testing.T) {
	t.Parallel()
	a, err := ReadFile("testdata/excerpt.asc")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for id := range a.Len() {
		x := a.Area(registry.AreaID(id))
		got = append(got, strings.Join([]string{x.ARS.String(), x.ARS.AGS(), x.Name, x.Kind, x.Seat, x.Postcode}, "|"))
	}
	want := []string{
		"||Bundesrepublik Deutschland|Bund||",
		"01||Schleswig-Holstein|Land|Kiel|",
		"010010000000|01001000|Flensburg, Stadt|Kreisfreie Stadt||24937",
		"01053||Herzogtum Lauenburg|Kreis|Ratzeburg|",
		"010530032032|01053032|Geesthacht, Stadt|Stadt||21502",
		"010539105105|01053105|Sachsenwald (Forstgutsbez.),gemfr.Geb.|Gemeindefreies Gebiet (unbewohnt)||21521",
		"020000000000|02000000|Hamburg, Freie und Hansestadt|Kreisfreie Stadt||20038",
		"03||Niedersachsen|Land|Hannover|",
		"033||Statistische Region Lüneburg|Statistische Region||",
		"03351||Celle|Landkreis|Celle|",
		"033519501501|03351501|Lohheide, gemfr. Bezirk|Gemeindefreies Gebiet (bewohnt)||29303",
		"04||Bremen|Land|Bremen|",
		"040110000000|04011000|Bremen, Stadt|Kreisfreie Stadt||28195",
		"040120000000|04012000|Bremerhaven, Stadt|Kreisfreie Stadt||27576",
		"06||Hessen|Land|Wiesbaden|",
		"065||Reg.-Bez. Gießen|Regierungsbezirk|Gießen|",
		"06534||Marburg-Biedenkopf|Landkreis|Marburg|",
		"065340014014|06534014|Marburg, Universitätsstadt|Stadt||35037",
		"08||Baden-Württemberg|Land|Stuttgart|",
		"081||Reg.-Bez. Stuttgart|Regierungsbezirk|Stuttgart|",
		"12||Brandenburg|Land|Potsdam|",
		"12064||Märkisch-Oderland|Landkreis|Seelow|",
		"120645410||Neuhardenberg|Amt|Neuhardenberg|",
		"120645410340|12064340|Neuhardenberg|Gemeinde||15320",
		"14||Sachsen|Land|Dresden|",
		"146||früher: Direktionsbezirk Dresden|Früherer Bezirk|Chemnitz|",
		"14625||Bautzen|Landkreis|Bautzen|",
		"146250020020|14625020|Bautzen / Budyšin, Stadt|Stadt||02625",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWrongFilesNameTheLine(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("testdata/excerpt.asc")
	if err != nil {
		t.Fatal(err)
	}
	latin1 := strings.NewReplacer("ä", "\xe4", "ö", "\xf6", "ü", "\xfc", "ß", "\xdf")
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "the file has no records"},
		"blank":        {"\r\n\r\n", "the file has no records"},
		"CSV":          {"level,ars\r\n", `line 1: record type "le"`},
		"ISO 8859-1":   {latin1.Replace(string(good)), "not UTF-8"},
		"long line":    {"10" + strings.Repeat("x", 2*maxLine), "line 1: bufio.Scanner: token too long"},
		"no name":      {"102021113001\r\n", "line 1: record 01 has no key or no name"},
		"letters":      {"1020211130xx          Hessen", `line 1: area "xx"`},
		"twice":        {string(good) + string(good), "occurs twice"},
		"cut key":      {"60202111300100", `line 1: area "0100"`},
		"no Land":      {strings.SplitAfterN(string(good), "\r\n", 2)[1], "has no Land 01"},
		"second line":  {string(good[:222]) + "99x\r\n", "line 2: record type"},
		"foreign type": {"70" + string(good[2:]), `line 1: record type "70"`},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadFile("testdata/absent.asc"); err == nil {
		t.Error("an absent file: no error")
	}
}

func TestLineBreaksAndMarkDoNotMatter(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("testdata/excerpt.asc")
	if err != nil {
		t.Fatal(err)
	}
	unix := "\uFEFF" + strings.ReplaceAll(string(good), "\r\n", "\n")
	var lines []string
	for _, l := range strings.Split(unix, "\n") {
		lines = append(lines, strings.TrimRight(l, " ")) // an editor may have cut trailing blanks
	}
	a, err := Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil || a.Len() != 28 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestFullFileHasAllAreasAndIsTheBuiltInTable(t *testing.T) {
	t.Parallel()
	file := material(t, "data/gv100ad/GV100AD_301121.ASC")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	records, err := ReadRecords(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	count := map[registry.Level]int{}
	for _, r := range records {
		count[r.ARS.Level()]++
	}
	want := map[registry.Level]int{
		registry.LevelLand: 16, registry.LevelRB: 29, registry.LevelKreis: 400, registry.LevelVerband: 4606, registry.LevelGemeinde: 10997,
	}
	if fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("records: %v, want %v", count, want)
	}
	a, err := registry.NewAreas(records)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	if a.Len() != embedded.Len() {
		t.Fatalf("%d areas, the built-in table has %d", a.Len(), embedded.Len())
	}
	for id := range a.Len() {
		if got, want := embedded.Area(registry.AreaID(id)), a.Area(registry.AreaID(id)); got != want {
			t.Fatalf("built-in %+v, file %+v", got, want)
		}
	}
}

// TestFullFileAgreesWithAnotherReading compares each record with a table that other software made of the same file.
func TestFullFileAgreesWithAnotherReading(t *testing.T) {
	t.Parallel()
	a, err := ReadFile(material(t, "data/gv100ad/GV100AD_301121.ASC"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(material(t, "data/regions_gv100ad_2021-11-30.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2021, 12, 1, 0, 0, 0, 0, registry.Berlin())
	n := 0
	for _, r := range rows[1:] {
		level, ars, ags, name, postcode, people := r[0], r[1], r[3], r[4], r[7], r[8]
		if level == "region" {
			continue
		}
		n++
		p, err := a.Locate(ars, at, registry.LocateOptions{})
		if err != nil {
			t.Errorf("%s %s: %v", ars, name, err)
			continue
		}
		x := a.Area(p.ID)
		if level == "gemeinde" {
			byAGS, err := a.Locate(ags, at, registry.LocateOptions{})
			if err != nil || byAGS.ID != p.ID || x.ARS.String() != ars || x.ARS.AGS() != ags || x.Name != name || x.Postcode != postcode || strconv.Itoa(x.Inhabitants) != cmp.Or(people, "0") {
				t.Errorf("%s %s %s %s: %+v, by AGS %v %v", ars, ags, name, postcode, x, byAGS, err)
			}
			continue
		}
		// Upper levels are areas of their own or their Gemeinde (R3), whose name has the same beginning.
		if x.ARS.String() != ars && !strings.HasPrefix(x.ARS.String(), ars) || x.ARS.String() == ars && x.Name != name {
			t.Errorf("%s %s: %+v", ars, name, x)
		}
	}
	if n != 16+29+400+4606+10997 {
		t.Errorf("%d records compared", n)
	}
}

func FuzzRead(f *testing.F) {
	good, err := os.ReadFile("testdata/excerpt.asc")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("102021113001          Schleswig-Holstein\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		for id := 1; id < a.Len(); id++ {
			if got, err := a.EntryArea(a.ARS(registry.AreaID(id)).String()); err != nil || got != registry.AreaID(id) {
				t.Fatalf("%s = %v, %v", a.ARS(registry.AreaID(id)), got, err)
			}
		}
	})
}
