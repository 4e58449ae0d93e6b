// SPDX-License-Identifier: EUPL-1.2

package guard

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/source"
)

// facts is a source with as many services in each of the Länder 1 to 16, and a few in the Bund.
func facts(name string, each int) bundle.SourceFacts {
	s := bundle.SourceFacts{Name: name}
	s.Lands[0].Services = Few + 1
	for land := 1; land <= 16; land++ {
		s.Lands[land].Services = each
	}
	return sum(s)
}

// sum makes the figures of a source fit its Länder.
func sum(s bundle.SourceFacts) bundle.SourceFacts {
	s.Services, s.Pages = 0, 0
	for _, l := range s.Lands {
		s.Services, s.Pages = s.Services+l.Services, s.Pages+l.Pages
	}
	s.Rows = s.Services + s.Pages + s.Quarantined + s.Skipped + s.Empty
	return s
}

func meta(sources ...bundle.SourceFacts) *bundle.Meta {
	return &bundle.Meta{Sequence: 7, Sources: sources}
}

func TestWhatChangesALittleIsApplied(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	old := facts("hub", 1000)
	old.Modified, old.Quarantined, old.Blocked = day, 300, 90
	old = sum(old)
	for name, change := range map[string]func(*bundle.SourceFacts){
		"nothing":                       func(*bundle.SourceFacts) {},
		"a day":                         func(s *bundle.SourceFacts) { s.Modified = day.AddDate(0, 0, 1) },
		"no day":                        func(s *bundle.SourceFacts) { s.Modified = time.Time{} },
		"a tenth of a Land":             func(s *bundle.SourceFacts) { s.Lands[6].Services = 900 },
		"a tenth of all":                func(s *bundle.SourceFacts) { s.Lands = facts("", 900).Lands },
		"services that become pages":    func(s *bundle.SourceFacts) { s.Lands[6].Services, s.Lands[6].Pages = 100, 900 },
		"four times as many":            func(s *bundle.SourceFacts) { s.Lands = facts("", 4000).Lands; s.Lands[0].Services = 1 },
		"as many faults as before":      func(s *bundle.SourceFacts) { s.Quarantined = 300 },
		"half a percent of faults more": func(s *bundle.SourceFacts) { s.Lands = facts("", 4000).Lands; s.Quarantined = 320 },
		"fewer faults":                  func(s *bundle.SourceFacts) { s.Quarantined, s.Blocked = 0, 0 },
		"as many refused targets":       func(s *bundle.SourceFacts) { s.Blocked = 90 },
	} {
		now := old
		change(&now)
		if got := Check(meta(old), meta(sum(now)), Limits{DefaultShrink}); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A small file loses a large share with each line that somebody takes out.
func TestFewLinesAreNoShare(t *testing.T) {
	t.Parallel()
	old, now := facts("own", 30), facts("own", 30)
	now.Lands[6].Services = 10
	if got := Check(meta(old), meta(sum(now)), Limits{DefaultShrink}); len(got) > 0 {
		t.Error(got)
	}
	now.Lands[6].Services = 9
	if got := Check(meta(old), meta(sum(now)), Limits{DefaultShrink}); len(got) != 1 || got[0].Cause != source.CauseShrunkLand {
		t.Error(got)
	}
}

// A Land that had something and has nothing left is lost, however little it was; one source may leave it to others.
func TestCP02TheLastEntriesOfALandAreNotFew(t *testing.T) {
	t.Parallel()
	hub, own := facts("hub", 30), facts("own", 0)
	own.Lands[6].Services = 1
	hub.Lands[6].Services = 0
	hub.Lands[7].Services, own.Lands[7].Services = 20, 1
	hub, own = sum(hub), sum(own)
	for name, c := range map[string]struct {
		change func(hub, own *bundle.SourceFacts)
		blamed string // "" = may be
	}{
		"the only one":                    {func(_, o *bundle.SourceFacts) { o.Lands[6].Services = 0 }, "own"},
		"one source's of two":             {func(_, o *bundle.SourceFacts) { o.Lands[7].Services = 0 }, ""},
		"twenty, and the other has one":   {func(h, _ *bundle.SourceFacts) { h.Lands[7].Services = 0 }, ""},
		"both sources' last":              {func(h, o *bundle.SourceFacts) { h.Lands[7].Services, o.Lands[7].Services = 0, 0 }, "hub own"},
		"another source has it now":       {func(h, o *bundle.SourceFacts) { h.Lands[6].Services, o.Lands[6].Services = 1, 0 }, ""},
		"its service has become a page":   {func(_, o *bundle.SourceFacts) { o.Lands[6].Services, o.Lands[6].Pages = 0, 1 }, ""},
		"what never was there is no loss": {func(_, _ *bundle.SourceFacts) {}, ""},
	} {
		h, o := hub, own
		c.change(&h, &o)
		var blamed []string
		for _, r := range Check(meta(hub, own), meta(sum(h), sum(o)), Limits{1}) {
			if blamed = append(blamed, r.Source); r.Cause != source.CauseShrunkLand || r.Final {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if got := strings.Join(blamed, " "); got != c.blamed {
			t.Errorf("%s: %q is blamed, want %q", name, got, c.blamed)
		}
	}
}

func TestCP02WhatARegistryMustNotLose(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	hub, own := facts("hub", 1000), facts("own", 100)
	hub.Modified, hub.Blocked = day, 3
	for name, c := range map[string]struct {
		change func(hub, own *bundle.SourceFacts, m *bundle.Meta)
		cause  source.Cause
		source string
		text   string // of the first refusal
		final  bool
	}{
		"all entries gone": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) {
				*h = bundle.SourceFacts{Name: "hub", Rows: 16021, Empty: 16021}
			},
			source.CauseEmpty, "hub", `none of its 16021 rows gives an entry`, true,
		},
		"no source": {func(_, _ *bundle.SourceFacts, m *bundle.Meta) { m.Sources = nil }, source.CauseEmpty, "", "no source", true},
		"a fifth of a source": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Lands = facts("", 800).Lands },
			source.CauseShrunk, "hub", `12821 entries, 16021 before (20% fewer, at most 10% may be lost)`, false,
		},
		"a source that is not there": {
			func(_, _ *bundle.SourceFacts, m *bundle.Meta) { m.Sources = m.Sources[:1] },
			source.CauseShrunk, "own", `it has 1621 entries in what is applied and is not in the new registry`, false,
		},
		"a Land": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Lands[6] = bundle.LandFacts{} },
			source.CauseShrunkLand, "hub", `Land 06 has 0 entries, 1000 before (100% fewer, at most 10% may be lost)`, false,
		},
		"an eighth of a Land": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Lands[6].Services = 875 },
			source.CauseShrunkLand, "hub", `Land 06 has 875 entries, 1000 before (12.5% fewer, at most 10% may be lost)`, false,
		},
		"what is registered at the Bund": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Lands[0] = bundle.LandFacts{} },
			source.CauseShrunkLand, "hub", `Land 00 has 0 entries, 21 before`, false,
		},
		"five times as many": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Lands = facts("", 5000).Lands },
			source.CauseOversized, "hub", `80021 entries, 16021 before (at most 4 times as many may come at once)`, false,
		},
		"rows that cannot be read": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Quarantined = 81 },
			source.CauseSchema, "hub", `81 of 16102 rows cannot be read (at most 80 may; max of 20 and 0.5%)`, false,
		},
		"rows that cannot be read, in a small source": {
			func(_, o *bundle.SourceFacts, _ *bundle.Meta) { o.Quarantined = 21 },
			source.CauseSchema, "own", `21 of 1642 rows cannot be read (at most 20 may`, false,
		},
		"areas that nobody knows": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Quarantined, h.UnknownArea = 100, 60 },
			source.CauseUnknownArea, "hub", "for areas that nobody knows", false,
		},
		"targets that are refused": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Blocked = 81 },
			source.CauseURLPolicy, "hub", `81 of 16021 entries lead to targets that are refused (at most 80 may; 3 did before)`, false,
		},
		"yesterday's delivery": {
			func(h, _ *bundle.SourceFacts, _ *bundle.Meta) { h.Modified = day.Add(-time.Second) },
			source.CauseOlder, "hub", `it is of 2026-11-21 23:59:59 UTC and older than what is applied, of 2026-11-22 00:00:00 UTC`, false,
		},
		"yesterday's bundle": {
			func(_, _ *bundle.SourceFacts, m *bundle.Meta) { m.Sequence = 6 },
			source.CauseOlder, "", "sequence 6 is older than 7", false,
		},
	} {
		nowHub, nowOwn := hub, own
		m := meta(nowHub, nowOwn)
		c.change(&m.Sources[0], &m.Sources[1], m)
		for i := range m.Sources { // what is no contradiction on purpose is none by accident
			if s := &m.Sources[i]; !c.final {
				*s = sum(*s)
			}
		}
		got := Check(meta(hub, own), m, Limits{DefaultShrink})
		if len(got) == 0 || got[0].Cause != c.cause || got[0].Source != c.source || got[0].Final != c.final || !strings.Contains(got[0].Text, c.text) {
			t.Errorf("%s: %+v, want %s of %q: %s", name, got, c.cause, c.source, c.text)
		}
	}
}

// Many sources that each lose little enough can be a conspiracy.
func TestTheSumIsLookedAtToo(t *testing.T) {
	t.Parallel()
	var old, now []bundle.SourceFacts
	for i := range 20 {
		o := bundle.SourceFacts{Name: string(rune('a' + i))}
		o.Lands[6].Services = 30
		n := o
		n.Lands[6].Services = 15 // few
		old, now = append(old, sum(o)), append(now, sum(n))
	}
	got := Check(meta(old...), meta(now...), Limits{DefaultShrink})
	if len(got) != 2 || got[0].Cause != source.CauseShrunk || got[1].Cause != source.CauseShrunkLand || got[0].Source != "" {
		t.Errorf("%+v", got)
	}
}

func TestTheFirstRegistryIsComparedWithNothing(t *testing.T) {
	t.Parallel()
	first := facts("hub", 100)
	first.Quarantined, first.Blocked = 800, 100
	first = sum(first)
	if got := Check(nil, meta(first), Limits{DefaultShrink}); len(got) > 0 {
		t.Error(got)
	}
	if got := Check(meta(facts("own", 3)), meta(facts("own", 3), first), Limits{DefaultShrink}); len(got) > 0 {
		t.Error("a further source: ", got)
	}
	first.Quarantined = 1700 // more than what can be read: another file
	if got := Check(nil, meta(sum(first)), Limits{DefaultShrink}); len(got) != 1 || got[0].Cause != source.CauseSchema {
		t.Error(got)
	}
}

// A limit that is no number must not let everything pass, as comparisons with it would.
func TestCP02LimitsThatAreNoSharesRefuseAll(t *testing.T) {
	t.Parallel()
	for _, l := range []float64{math.NaN(), -0.1, 1.1, math.Inf(1), math.Inf(-1)} {
		if got := Check(meta(facts("hub", 10)), meta(facts("hub", 10)), Limits{l}); len(got) != 1 || !got[0].Final {
			t.Errorf("%v: %+v", l, got)
		}
	}
	empty := facts("hub", 0)
	if got := Check(meta(facts("hub", 100)), meta(empty), Limits{1}); len(got) != 16 {
		t.Errorf("whole Länder are never a share: %+v", got)
	}
}
