// SPDX-License-Identifier: EUPL-1.2

// Package dns follows the addresses of endpoints that are named, beside the loops: no request waits for a name.
//
// The calls you want: [Resolver.Resolve] while a configuration is built, and [Resolver.Follow] once it is in service. A
// good answer is asked for again before its time is over, and stays, however old, until a better one comes: that servers
// are silent, fail, or do not know the name any more takes no portal away.
//
// It deliberately does not judge addresses: that is done at each connect, by [registry.AddressPolicy].
package dns

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/message"
)

const (
	// minTTL and maxTTL bound how long an answer is good: less would load the servers, more would keep clients from a
	// portal that has moved.
	minTTL, maxTTL = time.Second, 5 * time.Minute
	// minRetry and maxRetry bound the pause after a look-up that failed; it doubles.
	minRetry, maxRetry = time.Second, 30 * time.Second
	// lookupTime bounds one look-up: with the usual resolv.conf, one silent server of two is survived.
	lookupTime = 20 * time.Second
	// lookups is how many may be under way at once.
	lookups = 32
	// maxAddresses bounds what is kept of an answer.
	maxAddresses = 32
	// maxReplies bounds the messages that are read along: tries of both families over a search list.
	maxReplies = 64
)

// Options configures a [Resolver].
type Options struct {
	// Lookup asks for addresses; nil: as this machine does, see [System].
	Lookup Lookup
	// Log is told when a name begins or ceases to be a problem; nil: nobody is.
	Log *slog.Logger
}

// Resolver follows names. Safe for concurrent use, but not on a loop.
type Resolver struct {
	options Options
	slots   chan struct{}
	ctx     context.Context // of the look-ups under way
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex       // guards what follows, and all names
	names  map[string]*name // that are followed
	fresh  map[string]*name // that Resolve has just asked for, until Follow
	counts [Results]uint64
	closed bool
}

// name is a host that is followed.
type name struct {
	host      string
	endpoints []*endpoint.Endpoint
	answer    Answer    // the last good one
	answered  time.Time // zero: there was none
	err       error     // of the last look-up
	failures  int       // since the last good answer
	next      time.Duration
	timer     *time.Timer // runs out after next; nil while not followed
}

// New returns a resolver that follows nothing yet. Close it.
func New(o Options) *Resolver {
	if o.Lookup == nil {
		o.Lookup = System(nil)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Resolver{options: o, slots: make(chan struct{}, lookups), names: map[string]*name{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close ends all look-ups and waits for them. The endpoints keep their addresses.
func (r *Resolver) Close() {
	r.cancel()
	r.mu.Lock()
	r.closed = true
	for _, n := range r.names {
		n.stop()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// named says whether an endpoint's address is to be asked for.
func named(e *endpoint.Endpoint) bool {
	if e.Network() != endpoint.TCP {
		return false
	}
	_, err := netip.ParseAddr(e.Host())
	return err != nil
}

// Resolve stores addresses into endpoints that are named and not in service yet, as far as answers come before ctx ends.
// It returns why not, by endpoint.
func (r *Resolver) Resolve(ctx context.Context, endpoints []*endpoint.Endpoint) map[*endpoint.Endpoint]error {
	byHost := map[string][]*endpoint.Endpoint{}
	failed := map[*endpoint.Endpoint]error{}
	r.mu.Lock()
	r.fresh = map[string]*name{}
	for _, e := range endpoints {
		if !named(e) {
			continue
		}
		if n := r.names[e.Host()]; n == nil {
			byHost[e.Host()] = append(byHost[e.Host()], e)
		} else if n.store(e); n.answered.IsZero() {
			failed[e] = n.err
		}
	}
	r.mu.Unlock()
	var asking sync.WaitGroup
	for host, of := range byHost {
		asking.Go(func() {
			n := &name{host: host, endpoints: of}
			a, err := r.lookup(ctx, host)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.fresh[host] = n
			if r.took(n, a, err); err != nil {
				for _, e := range of {
					failed[e] = err
				}
			}
		})
	}
	asking.Wait()
	return failed
}

// Follow keeps the addresses of these endpoints fresh from now on, and those of no others.
func (r *Resolver) Follow(endpoints []*endpoint.Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	was := r.names
	r.names = map[string]*name{}
	for _, e := range endpoints {
		if !named(e) {
			continue
		}
		n := r.names[e.Host()]
		if n == nil {
			n = cmp.Or(was[e.Host()], r.fresh[e.Host()], &name{host: e.Host(), next: minRetry})
			n.endpoints = nil
			r.names[e.Host()] = n
		}
		n.endpoints = append(n.endpoints, e)
	}
	for host, n := range was {
		if r.names[host] != n {
			n.stop()
		}
	}
	for _, n := range r.names {
		for _, e := range n.endpoints {
			n.store(e)
		}
		if n.timer == nil {
			n.timer = time.AfterFunc(n.next, func() { r.refresh(n) })
		}
	}
	r.fresh = nil
}

func (n *name) stop() {
	if n.timer != nil {
		n.timer.Stop()
	}
}

// refresh asks for a name again.
func (r *Resolver) refresh(n *name) {
	r.mu.Lock()
	if r.closed || r.names[n.host] != n {
		r.mu.Unlock()
		return
	}
	r.running.Add(1)
	r.mu.Unlock()
	defer r.running.Done()
	ctx, cancel := context.WithTimeout(r.ctx, lookupTime)
	defer cancel()
	a, err := r.lookup(ctx, n.host)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.names[n.host] != n {
		return
	}
	r.took(n, a, err)
	n.timer.Reset(n.next)
}

// lookup asks when a slot is free.
func (r *Resolver) lookup(ctx context.Context, host string) (Answer, error) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	defer func() { <-r.slots }()
	return r.options.Lookup(ctx, host)
}

// took takes what a look-up brought. The caller holds mu.
func (r *Resolver) took(n *name, a Answer, err error) {
	r.counts[resultOf(err)]++
	switch {
	case err != nil:
		if n.failures == 0 {
			r.options.Log.Warn("a name does not resolve", "name", n.host, "error", err.Error(), "addresses_kept", len(n.answer.Addresses))
		}
		n.err = err
		n.next = jitter(min(minRetry<<min(n.failures, 10), maxRetry))
		n.failures++
	default:
		if n.failures > 0 {
			r.options.Log.Info("a name resolves again", "name", n.host)
		}
		n.merge(a)
		n.answered, n.err, n.failures = time.Now(), nil, 0
		n.next = jitter(n.answer.TTL)
	}
	for _, e := range n.endpoints {
		n.store(e)
	}
}

// merge takes a good answer. Of a family that nobody could be asked for, what is known stays.
func (n *name) merge(a Answer) {
	a.TTL = max(minTTL, min(a.TTL, maxTTL))
	if a.NoFour || a.NoSix {
		for _, old := range n.answer.Addresses {
			if old.Is4() && a.NoFour || old.Is6() && a.NoSix {
				a.Addresses = append(a.Addresses, old)
			}
		}
		a.Addresses = order(a.Addresses)
	}
	n.answer = a
}

// store gives an endpoint what is known.
func (n *name) store(e *endpoint.Endpoint) {
	if n.answered.IsZero() {
		if n.err != nil {
			e.SetUnresolved(faultOf(n.err))
		}
		return
	}
	addresses := make([]netip.AddrPort, len(n.answer.Addresses))
	for i, a := range n.answer.Addresses {
		addresses[i] = netip.AddrPortFrom(a, e.Port())
	}
	if !slices.Equal(addresses, e.Addresses()) { // connections are kept as long as the list is the same
		e.SetAddresses(addresses)
	}
}

// jitter shortens a time by 5 to 25 %, so that answers are renewed ahead and names do not march in step.
func jitter(d time.Duration) time.Duration {
	return d - d/20 - rand.N(d/5) //nolint:gosec // nothing depends on it
}

func faultOf(err error) message.Fault {
	if resultOf(err) == TimedOut {
		return message.FaultDNSTimeout
	}
	return message.FaultDNS
}

// Result is how a look-up ended.
type Result uint8

// The results, and how many there are.
const (
	Good     Result = iota
	NotFound        // the name has no address (NXDOMAIN, or no record of either type)
	Failed          // servers answered that they cannot (SERVFAIL, REFUSED), or nonsense
	TimedOut        // no server answered in time
	Results
)

// String returns the word used in metrics.
func (r Result) String() string {
	return [Results]string{"good", "not_found", "failed", "timeout"}[r]
}

func resultOf(err error) Result {
	var told *net.DNSError
	switch {
	case err == nil:
		return Good
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &told) && told.IsTimeout:
		return TimedOut
	case told != nil && told.IsNotFound:
		return NotFound
	}
	return Failed
}

// Stats is a reading.
type Stats struct {
	Lookups [Results]uint64
	Names   []NameStats // sorted
}

// NameStats is what is known of one name.
type NameStats struct {
	Host      string
	Addresses []netip.Addr
	Age       time.Duration // of the answer; 0 without one
	TTL       time.Duration // for which it was good
	Err       error         // of the last look-up; with addresses, these are stale
}

// Stats says what is followed, and how that goes.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Lookups: r.counts}
	for _, n := range r.names {
		st := NameStats{Host: n.host, Addresses: n.answer.Addresses, TTL: n.answer.TTL, Err: n.err}
		if !n.answered.IsZero() {
			st.Age = time.Since(n.answered)
		}
		s.Names = append(s.Names, st)
	}
	slices.SortFunc(s.Names, func(a, b NameStats) int { return cmp.Compare(a.Host, b.Host) })
	return s
}
