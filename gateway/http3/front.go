// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"runtime/debug"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// onLoop is what of a stream belongs to its loop's thread.
type onLoop struct {
	x       *exchange.Exchange // nil before it has begun and when it is over
	gather  *chunk             // the answer's octets, not yet put into the outbox
	reading bool               // a piece of the body was asked for and has not come
	whole   bool               // the request has been read to its end
	ended   bool               // the answer has been handed over whole
	deaf    wire.Code
	open    bool // it is a tunnel
	timer   loop.Timer
	prev    *stream
	next    *stream
}

// post has f run on the loop.
func (s *stream) post(f func()) {
	s.host.loop.Post(func() {
		defer s.rescue()
		f()
	})
}

// rescue survives a broken invariant: the request gives back what it holds, if it can.
func (s *stream) rescue() {
	tell := s.server.options.Panic
	if tell == nil {
		return
	}
	value := recover()
	if value == nil {
		return
	}
	tell(value, debug.Stack())
	defer func() {
		if recover() != nil && s.x != nil {
			s.leave()
		}
		s.put(resets, wire.InternalError)
	}()
	if s.x != nil {
		s.x.ClientGone()
		s.leave()
	}
}

// begin starts the exchange. What it needs of the head it takes at once.
func (s *stream) begin() {
	s.host.enter(s)
	if s.fault != message.FaultNone {
		s.deaf = s.malformed()
		s.x.StartFault(s.host.services, s, s.client, s.head.head.Method, s.fault, s.note)
	} else {
		s.head.head.Upgrade = s.tunnel && !s.host.draining()
		s.x.Start(s.host.services, s, s.client, &s.head.head)
	}
	if s.entire {
		s.release()
		s.whole = true
	} else {
		close(s.began)
	}
	switch {
	case s.x == nil:
	case s.whole, s.tunnel:
		s.x.BodyEnd()
		s.x.FlushRequest()
	default:
		s.x.FlushRequest()
		if s.x != nil && s.x.Expecting() {
			s.expect()
			return
		}
		s.offer()
	}
}

// malformed is the code with which a request is reset that is none by the book; what can be understood is answered (RFC
// 9114, section 4.1.2).
func (s *stream) malformed() wire.Code {
	if s.fault == message.FaultGrammar {
		return wire.MessageError
	}
	return wire.None
}

// offer asks for a piece of the body, if it is wanted; of what a tunnel's client says not before it is one.
func (s *stream) offer() {
	if s.x != nil && !s.whole && !s.reading && s.tunnel == s.open && s.x.WantsBody() {
		s.reading = true
		s.feed <- struct{}{} // holds one, and one is asked for at a time
	}
}

// took takes a piece of the body, or what came instead.
func (s *stream) took() {
	s.reading = false
	if s.x == nil {
		s.host.stale++
		return
	}
	switch {
	case len(s.piece) == 0:
	case s.open:
		s.x.TunnelData(s.piece)
	default:
		s.x.Body(s.piece)
	}
	switch {
	case s.x == nil:
		return
	case s.left:
		s.gone()
		return
	case s.fault != message.FaultNone:
		s.whole = true // nothing more will come
		s.deaf = s.malformed()
		s.x.ClientFault(s.fault, s.note)
		return
	case s.entire && s.open:
		s.whole = true
		s.x.TunnelEnd()
	case s.entire:
		s.whole = true
		s.x.BodyEnd()
	}
	if s.x != nil {
		s.x.FlushRequest()
	}
	s.offer()
}

// gone says that nobody waits for the answer any more.
func (s *stream) gone() {
	if s.x == nil {
		s.host.stale++
		return
	}
	s.x.ClientGone()
	s.leave()
	s.put(resets, wire.RequestCancelled)
}

// drained says that few octets of the answer wait now.
func (s *stream) drained() {
	if s.x == nil {
		s.host.stale++
		return
	}
	s.x.Drained()
}

// cut ends the exchange because the gateway ends.
func (s *stream) cut() {
	s.x.Cut()
	if s.x != nil {
		s.leave()
		s.put(resets, wire.InternalError)
	}
}

// leave lets an exchange go that is over.
func (s *stream) leave() {
	s.host.loop.StopTimer(&s.timer)
	s.host.exit(s)
}

// put hands over what was gathered, and what comes behind it.
func (s *stream) put(end ending, code wire.Code) {
	c := s.gather
	s.gather = nil
	if c == nil {
		if end == goesOn {
			return
		}
		c = s.server.chunks.get(0)
	}
	c.end, c.code = end, code
	s.out.put(c)
}

// room returns the chunk that gathers the answer, with room for n more octets.
func (s *stream) room(n int) *chunk {
	if s.gather != nil && cap(s.gather.b)-len(s.gather.b) < n {
		s.put(goesOn, wire.None)
	}
	if s.gather == nil {
		s.gather = s.server.chunks.get(n)
	}
	return s.gather
}

// What follows is the exchange's view.

// Frame says that frames, not fields, frame an answer.
func (s *stream) Frame(int64, bool) exchange.Framing { return exchange.Framing{} }

// Head gathers the head of the answer.
func (s *stream) Head(status int, fields []message.Field) {
	if s.deaf == wire.None {
		c := s.room(smallChunk)
		c.b = wire.AppendResponse(c.b, status, fields)
	}
}

// Body gathers octets of the answer.
func (s *stream) Body(b []byte) {
	for s.deaf == wire.None && len(b) > 0 {
		k := min(len(b), largeChunk-frameHeader)
		c := s.room(k + frameHeader)
		c.b = append(wire.AppendData(c.b, k), b[:k]...)
		b = b[k:]
	}
}

// frameHeader is the most that a DATA frame has in front.
const frameHeader = 9

// Sink is none: QUIC stands between.
func (s *stream) Sink() exchange.Sink { return nil }

// Room is what may wait beside what does.
func (s *stream) Room() int { return loop.ReadSize - int(s.out.waiting.Load()) }

// End ends the answer.
func (s *stream) End() { s.ended = true }

// Flush hands the answer over as far as it is there.
func (s *stream) Flush() int {
	switch {
	case s.ended && s.x != nil && s.deaf != wire.None:
		s.leave()
		s.put(resets, s.deaf)
	case s.ended && s.x != nil:
		s.leave()
		s.put(ends, wire.None)
	default:
		s.put(goesOn, wire.None)
	}
	return s.out.pending()
}

// Carries reports whether requests for an authority belong on the connection.
func (s *stream) Carries(authority []byte) bool {
	host, _, ok := message.SplitAuthority(authority)
	name := s.client.ServerName
	return !ok || message.EqualFold(host, name) || s.connection.config.Carries(name, host)
}

// Last has none either: other requests have the connection too.
func (s *stream) Last() {}

// Continue sends 100 at once.
func (s *stream) Continue() {
	s.host.loop.StopTimer(&s.timer)
	c := s.room(smallChunk)
	c.b = wire.AppendResponse(c.b, 100, nil)
	s.put(goesOn, wire.None)
}

// Abort breaks the answer off.
func (s *stream) Abort() {
	code := wire.InternalError
	if s.open {
		code = wire.RequestCancelled // RFC 9220, section 3
	}
	s.leave()
	s.put(resets, code)
}

// Resume says that the exchange takes more of the request body.
func (s *stream) Resume() { s.offer() }

// expect starts to wait for the backend's word about a body that the client holds back.
func (s *stream) expect() {
	l := s.host.loop
	l.SetTimer(&s.timer, s, l.Now()+int64(s.server.options.Timeouts.Expect))
}

// Expire says 100 for a backend that says nothing, and ends a tunnel that is late.
func (s *stream) Expire(now int64) {
	if s.open {
		s.overdue(now)
		return
	}
	if s.x != nil {
		s.x.ExpectTimeout()
	}
	if s.x != nil && s.x.Expecting() {
		s.expect()
	}
}

// count notes why the gateway gave up on a client.
func (s *Server) count(c conn.Cause) { s.closed[c].Add(1) }
