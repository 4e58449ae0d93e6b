// SPDX-License-Identifier: EUPL-1.2

// Package guard decides whether a new registry may replace the one that is applied, by what both say of themselves: how
// many entries there are in which Land and from which source, how many rows could not be read, which of them is newer.
//
// [Check] is pure: no I/O, no clock. A registry can be sound in every row and still be wrong: the export broke off at a
// record's end, a Land's delivery is missing, a column has moved. What such a registry loses is what this package looks
// at. It knows nothing of single rows, which package source judges, nor of files and signatures, which package bundle does.
//
// What is refused here a person may accept once, by the digest of the delivery: it may be meant so. An empty registry
// nobody can mean.
package guard

import (
	"fmt"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/source"
)

const (
	// DefaultShrink is the share of entries that may be lost at once.
	DefaultShrink = 0.10
	// Few is how many entries, or rows with a fault, never refuse a registry: whoever edits a small file loses a large
	// share of it with each line. The last ones of a Land are more than a few: then nobody there finds anything.
	Few = 20
	// faultShare is the share of rows with a fault beyond which a source is refused.
	faultShare = 0.005
	// growth is how many times the entries of before may come at once, from enoughToGrow on: below it a beginning grows.
	growth       = 4
	enoughToGrow = 1000
)

// Limits say how much may change at once.
type Limits struct {
	// Shrink is the share of entries, 0 to 1, that may be lost: of all, of a Land, of a source.
	Shrink float64
}

// Refusal is one reason why a registry is not applied.
type Refusal struct {
	Cause source.Cause
	// Source is whose delivery is to blame; "" if no single one is.
	Source string
	// Text names the figure, its limit, and what to do; the source is for who tells it.
	Text string
	// Final: nobody may accept it.
	Final bool
}

// Check compares a registry with the one that is applied, nil if there is none. No refusal means that it may be applied.
// Sources that the configuration has dropped are the caller's to leave out of old.
func Check(old, now *bundle.Meta, l Limits) []Refusal {
	c := checker{limits: l}
	c.sound(now)
	if len(c.refusals) > 0 {
		return c.refusals // its figures say nothing
	}
	for i := range now.Sources {
		c.readable(find(old, now.Sources[i].Name), &now.Sources[i])
	}
	if old != nil {
		c.newer(old, now)
		c.source(old, now)
		c.sum(old, now)
	}
	return c.refusals
}

type checker struct {
	limits   Limits
	refusals []Refusal
}

func (c *checker) refuse(cause source.Cause, from string, format string, args ...any) {
	c.refusals = append(c.refusals, Refusal{Cause: cause, Source: from, Text: fmt.Sprintf(format, args...)})
}

// final refuses what no digest makes good.
func (c *checker) final(cause source.Cause, from string, format string, args ...any) {
	c.refuse(cause, from, format, args...)
	c.refusals[len(c.refusals)-1].Final = true
}

// sound refuses what no limit is needed for. That counts fit one another is package bundle's to see.
func (c *checker) sound(m *bundle.Meta) {
	if !share(c.limits.Shrink) {
		c.final(source.CauseSchema, "", "shrink is %v; it is a share from 0 to 100%%", c.limits.Shrink)
	}
	for i := range m.Sources {
		if s := &m.Sources[i]; s.Entries() == 0 {
			c.final(source.CauseEmpty, s.Name, "none of its %d rows gives an entry; an empty registry is refused, look at its columns and faults", s.Rows)
		}
	}
	if len(m.Sources) == 0 {
		c.final(source.CauseEmpty, "", "the registry has no source; an empty registry is refused")
	}
}

// share reports whether s is one; NaN is none.
func share(s float64) bool { return s >= 0 && s <= 1 }

// readable refuses a source of which more rows than usual could not be read, or lead where none may.
func (c *checker) readable(old, now *bundle.SourceFacts) {
	most := max(Few, int(faultShare*float64(now.Rows)))
	if old == nil { // nothing is better yet, unless it is plainly the wrong file
		most = max(Few, now.Rows/2)
	} else {
		most = max(most, old.Quarantined)
	}
	if n := now.Quarantined; n > most {
		cause, what := source.CauseSchema, "cannot be read"
		if 2*now.UnknownArea > n {
			cause, what = source.CauseUnknownArea, "cannot be read, most for areas that nobody knows: is areas.file newer or older than the source?"
		}
		c.refuse(cause, now.Name, "%d of %d rows %s (at most %d may; max of %d and 0.5%%)", n, now.Rows, what, most, Few)
	}
	if old == nil {
		return
	}
	entries := now.Entries()
	if most := max(Few, int(faultShare*float64(entries)), old.Blocked); now.Blocked > most {
		c.refuse(source.CauseURLPolicy, now.Name, "%d of %d entries lead to targets that are refused (at most %d may; %d did before); see hosts: and allow: of the source",
			now.Blocked, entries, most, old.Blocked)
	}
}

// newer refuses what is older than what is applied.
func (c *checker) newer(old, now *bundle.Meta) {
	if now.Sequence < old.Sequence {
		c.refuse(source.CauseOlder, "", "sequence %d is older than %d, which is applied", now.Sequence, old.Sequence)
	}
	for i := range now.Sources {
		n := &now.Sources[i]
		if o := find(old, n.Name); o != nil && !n.Modified.IsZero() && n.Modified.Before(o.Modified) {
			c.refuse(source.CauseOlder, n.Name, "it is of %s and older than what is applied, of %s", n.Modified.UTC().Format(stamp), o.Modified.UTC().Format(stamp))
		}
	}
}

const stamp = "2006-01-02 15:04:05 UTC"

// source refuses a source that has lost or won too much.
func (c *checker) source(old, now *bundle.Meta) {
	for i := range old.Sources {
		o := &old.Sources[i]
		n := find(now, o.Name)
		if n == nil {
			c.refuse(source.CauseShrunk, o.Name, "it has %d entries in what is applied and is not in the new registry", o.Entries())
			continue
		}
		limit := c.limits.Shrink
		was, is := o.Entries(), n.Entries()
		if tooFew(was, is, limit) {
			c.refuse(source.CauseShrunk, o.Name, "%d entries, %d before (%s fewer, at most %s may be lost)", is, was, percent(was, is), percentOf(limit))
		}
		if was >= enoughToGrow && is > growth*was {
			c.refuse(source.CauseOversized, o.Name, "%d entries, %d before (at most %d times as many may come at once)", is, was, growth)
		}
		for land := range o.Lands {
			was, is := total(&o.Lands[land]), total(&n.Lands[land])
			if is == 0 && (was > Few || was > 0 && inLand(now, land) == 0) || tooFew(was, is, limit) {
				c.refuse(source.CauseShrunkLand, o.Name, "Land %02d has %d entries, %d before (%s fewer, at most %s may be lost)", land, is, was, percent(was, is), percentOf(limit))
			}
		}
	}
}

// sum refuses a registry that has lost too much in all, though each source may have lost little enough.
func (c *checker) sum(old, now *bundle.Meta) {
	if len(c.refusals) > 0 {
		return // whose fault it is has been said
	}
	was, is := old.Entries(), now.Entries()
	if tooFew(was, is, c.limits.Shrink) {
		c.refuse(source.CauseShrunk, "", "%d entries in all, %d before (%s fewer, at most %s may be lost)", is, was, percent(was, is), percentOf(c.limits.Shrink))
	}
	for land := range bundle.Lands {
		was, is := inLand(old, land), inLand(now, land)
		if tooFew(was, is, c.limits.Shrink) {
			c.refuse(source.CauseShrunkLand, "", "Land %02d has %d entries from all sources, %d before (%s fewer, at most %s may be lost)", land, is, was, percent(was, is), percentOf(c.limits.Shrink))
		}
	}
}

// tooFew reports whether more than the share is lost, and more than a few.
func tooFew(was, is int, limit float64) bool {
	return was-is > Few && float64(was-is) > limit*float64(was)
}

func find(m *bundle.Meta, name string) *bundle.SourceFacts {
	if m == nil {
		return nil
	}
	for i := range m.Sources {
		if m.Sources[i].Name == name {
			return &m.Sources[i]
		}
	}
	return nil
}

func total(l *bundle.LandFacts) int { return l.Services + l.Pages }

func inLand(m *bundle.Meta, land int) (n int) {
	for i := range m.Sources {
		n += total(&m.Sources[i].Lands[land])
	}
	return n
}

func percent(was, is int) string { return percentOf(float64(was-is) / float64(was)) }

func percentOf(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }
