// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/routing"
)

// drawn is a generated registry with questions that the table may be asked.
func drawn(t *rapid.T) (*loaded, []routing.Query) {
	g := &generator{Rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
	v := g.world(rapid.IntRange(1, 40).Draw(t, "rows"), false)
	l := load(v)
	if l.err != nil {
		t.Fatal(l.err)
	}
	var questions []routing.Query
	for range 30 {
		a := g.ask(v)
		if q, err := l.question(&a); err == nil {
			questions = append(questions, q)
		}
	}
	return l, questions
}

func compile(t *rapid.T, in routing.Input) *routing.Table {
	table, problems := compiled(in)
	if table == nil {
		t.Fatal(problems)
	}
	return table
}

// The same question has the same answer, and Explain and Losers decide as Resolve does.
func TestExplainAndLosersDecideAsResolve(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, questions := drawn(t)
		table := compile(t, l.in)
		for i := range questions {
			q := &questions[i]
			want := table.Resolve(q)
			lost, _ := table.Losers(q)
			if again := table.Resolve(q); again != want {
				t.Fatalf("%+v: asked again: got %+v, want %+v", q, again, want)
			}
			if got := table.Explain(q, routing.Asked{}).Decision; got != want || lost != want {
				t.Fatalf("%+v: Explain %+v, Losers %+v, Resolve %+v", q, got, lost, want)
			}
		}
	})
}

// The order in which rows, offers, adoptions and overrides come changes nothing.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, questions := drawn(t)
		table := compile(t, l.in)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		other := l.in
		other.Entries, other.Offers = slices.Clone(l.in.Entries), slices.Clone(l.in.Offers)
		other.Adoptions, other.Overrides = slices.Clone(l.in.Adoptions), slices.Clone(l.in.Overrides)
		shuffle(r, other.Entries)
		shuffle(r, other.Offers)
		shuffle(r, other.Adoptions)
		shuffle(r, other.Overrides)
		shuffled := compile(t, other)
		for i := range questions {
			q := &questions[i]
			if got, want := l.said(shuffled, q), l.said(table, q); got.visible() != want.visible() {
				t.Fatalf("%+v:\n got %s\nwant %s", q, got.visible(), want.visible())
			}
		}
	})
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

// A decision with a target always has an address, and one that Resolve refused for want of a value has none.
func TestHandoverAlwaysHasAnAddress(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, questions := drawn(t)
		table := compile(t, l.in)
		for i := range questions {
			q := &questions[i]
			d := table.Resolve(q)
			if d.Verdict != routing.Handover {
				if d.Backend != routing.NoBackend && d.Verdict != routing.TargetRefused && d.Verdict != routing.Ambiguous {
					t.Fatalf("%+v: %s has a backend", q, d.Verdict)
				}
				continue
			}
			if url, err := table.AppendURL(nil, q, &d); err != nil || len(url) == 0 {
				t.Fatalf("%+v: no address: %q %v", q, url, err)
			}
			if path, err := table.AppendTarget(nil, q, &d); err != nil || path[0] != '/' {
				t.Fatalf("%+v: no path: %q %v", q, path, err)
			}
		}
	})
}
