// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"encoding/binary"

	"github.com/pvgate/pvgate/gateway/message"
)

// dataFrame takes the header of a DATA frame and accounts for all of it.
func (s *Server) dataFrame(f *frame, in []byte) (n int, ev Event, st Stream) {
	n, payload, padding := headerLen, f.length, 0
	if f.flags&flagPadded != 0 {
		switch {
		case f.length == 0:
			return n, s.fail(FrameSizeError, causeFrameSize), NoStream
		case len(in) == n:
			return 0, More, NoStream
		}
		padding = int(in[n])
		n++
		if payload -= 1 + padding; payload < 0 {
			return n, s.fail(ProtocolError, causePadding), NoStream
		}
	}
	if s.room -= f.length; s.room < 0 {
		return n, s.fail(FlowControlError, causeWindowExceeded), NoStream
	}
	ev, st, taken := s.accept(f, payload)
	s.left, s.padding = payload, padding
	if taken {
		s.current, s.fin = st, f.flags&flagEndStream != 0
		s.repay(st, f.length-payload)
	} else {
		s.current, s.fin = NoStream, false
		s.repay(NoStream, f.length)
	}
	s.inData = payload+padding > 0 || s.fin
	return n, ev, st
}

// accept judges a DATA frame; taken says that its octets are the stream's.
func (s *Server) accept(f *frame, payload int) (ev Event, st Stream, taken bool) {
	st = s.streams.find(f.id)
	if st == NoStream {
		if s.idle(f.id) {
			return s.fail(ProtocolError, causeIdleStream), NoStream, false
		}
		return s.late(f.id, s.ended(f.id)), NoStream, false
	}
	x := &s.streams.all[st]
	switch {
	case x.closed != notEnded:
		return s.late(f.id, x.closed), NoStream, false
	case x.inEnd && x.outEnd:
		return s.late(f.id, bothEnded), NoStream, false
	case x.inEnd:
		ev, st = s.streamError(st, StreamClosed, causeStreamClosed)
		return ev, st, false
	}
	if x.room -= f.length; x.room < 0 {
		ev, st = s.streamError(st, FlowControlError, causeWindowExceeded)
		return ev, st, false
	}
	if s.small(f, payload, x.connect) == Failed {
		return Failed, NoStream, false
	}
	if x.deaf {
		x.inEnd = f.flags&flagEndStream != 0
		return More, NoStream, false
	}
	if x.left >= 0 {
		if x.left -= int64(payload); x.left < 0 {
			ev, st = s.streamError(st, ProtocolError, causeLength)
			return ev, st, false
		}
	}
	if x.body += int64(payload); s.limits.Body > 0 && x.body > s.limits.Body && !x.connect {
		x.inEnd = f.flags&flagEndStream != 0
		ev, st = s.broken(st, causeBodyTooLarge)
		return ev, st, false
	}
	x.held += payload
	return More, st, true
}

// small charges for DATA that carries little and ends nothing. Messages of WebSocket are short.
func (s *Server) small(f *frame, payload int, connect bool) Event {
	least := smallData
	if connect {
		least = smallMessage
	}
	switch {
	case payload >= least || f.flags&flagEndStream != 0:
		return More
	case payload == 0:
		return s.charge(EmptyFrames, costReset)
	default:
		return s.charge(EmptyFrames, costSmall)
	}
}

// late answers a frame on a stream that has ended (RFC 9113, section 5.1).
func (s *Server) late(id uint32, how ending) Event {
	switch how {
	case weReset: // it may have been on its way
		return s.charge(PriorityFlood, costFrame)
	case bothEnded:
		return s.fail(StreamClosed, causeStreamClosed)
	default:
		s.queueReset(id, StreamClosed)
		return s.charge(ProvokedReset, costReset)
	}
}

// data hands out what there is of a DATA frame, and passes over what is nobody's.
func (s *Server) data(in []byte) (n int, ev Event, st Stream, data []byte) {
	if s.left > 0 {
		n = min(s.left, len(in))
		s.left -= n
		if s.left+s.padding == 0 && !s.fin {
			s.inData = false
		}
		if s.current != NoStream && n > 0 {
			return n, Data, s.current, in[:n]
		}
		return n, More, NoStream, nil
	}
	n = min(s.padding, len(in))
	if s.padding -= n; s.padding > 0 {
		return n, More, NoStream, nil
	}
	s.inData = false
	if s.fin && s.current != NoStream {
		s.fin = false
		ev, st = s.endRequest(s.current)
	}
	return n, ev, st, nil
}

// endRequest ends a request.
func (s *Server) endRequest(st Stream) (Event, Stream) {
	x := &s.streams.all[st]
	x.inEnd = true
	switch {
	case x.deaf:
		return More, NoStream
	case x.left > 0:
		return s.streamError(st, ProtocolError, causeLength)
	}
	return End, st
}

// headersFrame takes a HEADERS frame.
func (s *Server) headersFrame(f *frame, b []byte, sc *Scratch) (Event, Stream) {
	if f.id&1 == 0 {
		return s.fail(ProtocolError, causeStreamID), NoStream
	}
	padding := 0
	if f.flags&flagPadded != 0 {
		if len(b) == 0 {
			return s.fail(FrameSizeError, causeFrameSize), NoStream
		}
		padding, b = int(b[0]), b[1:]
	}
	s.selfish = false
	if f.flags&flagPriority != 0 {
		if len(b) < priorityLen {
			return s.fail(FrameSizeError, causeFrameSize), NoStream
		}
		s.selfish = binary.BigEndian.Uint32(b)&maxWindow == f.id
		b = b[priorityLen:]
	}
	if padding > len(b) {
		return s.fail(ProtocolError, causePadding), NoStream
	}
	b = b[:len(b)-padding]
	s.fin = f.flags&flagEndStream != 0
	if f.flags&flagEndHeaders != 0 {
		return s.headBlock(f.id, b, sc)
	}
	s.blockID, s.pieces = f.id, 0
	s.block = append(s.block[:0], b...)
	return More, NoStream
}

// continuationFrame takes the next piece of a header block, which must end in time.
func (s *Server) continuationFrame(f *frame, b []byte, sc *Scratch) (Event, Stream) {
	most := 2 * s.limits.Head
	if s.pieces++; s.pieces > 16+most/maxFrame || len(s.block)+len(b) > most {
		return s.calm(ContinuationFlood), NoStream
	}
	s.block = append(s.block, b...)
	if f.flags&flagEndHeaders == 0 {
		return More, NoStream
	}
	b = s.block
	s.blockID, s.block = 0, nil
	return s.headBlock(f.id, b, sc)
}

// headBlock takes a header block that is complete: a request's head, or its trailers. Whatever becomes of it, it has been
// decoded, for it may change the table.
func (s *Server) headBlock(id uint32, b []byte, sc *Scratch) (Event, Stream) {
	if st := s.streams.find(id); st != NoStream {
		return s.trailers(id, st, b, sc)
	}
	if id <= s.last {
		how := s.ended(id)
		if how == notEnded {
			return s.fail(ProtocolError, causeStreamID), NoStream
		}
		if !s.passOver(b, sc) {
			return Failed, NoStream
		}
		return s.late(id, how), NoStream
	}
	s.advance(id)
	if s.final {
		if !s.passOver(b, sc) {
			return Failed, NoStream
		}
		s.remember(id, weReset)
		return s.charge(PriorityFlood, costFrame), NoStream
	}
	if s.streams.live >= min(s.limits.Streams, MaxStreams) {
		if !s.passOver(b, sc) {
			return Failed, NoStream
		}
		return s.turnAway(id), NoStream
	}
	return s.request(id, b, sc)
}

// turnAway refuses a stream that was not looked at: the client may ask again.
func (s *Server) turnAway(id uint32) Event {
	s.queueReset(id, RefusedStream)
	s.remember(id, weReset)
	return s.charge(RapidReset, costReset)
}

// passOver decodes a header block that is nobody's.
func (s *Server) passOver(b []byte, sc *Scratch) bool {
	sc.assembler.BeginTrailers(&s.limits.HeadLimits)
	return s.decode(b, sc)
}

func (s *Server) decode(b []byte, sc *Scratch) (ok bool) {
	if sc.text, ok = s.decoder.decode(b, &sc.assembler, sc.text[:0]); !ok {
		if s.decoder.bomb {
			s.calm(HeaderBomb)
		}
		s.fail(CompressionError, causeCompression)
	}
	return ok
}

// request takes the head of a new stream.
func (s *Server) request(id uint32, b []byte, sc *Scratch) (Event, Stream) {
	a := &sc.assembler
	a.Begin(&sc.Head, 2, &s.limits.HeadLimits)
	if !s.decode(b, sc) {
		return Failed, NoStream
	}
	wrong := a.End(s.fin)
	if s.streams.heads+a.Size() > s.limits.Heads && s.streams.live > 0 {
		return s.turnAway(id), NoStream
	}
	st := s.streams.take(id)
	x := &s.streams.all[st]
	*x = stream{window: s.initialWindow, left: sc.Head.ContentLength, room: StreamWindow, head: a.Size(), inEnd: s.fin, connect: sc.Head.Connect}
	s.streams.heads += x.head
	switch {
	case s.selfish:
		ev, _ := s.streamError(st, ProtocolError, causeSelfDependency)
		return s.refused(ev, st)
	case wrong != message.HeadFine:
		s.cause, s.headCause = causeNone, wrong
		x.deaf = true
		if wrong.Fault() == message.FaultGrammar {
			s.closeStream(st, ProtocolError)
		}
		return s.refused(s.charge(ProvokedReset, costReset), st)
	}
	if s.fin {
		s.ending = st
	}
	return HeadDone, st
}

// refused is the event for a stream of which nothing was told before, and nothing ever is if the connection has Failed.
func (s *Server) refused(ev Event, st Stream) (Event, Stream) {
	if ev == Failed {
		s.streams.release(st)
		return Failed, NoStream
	}
	return Refused, st
}

// trailers takes a second header block.
func (s *Server) trailers(id uint32, st Stream, b []byte, sc *Scratch) (Event, Stream) {
	if !s.passOver(b, sc) {
		return Failed, NoStream
	}
	x := &s.streams.all[st]
	switch {
	case x.closed != notEnded:
		return s.late(id, x.closed), NoStream
	case x.inEnd && x.outEnd:
		return s.late(id, bothEnded), NoStream
	case x.inEnd:
		return s.streamError(st, StreamClosed, causeStreamClosed)
	case x.connect: // RFC 9113, section 8.5
		return s.streamError(st, ProtocolError, causeFrameOrder)
	case !s.fin:
		return s.streamError(st, ProtocolError, causeTrailersOpen)
	case s.selfish:
		return s.streamError(st, ProtocolError, causeSelfDependency)
	}
	if wrong := sc.assembler.End(true); wrong != message.HeadFine {
		if wrong.Fault() == message.FaultGrammar {
			return s.streamErrorFor(st, ProtocolError, causeNone, wrong)
		}
		x.inEnd = true
		if x.deaf {
			return More, NoStream
		}
		x.deaf = true
		s.cause, s.headCause = causeNone, wrong
		return Broken, st
	}
	return s.endRequest(st)
}

// streamError resets a stream (RFC 9113, section 5.4.2) and says so.
func (s *Server) streamError(st Stream, code Code, c cause) (Event, Stream) {
	return s.streamErrorFor(st, code, c, message.HeadFine)
}

func (s *Server) streamErrorFor(st Stream, code Code, c cause, h message.HeadCause) (Event, Stream) {
	s.closeStream(st, code)
	if s.charge(ProvokedReset, costReset) == Failed {
		return Failed, NoStream
	}
	s.cause, s.headCause = c, h
	return Broken, st
}

// broken says that a request went wrong whose stream can still be answered.
func (s *Server) broken(st Stream, c cause) (Event, Stream) {
	s.streams.all[st].deaf = true
	s.cause, s.headCause = c, message.HeadFine
	return Broken, st
}

// closeStream resets a stream; it keeps its place until Done.
func (s *Server) closeStream(st Stream, code Code) {
	x := &s.streams.all[st]
	x.closed, x.deaf = weReset, true
	s.dropCurrent(st)
	s.queueReset(s.streams.ids[st], code)
}

// dropCurrent forgets that the frame that is coming, or the end that was not told yet, belongs to a stream.
func (s *Server) dropCurrent(st Stream) {
	if s.current == st {
		s.current, s.fin = NoStream, false
		s.inData = s.left+s.padding > 0
	}
	if s.ending == st {
		s.ending = NoStream
	}
}

// resetFrame takes RST_STREAM.
func (s *Server) resetFrame(f *frame) (Event, Stream) {
	switch {
	case f.length != 4:
		return s.fail(FrameSizeError, causeFrameSize), NoStream
	case s.idle(f.id):
		return s.fail(ProtocolError, causeIdleStream), NoStream
	}
	st := s.streams.find(f.id)
	if st == NoStream || s.streams.all[st].closed != notEnded {
		return s.charge(RapidReset, costFrame), NoStream
	}
	x := &s.streams.all[st]
	cost := int64(costReset)
	if x.outEnd {
		cost = costFrame
	}
	x.closed, x.deaf = theyReset, true
	s.dropCurrent(st)
	if s.charge(RapidReset, cost) == Failed {
		return Failed, NoStream
	}
	return Reset, st
}

const priorityLen = 5

// priorityFrame takes PRIORITY, which has no effect (RFC 9113, section 5.3.2) but must be well-formed.
func (s *Server) priorityFrame(f *frame, b []byte) (Event, Stream) {
	var code Code
	var c cause
	switch {
	case f.length != priorityLen:
		code, c = FrameSizeError, causeFrameSize
	case binary.BigEndian.Uint32(b)&maxWindow == f.id:
		code, c = ProtocolError, causeSelfDependency
	default:
		return s.charge(PriorityFlood, costFrame), NoStream
	}
	if st := s.streams.find(f.id); st != NoStream && s.streams.all[st].closed == notEnded {
		return s.streamError(st, code, c)
	}
	return s.fail(code, c), NoStream // there is no stream to reset
}

// pingFrame answers PING.
func (s *Server) pingFrame(f *frame, b []byte) Event {
	if f.length != 8 {
		return s.fail(FrameSizeError, causeFrameSize)
	}
	if f.flags&flagAck == 0 {
		s.control = append(appendFrame(s.control, 8, typePing, flagAck, 0), b...)
	}
	return s.charge(PingFlood, costReset)
}
