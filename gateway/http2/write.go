// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"encoding/binary"
	"slices"

	"github.com/pvgate/pvgate/gateway/message"
)

func appendFrame(dst []byte, length int, kind, flags byte, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendWindowUpdate(dst []byte, id uint32, more int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, 4, typeWindowUpdate, 0, id), uint32(more))
}

// maxControl bounds what the machine has to say itself and nobody takes.
const maxControl = 16 << 10

// keepControl is how much storage for that an idle connection keeps.
const keepControl = 256

// AppendControl appends what the machine has to say itself. It is bounded.
func (s *Server) AppendControl(dst []byte) []byte {
	if len(s.control) == 0 {
		return dst
	}
	dst = append(dst, s.control...)
	if s.control = s.control[:0]; cap(s.control) > keepControl {
		s.control = nil
	}
	return dst
}

func (s *Server) queueReset(id uint32, code Code) {
	s.control = binary.BigEndian.AppendUint32(appendFrame(s.control, 4, typeReset, 0, id), uint32(code))
}

func (s *Server) goAway(last uint32, code Code) {
	s.control = appendFrame(s.control, 8, typeGoAway, 0, 0)
	s.control = binary.BigEndian.AppendUint32(s.control, last)
	s.control = binary.BigEndian.AppendUint32(s.control, uint32(code))
}

// GoAway says that the connection ends, because of code. With last false it only warns: streams that are on their way
// are still served. With last true those that come from now on are not, and the client may ask for them again elsewhere
// (RFC 9113, section 6.8).
func (s *Server) GoAway(last bool, code Code) {
	if s.failed || s.final {
		return
	}
	if !last {
		s.goAway(maxWindow, code)
		return
	}
	s.final, s.lastKept = true, s.last
	s.goAway(s.last, code)
}

// lastServed is the highest stream that may have had an effect.
func (s *Server) lastServed() uint32 {
	if s.final {
		return s.lastKept
	}
	return s.last
}

// Ended reports that the request has come whole; its End may still have to be told.
func (s *Server) Ended(st Stream) bool { return s.streams.all[st].inEnd }

// Open reports whether anything can still be sent on the stream.
func (s *Server) Open(st Stream) bool {
	x := &s.streams.all[st]
	return x.closed == notEnded && !x.outEnd
}

// Room returns how many octets of body could be appended for the stream now.
func (s *Server) Room(st Stream) int {
	return int(max(0, min(s.window, s.streams.all[st].window)))
}

// AppendHead appends the head of an answer, interim ones too; end says that no body follows. Fields of the connection
// (Connection, Transfer-Encoding and their like) are left out. Nothing is appended for a stream that is closed.
func (s *Server) AppendHead(dst []byte, st Stream, status int, fields []message.Field, end bool) []byte {
	dst = s.AppendControl(dst)
	if !s.Open(st) {
		return dst
	}
	flags := byte(flagEndHeaders)
	if end {
		flags |= flagEndStream
		s.streams.all[st].outEnd = true
	}
	id := s.streams.ids[st]
	from := len(dst)
	dst = appendFrame(dst, 0, typeHeaders, flags, id)
	if s.forget { // RFC 7541, section 4.2; afterwards its size never changes
		dst = append(dst, sizeZero)
		s.forget, s.remembers = false, false
	}
	dst = appendStatus(dst, status)
	for i := range fields {
		if f := &fields[i]; !ofConnection(f.ID) {
			dst = appendField(dst, f)
		}
	}
	length := len(dst) - from - headerLen
	if length > maxFrame {
		return cutBlock(dst, from, id)
	}
	dst[from], dst[from+1], dst[from+2] = byte(length>>16), byte(length>>8), byte(length)
	return dst
}

// cutBlock makes a HEADERS frame that begins at from, and is too long, one that CONTINUATION frames follow.
func cutBlock(dst []byte, from int, id uint32) []byte {
	block := slices.Clone(dst[from+headerLen:])
	flags := dst[from+4]
	dst = append(appendFrame(dst[:from], maxFrame, typeHeaders, flags&^flagEndHeaders, id), block[:maxFrame]...)
	for block = block[maxFrame:]; len(block) > maxFrame; block = block[maxFrame:] {
		dst = append(appendFrame(dst, maxFrame, typeContinuation, 0, id), block[:maxFrame]...)
	}
	return append(appendFrame(dst, len(block), typeContinuation, flagEndHeaders, id), block...)
}

// AppendData appends as much of b as the windows let pass, n octets in one or more frames; if that is all of b and end
// is set, the answer ends. For a stream that is closed, n is len(b) and nothing is appended. An end without b needs no
// window.
func (s *Server) AppendData(dst []byte, st Stream, b []byte, end bool) (_ []byte, n int) {
	if !s.Open(st) {
		return s.AppendControl(dst), len(b)
	}
	for {
		var take int
		dst, take = s.AppendDataFrame(dst, st, len(b)-n, end)
		dst = append(dst, b[n:n+take]...)
		if n += take; take == 0 || n == len(b) {
			return dst, n
		}
	}
}

// AppendDataFrame appends only the header of one DATA frame for up to n octets, of which the caller must append take
// then; nothing if take is 0, but for an end. The frame ends the answer if end is set and take is n. For a stream that is
// closed take is 0.
func (s *Server) AppendDataFrame(dst []byte, st Stream, n int, end bool) (_ []byte, take int) {
	dst = s.AppendControl(dst)
	take = min(n, s.Room(st), maxFrame)
	if !s.Open(st) || take == 0 && (n > 0 || !end) {
		return dst, 0
	}
	x := &s.streams.all[st]
	x.window -= int64(take)
	s.window -= int64(take)
	if take == n || take >= 1024 { // not cut short by windows that are opened octet by octet
		s.explained = min(s.explained+2+take/1024, maxExplained)
	}
	flags := byte(0)
	if end && take == n {
		flags, x.outEnd = flagEndStream, true
	}
	return appendFrame(dst, take, typeData, flags, s.streams.ids[st]), take
}

// maxExplained bounds how many WINDOW_UPDATE frames a client may have earned by taking answers.
const maxExplained = 10_000

// Consumed says that n octets of the stream's Data have been taken by whom they were for. Then the client may send more.
func (s *Server) Consumed(st Stream, n int) {
	x := &s.streams.all[st]
	n = min(n, x.held)
	x.held -= n
	s.repay(st, n)
}

// repay lets the client send n octets more: on the connection, and on a stream whose request still comes.
func (s *Server) repay(st Stream, n int) {
	if s.owed += n; s.owed >= s.limits.Window/4 {
		s.control = appendWindowUpdate(s.control, 0, s.owed)
		s.room += s.owed
		s.owed = 0
	}
	if st == NoStream {
		return
	}
	x := &s.streams.all[st]
	if x.owed += n; x.owed >= StreamWindow/2 && !x.inEnd && !x.deaf {
		s.control = appendWindowUpdate(s.control, s.streams.ids[st], x.owed)
		x.room += x.owed
		x.owed = 0
	}
}

// Reset ends the stream both ways.
func (s *Server) Reset(st Stream, code Code) {
	if x := &s.streams.all[st]; x.closed == notEnded && !(x.inEnd && x.outEnd) {
		s.closeStream(st, code)
	}
}

// Done gives the stream's place back: its exchange has ended. What is missing at the end of either side is reset. Until
// then the stream counts, also if the client has reset it.
func (s *Server) Done(st Stream) {
	x := &s.streams.all[st]
	how := x.closed
	switch {
	case how != notEnded:
	case !x.outEnd:
		how = weReset
		s.closeStream(st, InternalError)
	case !x.inEnd: // the answer does not need the rest (RFC 9113, section 8.1)
		how = weReset
		s.closeStream(st, NoError)
	default:
		how = bothEnded
	}
	s.dropCurrent(st)
	s.repay(NoStream, x.held)
	s.remember(s.streams.ids[st], how)
	s.streams.release(st)
}
