// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// No decision allocates: not with overrides, closed backends, templates, dated changes or coarse areas. Not parallel:
// AllocsPerRun counts for the whole process.
func TestResolveDoesNotAllocate(t *testing.T) { //nolint:paralleltest // see above
	f := newFixture(t)
	on := time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())
	areas, err := f.areas.WithAliases([]registry.Alias{{From: []string{"120645410340"}, To: []string{"120645499999"}, On: on, Name: "Neuhardenberg"}})
	if err != nil {
		t.Fatal(err)
	}
	f.areas, f.in.Areas = areas, areas
	const other, local = "99036026017000", "06000000000012"
	f.backend("efa", "efa.example")
	f.backend("proxied", "proxied.example")
	f.in.Backends[1].Proxy = true
	f.offer("o", "efa", map[string]string{other: "https://efa.example/{ars}/{oe}?id={oe_id}"})
	f.adopt("o", file("a.yaml", 1, 1), "01", "06534")
	f.in.Adoptions[0].Areas[0].OE = "L1.OE.2"
	f.in.Adoptions[0].Without = []registry.AreaID{f.area("010530032032")}
	f.entry(other, "06", "https://efa.example/x", row("hub", 1), nil)
	f.entry(gewerbe, "120645410340", "https://a.example/", row("hub", 2), nil)
	f.entry(gewerbe, "12", "https://b.example/", row("hub", 3), page)
	f.entry(gewerbe, "00", "", file("b.yaml", 1, 1), func(e *registry.Entry) { e.Backend, e.Path = "proxied", "/{leistung}" })
	f.entry(local, "06534", "https://c.example/", row("hub", 4), nil)
	f.in.Overrides = []routing.Override{
		{Area: f.area("05"), Weights: []routing.Weight{{Backend: "proxied", Percent: 90}, {Backend: "efa", Percent: 10}}, Until: on.AddDate(9, 0, 0)},
		{Area: f.area("08"), To: "https://d.example/", Until: on.AddDate(9, 0, 0)},
		{Area: f.area("09"), To: "proxied", Until: on.AddDate(9, 0, 0)},
	}
	f.in.Backends[1].Hosts = nil
	f.in.Overrides[0].Weights[1].Backend = "proxied"
	f.in.Catalogue = registry.NewCatalogue(map[registry.Leistung]registry.LeistungInfo{
		f.leistung("99036024017000"): {Successor: f.leistung(other)},
	})
	f.in.ParentKey = map[uint8]bool{6: true}
	table := f.table()
	var queries []routing.Query
	for _, l := range []string{gewerbe, other, local, "99036024017000", "99036026017001", "99050012104001"} {
		for _, a := range []string{"00", "01", "010010000000", "010530032032", "010530083083", "06", "065340014014", "120645410340", "120645499999", "12", "053150000000", "08", "097610000000"} {
			for _, day := range []int{-1, 1} {
				queries = append(queries, routing.Query{Leistung: f.leistung(l), Area: f.area(a), At: on.AddDate(0, 0, day), Lang: "de", Seed: 95})
			}
		}
	}
	seen := map[routing.Verdict]bool{}
	buf := make([]byte, 0, 1024)
	for i := range queries {
		q := &queries[i]
		d := table.Resolve(q)
		seen[d.Verdict] = true
		n := testing.AllocsPerRun(5, func() {
			d = table.Resolve(q)
			if d.Verdict == routing.Handover {
				buf, err = table.AppendURL(buf[:0], q, &d)
				buf, err = table.AppendTarget(buf[:0], q, &d)
			}
		})
		if n != 0 || err != nil {
			t.Errorf("%s at %s: %s: got %v allocations, %v; want none", q.Leistung, areas.ARS(q.Area), d.Verdict, n, err)
		}
	}
	if !seen[routing.Handover] || !seen[routing.AreaRequired] || !seen[routing.NotJoined] {
		t.Errorf("the questions do not reach enough verdicts: %v", seen)
	}
}
