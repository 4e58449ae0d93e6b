// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"time"

	"github.com/pvgate/pvgate/gateway/prefetch"
)

// Method is how an endpoint is chosen among those in service.
type Method uint8

// The methods.
const (
	// LeastLoad compares two at random by what is in flight there and how fast they answer.
	LeastLoad  Method = iota
	RoundRobin        // one after the other
	Weighted          // at random, by their weights
)

// None is the place of no endpoint.
const None = -1

// A peak of latency counts half as much after half; below fast nobody is better than another.
const (
	half = int64(500 * time.Millisecond)
	fast = int64(100 * time.Microsecond)
)

// Wish says what is asked of Pick.
type Wish struct {
	Now  int64  // loop time
	Turn uint64 // counts the picks of who asks
	// Safe says that the request may be sent a second time: it is the one to find out whether who was out is back.
	Safe bool
	// Stay is the place of the endpoint that the client was at before, plus one; 0: none.
	Stay int
	// Not is the place of an endpoint that has failed this request, plus one; 0: none has.
	Not int
}

// Pick returns the place of the endpoint at which a request is tried first, None if no endpoint is in service.
func (g *Group) Pick(w Wish) int {
	if len(g.members) > 1 {
		return g.choose(w)
	}
	if w.Not == 1 {
		return None
	}
	if e := g.members[0]; State(e.state.Load()) == InService || e.serves(w.Now) || e.try(w.Now, true) {
		return 0
	}
	return None
}

// How many octets every request touches of an Endpoint, to the end of policy, and of a Group, to the end of one.
const touched, touchedOfGroup = 40, 32

// Expect asks the memory for what Pick and those that follow it will touch of a group with one member.
func (g *Group) Expect() { prefetch.First(g, touchedOfGroup) }

// Expect asks the memory for what a request touches.
func (e *Endpoint) Expect() { prefetch.First(e, touched) }

// choose is Pick among several.
func (g *Group) choose(w Wish) int {
	if w.Stay > 0 && w.Stay <= len(g.members) && w.Stay != w.Not {
		e := g.members[w.Stay-1]
		if State(e.state.Load()) <= Returning || e.serves(w.Now) || e.try(w.Now, true) {
			return w.Stay - 1
		}
	}
	n, random := len(g.members), mix(w.Turn)
	first := int(random % uint64(n))
	switch g.pick {
	case RoundRobin:
		first = int(w.Turn % uint64(n))
	case Weighted:
		first = g.byWeight(random)
	case LeastLoad:
		other := (first + 1 + int(random>>32%uint64(n-1))) % n
		if g.cost(other, w) < g.cost(first, w) {
			first = other
		}
	}
	for i := range n {
		at := (first + i) % n
		if e := g.members[at]; at+1 != w.Not && (e.serves(w.Now) || e.try(w.Now, w.Safe)) {
			return at
		}
	}
	for at, e := range g.members {
		if at+1 != w.Not && e.try(w.Now, true) {
			return at
		}
	}
	return None
}

// Enter counts a request that is tried at the endpoint at a place, from the loop time now on.
func (g *Group) Enter(place int, now int64) {
	e := g.members[place]
	if e.inFlight.Add(1) == 1 && len(g.members) > 1 {
		e.observe(0, now)
	}
}

// Serves reports whether the endpoint at a place takes a request that another could not be reached for.
func (g *Group) Serves(place int, now int64) bool { return g.members[place].serves(now) }

// cost is how long a request would wait at an endpoint, in proportion.
func (g *Group) cost(place int, w Wish) int64 {
	e := g.members[place]
	if !e.serves(w.Now) {
		if e.due(w.Now, w.Safe) {
			return -1 // once; it will be out again, or back
		}
		return 1 << 62
	}
	load := e.inFlight.Load()
	wait := e.recent(w.Now)
	if load > 0 {
		wait = max(wait, w.Now-e.heard.Load()) // it is slower now than it was
	}
	wait = min(max(wait, fast), int64(time.Hour))
	return (load + 1) * wait / int64(g.weights[place])
}

// recent is the latency of late, ns.
func (e *Endpoint) recent(now int64) int64 {
	since := max(now-e.heard.Load(), 0)
	l := e.latency.Load() >> min(since/half, 62)
	return l - int64(float64(l/2)*float64(since%half)/float64(half))
}

// observe notes how long an answer took.
func (e *Endpoint) observe(latency, now int64) {
	e.latency.Store(max(latency, e.recent(now)))
	e.heard.Store(now)
}

// byWeight chooses in proportion to the weights.
func (g *Group) byWeight(random uint64) int {
	left := int(random % uint64(g.weight))
	for i, w := range g.weights {
		if left -= w; left < 0 {
			return i
		}
	}
	return 0
}

// mix makes a number that looks random of a counter (the finisher of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
