// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/routing"
)

// What no bulk source knows is asked of the sources that are there for that (R15), through their caches. What a cache has
// is taken at once; for the rest the exchange waits, and comes again with what was heard.

// Lookup is a source that is asked for one key at a time.
type Lookup struct {
	Source int // place in routing.Input.Sources
	Cache  *lookup.Cache
}

// inquiry is what one request looks up, key by key; it implements exchange.Lookup. It is the loop's, except that answers
// come on any thread: what they write the loop reads after done's message.
type inquiry struct {
	s      *Surface
	said   []routing.Lookup // of keys that were asked before
	key    lookup.Key       // that is being asked
	caches []*lookup.Cache  // of those who are asked
	heard  []heard          // by cache
	left   atomic.Int32     // answers that are to come
	// context says that the route is found, and its destination is asked for.
	context bool
}

// heard is what one source says.
type heard struct {
	answer *lookup.Answer
	result lookup.Result
	waiter *lookup.Waiter
}

// lookUp answers a decision that has to wait, as far as that can be done now. It reports false if it cannot, or if there is
// no answer: then the plan says so.
func (c *call) lookUp(k *keys, q *routing.Query, d routing.Decision) (routing.Decision, bool) {
	in := c.inquired()
	if len(in.said) > 0 {
		c.table = c.s.table.With(q.Area, in.said)
		d = c.table.Resolve(q)
	}
	for d.Verdict == routing.Pending {
		if d.Key != in.key.Leistung { // else it was asked before the exchange waited
			in.ask(c.s.routes, d.Key, c.s.table.Areas().ARS(q.Area))
		}
		if !c.heard(k, in) {
			return d, false
		}
		c.table = c.s.table.With(q.Area, in.take())
		d = c.table.Resolve(q)
	}
	return d, true
}

// inquired is the request's inquiry, from before it waited or new.
func (c *call) inquired() *inquiry {
	if c.in == nil {
		if c.in, _ = c.r.Lookup.(*inquiry); c.in == nil {
			c.in = &inquiry{s: c.s}
		}
	}
	return c.in
}

// heard reports whether all who were asked have an answer. Else the request waits, or is told that there is none.
func (c *call) heard(k *keys, in *inquiry) bool {
	switch in.result() {
	case lookup.Wait:
		c.p.Lookup = in
		c.tellAsked(k)
		return false
	case lookup.Failed, lookup.Budget:
		c.tellAsked(k)
		c.refuse(reason.RegistryUnavailable, exchange.Detail{Backend: -1}, k)
		return false
	default:
		return true
	}
}

// destination looks up the destination that a target wants, for a Gemeinde, and asks the table again where it was refused for
// want of it. It reports false as lookUp does.
func (c *call) destination(k *keys, q *routing.Query, d *routing.Decision) bool {
	area := c.s.table.Areas().ARS(q.Area)
	if !k.haveArea || area.Level() != registry.LevelGemeinde || !c.table.WantsDestination(q, d) {
		return true
	}
	in := c.inquired()
	if !in.context { // else it was asked before the exchange waited
		in.context = true
		in.ask(c.s.contexts, answered(q, d), area)
	}
	if !c.heard(k, in) {
		return false
	}
	answers := make([]*lookup.Answer, 0, len(in.heard))
	for i := range in.heard {
		answers = append(answers, in.heard[i].answer)
	}
	q.Destination = lookup.Destination(answers...).DestinationID
	if d.Verdict == routing.TargetRefused && q.Destination != "" {
		*d = c.table.Resolve(q)
	}
	return true
}

// tellAsked notes what is asked, for a page that the exchange may want of us.
func (c *call) tellAsked(k *keys) {
	at := len(c.p.Scratch)
	c.p.Scratch = k.leistung.Append(c.p.Scratch)
	c.p.Leistung = c.p.Scratch[at:len(c.p.Scratch):len(c.p.Scratch)]
	if k.haveArea {
		c.tellArea(c.s.table.Areas().ARS(k.area))
	}
}

// ask takes what the caches have of a key.
func (in *inquiry) ask(caches []*lookup.Cache, key registry.Leistung, area registry.ARS) {
	in.caches, in.key = caches, lookup.Key{Leistung: key, Area: area}
	in.heard = make([]heard, len(caches))
	for i, cache := range caches {
		h := &in.heard[i]
		h.answer, h.result = cache.Get(in.key)
	}
}

// names are those of sources, for people.
func names(caches []*lookup.Cache) string {
	var all []string
	for _, c := range caches {
		all = append(all, c.Name())
	}
	return strings.Join(all, ", ")
}

// sources names those who are asked.
func (in *inquiry) sources() string {
	if in.context {
		return in.s.contextSources
	}
	return in.s.routeSources
}

// result is what all sources together have come to: one that fails keeps the others from answering, for it may have known
// something more local.
func (in *inquiry) result() lookup.Result {
	worst := lookup.Hit
	for i := range in.heard {
		worst = max(worst, in.heard[i].result)
	}
	return worst
}

// take turns what was heard into rows.
func (in *inquiry) take() []routing.Lookup {
	one := routing.Lookup{Leistung: in.key.Leistung}
	for i := range in.heard {
		if a := in.heard[i].answer; a != nil && len(a.Entries) > 0 {
			one.Rows = append(one.Rows, routing.LookupRows{Source: in.s.lookups[i].Source, Entries: a.Entries})
		}
	}
	in.said = append(in.said, one)
	return in.said
}

// Want asks the sources whose caches have no answer.
func (in *inquiry) Want(from netip.Prefix, done func()) bool {
	in.left.Store(1) // until all have been asked
	for i := range in.heard {
		h := &in.heard[i]
		if h.result != lookup.Wait {
			continue
		}
		in.left.Add(1)
		a, r, w := in.caches[i].Want(in.key, from, func(a *lookup.Answer, r lookup.Result) {
			h.answer, h.result = a, r
			if in.left.Add(-1) == 0 {
				done()
			}
		})
		if h.waiter = w; w == nil {
			h.answer, h.result = a, r
			in.left.Add(-1)
		}
	}
	return in.left.Add(-1) > 0
}

// Cancel gives the places at the sources back.
func (in *inquiry) Cancel() bool {
	never := false
	for i := range in.heard {
		if w := in.heard[i].waiter; w != nil && w.Cancel() {
			never = true
		}
	}
	return never
}
