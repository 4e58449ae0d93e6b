// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimesAreReadAsR7Says(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, begin, end string }{ // "" = open
		{"2026-01-01", "2026-01-01T00:00:00+01:00", "2026-01-02T00:00:00+01:00"},
		{"2025-12-31", "2025-12-31T00:00:00+01:00", "2026-01-01T00:00:00+01:00"},
		{"2026-07-01", "2026-07-01T00:00:00+02:00", "2026-07-02T00:00:00+02:00"},
		{"2026-03-28", "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"},
		{"2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"}, // a day of 23 hours
		{"2026-12-31 18:00", "2026-12-31T18:00:00+01:00", "2026-12-31T18:00:00+01:00"},
		{"2026-12-31T18:00", "2026-12-31T18:00:00+01:00", "2026-12-31T18:00:00+01:00"},
		{"2026-12-31 18:00:30", "2026-12-31T18:00:30+01:00", "2026-12-31T18:00:30+01:00"},
		{"2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"},
		{"2026-12-31t18:00:00z", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"},
		{"2026-12-31T18:00:00+05:30", "2026-12-31T18:00:00+05:30", "2026-12-31T18:00:00+05:30"},
		{"2026-03-23T05:38:51.102Z", "2026-03-23T05:38:51.102Z", "2026-03-23T05:38:51.102Z"},
		{"2026-10-03T23:45:48.754836774Z", "2026-10-03T23:45:48.754836774Z", "2026-10-03T23:45:48.754836774Z"},
		{"2026-10-25 02:30+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"2026-10-25 02:30+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"},
		{"2026-10-25 01:59", "2026-10-25T01:59:00+02:00", "2026-10-25T01:59:00+02:00"},
		{"2026-10-25 03:00", "2026-10-25T03:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		{"2027-03-28 01:59", "2027-03-28T01:59:00+01:00", "2027-03-28T01:59:00+01:00"},
		{"2027-03-28 03:00", "2027-03-28T03:00:00+02:00", "2027-03-28T03:00:00+02:00"},
		{"1970-01-01", "", ""},
		{"2999-12-31", "", ""},
		{"2999-12-31T00:00:00Z", "", ""},
		{"2999-12-30T23:00:00Z", "", ""}, // the same midnight, exported in UTC
		{"1970-01-01T00:00:00Z", "", ""},
		{" 2026-01-01 ", "2026-01-01T00:00:00+01:00", "2026-01-02T00:00:00+01:00"},
	} {
		for _, f := range []struct {
			name  string
			parse func(string) (time.Time, error)
			want  string
		}{{"ParseTime", ParseTime, c.begin}, {"ParseEnd", ParseEnd, c.end}} {
			got, err := f.parse(c.text)
			var want time.Time
			if f.want != "" {
				want, _ = time.Parse(time.RFC3339Nano, f.want)
			}
			if err != nil || !got.Equal(want) || got.IsZero() != want.IsZero() {
				t.Errorf("%s(%q) = %v, %v, want %v", f.name, c.text, got, err, want)
			}
		}
	}
}

func TestTimesThatDoNotExistOrComeTwiceSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2027-03-28 02:30":    "2027-03-28 02:30 does not exist in Europe/Berlin (clocks go 02:00 → 03:00); write 03:00",
		"2027-03-28 02:00":    "2027-03-28 02:00 does not exist in Europe/Berlin (clocks go 02:00 → 03:00); write 03:00",
		"2026-10-25 02:30":    "2026-10-25 02:30 comes twice in Europe/Berlin; add +02:00 or +01:00",
		"2026-10-25 02:00":    "2026-10-25 02:00 comes twice in Europe/Berlin; add +02:00 or +01:00",
		"2026-10-25 02:59:59": "2026-10-25 02:59 comes twice in Europe/Berlin; add +02:00 or +01:00",
	} {
		if _, err := ParseTime(text); err == nil || err.Error() != want {
			t.Errorf("ParseTime(%q) = %v\nwant %s", text, err, want)
		}
	}
}

func TestOtherSpellingsOfTimesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "31.12.2026", "2026-13-01", "2026-02-30", "2026-1-1", "2026-01-01 9:30", "2026-01-01 24:00", "2026-01-01 12",
		"2026-01-01x12:00", "2026-01-01 12:00 Uhr", "2026-01-01T12:00:00+1", "2026-01-01T12:00+25:00x", "now", "2026",
		"2026-01-01 12:00:61", "2026-01-01 ", "2026-01-01T", "2026-01-01TZ",
	} {
		if got, err := ParseTime(text); err == nil && strings.TrimSpace(text) != "2026-01-01" {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}

func TestWhatBerlinShowsIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := time.Unix(rapid.Int64Range(1e9, 4e9).Draw(t, "seconds"), 0).In(Berlin())
		if got, err := ParseTime(want.Format(time.RFC3339)); err != nil || !got.Equal(want) {
			t.Fatalf("RFC 3339: %v, %v, want %v", got, err, want)
		}
		got, err := ParseTime(want.Format(time.DateTime))
		if err != nil {
			if !strings.Contains(err.Error(), "comes twice") || want.Month() != time.October {
				t.Fatalf("local: %v", err)
			}
			return
		}
		if !got.Equal(want) {
			t.Fatalf("local: %v, want %v", got, want)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-01-01", "2026-10-25 02:30", "2026-03-23T05:38:51.102Z", "2999-12-31"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		begin, err := ParseTime(s)
		end, err2 := ParseEnd(s)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: begin %v, end %v", s, err, err2)
		}
		if err == nil && begin.IsZero() != end.IsZero() || end.Before(begin) {
			t.Fatalf("%q: begin %v, end %v", s, begin, end)
		}
	})
}
