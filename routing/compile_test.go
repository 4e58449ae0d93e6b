// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// Each case spoils a sound input and names what an operator must read. Sources' rows only warn.
func TestCompileSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	at, day := file("routes.d/06-hessen.yaml", 13, 5), func(y, m, d int) time.Time {
		return time.Date(y, time.Month(m), d, 0, 0, 0, 0, registry.Berlin())
	}
	override := func(f *fixture, area, to string) *routing.Override {
		f.in.Overrides = append(f.in.Overrides, routing.Override{
			Area: f.area(area), AreaKey: area, To: to, Until: day(2026, 11, 24), By: "m.weber", Why: "INC-4711",
			Origin: file("routes.d/00-emergency.yaml", int32(4+len(f.in.Overrides)), 5),
		})
		return &f.in.Overrides[len(f.in.Overrides)-1]
	}
	for name, c := range map[string]struct {
		spoil func(*fixture)
		want  string
		warns bool
	}{
		"local key at the Bund": {
			spoil: func(f *fixture) { f.entry("06000000000012", "00", "https://a.example/", at, nil) },
			want:  "routes.d/06-hessen.yaml:13:5: leistung 06000000000012 is a local key and has entries only at a Land or deeper; name an area",
		},
		"local key at the Bund in a source": {
			warns: true, spoil: func(f *fixture) { f.entry("06000000000012", "00", "https://a.example/", row("hub", 3), nil) },
			want: "hub:3: leistung 06000000000012 is a local key",
		},
		"begin after end": {spoil: func(f *fixture) {
			f.entry(gewerbe, "06", "https://a.example/", at, func(e *registry.Entry) { e.Begin, e.End = day(2026, 2, 1), day(2026, 1, 1) })
		}, want: "begin 2026-02-01 is not before end 2026-01-01; correct one of them"},
		"unknown backend": {spoil: func(f *fixture) {
			f.entry(gewerbe, "06", "", at, func(e *registry.Entry) { e.Backend, e.Path = "hesen", "/x" })
		}, want: `backend "hesen" is not defined (backends: closed, hessen, proxied)`},
		"path without slash": {spoil: func(f *fixture) {
			f.entry(gewerbe, "06", "", at, func(e *registry.Entry) { e.Backend, e.Path = "hessen", "x" })
		}, want: `path "x" of backend "hessen" does not begin with "/"`},
		"unknown placeholder": {spoil: func(f *fixture) {
			f.entry(gewerbe, "06", "https://a.example/{arsx}", at, func(e *registry.Entry) { e.Template = true })
		}, want: "unknown placeholder {arsx}; known: leistung"},
		"fragment to a proxied backend": {
			spoil: func(f *fixture) { f.entry(gewerbe, "06", "https://proxied.example/a#b", at, nil) },
			want:  "a fragment (#…) never reaches a proxied backend; backend proxied needs mode: redirect",
		},
		"fragment in a source": {
			warns: true, spoil: func(f *fixture) { f.entry(gewerbe, "06", "https://proxied.example/a#b", row("hub", 4), nil) },
			want: `hub:4: "https://proxied.example/a#b" cannot be a target: a fragment`,
		},
		"our own host": {
			spoil: func(f *fixture) { f.entry(gewerbe, "06", "https://x.gw.example.de/a", at, nil) },
			want:  "the host is the gateway's own",
		},
		"host of two backends": {
			spoil: func(f *fixture) { f.backend("other", "WWW.hessen.example") },
			want:  `host "www.hessen.example" is listed by backend "hessen" too; a host belongs to one backend`,
		},
		"backend twice": {spoil: func(f *fixture) { f.backend("hessen") }, want: `backend "hessen" is defined twice`},
		"require of nothing": {
			spoil: func(f *fixture) { f.in.Backends[0].Require = []string{"ars"} },
			want:  `backend "hessen" requires "ars"; allowed: oe_id lb_id od_id`,
		},
		"offer twice":       {spoil: func(f *fixture) { f.offer("o", "closed", nil) }, want: `offer "o" is defined twice`},
		"offer to nobody":   {spoil: func(f *fixture) { f.offer("p", "nobody", nil) }, want: `backend "nobody" is not defined`},
		"unknown successor": {spoil: func(f *fixture) { f.in.Offers[0].Successor = "q" }, want: `offer "o" names the successor "q", which is not defined (offers: o)`},
		"unknown offer":     {spoil: func(f *fixture) { f.adopt("ikfz-2025", at, "06") }, want: `offer "ikfz-2025" is not defined (offers: o)`},
		"offer ended": {spoil: func(f *fixture) {
			f.offer("ikfz-2026", "closed", nil)
			f.in.Offers[0].End, f.in.Offers[0].Successor = day(2026, 1, 1), "ikfz-2026"
			f.adopt("o", at, "06")
			f.in.Adoptions[0].Begin = day(2026, 1, 1)
		}, want: `offer "o" ended on 2025-12-31; successor: "ikfz-2026"`},
		"leistung not offered": {spoil: func(f *fixture) {
			f.adopt("o", at, "06")
			f.in.Adoptions[0].Leistungen = []registry.Leistung{f.leistung(bau)}
		}, want: `offer "o" has no leistung 99012070006001`},
		"until missing": {
			spoil: func(f *fixture) { override(f, "06", "hessen").Until = time.Time{} },
			want:  "until is missing; every override ends, e.g. until: 2026-12-31",
		},
		"from after until": {
			spoil: func(f *fixture) { override(f, "06", "hessen").From = day(2026, 12, 1) },
			want:  "from 2026-12-01 is not before until 2026-11-24",
		},
		"two targets": {
			spoil: func(f *fixture) { override(f, "06", "hessen").Gone = "x" },
			want:  "an override has exactly one of to, weights and gone; this one has 2",
		},
		"weights": {spoil: func(f *fixture) {
			override(f, "06", "").Weights = []routing.Weight{{"hessen", 90}, {"proxied", 20}}
		}, want: "the weights sum to 110; they must sum to 100"},
		"no group": {spoil: func(f *fixture) { override(f, "06", "hessen").Group = "06036" }, want: `leistung "06036" is no group`},
		"override to nobody": {
			spoil: func(f *fixture) { override(f, "06", "nobody") },
			want:  `routes.d/00-emergency.yaml:4:5: backend "nobody" is not defined`,
		},
		"override to a fragment": {spoil: func(f *fixture) { override(f, "06", "https://proxied.example/#x") }, want: "a fragment (#…)"},
		"equal rank": {spoil: func(f *fixture) {
			a := override(f, "00", "https://www.bund.de/ikfz-hinweis")
			a.Group, a.Priority, a.From = "99036", 9, day(2026, 11, 21)
			b := override(f, "00", "https://www.bund.de/anderes")
			b.Group, b.Priority, b.Origin = "99036", 9, file("routes.d/00-old.yaml", 7, 5)
		}, want: "routes.d/00-emergency.yaml:4:5: overlaps routes.d/00-old.yaml:7:5 with equal rank (area 00, leistung 99036, priority 9) from 2026-11-21 to 2026-11-23; change a priority or a time"},
		"closed to the area": {spoil: func(f *fixture) {
			f.adopt("o", at, "065340014014")
			override(f, "06534", "closed")
		}, want: `"closed" is closed (offer o) and 065340001001 Amöneburg in area 06534 has not joined; narrow the area or add an adoption`},
		"closed for a time": {spoil: func(f *fixture) {
			f.adopt("o", at, "06")
			f.in.Adoptions[0].End = day(2026, 11, 1)
			override(f, "065340014014", "https://closed.example/")
		}, want: `"closed" is closed (offer o) and 065340014014 Marburg in area 065340014014 has not joined`},
		"URL of another place": {warns: true, spoil: func(f *fixture) {
			f.entry(gewerbe, "010010000000", "https://a.example/?location=010020000000", row("hub", 5), nil)
		}, want: "hub:5: leistung 99050012104000: URL names 010020000000 (Kiel), outside the entry's area 010010000000 (Flensburg)"},
		"URL of another place in another language": {warns: true, spoil: func(f *fixture) {
			f.entry(gewerbe, "010010000000", "https://a.example/", row("hub", 5), english("https://a.example/en/010020000000"))
		}, want: "hub:5: leistung 99050012104000: URL names 010020000000 (Kiel), outside the entry's area 010010000000 (Flensburg)"},
		"an operator's URL of another place in another language": {warns: true, spoil: func(f *fixture) {
			f.entry(gewerbe, "010010000000", "https://a.example/010010000000", file("routes.d/01.yaml", 5, 3), english("https://a.example/en/010020000000"))
		}, want: "routes.d/01.yaml:5:3: leistung 99050012104000: URL names 010020000000 (Kiel), outside the entry's area 010010000000 (Flensburg)"},
		"a template fixed to another place": {warns: true, spoil: func(f *fixture) {
			f.entry(gewerbe, "010010000000", "https://a.example/{ars}?location=010020000000", file("routes.d/01.yaml", 5, 3), func(e *registry.Entry) { e.Template = true })
		}, want: "routes.d/01.yaml:5:3: leistung 99050012104000: URL names 010020000000 (Kiel), outside the entry's area 010010000000 (Flensburg)"},
		"an offer fixed to one place": {warns: true, spoil: func(f *fixture) {
			f.offer("p", "hessen", map[string]string{gewerbe: "https://www.hessen.example/010020000000"})
			f.adopt("p", file("routes.d/01.yaml", 5, 3), "010020000000", "010010000000")
		}, want: "leistung 99050012104000: URL names 010020000000 (Kiel), outside the entry's area 010010000000 (Flensburg)"},
		"URL of the Kreis": {warns: true, spoil: func(f *fixture) {
			f.entry(gewerbe, "065340014014", "https://a.example/?location=065340000000", row("hub", 5), nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.backend("hessen", "www.hessen.example")
			f.backend("proxied", "proxied.example")
			f.backend("closed", "closed.example")
			f.in.Backends[1].Proxy = true
			f.in.SelfHosts = []string{"gw.example.de", "*.gw.example.de"}
			f.offer("o", "closed", map[string]string{gewerbe: "https://closed.example/{ars}"})
			c.spoil(f)
			table, problems := compiled(f.in)
			var all []string
			fatal := false
			for _, p := range problems {
				all = append(all, p.String())
				fatal = fatal || p.Fatal
			}
			got := strings.Join(all, "\n")
			if fatal == c.warns || (table == nil) == c.warns || len(problems) == 0 != (c.want == "") {
				t.Errorf("got table %v, fatal %v, want warnings only: %v\n%s", table != nil, fatal, c.warns, got)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// english gives an entry an address in English.
func english(url string) func(*registry.Entry) {
	return func(e *registry.Entry) { e.Others = []registry.LangURL{{Lang: "en", URL: url}} }
}

// Adoptions that follow one another without a gap cover an override's whole time (R6, R9).
func TestAnOverrideMayRestOnSeveralAdoptions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.backend("closed", "closed.example")
	f.offer("o", "closed", map[string]string{gewerbe: "https://closed.example/{ars}"})
	change := time.Date(2026, 7, 1, 0, 0, 0, 0, registry.Berlin())
	f.adopt("o", file("a.yaml", 1, 1), "01001", "01053")
	f.adopt("o", file("a.yaml", 2, 1), "01001")
	f.in.Adoptions[0].End, f.in.Adoptions[1].Begin = change, change
	f.in.Overrides = []routing.Override{{
		Area: f.area("01001"), To: "closed", From: change.AddDate(0, -1, 0), Until: change.AddDate(0, 1, 0), Origin: file("o.yaml", 1, 1),
	}}
	f.table()
}

// Rows under an old and a new key of one area that lead to different places are worth a warning (S33).
func TestCompileWarnsOfOldAndNewKeysThatDiffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	areas, err := f.areas.WithAliases([]registry.Alias{{
		From: []string{"120645410340"}, To: []string{"120645499999"}, On: time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin()), Name: "Neuhardenberg",
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.areas, f.in.Areas = areas, areas
	f.entry(gewerbe, "120645410340", "https://alt.example/", row("hub", 7), nil)
	f.entry(gewerbe, "120645499999", "https://neu.example/", row("hub", 8), nil)
	f.entry(bau, "120645410340", "https://gleich.example/", row("hub", 9), nil)
	f.entry(bau, "120645499999", "https://gleich.example/", row("hub", 10), nil)
	_, problems := compiled(f.in)
	if len(problems) != 1 || problems[0].Fatal || !strings.HasPrefix(problems[0].String(), "hub:7: the entry for 120645410340 (Neuhardenberg) leads elsewhere than hub:8 for 120645499999") {
		t.Errorf("got %v", problems)
	}
}
