// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// secure is a run over TLS in which every request has a connection, and thus a handshake, of its own: a closed loop with a goroutine
// for each.
type secure struct {
	o        Options
	next     atomic.Uint64
	finished atomic.Uint64
	phase    atomic.Int32
	over     chan struct{} // closed when Count is reached
	once     sync.Once
}

// Phases of a secure run.
const (
	warming int32 = iota
	measured
	ended
)

// runSecure is Run with Options.TLS.
func runSecure(ctx context.Context, o Options) (Result, error) {
	s := &secure{o: o, over: make(chan struct{})}
	s.next.Store(uint64(o.First))
	if o.WarmUp == 0 {
		s.phase.Store(measured) // nothing that is sent is left out
	}
	workers := make([]secureClient, o.Conns)
	var wg sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		w.run = s
		wg.Go(func() { w.work(ctx) })
	}
	elapsed, err := s.time(ctx)
	s.phase.Store(ended)
	wg.Wait()
	res := Result{Elapsed: elapsed}
	for i := range workers {
		res.Add(&workers[i].res)
	}
	return res, err
}

// time lets the phases follow each other.
func (s *secure) time(ctx context.Context) (time.Duration, error) {
	if s.o.WarmUp > 0 {
		if err := s.pass(ctx, s.o.WarmUp); err != nil {
			return 0, err
		}
	}
	if s.o.Begin != nil {
		s.o.Begin()
	}
	begin := time.Now()
	s.phase.CompareAndSwap(warming, measured) // it may be over
	err := s.pass(ctx, s.o.Duration)
	s.phase.Store(ended)
	elapsed := time.Since(begin)
	if s.o.End != nil {
		s.o.End()
	}
	return elapsed, err
}

// pass waits for d or until Count is reached; without a Duration for the latter.
func (s *secure) pass(ctx context.Context, d time.Duration) error {
	var due <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
		return nil
	case <-s.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("load: stopped early: %w", ctx.Err())
	}
}

// Add sums up what two clients, or one at two times, have counted.
func (r *Result) Add(o *Result) {
	r.Elapsed += o.Elapsed
	r.Good += o.Good
	r.BytesIn += o.BytesIn
	for i := range r.Statuses {
		r.Statuses[i] += o.Statuses[i]
	}
	r.Refused += o.Refused
	r.Lost += o.Lost
	r.Invalid += o.Invalid
	r.Wrong += o.Wrong
	r.TimedOut += o.TimedOut
	r.Missed += o.Missed
	r.Reconnects += o.Reconnects
	if r.FirstFailure == "" {
		r.FirstFailure = o.FirstFailure
	}
	r.Latency.Merge(&o.Latency)
}

// secureClient is one connection after the other, each for one request.
type secureClient struct {
	run  *secure
	conn net.Conn
	buf  []byte
	res  Result
}

func (c *secureClient) work(ctx context.Context) {
	c.buf = make([]byte, 32<<10)
	for ctx.Err() == nil && c.run.phase.Load() != ended {
		c.request()
		c.hangUp()
		c.run.finish()
	}
}

// finish counts a request that has its answer, or has failed. With the last one the run is over at once: whoever waits for that
// may be given a processor late, and more would be asked and counted meanwhile.
func (s *secure) finish() {
	if n := s.finished.Add(1); s.o.Count > 0 && n >= s.o.Count {
		s.once.Do(func() { s.phase.Store(ended); close(s.over) })
	}
}

func (c *secureClient) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// fail counts a failed request; the next one has a connection of its own.
func (c *secureClient) fail(kind *uint64, err error) {
	c.hangUp()
	if c.run.phase.Load() != measured {
		return
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		kind = &c.res.TimedOut
	}
	*kind++
	if c.res.FirstFailure == "" {
		c.res.FirstFailure = err.Error()
	}
}

func (c *secureClient) request() {
	o := &c.run.o
	begin := time.Now()
	conn, err := net.DialTimeout("tcp", o.Address.String(), o.Timeout)
	if err != nil {
		c.fail(&c.res.Refused, err)
		time.Sleep(time.Millisecond)
		return
	}
	c.conn = tls.Client(conn, o.TLS)
	_ = c.conn.SetDeadline(begin.Add(o.Timeout))
	text := o.Requests[(c.run.next.Add(1)-1)%uint64(len(o.Requests))]
	if _, err := c.conn.Write(text); err != nil {
		c.fail(&c.res.Lost, err)
		return
	}
	a, octets, err := c.answer()
	switch {
	case err != nil:
		c.fail(&c.res.Lost, err)
		return
	case o.WantStatus != 0 && a.status != o.WantStatus || o.WantLength >= 0 && a.length != o.WantLength:
		c.fail(&c.res.Wrong, fmt.Errorf("status %d with %d octets", a.status, a.length))
		return
	}
	if c.run.phase.Load() == measured {
		c.res.Good++
		c.res.BytesIn += octets
		c.res.Statuses[a.status/100]++
		c.res.Latency.Record(time.Since(begin))
	}
}

// answer reads one answer.
func (c *secureClient) answer() (a answer, octets uint64, err error) {
	have := 0
	for {
		n, err := c.conn.Read(c.buf[have:])
		octets += uint64(n)
		have += n
		used, done, bad := a.feed(c.buf[:have])
		have = copy(c.buf, c.buf[used:have])
		switch {
		case bad != nil:
			return a, octets, bad
		case done, errors.Is(err, io.EOF) && a.eof():
			return a, octets, nil
		case err != nil:
			return a, octets, err
		case have == len(c.buf):
			return a, octets, errHeadTooLarge
		}
	}
}
