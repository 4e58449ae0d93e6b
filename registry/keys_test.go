// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLeistungIsReadAsR1Says(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"99050012104000", "99 050 012 104 000", "99.050.012.104.000", "99-050-012-104-000", " 99050012104000 ",
		"urn:de:fim:leika:leistung:99050012104000", "URN:DE:FIM:LeiKa:Leistung:99 050.012-104000", "urn:de:fim:leika:leistung: 99050012104000",
		"-.9-9050012104000.",
	} {
		l, err := ParseLeistung(text)
		if err != nil || l.String() != "99050012104000" {
			t.Errorf("ParseLeistung(%q) = %s, %v", text, l, err)
		}
		if b, err := ParseLeistung([]byte(text)); err != nil || b != l {
			t.Errorf("ParseLeistung([]byte(%q)) = %s, %v", text, b, err)
		}
	}
	for text, hint := range map[string]string{
		"":                                     "",
		"9905001210400":                        "13 digits: one is missing",
		"990500121040000":                      "",
		"99050012104000x":                      "only digits, spaces, dots and hyphens",
		"99050012104000%20":                    "",
		"L99050012104000":                      "only digits",
		"S1000020010000010122":                 "",
		"urn:de:fim:leika:leistung:":           "",
		"urn:de:fim:leika:99050012104000":      "only digits",
		"99050012104000urn:":                   "only digits",
		"urn:de:fim:leika:leistung:urn:de:fim": "",
		"99\t050012104000":                     "only digits",
		"99_050_012_104_000":                   "only digits",
		"９９050012104000":                       "",
		"+99050012104000":                      "only digits",
		strings.Repeat("9", 1000):              "",
	} {
		l, err := ParseLeistung(text)
		var key *KeyError
		if !errors.As(err, &key) || !l.IsZero() || !strings.Contains(key.Hint, hint) || len(key.Value) > 64 {
			t.Errorf("ParseLeistung(%.40q) = %s, %v, want hint %q", text, l, err, hint)
		}
	}
}

func TestLeistungKnowsItsParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, parent, group string
		federal            bool
	}{
		{"99115005104001", "99115005104000", "99115", true},
		{"99115005104000", "", "99115", true},
		{"77000000000317", "", "", false},
		{"00000000000000", "", "", false},
		{"99999999999999", "99999999999000", "99999", true},
	} {
		l := mustLeistung(t, c.key)
		if l.String() != c.key || l.Parent().String() != c.parent || l.Group() != c.group || l.Federal() != c.federal || l.IsZero() {
			t.Errorf("%s: parent %s group %q federal %v", l, l.Parent(), l.Group(), l.Federal())
		}
	}
	var none Leistung
	if none.String() != "" || none.Federal() || none.Number() != 0 || !none.IsZero() || !none.Parent().IsZero() {
		t.Error("the zero value is a key")
	}
}

func TestARSIsReadWithItsLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "level padded ags"
		"06": "Land 060000000000 ", "065": "Regierungsbezirk 065000000000 ", "06534": "Kreis 065340000000 ",
		"065340014": "Gemeindeverband 065340014000 ", "065340014014": "Gemeinde 065340014014 06534014",
		"00": "Bund 000000000000 ", "000000000000": "Bund 000000000000 ", "00000000": "Bund 000000000000 ",
		"065340000000": "Gemeinde 065340000000 06534000",
	} {
		a, err := ParseARS(text)
		if got := fmt.Sprintf("%s %s %s", a.Level(), a.Padded(), a.AGS()); err != nil || got != want {
			t.Errorf("ParseARS(%s) = %s, %v, want %s", text, got, err, want)
		}
		if a.String() != text && !a.IsBund() {
			t.Errorf("%s.String() = %s", text, a)
		}
	}
	for _, text := range []string{"", "6", "0653", "06534014", "0653401401", "0653400140140", "06534x", " 06534", "06.534", "０６"} {
		if a, err := ParseARS(text); err == nil {
			t.Errorf("ParseARS(%q) = %s, want an error", text, a)
		}
	}
	marburg := mustARS(t, "065340014014")
	for _, c := range []struct {
		level Level
		want  string
	}{{LevelBund, ""}, {LevelLand, "06"}, {LevelRB, "065"}, {LevelKreis, "06534"}, {LevelVerband, "065340014"}, {LevelGemeinde, "065340014014"}} {
		if up := marburg.At(c.level); up.String() != c.want || !up.Contains(marburg) || up != marburg && marburg.Contains(up) {
			t.Errorf("At(%s) = %s, want %s", c.level, up, c.want)
		}
	}
	if mustARS(t, "06534").Contains(mustARS(t, "065350001001")) || mustARS(t, "06").Land() != 6 {
		t.Error("Contains or Land is wrong")
	}
}

func TestKeysDoNotAllocate(t *testing.T) {
	leistung, ars := []byte("urn:de:fim:leika:leistung:99 050 012 104 000"), []byte("065340014014")
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		l, err := ParseLeistung(leistung)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseARS(ars)
		if err != nil {
			t.Fatal(err)
		}
		buf = a.AppendAGS(a.AppendPadded(a.Append(l.Append(buf[:0]))))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeysOrderAsTheirTextsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[0-9]{14}`)
		x, y := key.Draw(t, "x"), key.Draw(t, "y")
		a, _ := ParseLeistung(x)
		b, _ := ParseLeistung(y)
		if a.Compare(b) != strings.Compare(x, y) || a.String() != x {
			t.Fatalf("%s %s: %d", x, y, a.Compare(b))
		}
		area := rapid.StringMatching(`[0-9]{2}|[0-9]{3}|[0-9]{5}|[0-9]{9}|[0-9]{12}`)
		p, q := area.Draw(t, "p"), area.Draw(t, "q")
		c, _ := ParseARS(p)
		d, _ := ParseARS(q)
		if c.IsBund() || d.IsBund() {
			return
		}
		if c.Contains(d) != strings.HasPrefix(q, p) || (c == d) != (p == q) {
			t.Fatalf("%s contains %s: %v", p, q, c.Contains(d))
		}
		if c.Contains(d) && c != d && c.Compare(d) >= 0 {
			t.Fatalf("%s is not before %s", p, q)
		}
	})
}

func FuzzParseLeistung(f *testing.F) {
	for _, s := range []string{"99050012104000", "urn:de:fim:leika:leistung:99050012104000", "99.050-012 104000", "7700000000031"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// The rule as it is written, with library calls.
		plain := strings.NewReplacer(" ", "", ".", "", "-", "").Replace(string(in))
		if len(plain) >= len(leistungPrefix) && strings.EqualFold(plain[:len(leistungPrefix)], leistungPrefix) {
			if isASCII(plain[:len(leistungPrefix)]) {
				plain = plain[len(leistungPrefix):]
			}
		}
		want := len(plain) == 14 && strings.Trim(plain, "0123456789") == ""
		l, err := ParseLeistung(in)
		if (err == nil) != want || want && l.String() != plain {
			t.Fatalf("ParseLeistung(%q) = %s, %v, want %v", in, l, err, want)
		}
	})
}

func FuzzAreaKey(f *testing.F) {
	for _, s := range []string{"065340014014", "06534014", "00", "14612", "10010000000"} {
		f.Add(s, true)
	}
	a := real(f)
	f.Fuzz(func(t *testing.T, in string, direct bool) {
		p, err := a.Locate(in, now, LocateOptions{Direct: direct})
		var (
			invalid *InvalidArea
			unknown *UnknownArea
		)
		switch {
		case err == nil:
			if strings.Trim(in, "0123456789") != "" || direct && len(in) == 5 {
				t.Fatalf("Locate(%q) = %s", in, a.ARS(p.ID))
			}
			if a.Retired(p.ID, now) || a.Future(p.ID, now) {
				t.Fatalf("Locate(%q) = %s, which does not exist now", in, a.ARS(p.ID))
			}
		case errors.As(err, &invalid), errors.As(err, &unknown):
		default:
			t.Fatal(err)
		}
		if ars, err := ParseARS(in); err == nil && ars.String() != in && !ars.IsBund() {
			t.Fatalf("ParseARS(%q) = %s", in, ars)
		}
	})
}
