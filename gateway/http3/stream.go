// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/message"
)

// stream is one request. What stands here is set before the loop hears of it, and the goroutines' own or given from hand to
// hand, as said; onLoop is the loop's thread's.
type stream struct {
	onLoop

	*connection
	quic   *quic.Stream
	client *exchange.Client
	out    outbox

	// What was found: set by whoever reads, before he posts that; then the loop's until it asks for more.
	head   *head // the request's; given back when nothing of it is needed any more
	length int64 // of the body, as announced; -1 = not announced
	entire bool  // the request has been read to its end
	tunnel bool  // it is an extended CONNECT: what follows is no body
	left   bool  // the client has left
	fault  message.Fault
	note   string // the rule that was broken
	piece  []byte // of the body

	// For the reader of the body, nil without one.
	began chan struct{} // closed when the loop needs nothing of the head any more
	feed  chan struct{} // asks for a piece
	done  chan struct{} // closed when the answer has ended: no body is wanted any more
}

// head is what it takes to read a request's head.
type head struct {
	machine   wire.Request
	section   wire.Section
	assembler message.Assembler
	head      message.Head
	in        []byte // received; used up to at
	at        int
	eof       bool
	text      []byte // what in was, if the head points there
	ahead     []byte // octets of the body that have been looked at
}

// sectionHeader is the most that a HEADERS frame has in front of its section, octets.
const sectionHeader = 16

// headBuffer is how much room a head has at first, octets.
const headBuffer = 4 << 10

// run is the stream's goroutine.
func (s *stream) run() {
	defer s.over()
	defer s.survive()
	s.head = s.server.heads.Get().(*head)
	if !s.readHead() {
		s.release()
		return
	}
	if !s.entire {
		s.began, s.feed, s.done = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
		defer close(s.done)
		s.server.running.Go(s.readBody)
	}
	s.post(s.begin)
	s.write()
}

// over gives the stream's place back: its exchange has ended.
func (s *stream) over() {
	s.quic.CancelRead(quic.StreamErrorCode(wire.NoError)) // of no effect if everything has been read
	s.quic.ReleaseStreamCredit()
	s.finished()
}

// release gives back what the head needed.
func (s *stream) release() {
	h := s.head
	s.head = nil
	if h.text != nil {
		h.in = h.text
	}
	if cap(h.in) == headBuffer {
		h.in, h.at, h.eof, h.text, h.ahead = h.in[:0], 0, false, nil, nil
		s.server.heads.Put(h)
	}
}

// reset ends the stream both ways.
func (s *stream) reset(code wire.Code) {
	s.quic.CancelWrite(quic.StreamErrorCode(code))
	s.quic.CancelRead(quic.StreamErrorCode(code))
}

// readHead reads until a request can begin, be it one that is refused. It reports false when there is none.
func (s *stream) readHead() bool {
	s.head.machine.Init(&s.server.limits)
	_ = s.quic.SetReadDeadline(time.Now().Add(s.server.options.Timeouts.Head)) // fails never
	for {
		found, ok := s.scanHead()
		if found || !ok {
			return ok
		}
		if ok, err := s.readMore(); !ok {
			return s.noHead(err)
		}
	}
}

// readMore reads once more into the head's buffer. At the end of the stream it is ok, and eof says so.
func (s *stream) readMore() (ok bool, err error) {
	h := s.head
	if h.at > 0 {
		h.in = h.in[:copy(h.in, h.in[h.at:])]
		h.at = 0
	}
	if len(h.in) == cap(h.in) {
		h.in = append(make([]byte, 0, min(4*cap(h.in), s.server.limits.Section+sectionHeader)), h.in...)
	}
	n, err := s.quic.Read(h.in[len(h.in):cap(h.in)])
	h.in = h.in[:len(h.in)+n]
	if errors.Is(err, io.EOF) {
		h.eof = true
		return true, nil
	}
	return err == nil, err
}

// noHead ends a stream on which no head comes: a client that is too slow is told.
func (s *stream) noHead(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.server.count(conn.SlowHead)
		s.refuse(message.FaultTimeout, "")
		return true
	}
	s.cancelled(err)
	s.reset(wire.RequestCancelled)
	return false
}

// scanHead looks at what has come; ok is false when the stream is of no further use.
func (s *stream) scanHead() (found, ok bool) {
	h := s.head
	n, ev, data := h.machine.Feed(h.in[h.at:])
	h.at += n
	switch ev {
	case wire.Head:
		if !s.decode(data) {
			return false, false
		}
		return s.complete()
	case wire.TooLarge, wire.Failed:
		ok := s.unreadable(ev)
		return ok, ok
	default:
	}
	if !h.eof {
		return false, true
	}
	switch code := h.machine.End(h.in[h.at:]); code {
	case wire.RequestIncomplete:
		s.waste(conn.ProvokedReset)
		s.reset(code)
	default:
		s.fail(code)
	}
	return false, false
}

// decode tells the assembler the lines of the head. It reports false when they cannot be read, which is the end of the
// connection.
func (s *stream) decode(section []byte) bool {
	h := s.head
	h.assembler.Begin(&h.head, 3, &s.socket.heads)
	code := lines(&h.section, section, &h.assembler)
	if code != wire.None {
		s.fail(code)
	}
	return code == wire.None
}

// trailers judges a trailer section, of which nothing is sent on. Decoder and assembler of its own: the head's may still
// be needed.
func (s *stream) trailers(section []byte) wire.Code {
	var d wire.Section
	var a message.Assembler
	a.BeginTrailers(&s.server.options.Limits.HeadLimits)
	code := lines(&d, section, &a)
	if cause := a.End(true); code == wire.None && cause != message.HeadFine {
		s.refuse(cause.Fault(), cause.String())
	}
	return code
}

// lines decodes a field section for an assembler.
func lines(d *wire.Section, section []byte, a *message.Assembler) wire.Code {
	for d.Begin(section); !a.Failed(); {
		l, done, code := d.Next()
		switch {
		case done:
			return code
		case l.Static:
			a.Known(l.Name, l.Value, l.ID)
		default:
			a.Field(l.Name, l.Value)
		}
	}
	return wire.None
}

// complete judges the head. Whether there is a body must be known for that: where the head does not say that there is one,
// and usually there is none, what comes behind it is awaited, which most often is the end of the stream.
func (s *stream) complete() (found, ok bool) {
	h := s.head
	s.entire, s.length = h.eof && h.at == len(h.in), h.head.ContentLength
	if !s.entire && !h.assembler.Failed() && (s.length == 0 || s.length < 0 && bodyless(h.head.Method)) {
		// What the head points to stays where it is.
		h.text, h.in, h.at = h.in, append(make([]byte, 0, behindBuffer), h.in[h.at:]...), 0
		if !s.lookBehind() {
			return false, false
		}
	}
	if s.fault != message.FaultNone {
		return true, true
	}
	if cause := h.assembler.End(s.entire); cause != message.HeadFine {
		s.refuse(cause.Fault(), cause.String())
	}
	if s.tunnel = h.head.Connect; s.tunnel {
		h.machine.Tunnel()
	}
	return true, true
}

// behindBuffer is how much is read behind a head that hardly has a body, octets.
const behindBuffer = 512

// lookBehind reads on behind the head until there is content, or the end. It reports false when the stream is of no further
// use.
func (s *stream) lookBehind() bool {
	h := s.head
	for {
		n, ev, data := h.machine.Feed(h.in[h.at:])
		h.at += n
		switch ev {
		case wire.Data:
			h.ahead = data
			if s.length == 0 {
				s.refuse(message.FaultGrammar, message.HeadLengthMismatch.String())
			}
			return true
		case wire.More:
			if !h.eof {
				if ok, err := s.readMore(); !ok {
					return s.noHead(err)
				}
				continue
			}
			code := h.machine.End(h.in[h.at:])
			s.entire = code == wire.None
			if !s.entire {
				s.fail(code)
			}
			return s.entire
		case wire.Trailers:
			if code := s.trailers(data); code != wire.None {
				s.fail(code)
				return false
			}
			if s.fault != message.FaultNone {
				return true
			}
		default:
			return s.unreadable(ev)
		}
	}
}

// unreadable takes what ends a stream at any place: a field section that is too large is answered.
func (s *stream) unreadable(ev wire.Event) bool {
	if ev == wire.TooLarge {
		s.refuse(message.FaultHeadTooLarge, message.HeadTooLarge.String())
		return true
	}
	s.fail(s.head.machine.Code())
	return false
}

// bodyless reports whether requests with a method hardly ever have a body.
func bodyless(m message.Method) bool {
	return m == message.GET || m == message.HEAD || m == message.OPTIONS || m == message.DELETE
}

// refuse notes what is wrong with the request. Nothing more of it is read.
func (s *stream) refuse(f message.Fault, note string) {
	s.fault, s.note, s.entire = f, note, true
	if f == message.FaultGrammar {
		s.waste(conn.ProvokedReset)
	}
}

// write sends what the loop puts into the outbox, until the answer has ended.
func (s *stream) write() {
	left := s.quic.Context().Done()
	lost := false // nothing that is written arrives
	for {
		c := s.out.take()
		if c == nil {
			select {
			case <-s.out.wake:
			case <-left:
				left, lost = nil, true
				s.cancelled(context.Cause(s.quic.Context()))
				s.post(s.gone)
			case <-s.host.loop.Done():
				if c = s.out.take(); c == nil {
					s.reset(wire.InternalError)
					return
				}
			}
		}
		for c != nil {
			n, next := len(c.b), c.next
			if !lost && n > 0 && !s.send(c) {
				lost = true
				s.post(s.gone)
			}
			if s.out.wrote(n) {
				s.post(s.drained)
			}
			end, code := c.end, c.code
			s.server.chunks.put(c)
			switch {
			case end == goesOn:
			case end == finishes:
				left = nil // what the client has to say about it comes with the rest of what it says
				_ = s.quic.Close()
			case end == ends && !lost:
				_ = s.quic.Close() // fails only where it is too late
				return
			case end == ends:
				s.reset(wire.RequestCancelled)
				return
			default:
				s.reset(code)
				return
			}
			c = next
		}
	}
}

// send writes as fast as the client takes it, if that is not too slow.
func (s *stream) send(c *chunk) bool {
	b := c.b
	if c.end == ends && cap(b) == smallChunk && s.quic.TryWriteAll(b) == nil {
		return true // quic-go has it all, and it is little: no need to wait until the packets are made
	}
	for t := &s.server.options.Timeouts; len(b) > 0; {
		_ = s.quic.SetWriteDeadline(time.Now().Add(t.Write)) // fails never
		n, err := s.quic.Write(b)
		b = b[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			s.cancelled(err)
			return false
		case int64(n) < int64(t.Rate)*int64(t.Write)/1e9:
			s.server.count(conn.SlowReader)
			return false
		}
	}
	return true
}
