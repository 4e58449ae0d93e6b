// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/x509"
	"errors"
	"hash/fnv"
	"hash/maphash"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Options are how links are checked.
type Options struct {
	Dir      string        // of the store and the report
	Agent    string        // User-Agent; it begins with [Agent] and says whom to write to
	Every    time.Duration // a round: each address is asked once in it
	Rate     float64       // requests in a second, to all hosts together
	Pause    time.Duration // between two requests to one host, at least
	Failures int           // in a row, after which a link is stale
	Roots    *x509.CertPool
	// Registry gives what there is to check; nil: nothing yet. Changed is told when there may be another one.
	Registry func() *Registry
	Changed  <-chan struct{}
	Log      *slog.Logger
	// Aside runs what takes a processor for a while where it is in nobody's way; nil: here.
	Aside func(func())

	ask    asking // nil: by HTTP
	noSync bool   // in tests of years
}

const (
	// recheck is when a link that has failed is asked again, at the earliest, and counted again.
	recheck = 24 * time.Hour
	// replan is how often the plan is made anew: other rows are live, and of a sample another place is asked.
	replan = 24 * time.Hour
	// The network is ours, and not theirs, that is silent, where so many checks in a row say so, of so many hosts.
	blindChecks = 20
	blindHosts  = 8
	// storeAgain is how often a store is asked for that another process has.
	storeAgain = time.Second
	// reportRest is how much longer than it takes to make a report no other one is made; reportLeast is the least.
	reportRest  = 60
	reportLeast = 5 * time.Second
)

// Checker checks the links of a registry. Make one with [New].
type Checker struct {
	o     Options
	asker *asker
	store *store
	seed  maphash.Seed

	plan     *plan
	planned  time.Time
	hosts    map[string]*host
	queue    queue
	under    int // checks under way
	outcomes chan outcome
	counts   [results]int // of links that are not simply in order
	silent   int          // checks in a row that heard nothing
	silence  map[string]bool
	dirty    bool // something has changed since the last report
	rested   time.Time

	report   atomic.Pointer[Report]
	requests *atomic.Uint64
}

// host is a host whose links are checked.
type host struct {
	name    string
	site    *site
	state   hostState
	failing int
	after   string    // key of the failing link that was asked last
	pass    time.Time // when its next link is asked
	again   time.Time // when one is that has failed
	busy    bool
	place   int // in the queue; -1 = none
}

// outcome is the end of a check.
type outcome struct {
	host  *host
	link  link
	again bool // of a link that has failed
	verdict
}

// New returns a checker; Run does the rest.
func New(o Options) *Checker {
	if o.Aside == nil {
		o.Aside = func(f func()) { f() }
	}
	if o.ask == nil {
		o.ask = newWire(o.Agent, o.Roots, requestTime).ask
	}
	c := &Checker{o: o, seed: maphash.MakeSeed(), hosts: map[string]*host{}, outcomes: make(chan outcome, maxChecks), silence: map[string]bool{}}
	c.asker = &asker{ask: o.ask, pause: o.Pause, limit: rate.NewLimiter(rate.Limit(o.Rate), 1), slots: make(chan struct{}, maxRequests)}
	c.requests = &c.asker.requests
	return c
}

// Report is what is known; nil as long as this process does not check. Safe for concurrent use.
func (c *Checker) Report() *Report { return c.report.Load() }

// Requests is how many requests were sent. Safe for concurrent use.
func (c *Checker) Requests() uint64 { return c.requests.Load() }

// Run checks until ctx ends. It waits until no other process does.
func (c *Checker) Run(ctx context.Context) (err error) {
	s, err := awaitStore(ctx, c.o.Dir, c.o.noSync)
	if err != nil {
		return err
	}
	c.store, c.asker.robots = s, s
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for c.under > 0 { // they write to the store
			<-c.outcomes
			c.under--
		}
		err = errors.Join(err, s.close())
	}()
	if err := c.look(); err != nil {
		return err
	}
	for {
		if err := c.dispatch(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(time.Until(c.wake()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case out := <-c.outcomes:
			err = c.took(&out)
		case <-c.o.Changed:
			err = c.look()
		case <-timer.C:
		}
		timer.Stop()
		if err != nil {
			return err
		}
		if now := time.Now(); c.dirty && !now.Before(c.rested) {
			err = c.tell()
		} else if now.Sub(c.planned) >= replan {
			err = c.look()
		}
		if err != nil {
			return err
		}
	}
}

// wake is when there is something to do, if nobody says anything before.
func (c *Checker) wake() time.Time {
	at := c.planned.Add(replan)
	if c.dirty && c.rested.Before(at) {
		at = c.rested
	}
	if len(c.queue) > 0 && c.under < maxChecks && c.queue[0].due().Before(at) {
		at = c.queue[0].due()
	}
	return at
}

// look makes the plan anew where there is another registry, or another day.
func (c *Checker) look() error {
	now, r := time.Now(), c.o.Registry()
	if r == nil {
		r = &Registry{}
	}
	if c.plan != nil && c.plan.registry == r && now.Sub(c.planned) < replan {
		return nil
	}
	var err error
	c.o.Aside(func() {
		c.plan, c.planned = newPlan(r, now, c.seed), now
		c.seed = maphash.MakeSeed()
		err = c.settle(now)
	})
	c.dirty = true
	return err
}

// settle brings hosts and store in line with the plan.
func (c *Checker) settle(now time.Time) error {
	err := c.store.sweep(func(host, key string) bool {
		if key == "" {
			return c.plan.hosts[host] != nil
		}
		_, ok := c.plan.find(host, key, "")
		return ok
	}, now)
	if err != nil {
		return err
	}
	c.counts = [results]int{}
	failing := map[string]int{}
	if err := c.store.each(func(host, _ string, r *record) {
		c.counts[r.Result]++
		if r.Result.Fails() {
			failing[host]++
		}
	}); err != nil {
		return err
	}
	c.queue = c.queue[:0]
	for name, h := range c.hosts {
		if h.place = -1; c.plan.hosts[name] == nil && !h.busy {
			delete(c.hosts, name)
		}
	}
	for name, s := range c.plan.hosts {
		h := c.hosts[name]
		if h == nil {
			h = &host{name: name, place: -1}
			if h.state, err = c.store.host(name); err != nil {
				return err
			}
			c.asker.gates.hold(name, h.state.Held)
			c.hosts[name] = h
		}
		h.site, h.failing, h.pass, h.again = s, failing[name], time.Time{}, time.Time{}
		if h.state.Place >= s.n {
			h.state.Place = 0
		}
		c.schedule(h, now)
	}
	return nil
}

// schedule says when a host is asked next: at times that are its own, evenly over the round, whenever this process began. What
// was due and could not be is due still.
func (c *Checker) schedule(h *host, now time.Time) {
	if h.busy || h.site == nil {
		return
	}
	held := c.asker.gates.freed(h.name)
	if h.pass.IsZero() {
		h.pass = slot(h.name, "pass", max(c.o.Every/time.Duration(h.site.n), c.o.Pause), now)
	}
	h.pass = later(h.pass, held)
	switch {
	case h.failing == 0:
		h.again = time.Time{}
	case h.again.IsZero(): // four times as often as one is due: who comes too early costs nothing
		h.again = slot(h.name, "again", max(c.recheck()/4/time.Duration(h.failing), c.o.Pause), now)
		fallthrough
	default:
		h.again = later(h.again, held)
	}
	if h.place < 0 {
		heap.Push(&c.queue, h)
	} else {
		heap.Fix(&c.queue, h.place)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// slot is the next of the times, gap apart, that a host has for something.
func slot(host, what string, gap time.Duration, now time.Time) time.Time {
	h := fnv.New64a()
	_, _ = h.Write([]byte(host + "\x00" + what)) // never fails
	phase := time.Duration(float64(h.Sum64()>>11) / (1 << 53) * float64(gap))
	return now.Add(gap - time.Duration((uint64(now.UnixNano())+uint64(gap)-uint64(phase))%uint64(gap)))
}

// recheck is when a link that has failed is asked again.
func (c *Checker) recheck() time.Duration { return min(recheck, c.o.Every) }

// dispatch begins what is due.
func (c *Checker) dispatch(ctx context.Context) error {
	for now := time.Now(); len(c.queue) > 0 && c.under < maxChecks; {
		h := c.queue[0]
		if h.due().After(now) {
			return nil
		}
		heap.Pop(&c.queue)
		if err := c.turn(ctx, h, now); err != nil {
			return err
		}
		c.schedule(h, now) // unless it is busy now
	}
	return nil
}

// turn asks one link of a host, if one is due.
func (c *Checker) turn(ctx context.Context, h *host, now time.Time) error {
	if !h.again.IsZero() && !h.again.After(now) && (h.again.Before(h.pass) || h.pass.After(now)) {
		key, r, err := c.store.due(h.name, h.after, now)
		h.after, h.again = key, time.Time{}
		if err != nil {
			return err
		}
		if r != nil {
			if l, ok := c.plan.find(h.name, key, sampleURL(r)); ok {
				c.begin(ctx, outcome{host: h, link: l.link, again: true})
			}
			return nil
		}
	}
	if h.pass.After(now) {
		return nil
	}
	h.pass = time.Time{}
	l := c.plan.at(h.site, h.state.Place)
	r, err := c.store.get(h.name, l.key)
	if err != nil {
		return err
	}
	if r != nil && r.Next.After(now) { // it has been asked, and will be
		c.advance(h)
		return c.store.put(h.name, h.state, "", nil)
	}
	if u := sampleURL(r); l.sample && u != "" {
		l.url = u
	}
	c.begin(ctx, outcome{host: h, link: l})
	return nil
}

// sampleURL is that of a sample that is known.
func sampleURL(r *record) string {
	if r == nil {
		return ""
	}
	return r.URL
}

func (c *Checker) begin(ctx context.Context, out outcome) {
	out.host.busy = true
	c.under++
	go func() {
		out.verdict = c.asker.check(ctx, out.link.target)
		c.outcomes <- out
	}()
}

// advance goes to the next link of a host.
func (c *Checker) advance(h *host) {
	if h.state.Place++; h.state.Place >= h.site.n {
		h.state.Place = 0
		if h.state.Rounds < math.MaxUint32 {
			h.state.Rounds++
		}
	}
}

// took notes the end of a check.
func (c *Checker) took(out *outcome) error {
	h, now := out.host, time.Now()
	c.under--
	h.busy = false
	if c.hosts[h.name] != h || c.plan.hosts[h.name] == nil {
		delete(c.hosts, h.name) // it is in no row any more
		return nil
	}
	defer c.schedule(h, now)
	h.state.Held = time.Time{}
	if held := c.asker.gates.freed(h.name); held.Sub(now) > patience {
		h.state.Held = held
	}
	if _, still := c.plan.find(h.name, out.link.key, ""); !still || out.postponed || c.blind(out) { // the plan may be another one by now
		return c.store.put(h.name, h.state, "", nil)
	}
	if !out.again {
		c.advance(h)
	}
	known, err := c.store.get(h.name, out.link.key)
	if err != nil {
		return err
	}
	now = now.Truncate(time.Second)
	r := c.judge(known, out, now)
	if known != nil {
		c.counts[known.Result]--
		if known.Result.Fails() {
			h.failing--
		}
	}
	if r != nil {
		c.counts[r.Result]++
		if r.Result.Fails() {
			h.failing++
		}
	}
	c.dirty = true
	return c.store.put(h.name, h.state, out.link.key, r)
}

// blind says whether a check says nothing, because nobody can be heard from here.
func (c *Checker) blind(out *outcome) bool {
	if !out.Result.silent() {
		if c.silent >= blindChecks && len(c.silence) >= blindHosts {
			c.o.Log.Info("links: somebody answers again")
		}
		c.silent = 0
		clear(c.silence)
		return false
	}
	was := c.silent >= blindChecks && len(c.silence) >= blindHosts
	c.silent++
	if len(c.silence) < blindHosts {
		c.silence[out.host.name] = true
	}
	is := c.silent >= blindChecks && len(c.silence) >= blindHosts
	if is && !was {
		c.o.Log.Warn("links: nobody answers, so nothing is said of anybody; can this machine reach the web?")
	}
	return is
}

// judge says what is known of a link after a check; nil: it is in order.
func (c *Checker) judge(known *record, out *outcome, now time.Time) *record {
	if out.Result == OK {
		return nil
	}
	r := &record{verdict: out.verdict, At: now}
	if out.link.sample {
		r.URL = out.link.url
	}
	if !out.Result.Fails() {
		return r
	}
	r.Failures, r.Since = 1, now
	if known != nil && known.Result.Fails() {
		r.Failures, r.Since = known.Failures+1, known.Since
		if now.Before(known.Next) { // too early to count
			r.Failures = known.Failures
		}
	}
	wait := c.recheck()
	for range min(max(r.Failures-c.o.Failures, 0), 16) { // a stale one is asked less and less
		wait = min(2*wait, c.o.Every)
	}
	r.Next = now.Add(max(wait, c.recheck()))
	return r
}

// due is when a host is to be asked.
func (h *host) due() time.Time {
	if h.again.IsZero() || h.pass.Before(h.again) {
		return h.pass
	}
	return h.again
}

// queue is a heap of hosts by when they are due.
type queue []*host

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].due().Compare(q[j].due()), cmp.Compare(q[i].name, q[j].name)) < 0
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	h := x.(*host)
	h.place = len(*q)
	*q = append(*q, h)
}

func (q *queue) Pop() any {
	old := *q
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*q, h.place = old[:len(old)-1], -1
	return h
}
