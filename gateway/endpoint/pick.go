// SPDX-License-Identifier: EUPL-1.2

package endpoint

import "time"

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

// fade is how long a peak of latency is remembered, and fast the latency below which nobody is better than another.
const (
	fade = 10 * int64(time.Second)
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
}

// Pick returns the place of the endpoint at which a request is tried first, None if no endpoint is in service.
func (g *Group) Pick(w Wish) int {
	if len(g.members) > 1 {
		return g.choose(w)
	}
	if e := g.members[0]; State(e.state.Load()) == InService || e.serves(w.Now) || e.try(w.Now, true) {
		return 0
	}
	return None
}

// choose is Pick among several.
func (g *Group) choose(w Wish) int {
	if w.Stay > 0 && w.Stay <= len(g.members) {
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
		if e := g.members[at]; e.serves(w.Now) || e.try(w.Now, w.Safe) {
			return at
		}
	}
	for at, e := range g.members {
		if e.try(w.Now, true) {
			return at
		}
	}
	return None
}

// Enter counts a request that is tried at the endpoint at a place, from the loop time now on.
func (g *Group) Enter(place int, now int64) {
	e := g.members[place]
	if e.inFlight.Add(1) == 1 && len(g.members) > 1 {
		e.heard.Store(now)
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
	wait := e.latency.Load()
	since := w.Now - e.heard.Load()
	if load > 0 {
		wait = max(wait, since) // it is slower now than it was
	} else {
		wait = wait * max(fade-since, 0) / fade
	}
	wait = min(max(wait, fast), int64(time.Hour))
	return (load + 1) * wait / int64(g.weights[place])
}

// observe notes how long an answer took.
func (e *Endpoint) observe(latency, now int64) {
	old := e.latency.Load()
	if since := now - e.heard.Load(); latency < old && since < fade {
		latency = old - (old-latency)*max(since, fade/256)/fade
	}
	e.latency.Store(latency)
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
