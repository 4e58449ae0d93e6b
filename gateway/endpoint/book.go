// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Book keeps the state of all endpoints over reloads, by backend and URL. The zero value is ready. Safe for concurrent
// use, but not for the request path: a snapshot holds the groups it got.
type Book struct {
	events atomic.Pointer[chan Event]
	lost   atomic.Uint64

	mu       sync.Mutex // guards backends
	backends map[string]*known
}

// known is a backend in service.
type known struct {
	backend   *backend
	endpoints map[string]*Endpoint
}

// Options is a backend's endpoints as a configuration describes them.
type Options struct {
	Endpoints []Spec
	Pick      Method
}

// Event is a change of an endpoint's state.
type Event struct {
	Backend  string
	Endpoint *Endpoint
	From, To State
	Why      string // the failure that it was ejected for, or "check"; "" when it comes back
	Serving  int    // endpoints of the backend that are in service now
	Of       int    // of so many
}

// maxEvents is how many events wait to be told.
const maxEvents = 256

// Watch tells f of every change of a state, on a goroutine of its own, until stop is called, which waits for it. Changes
// that come too fast for f are lost and counted. One at a time may watch.
func (k *Book) Watch(f func(Event)) (stop func()) {
	events, done := make(chan Event, maxEvents), make(chan struct{})
	end := make(chan struct{})
	k.events.Store(&events)
	go func() {
		defer close(done)
		for {
			select {
			case e := <-events:
				f(e)
			case <-end:
				for len(events) > 0 { // nobody tells any more
					f(<-events)
				}
				return
			}
		}
	}()
	return func() {
		k.events.Store(nil)
		close(end)
		<-done
	}
}

// tell notes an event; it never waits.
func (k *Book) tell(e Event) {
	if c := k.events.Load(); c != nil {
		select {
		case *c <- e:
		default:
			k.lost.Add(1)
		}
	}
}

// Lost is how many events nobody was told of.
func (k *Book) Lost() uint64 { return k.lost.Load() }

// Group returns a backend's endpoints for a snapshot that is being built. Those that are in service already are the same
// ones; new ones are forgotten again unless the snapshot is put in service.
func (k *Book) Group(name string, o Options) *Group {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := &Group{name: name, pick: o.Pick}
	g.members = g.one[:0]
	before := k.backends[name]
	if before == nil {
		before = &known{backend: &backend{book: k, name: name}}
	}
	for i := range o.Endpoints {
		s := &o.Endpoints[i]
		policy := s.Policy
		policy.Literal = policy.Literal || s.Addresses != nil
		e := before.endpoints[s.URL]
		if e == nil {
			e = &Endpoint{url: s.URL, network: s.Network, host: s.Host, port: s.Port, tls: s.TLS, backend: before.backend}
			e.policy.Store(&policy)
		}
		switch {
		case s.Network == Unix:
			e.SetAddresses(make([]netip.AddrPort, 1))
		case s.Addresses != nil:
			e.SetAddresses(s.Addresses)
		}
		g.members = append(g.members, e)
		g.weights = append(g.weights, max(s.Weight, 1))
		g.policies = append(g.policies, policy)
		g.weight += max(s.Weight, 1)
	}
	return g
}

// Apply keeps what the groups of a new snapshot name, right before the snapshot is put in service, and forgets all
// others. Requests still running elsewhere keep their pointer.
func (k *Book) Apply(groups []*Group) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.backends = make(map[string]*known, len(groups))
	for _, g := range groups {
		own := &known{backend: g.members[0].backend, endpoints: make(map[string]*Endpoint, len(g.members))}
		for i, e := range g.members {
			own.endpoints[e.url] = e
			e.policy.Store(&g.policies[i])
		}
		k.backends[g.name] = own
		own.backend.mu.Lock()
		g.weigh()
		own.backend.mu.Unlock()
	}
}
