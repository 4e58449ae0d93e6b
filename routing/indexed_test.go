// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/routing"
)

// compiled is routing.Compile with the sources' entries in an index, as a gateway has them. What the index's builder
// warns of stands before what Compile says.
func compiled(in routing.Input) (*routing.Table, []routing.Problem) {
	return compiledWhere(in, func(e *registry.Entry) bool { return e.Source > in.Marktplatz })
}

// compiledWhere puts those of the sources' entries into an index that indexed names.
func compiledWhere(in routing.Input, indexed func(*registry.Entry) bool) (*routing.Table, []routing.Problem) {
	b := index.NewBuilder(in.Areas, in.Sources)
	var own []registry.Entry
	for i := range in.Entries {
		e := &in.Entries[i]
		if operators := e.Template || e.Backend != "" || e.Path != ""; operators || !indexed(e) || b.Add(e) != nil {
			own = append(own, *e)
		}
	}
	in.Catalogue = typesApart(in.Catalogue, b)
	var report index.Report
	in.Entries = own
	in.Index, report = b.Finish()
	var all []routing.Problem
	for _, f := range report.Warnings {
		all = append(all, routing.Problem{Origin: f.Origin, Text: f.Reason})
	}
	table, problems := routing.Compile(in)
	return table, append(all, problems...)
}

// typesApart leaves the first type of every Leistung to the catalogue, of some none, and gives the others to the sources: what is
// known is known together.
func typesApart(c *registry.Catalogue, b *index.Builder) *registry.Catalogue {
	left := map[registry.Leistung]registry.LeistungInfo{}
	c.All(func(l registry.Leistung, info registry.LeistungInfo) {
		own := info.Types & -info.Types
		if l.Number()%2 == 1 {
			own = 0
		}
		if err := b.AddTypes(l, info.Types&^own); err != nil {
			panic(err)
		}
		info.Types = own
		left[l] = info
	})
	return registry.NewCatalogue(left)
}

// In which part of a table a source's rows are changes nothing.
func TestPartsOfATableDoNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, questions := drawn(t)
		one := compile(t, l.in)
		for source := range 4 {
			other, problems := compiledWhere(l.in, func(e *registry.Entry) bool { return e.Source == source })
			if other == nil {
				t.Fatal(problems)
			}
			for i := range questions {
				q := &questions[i]
				if got, want := l.said(other, q), l.said(one, q); got.visible() != want.visible() {
					t.Fatalf("%+v:\n got %s\nwant %s", q, got.visible(), want.visible())
				}
			}
		}
	})
}
