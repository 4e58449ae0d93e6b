// SPDX-License-Identifier: EUPL-1.2

// Package health asks endpoints now and then how they are, beside the requests and off the loops.
//
// The calls you want: [New], [Checker.Apply] when a snapshot is put in service, and [Checker.Close], which waits for all
// goroutines. What is found is told to [endpoint.Group.Checked].
//
// It deliberately follows no redirect, keeps no connection and reads nothing of an answer but its head: whoever has to be
// asked more needs a path of its own for it.
package health

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
)

const (
	// fall is how many checks in a row must fail until an endpoint is out, rise how many must be good until it is back.
	fall = 3
	rise = 2
	// most is how many checks run at the same time.
	most = 64
	// A check may take as long as there is between two, but not less than shortest nor more than longest.
	shortest = time.Second
	longest  = 5 * time.Second
	// maxHead bounds the head of an answer, octets.
	maxHead = 64 << 10
)

// Check says how the endpoints of a backend are asked.
type Check struct {
	// Path is asked for by GET; every status from 200 to 399 is good. Empty: a connection is good enough.
	Path  string
	Host  string // of the request
	Every time.Duration
}

// Target is a backend whose endpoints are checked.
type Target struct {
	Group *endpoint.Group
	Check Check
	// TLS returns what connections are secured with; nil: they are not.
	TLS func() *tls.Config
}

// Checker checks what Apply says. Safe for concurrent use.
type Checker struct {
	now   func() int64
	slots chan struct{}
	all   sync.WaitGroup

	mu      sync.Mutex // guards what stands below
	running map[*endpoint.Endpoint]*runner
	closed  bool
}

// New returns a checker that has nothing to do. now is the time that the loops have.
func New(now func() int64) *Checker {
	return &Checker{now: now, slots: make(chan struct{}, most), running: map[*endpoint.Endpoint]*runner{}}
}

// runner checks one endpoint.
type runner struct {
	checker  *Checker
	endpoint *endpoint.Endpoint
	check    Check
	at       atomic.Pointer[seat]
	cancel   context.CancelFunc
	done     chan struct{}
	streak   int // checks in a row of one kind: good ones positive
}

// seat is where a runner's endpoint stands in the snapshot in service.
type seat struct {
	group *endpoint.Group
	place int
	tls   func() *tls.Config
}

// Apply checks from now on what targets name, and nothing else. Who is not checked any more is taken for healthy.
func (c *Checker) Apply(targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	old := c.running
	c.running = map[*endpoint.Endpoint]*runner{}
	for i := range targets {
		t := &targets[i]
		for place := range t.Group.Len() {
			e := t.Group.At(place)
			r := old[e]
			if r != nil && r.check == t.Check {
				r.at.Store(&seat{t.Group, place, t.TLS})
				delete(old, e)
			} else {
				r = &runner{checker: c, endpoint: e, check: t.Check, done: make(chan struct{})}
				r.at.Store(&seat{t.Group, place, t.TLS})
			}
			c.running[e] = r
		}
	}
	for _, r := range old {
		r.stop()
		if c.running[r.endpoint] == nil {
			s := r.at.Load()
			s.group.Checked(s.place, true, false, c.now())
		}
	}
	for _, r := range c.running {
		if r.cancel == nil {
			ctx, cancel := context.WithCancel(context.Background())
			r.cancel = cancel
			c.all.Go(func() { r.run(ctx) })
		}
	}
}

// Close ends all checks and waits for them.
func (c *Checker) Close() {
	c.mu.Lock()
	c.closed = true
	for _, r := range c.running {
		r.cancel()
	}
	c.mu.Unlock()
	c.all.Wait()
}

func (r *runner) stop() {
	r.cancel()
	<-r.done
}

// run checks until ctx ends. The checks of many endpoints, and of many gateways, are spread over the time between two.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	wait := time.Duration(rand.Int64N(int64(r.check.Every))) //nolint:gosec // nothing depends on it
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case r.checker.slots <- struct{}{}:
		}
		r.once(ctx)
		<-r.checker.slots
		tenth := int64(r.check.Every / 10)
		timer.Reset(r.check.Every - time.Duration(tenth/2) + time.Duration(rand.Int64N(tenth+1))) //nolint:gosec // the same
	}
}

// once checks, and tells what follows.
func (r *runner) once(ctx context.Context) {
	s := r.at.Load()
	if r.endpoint.Network() == endpoint.TCP && len(r.endpoint.Addresses()) == 0 {
		return // why its name has no address is another matter
	}
	timed, cancel := context.WithTimeout(ctx, min(max(r.check.Every, shortest), longest))
	defer cancel()
	err := r.ask(timed, s)
	if ctx.Err() == nil {
		r.judge(err)
	}
}

// judge tells what follows from the outcome of a check.
func (r *runner) judge(err error) {
	switch {
	case local(err):
		return
	case err == nil:
		r.streak = max(r.streak, 0) + 1
	default:
		r.streak = min(r.streak, 0) - 1
	}
	if state, _ := r.endpoint.State(); r.streak <= -fall || r.streak >= rise || r.streak > 0 && state == endpoint.Ejected {
		s := r.at.Load()
		s.group.Checked(s.place, r.streak > 0, r.streak > 0 && r.check.Path != "", r.checker.now())
	}
}

// errStatus says that an endpoint has answered that it is not well.
var errStatus = errors.New("status")

// ask asks once.
func (r *runner) ask(ctx context.Context, s *seat) error {
	var config *tls.Config
	if s.tls != nil {
		config = s.tls()
	}
	if r.check.Path == "" {
		conn, err := r.dial(ctx)
		if err != nil {
			return err
		}
		if config != nil {
			err = tls.Client(conn, config).HandshakeContext(ctx)
		}
		return errors.Join(err, conn.Close())
	}
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	t := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx) },
		TLSClientConfig:   config,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
	}
	defer t.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.check.Host+r.check.Path, nil)
	if err != nil {
		return err
	}
	q.Header.Set("User-Agent", "pvgate")
	a, err := t.RoundTrip(q) // and not through a client, which would follow redirects
	if err != nil {
		return err
	}
	if err := a.Body.Close(); err != nil {
		return err
	}
	if a.StatusCode < 200 || a.StatusCode > 399 {
		return errStatus
	}
	return nil
}

// dial connects to the first address that takes a connection and may be connected to.
func (r *runner) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if r.endpoint.Network() == endpoint.Unix {
		return d.DialContext(ctx, "unix", r.endpoint.Host())
	}
	last := errors.New("no address that may be connected to")
	for _, a := range r.endpoint.Addresses() {
		if r.endpoint.Refuses(a.Addr()) {
			continue
		}
		conn, err := d.DialContext(ctx, "tcp", a.String())
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// local reports that a failure is ours: want of descriptors, ports or memory.
func local(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && slices.Contains([]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE,
	}, number)
}
