// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway/http3/wire"
)

const (
	// uniStreams is how many unidirectional streams a client may have at a time: three that are by the book, and some
	// of types that nobody knows.
	uniStreams = 8
	// unknownStreams is how many of the latter are taken on one connection (RFC 9114, section 6.2.3: peers may open some
	// to keep others honest), and of those that end before they have a type (section 6.2).
	unknownStreams = 32
	// earnedByRequest is what a request adds to what a client may say on its control and QPACK streams, octets.
	earnedByRequest = 64
	// uniBuffer is the buffer of a stream that says little, octets; it grows where it must.
	uniBuffer = 64
)

// A client says what it has to say on its unidirectional streams in the beginning, and then for hours nothing. Whoever has
// waited there in vain rests: his goroutine ends, and another goes on when the client has sent something.
const (
	// firstWait is how long is waited; if meanwhile something has come for others, twice as long, up to lastWait.
	firstWait = 100 * time.Millisecond
	lastWait  = 8 * time.Second
	// sweepTime is in what time each connection is looked at, sweepSteps in how many steps all are. Whoever breaks the
	// protocol at rest is to be closed within a second: that leaves half of it to a machine that is busy.
	sweepTime  = 500 * time.Millisecond
	sweepSteps = 4
	// awake is the silence of a connection where nobody rests.
	awake = -1
)

// heard is how many packets have come. quic-go counts one when what it brings can be read.
func (c *connection) heard() int64 { return int64(c.quic.ConnectionStats().PacketsReceived) }

// rest has goOn called, which must not wait, when something has come since before, which was heard before it was waited in
// vain. It reports false if something has come already.
func (c *connection) rest(before int64, goOn func()) bool {
	if c.heard() != before {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if silence := c.silence.Load(); silence == awake || before < silence {
		c.silence.Store(before)
	}
	c.resting = append(c.resting, goOn)
	return true
}

// missed reports whether something has come since somebody rests.
func (c *connection) missed() bool {
	silence := c.silence.Load()
	return silence != awake && silence != c.heard()
}

// wake lets those go on who rest.
func (c *connection) wake() {
	c.mu.Lock()
	resting := c.resting
	c.resting = nil
	c.silence.Store(awake)
	c.mu.Unlock()
	for _, goOn := range resting {
		goOn()
	}
}

// sweep looks again and again for connections to be woken, until Close. Each has its turn, so that no more than sweepTime
// passes from one look at it to the next, and before the first.
func (s *Server) sweep() {
	step := time.NewTicker(sweepTime / sweepSteps)
	defer step.Stop()
	var due []*connection
	for turn := 0; ; turn = (turn + 1) % sweepSteps {
		select {
		case <-s.over.Done():
			return
		case <-step.C:
		}
		s.mu.Lock()
		due = slices.AppendSeq(due[:0], maps.Keys(s.connections[turn]))
		s.mu.Unlock()
		for _, c := range due {
			if c.missed() {
				c.wake()
			}
		}
		clear(due)
	}
}

// acceptUni takes the client's unidirectional streams.
func (c *connection) acceptUni() {
	defer c.survive()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		before := c.heard()
		ctx, cancel := context.WithTimeout(c.quic.Context(), wait)
		q, err := c.quic.AcceptUniStream(ctx)
		cancel()
		switch {
		case err == nil:
			c.server.running.Go(func() { c.beginUni(q) })
		case !errors.Is(err, context.DeadlineExceeded) || c.rest(before, c.lookForUni):
			return
		}
	}
}

// lookForUni goes on with acceptUni if there is a stream. Most of what comes while it rests brings none, but acknowledges.
func (c *connection) lookForUni() {
	defer c.survive()
	before := c.heard()
	q, err := c.quic.AcceptUniStream(c.server.past)
	switch {
	case err == nil:
		c.server.running.Go(func() { c.beginUni(q) })
	case !errors.Is(err, context.Canceled) || c.rest(before, c.lookForUni):
		return
	}
	c.server.running.Go(c.acceptUni)
}

// beginUni reads what kind of stream it is, and then a control or QPACK stream to its end.
func (c *connection) beginUni(q *quic.ReceiveStream) {
	defer c.survive()
	kind, err := uniKind(q)
	switch {
	case err != nil && !ended(err): // the connection has
		return
	case err != nil, kind > wire.StreamDecoder: // ended before it had one, or of one that nobody knows
		q.CancelRead(quic.StreamErrorCode(wire.StreamCreationError))
		if c.strange() {
			c.fail(wire.ExcessiveLoad)
		}
	case kind == wire.StreamPush: // which only servers have (RFC 9114, section 6.2.2)
		c.fail(wire.StreamCreationError)
	case c.twice(kind):
		c.fail(wire.StreamCreationError)
	default:
		r := &reader{connection: c, quic: q, in: make([]byte, 0, uniBuffer), machine: new(wire.Control)}
		if kind != wire.StreamControl {
			r.machine = &wire.Instructions{Decoder: kind == wire.StreamDecoder}
		}
		r.read()
		return
	}
	q.ReleaseStreamCredit()
}

// uniKind reads the type of a stream. It fails if there is none.
func uniKind(q *quic.ReceiveStream) (uint64, error) {
	var in [8]byte // a type is short, and comes once
	for n := 0; ; {
		k, err := q.Read(in[n : n+1])
		n += k
		if kind, k := wire.Varint(in[:n]); k > 0 {
			return kind, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// ended reports whether reading has failed because the client has ended the stream.
func ended(err error) bool {
	var reset *quic.StreamError
	return errors.Is(err, io.EOF) || errors.As(err, &reset)
}

// twice notes that a stream of a type has come which comes once, and reports whether it is another one.
func (c *connection) twice(kind uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.seen[kind]
	c.seen[kind] = true
	return was
}

// strange counts a stream of no type that is known and reports whether there are too many.
func (c *connection) strange() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unknown++
	return c.unknown > unknownStreams
}

// critical is a machine of a stream that lasts as long as its connection.
type critical interface {
	Feed(in []byte) (int, wire.Code)
	Earn(octets int)
}

// reader reads a control or QPACK stream.
type reader struct {
	*connection
	quic    *quic.ReceiveStream
	machine critical
	in      []byte // received, and not used yet
	earned  uint64 // requests that the machine knows of
}

// read reads until the connection ends, or nothing has come for a time. The stream must not end (RFC 9114, section 6.2.1;
// RFC 9204, section 4.2).
func (r *reader) read() {
	defer r.survive()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if len(r.in) == cap(r.in) {
			r.in = append(make([]byte, 0, min(4*cap(r.in), wire.MaxControlFrame)), r.in...)
		}
		before := r.heard()
		_ = r.quic.SetReadDeadline(time.Now().Add(wait)) // fails never
		n, err := r.quic.Read(r.in[len(r.in):cap(r.in)])
		if r.in = r.in[:len(r.in)+n]; errors.Is(err, os.ErrDeadlineExceeded) {
			if n == 0 && r.rest(before, r.goOn) {
				return
			}
			err = nil
		}
		if code := r.feed(); code != wire.None {
			r.fail(code)
			return
		}
		if ended(err) {
			r.fail(wire.ClosedCriticalStream)
		}
		if err != nil {
			return
		}
	}
}

// goOn reads when something has come.
func (r *reader) goOn() { r.server.running.Go(r.read) }

// feed lets the machine judge what has come.
func (r *reader) feed() wire.Code {
	if requests := r.requests.Load(); requests > r.earned {
		r.machine.Earn(int(requests-r.earned) * earnedByRequest)
		r.earned = requests
	}
	used, code := r.machine.Feed(r.in)
	r.in = r.in[:copy(r.in, r.in[used:])]
	return code
}
