// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// lookedUp is a table with one look-up source, and what was found there.
func lookedUp(t testing.TB, entries ...registry.Entry) (base, with *routing.Table, q *routing.Query) {
	t.Helper()
	areas, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	in := routing.Input{
		Areas: areas, Sources: []string{"operator", "marktplatz", "pvog"}, Marktplatz: 1, Lookups: []int{2}, SelfHosts: []string{"gw.example.de"},
		Backends: []routing.Backend{{Name: "behind", Hosts: []string{"behind.example"}, Proxy: true}},
	}
	base, problems := routing.Compile(in)
	if base == nil {
		t.Fatal(problems)
	}
	l, err := registry.ParseLeistung("99050012104000")
	if err != nil {
		t.Fatal(err)
	}
	area, err := areas.EntryArea("097610000000")
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if e := &entries[i]; e.Leistung.IsZero() {
			e.Leistung = l
		}
	}
	q = &routing.Query{Leistung: l, Area: area, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	return base, base.With(area, []routing.Lookup{{Leistung: l, Rows: []routing.LookupRows{{Source: 2, Entries: entries}}}}), q
}

// Rows of look-ups are held to what rows of other sources are held to: what no table can hold is left out, and a target that
// may not be used blocks.
func TestRowsOfLookupsAreValidated(t *testing.T) {
	t.Parallel()
	other, err := registry.ParseLeistung("99036026017000")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const fine = "https://www.augsburg.de/gewerbe"
	for name, c := range map[string]struct {
		e    registry.Entry
		want routing.Verdict
	}{
		"a good row":                {registry.Entry{URL: fine}, routing.Handover},
		"of the Bund":               {registry.Entry{URL: fine, AreaKey: "00"}, routing.Handover},
		"an area that nobody knows": {registry.Entry{URL: fine, AreaKey: "099999999999"}, routing.UnknownLeistung},
		"an area that is none":      {registry.Entry{URL: fine, AreaKey: "Augsburg"}, routing.UnknownLeistung},
		"another key":               {registry.Entry{URL: fine, Leistung: other}, routing.UnknownLeistung},
		"ends before it begins":     {registry.Entry{URL: fine, Begin: day, End: day.Add(-time.Hour)}, routing.UnknownLeistung},
		"ended":                     {registry.Entry{URL: fine, End: day}, routing.Expired},
		"inactive":                  {registry.Entry{URL: fine, Inactive: true}, routing.NoRoute},
		"a backend of operators":    {registry.Entry{Backend: "behind", Path: "/x"}, routing.UnknownLeistung},
		"a template":                {registry.Entry{URL: "https://a.example/{ars}", Template: true}, routing.UnknownLeistung},
		"no URL":                    {registry.Entry{}, routing.TargetRefused},
		"a URL with a space":        {registry.Entry{URL: "https://a.example/x y"}, routing.TargetRefused},
		"the source's policy":       {registry.Entry{URL: "http://10.0.0.8/", Refused: "private"}, routing.TargetRefused},
		"the gateway itself":        {registry.Entry{URL: "https://gw.example.de/"}, routing.TargetRefused},
		"a fragment, proxied":       {registry.Entry{URL: "https://behind.example/#x"}, routing.TargetRefused},
		"proxied":                   {registry.Entry{URL: "https://behind.example/x"}, routing.Handover},
		"the gateway, in English":   {registry.Entry{URL: fine, Others: []registry.LangURL{{Lang: "en", URL: "https://gw.example.de/"}}}, routing.TargetRefused},
	} {
		base, table, q := lookedUp(t, c.e)
		if d := base.Resolve(q); d.Verdict != routing.Pending || d.Key != q.Leistung {
			t.Errorf("%s: before: %v, want pending", name, d.Verdict)
		}
		if d := table.Resolve(q); d.Verdict != c.want {
			t.Errorf("%s: got %v, want %v", name, d.Verdict, c.want)
		}
		if d := base.Resolve(q); d.Verdict != routing.Pending {
			t.Errorf("%s: the table itself has changed: %v", name, d.Verdict)
		}
	}
}

// What a row of a look-up says is found again in every form.
func TestARowOfALookupIsDescribed(t *testing.T) {
	t.Parallel()
	want := registry.Entry{
		URL: "https://www.augsburg.de/gewerbe", Title: "Gewerbe", Lang: "de", AreaKey: "09761", OE: "L1.OE.1", LB: "L1.LB.2", Role: "02", Priority: 7,
		Others: []registry.LangURL{{Lang: "en", URL: "https://www.augsburg.de/trade"}}, Specialised: true,
		Origin: registry.Origin{Source: "pvog", File: "https://pvog.example/", Line: 3},
	}
	_, table, q := lookedUp(t, want)
	q.Lang = "en"
	d := table.Resolve(q)
	url, err := table.AppendURL(nil, q, &d)
	if err != nil || string(url) != want.Others[0].URL || table.URLLang(q, &d) != "en" {
		t.Errorf("got %q (%s), %v", url, table.URLLang(q, &d), err)
	}
	if name := table.BackendName(d.Backend); name != "www.augsburg.de" || int(d.Backend) < table.Configured() {
		t.Errorf("backend %q (%d)", name, d.Backend)
	}
	r := table.Row(d.Row)
	if r.URL != want.URL || r.Title != want.Title || r.AreaKey != want.AreaKey || r.OE != want.OE || r.LB != want.LB || r.Role != want.Role ||
		r.Priority != want.Priority || !r.Specialised || r.Origin != want.Origin || r.Source != 2 {
		t.Errorf("got %+v", r)
	}
}

// What can be said of everything at once is said without look-ups.
func TestBulkLooksNothingUp(t *testing.T) {
	t.Parallel()
	base, _, q := lookedUp(t)
	if d := base.Bulk().Resolve(q); d.Verdict != routing.UnknownLeistung {
		t.Errorf("got %v, want unknown_leistung", d.Verdict)
	}
}
