// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Windows that no answer of the benchmarks fills, octets: what is measured is the server.
const (
	quicStreamWindow = 8 << 20
	quicConnWindow   = 32 << 20
)

// quicRun is a run over HTTP/3: a goroutine for each request that may be under way, and stock connections below them.
type quicRun struct {
	secure
	requests []*http.Request
	due      chan time.Duration // of an open loop, since begin; nil for a closed one
	begin    time.Time
	missed   uint64
}

// runQUIC is Run with Options.QUIC.
func runQUIC(ctx context.Context, o Options) (Result, error) {
	if o.TLS == nil || o.Streams < 1 {
		return Result{}, errors.New("load: HTTP/3 needs TLS, and streams")
	}
	q := &quicRun{secure: secure{o: o, over: make(chan struct{})}, begin: time.Now()}
	if err := q.parse(); err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	q.next.Store(uint64(o.First))
	if o.WarmUp == 0 {
		q.phase.Store(measured)
	}
	workers := make([]quicClient, o.Conns*o.Streams)
	var wg sync.WaitGroup
	if o.Rate > 0 {
		q.due = make(chan time.Duration, o.MaxBacklog)
		wg.Go(func() { q.schedule(ctx) })
	}
	for c := range o.Conns {
		tr := &http3.Transport{TLSClientConfig: o.TLS.Clone(), DisableCompression: true, QUICConfig: &quic.Config{
			InitialStreamReceiveWindow: quicStreamWindow, MaxStreamReceiveWindow: quicStreamWindow,
			InitialConnectionReceiveWindow: quicConnWindow, MaxConnectionReceiveWindow: quicConnWindow,
		}}
		defer func() { _ = tr.Close() }() // after the measurement
		for i := range o.Streams {
			w := &workers[c*o.Streams+i]
			w.run, w.transport = q, tr
			wg.Go(func() { w.work(ctx) })
		}
	}
	elapsed, err := q.time(ctx)
	wg.Wait()
	res := Result{Elapsed: elapsed, Missed: q.missed}
	for i := range workers {
		res.Add(&workers[i].res)
	}
	return res, err
}

// parse makes requests of the messages.
func (q *quicRun) parse() error {
	for i, text := range q.o.Requests {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		r.RequestURI, r.Body, r.URL.Scheme, r.URL.Host = "", nil, "https", q.o.Address.String()
		if len(body) > 0 {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		}
		q.requests = append(q.requests, r)
	}
	return nil
}

// schedule says when requests of an open loop are due, whatever has become of those before.
func (q *quicRun) schedule(ctx context.Context) {
	defer close(q.due)
	p := newPace(q.o.Rate, q.o.Poisson, q.o.Seed)
	for q.phase.Load() != ended && ctx.Err() == nil {
		if wait := p.next() - time.Since(q.begin); wait > 0 {
			time.Sleep(min(wait, sweepEvery))
			continue
		}
		select {
		case q.due <- p.next():
		default:
			if q.phase.Load() == measured {
				q.missed++
			}
		}
		p.step()
	}
}

// quicClient sends one request after the other.
type quicClient struct {
	run       *quicRun
	transport *http3.Transport
	res       Result
}

func (c *quicClient) work(ctx context.Context) {
	for ctx.Err() == nil && c.run.phase.Load() != ended {
		begin := time.Now()
		if c.run.due != nil {
			due, ok := <-c.run.due
			if !ok {
				return
			}
			begin = c.run.begin.Add(due)
		}
		c.request(ctx, begin)
		c.run.finish()
	}
}

func (c *quicClient) request(ctx context.Context, begin time.Time) {
	o := &c.run.o
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	r := c.run.requests[(c.run.next.Add(1)-1)%uint64(len(c.run.requests))].WithContext(ctx)
	if r.GetBody != nil {
		r.Body, _ = r.GetBody() // cannot fail
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		c.fail(&c.res.Lost, err)
		return
	}
	n, err := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	switch {
	case err != nil:
		c.fail(&c.res.Lost, err)
	case o.WantStatus != 0 && resp.StatusCode != o.WantStatus || o.WantLength >= 0 && n != o.WantLength:
		c.fail(&c.res.Wrong, fmt.Errorf("status %d with %d octets", resp.StatusCode, n))
	case c.run.phase.Load() == measured:
		c.res.Good++
		c.res.BytesIn += uint64(n)
		c.res.Statuses[resp.StatusCode/100]++
		c.res.Latency.Record(time.Since(begin))
	}
}

// fail counts a failed request.
func (c *quicClient) fail(kind *uint64, err error) {
	if c.run.phase.Load() != measured {
		return
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		kind = &c.res.TimedOut
	}
	*kind++
	if c.res.FirstFailure == "" {
		c.res.FirstFailure = err.Error()
	}
}
