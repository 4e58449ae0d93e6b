// SPDX-License-Identifier: EUPL-1.2

// Package load sends HTTP requests to one address as fast as it can (closed
// loop) or at a given rate (open loop) and says what came back and how long it
// took. It is a single thread on one epoll, so that it costs about as little per
// request as the machine allows and leaves the core to the origin beside it.
//
// The calls you want: [Run] with [Options]; [Result] and its [Histogram].
//
// The open loop has a schedule that does not wait for answers. A latency is
// counted from the time the schedule wanted the request to leave, not from the
// time a connection was free for it, so that a stalled server is seen by every
// request it kept waiting (no coordinated omission).
//
// With [Options].TLS the connections speak TLS; those that are used once have a goroutine each, since a handshake blocks. With
// [Options].Streams they speak HTTP/2. With QUIC too it is HTTP/3, by a stock client: what it costs is not the server's.
//
// It deliberately does not pipeline, follows no redirect, keeps no cookie and does not look into bodies beyond their length.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Options says what to send. Address, Conns and Requests are required.
type Options struct {
	// Address is where to connect to.
	Address netip.AddrPort
	// Conns is how many connections are kept open.
	Conns int
	// Requests are whole request messages, sent in turn from First on, over and
	// over. They may be sent by several runs at once and are never changed.
	Requests [][]byte
	// First is the index of the first request.
	First int

	// Duration is how long is measured, after WarmUp. Zero means until Count
	// requests are answered.
	Duration time.Duration
	// WarmUp is how long requests are sent before the measurement. It is not counted.
	WarmUp time.Duration
	// Count ends the run when this many requests were answered or failed; 0 = no limit.
	Count uint64

	// Rate in requests per second makes this an open loop; 0 = closed loop: each
	// connection sends its next request when it has its answer.
	Rate float64
	// Poisson makes the gaps of the open loop random (exponential, from Seed)
	// where they would be equal.
	Poisson bool
	// Seed is the seed of Poisson.
	Seed uint64
	// MaxBacklog is how many requests of the open loop may be due and wait for a
	// free connection; more are counted as Missed. 0 = 100 000.
	MaxBacklog int

	// TLS, if set, is how the connections are secured; over TCP closed loop only.
	TLS *tls.Config
	// Streams is how many requests are under way at once on each connection of HTTP/2, which needs TLS; 0 = HTTP/1.1.
	// The requests are the same messages of HTTP/1.1, and have no body.
	Streams int
	// QUIC makes this HTTP/3 instead, where requests may have bodies and there is an open loop. ReconnectEach has no
	// meaning then, and BytesIn counts bodies only.
	QUIC bool

	// ReconnectEach uses every connection for one request only. The requests must
	// ask for `Connection: close`: the server is expected to close first.
	ReconnectEach bool
	// WantStatus is the status every answer must have; 0 = any.
	WantStatus int
	// WantLength is the body length in octets every answer must have; -1 = any.
	WantLength int64
	// Timeout is the longest wait for one answer; 0 = 10 s. The connection is
	// replaced then.
	Timeout time.Duration

	// Alone says that this process does nothing else meanwhile. It is cheaper and
	// must not be set where another goroutine has to run: in a test, say.
	Alone bool

	// Begin and End, if set, are called on the sending thread at the first and
	// the last moment of the measured time, so that a caller can read counters of
	// the same interval.
	Begin, End func()
}

// Result is what came back in the measured time. Every request of that time is
// in Good or in exactly one of the failures.
type Result struct {
	// Elapsed is the measured time.
	Elapsed time.Duration
	// Good is the number of complete answers with the wanted status and length.
	Good uint64
	// BytesIn is the number of octets received, heads and framing included.
	BytesIn uint64
	// Statuses counts complete answers by class: [2] = 2xx.
	Statuses [6]uint64

	// Refused: no connection. Lost: closed before the end of an answer. Invalid:
	// no HTTP. Wrong: another status or length than wanted. TimedOut: no complete
	// answer within Timeout. Missed (open loop): due, but the backlog was full.
	Refused, Lost, Invalid, Wrong, TimedOut, Missed uint64
	// Reconnects counts connections opened again because the server closed an
	// idle one or said so in an answer; no failure.
	Reconnects uint64
	// FirstFailure tells the first failure in words, for a message.
	FirstFailure string

	// Latency of the good answers: from when the request left (closed loop) or
	// should have left (open loop) to the last octet of the answer.
	Latency Histogram
}

// Failed is the number of requests without a good answer.
func (r *Result) Failed() uint64 {
	return r.Refused + r.Lost + r.Invalid + r.Wrong + r.TimedOut + r.Missed
}

// Err is nil if no request failed.
func (r *Result) Err() error {
	if r.Failed() == 0 {
		return nil
	}
	return fmt.Errorf("load: %d of %d requests failed (refused %d, lost %d, invalid %d, wrong %d, timed out %d, missed %d); first: %s",
		r.Failed(), r.Failed()+r.Good, r.Refused, r.Lost, r.Invalid, r.Wrong, r.TimedOut, r.Missed, r.FirstFailure)
}

const (
	defaultTimeout    = 10 * time.Second
	defaultMaxBacklog = 100_000
	// maxConns bounds the connection table; one address has fewer ports anyway.
	maxConns = 60_000
)

func (o *Options) check() error {
	switch {
	case !o.Address.IsValid() || o.Address.Port() == 0:
		return fmt.Errorf("address %q is no address with a port", o.Address)
	case o.Conns < 1 || o.Conns > maxConns:
		return fmt.Errorf("conns is %d, must be 1 to %d", o.Conns, maxConns)
	case len(o.Requests) == 0:
		return errors.New("no requests to send")
	case o.First < 0:
		return fmt.Errorf("first is %d, must not be negative", o.First)
	case o.Duration <= 0 && o.Count == 0:
		return errors.New("neither duration nor count ends the run")
	case o.Rate > 0 && o.TLS != nil && !o.QUIC:
		return errors.New("there is no open loop over TLS")
	case o.Streams < 0 || o.Streams > 0 && (o.TLS == nil || o.ReconnectEach):
		return errors.New("streams are for connections over TLS that are kept open")
	case o.Rate < 0 || o.Rate > 1e7:
		return fmt.Errorf("rate is %g, must be 0 (closed loop) to 1e7", o.Rate)
	}
	return nil
}

// Run sends until the options' end or until ctx is done, which is an error. It
// locks its thread and occupies it; use several Runs at once for more than one
// core. Failed requests are no error of Run: see [Result.Err].
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBacklog <= 0 {
		o.MaxBacklog = defaultMaxBacklog
	}
	if o.QUIC {
		return runQUIC(ctx, o)
	}
	if o.TLS != nil && o.ReconnectEach {
		return runSecure(ctx, o)
	}
	e, err := newEngine(o)
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	defer e.shut()
	if err := e.run(ctx); err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	return e.res, nil
}
