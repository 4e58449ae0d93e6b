// SPDX-License-Identifier: EUPL-1.2

package endpoint

import "time"

// State is how an endpoint stands.
type State uint32

// The states.
const (
	InService State = iota
	// Returning is in service with a window of requests that every good answer widens: whoever has just come back is not
	// overrun.
	Returning
	// Outlier is out for what it answers. At most half of a backend's endpoints are, and when less than half are in
	// service these are tried all the same: a bad answer is better than none.
	Outlier
	// Ejected is out because it cannot be reached or does not answer. For a backend with one endpoint this is the
	// circuit breaker.
	Ejected
	// Unhealthy is out because the active checks say so.
	Unhealthy
	States // how many there are
)

// String returns the word used in logs and by status.
func (s State) String() string {
	return [States]string{"in_service", "returning", "outlier", "ejected", "unhealthy"}[s]
}

// Failure is what a request at an endpoint came to, if it came to no good. Want of descriptors, ports or memory of ours,
// and a client that leaves, are none of these.
type Failure uint8

// The failures.
const (
	Unreachable Failure = iota // no connection: refused, too slow, or TLS failed
	Silent                     // a connection, but no answer in time
	Broken                     // the answer ended before its head had, or was none
	ServerError                // an answer that says that the server failed (5xx)
	Failures                   // how many there are
)

// String returns the word used in logs.
func (f Failure) String() string {
	return [Failures]string{"unreachable", "silent", "broken", "server_error"}[f]
}

// An endpoint is ejected when the weights of its failures in a row come to enough: three connects, or five others.
const enough = 15

func (f Failure) weight() int32 {
	if f == Unreachable {
		return enough / 3
	}
	return enough / 5
}

// soft reports that whoever fails so still answers.
func (f Failure) soft() bool { return f >= Broken }

const (
	// ejectFor is how long an endpoint is out at first; each further time doubles it up to ejectMost, so that one which
	// is back is found soon. After calm in service it begins anew.
	ejectFor  = int64(time.Second)
	ejectMost = 5 * int64(time.Second)
	calm      = 60 * int64(time.Second)
	// trial is how long a request that is tried at an endpoint that is out keeps others from being tried.
	trial = int64(time.Second)
	// patience is how long a request that is safe to repeat is waited for to be tried.
	patience = 10 * int64(time.Second)
	// firstWindow is how many requests an endpoint that returns gets at once; it is back in service when it has room
	// for lastWindow, or after returnMost.
	firstWindow = 2
	lastWindow  = 64
	returnMost  = 10 * int64(time.Second)
)

// State returns the state, and the loop time at which it began.
func (e *Endpoint) State() (s State, since int64) { return State(e.state.Load()), e.since.Load() }

// Epoch changes when an endpoint is ejected: connections from before are not used again.
func (e *Endpoint) Epoch() uint32 { return e.epoch.Load() }

// serves reports whether an endpoint takes a request at the loop time now.
func (e *Endpoint) serves(now int64) bool {
	switch State(e.state.Load()) {
	case InService:
		return true
	case Returning:
		return e.inFlight.Load() < e.window.Load() || now >= e.until.Load()
	case Outlier:
		return e.backend.fear.Load()
	}
	return false
}

// due reports whether an endpoint that is out should be tried with a request at the loop time now; better with one that
// is safe to repeat, as long as there are such.
func (e *Endpoint) due(now int64, safe bool) bool {
	if s := State(e.state.Load()); s != Outlier && s != Ejected {
		return false
	}
	until := e.until.Load()
	return now >= until && (safe || now >= until+patience)
}

// try takes the right to try an endpoint that is due; one request at a time has it. It lapses if nothing comes of it.
func (e *Endpoint) try(now int64, safe bool) bool {
	until := e.until.Load()
	return e.due(now, safe) && e.until.CompareAndSwap(until, now+trial)
}

// Succeed says that the endpoint at a place gave a good answer to a request of loop time began; latency is how long it
// took for that, ns.
func (g *Group) Succeed(place int, began, now, latency int64) {
	e := g.members[place]
	if len(g.members) > 1 {
		e.observe(latency, now)
	}
	if e.failures.Load() != 0 {
		e.failures.Store(0)
	}
	if State(e.state.Load()) != InService {
		e.backend.recover(g, e, began, now)
	}
}

// Fail says that a request of loop time began came to nothing at the endpoint at a place.
func (g *Group) Fail(place int, f Failure, began, now int64) {
	e := g.members[place]
	if len(g.members) > 1 {
		if f == Silent {
			e.observe(now-began, now) // or who says nothing would be the one with least to do
		}
		e.heard.Store(now)
	}
	switch s := State(e.state.Load()); {
	case s == Unhealthy:
	case s == Outlier || s == Ejected || e.failures.Add(f.weight()) >= enough || s == Returning && f != ServerError:
		e.backend.eject(g, e, f, began, now)
	}
}

// recover brings an endpoint back that has given a good answer.
func (b *backend) recover(g *Group, e *Endpoint, began, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch State(e.state.Load()) {
	case Outlier, Ejected:
		if began >= e.ejected.Load() { // else it is from better days
			b.comeBack(g, e, now)
		}
	case Returning:
		if w := e.window.Add(1); w >= lastWindow || now >= e.until.Load() {
			b.enter(g, e, InService, now, "")
		}
	}
}

// comeBack begins the slow start.
func (b *backend) comeBack(g *Group, e *Endpoint, now int64) {
	e.failures.Store(0)
	e.window.Store(firstWindow)
	e.until.Store(now + returnMost)
	b.enter(g, e, Returning, now, "")
}

// eject takes an endpoint out that has failed, or keeps it out for longer.
func (b *backend) eject(g *Group, e *Endpoint, f Failure, began, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := State(e.state.Load())
	if was == Unhealthy || (was == Outlier || was == Ejected) && began < e.ejected.Load() {
		return // somebody else has found out
	}
	to := Ejected
	if f.soft() {
		if to = Outlier; was != Outlier && 2*(g.count(Outlier)+1) > len(g.members) {
			e.failures.Store(0)
			if was == Ejected { // it answers again, badly
				b.comeBack(g, e, now)
			}
			return
		}
	}
	if was == InService && now-e.since.Load() > calm {
		e.times = 0
	}
	e.failures.Store(0)
	e.ejected.Store(now)
	e.until.Store(now + min(ejectFor<<e.times, ejectMost))
	e.times = min(e.times+1, 8)
	e.epoch.Add(1)
	if was != to {
		b.enter(g, e, to, now, f.String())
	}
}

// Checked says what the active checks found: an endpoint that is not healthy is out until it is. answers reports that
// they have seen an answer, which ends an ejection too.
func (g *Group) Checked(place int, healthy, answers bool, now int64) {
	e := g.members[place]
	b := e.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s := State(e.state.Load()); {
	case !healthy && s != Unhealthy:
		e.epoch.Add(1)
		b.enter(g, e, Unhealthy, now, "check")
	case healthy && (s == Unhealthy || s == Ejected && answers):
		b.comeBack(g, e, now)
	}
}

// enter changes the state. The caller holds mu.
func (b *backend) enter(g *Group, e *Endpoint, s State, now int64, why string) {
	from := State(e.state.Load())
	e.state.Store(uint32(s))
	if s == Returning || from <= Returning { // how long it has been out is told, whatever for
		e.since.Store(now)
	}
	serving := g.weigh()
	b.book.tell(Event{Backend: b.name, Endpoint: e, From: from, To: s, Why: why, Serving: serving, Of: len(g.members)})
}

// weigh counts who is in service, and finds out whether that is too few.
func (g *Group) weigh() (serving int) {
	for _, e := range g.members {
		if State(e.state.Load()) <= Returning {
			serving++
		}
	}
	if len(g.members) > 0 {
		g.members[0].backend.fear.Store(2*serving < len(g.members))
	}
	return serving
}

func (g *Group) count(s State) (n int) {
	for _, e := range g.members {
		if State(e.state.Load()) == s {
			n++
		}
	}
	return n
}

// Serving is how many endpoints are in service; of those that are out for their answers it counts such as are tried all
// the same.
func (g *Group) Serving() (n int) {
	for _, e := range g.members {
		if s := State(e.state.Load()); s <= Returning || s == Outlier && e.backend.fear.Load() {
			n++
		}
	}
	return n
}

// Down says since what loop time no endpoint has been in service, and at what loop time one will be tried, 0 if that is
// not known.
func (g *Group) Down() (since, next int64) {
	for _, e := range g.members {
		since = max(since, e.since.Load())
		if s := State(e.state.Load()); s == Outlier || s == Ejected {
			if u := e.until.Load(); next == 0 || u < next {
				next = u
			}
		}
	}
	return since, next
}
