// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

func TestVectorsCoverRulesAndScenarios(t *testing.T) {
	t.Parallel()
	vectors := loadVectors(t)
	if len(vectors) < 150 {
		t.Errorf("got %d vectors, want at least 150", len(vectors))
	}
	names, scenarios, rules := map[string]bool{}, map[int]int{}, map[string]int{}
	for _, v := range vectors {
		if names[v.Name] {
			t.Errorf("vector %q occurs twice", v.Name)
		}
		names[v.Name] = true
		scenarios[v.Scenario]++
		rules[v.Rule]++
		if v.Why == "" || v.Ask.At == "" {
			t.Errorf("vector %q lacks its why or its time", v.Name)
		}
	}
	for n := 1; n <= 81; n++ {
		if later := n == 73 || n == 75 || n == 77 || n == 79 || n == 80; !later && scenarios[n] == 0 {
			t.Errorf("scenario %d has no vector", n)
		}
	}
	for n := 1; n <= 16; n++ {
		if r := "R" + strconv.Itoa(n); rules[r] < 4 {
			t.Errorf("rule %s has %d vectors, want at least 4", r, rules[r])
		}
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			runVector(t, &v)
		})
	}
}

func runVector(t *testing.T, v *vector) {
	l := load(v)
	var table *routing.Table
	if l.err == nil {
		var problems []routing.Problem
		table, problems = compiled(l.in)
		for _, p := range problems {
			if p.Fatal {
				l.fail("compile", errors.New(p.Text))
			}
		}
	}
	if v.Want.LoadError != "" || l.err != nil {
		if v.Want.LoadError == "" || l.err == nil || !strings.Contains(l.err.Error(), v.Want.LoadError) {
			t.Fatalf("load: got error %v, want one that contains %q\n%s", l.err, v.Want.LoadError, v.Why)
		}
		return
	}
	q, err := l.question(&v.Ask)
	if err != nil {
		reason, hint, choices := refusal(err)
		if reason != v.Want.Reason || !strings.Contains(hint, v.Want.Hint) {
			t.Errorf("got %s (hint %q), want %s (hint with %q)", reason, hint, v.Want.Reason, v.Want.Hint)
		}
		if got := l.keys(choices); v.Want.Choices != nil && !slices.Equal(got, v.Want.Choices) {
			t.Errorf("choices: got %v, want %v", got, v.Want.Choices)
		}
		return
	}
	table, asked, failed := l.lookUp(v, table, &q)
	if !slices.Equal(asked, v.Want.Asked) {
		t.Errorf("asked: got %q, want %q\n%s", asked, v.Want.Asked, v.Why)
	}
	if failed {
		if v.Want.Reason != "registry_unavailable" {
			t.Errorf("got registry_unavailable, want %s\n%s", v.Want.Reason, v.Why)
		}
		return
	}
	compareDecision(t, v, l, table, &q)
	compareLosers(t, v, l, table, &q)
}

func (l *loaded) keys(ids []registry.AreaID) []string {
	var keys []string
	for _, id := range ids {
		keys = append(keys, l.areas.ARS(id).String())
	}
	return keys
}

func compareDecision(t *testing.T, v *vector, l *loaded, table *routing.Table, q *routing.Query) {
	t.Helper()
	want := func(what, got string, want *string) {
		t.Helper()
		if want != nil && got != *want {
			t.Errorf("%s: got %q, want %q\n%s", what, got, *want, v.Why)
		}
	}
	d := table.Resolve(q)
	want("reason", d.Verdict.String(), &v.Want.Reason)
	if d.Verdict == routing.Handover {
		url, err := table.AppendURL(nil, q, &d)
		if err != nil {
			t.Errorf("AppendURL: %v", err)
		}
		want("url", string(url), v.Want.URL)
		want("backend", table.BackendName(d.Backend), v.Want.Backend)
		want("kind", d.Kind.String(), v.Want.Kind)
		want("area", cmp.Or(l.areas.ARS(d.Area).String(), "00"), v.Want.Area)
		want("key", d.Key.String(), v.Want.Key)
		oe, _, _ := table.Context(&d)
		want("oe_id", oe, v.Want.OE)
		want("lang", table.URLLang(q, &d), v.Want.Lang)
		note := map[routing.Note]string{routing.NoteNotJoined: "not_joined", routing.NoteSuccessor: "successor", routing.NoteParent: "parent"}[d.Note]
		want("note", note, v.Want.Note)
	}
	if d.Verdict == routing.Ambiguous {
		var got []string
		for _, c := range table.Candidates(q, &d) {
			got = append(got, l.ids[table.Row(c.Row).Origin.String()])
		}
		if !slices.Equal(got, v.Want.Candidates) {
			t.Errorf("candidates: got %q, want %q", got, v.Want.Candidates)
		}
	}
	var near []string
	for _, k := range table.Near(q) {
		near = append(near, k.String())
	}
	if v.Want.Near != nil && !slices.Equal(near, v.Want.Near) {
		t.Errorf("near: got %q, want %q", near, v.Want.Near)
	}
	if _, offer := table.Successors(q); v.Want.SuccessorOffer != "" && offer != v.Want.SuccessorOffer {
		t.Errorf("successor offer: got %q, want %q", offer, v.Want.SuccessorOffer)
	}
	if got := l.keys(table.Choices(q)); v.Want.Choices != nil && !slices.Equal(got, v.Want.Choices) {
		t.Errorf("choices: got %q, want %q", got, v.Want.Choices)
	}
}

// compareLosers asks Explain, which must decide as Resolve does.
func compareLosers(t *testing.T, v *vector, l *loaded, table *routing.Table, q *routing.Query) {
	t.Helper()
	x := table.Explain(q, routing.Asked{})
	if d := table.Resolve(q); x.Decision != d {
		t.Errorf("Explain decided %+v, Resolve %+v", x.Decision, d)
	}
	var got []vectorLoser
	for _, c := range x.Candidates {
		if c.Outcome == routing.Lost {
			got = append(got, vectorLoser{l.ids[c.Row.Origin.String()], c.Why.String()})
		}
	}
	if !slices.Equal(got, v.Want.Losers) {
		t.Errorf("losers:\n got %v\nwant %v\n%s", got, v.Want.Losers, v.Why)
	}
}
