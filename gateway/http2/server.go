// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"encoding/binary"

	"github.com/pvgate/pvgate/gateway/message"
)

// Types of frames (RFC 9113, section 6).
const (
	typeData = iota
	typeHeaders
	typePriority
	typeReset
	typeSettings
	typePushPromise
	typePing
	typeGoAway
	typeWindowUpdate
	typeContinuation
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	headerLen = 9
	// maxFrame is the largest payload, in both directions: the default of SETTINGS_MAX_FRAME_SIZE, which nobody may lower.
	maxFrame = 16384
	// maxWindow is the largest window (RFC 9113, section 6.9.1); its octets are also the largest stream identifier.
	maxWindow = 1<<31 - 1
	// initialWindow is every window's size at the beginning.
	initialWindow = 65535
)

// Server is one connection. Call Init before use. It keeps no slice of what it is fed. Not safe for concurrent use.
type Server struct {
	limits  *Limits
	streams table
	decoder decoder
	control []byte // frames of our own that wait
	block   []byte // a header block that came in pieces so far

	now   int64
	spent int64 // until when the points that were charged last; see charge

	window        int64 // octets that the client takes of all answers together
	initialWindow int64 // of a new stream's answer
	room          int   // octets that the client may still send of all bodies together
	owed          int   // octets that it may send again, and has not been told of

	left      int    // octets of a DATA frame, or of one of no meaning, that are still to come; padding is apart
	padding   int    // octets of padding behind them
	current   Stream // whose they are, NoStream: nobody's
	ending    Stream // whose request has ended with its head, and nobody was told
	last      uint32 // the highest stream identifier so far
	lastKept  uint32 // the highest that is served, after the final GOAWAY
	blockID   uint32 // of the header block that has not ended, 0 = none
	pieces    int    // CONTINUATION frames of it
	explained int    // WINDOW_UPDATE frames that our answers explain

	begun     uint8 // octets of the preface that came
	cause     cause
	headCause message.HeadCause
	abuse     Abuse
	greeted   bool // the client's SETTINGS came
	inData    bool // in a DATA frame, or in one that is passed over
	fin       bool // that frame, or the header block, ends the request
	selfish   bool // the header block came with a dependency of the stream on itself
	failed    bool
	final     bool                  // the final GOAWAY is out
	forget    bool                  // the next head tells the client's decoder to keep nothing
	remembers bool                  // it has not been told so
	past      [pastStreams / 4]byte // how streams ended, four to an octet: remember
}

// Init starts the machine at the beginning of a connection.
func (s *Server) Init(l *Limits) {
	*s = Server{
		limits: l, decoder: decoder{max: tableSize, budget: bombFactor * l.Head}, window: initialWindow, initialWindow: initialWindow, room: initialWindow,
		current: NoStream, ending: NoStream, remembers: true,
	}
}

// AppendPreface appends what the server begins with: SETTINGS, and the connection's window.
func (s *Server) AppendPreface(dst []byte) []byte {
	type setting struct {
		id    uint16
		value uint32
	}
	all := [...]setting{
		{settingMaxConcurrentStreams, uint32(s.limits.Streams)},
		{settingMaxHeaderListSize, uint32(s.limits.Head)},
		{settingNoPriorities, 1},
		{settingExtendedConnect, 1},
	}
	settings := all[:]
	if !s.limits.WebSocket {
		settings = all[:len(all)-1]
	}
	dst = appendFrame(dst, len(settings)*settingLen, typeSettings, 0, 0)
	for _, x := range settings {
		dst = binary.BigEndian.AppendUint16(dst, x.id)
		dst = binary.BigEndian.AppendUint32(dst, x.value)
	}
	if more := s.limits.Window - s.room; more > 0 {
		dst = appendWindowUpdate(dst, 0, more)
		s.room += more
	}
	return dst
}

// Feed consumes n bytes of in and returns at most one event; see Event. now is in nanoseconds and never goes back.
func (s *Server) Feed(in []byte, now int64, sc *Scratch) (n int, ev Event, st Stream, data []byte) {
	s.now = now
	if len(s.control) > maxControl {
		s.calm(PingFlood) // what we answer is not read
	}
	for {
		var k int
		k, ev, st, data = s.step(in[n:], sc)
		n += k
		if ev != More || k == 0 {
			return n, ev, st, data
		}
	}
}

// step looks at one frame, or at what there is of it.
func (s *Server) step(in []byte, sc *Scratch) (n int, ev Event, st Stream, data []byte) {
	switch {
	case s.failed:
		return 0, Failed, NoStream, nil
	case s.ending != NoStream:
		st, s.ending = s.ending, NoStream
		return 0, End, st, nil
	case int(s.begun) < len(Preface):
		n, ev = s.preface(in)
		return n, ev, NoStream, nil
	case s.inData:
		if n, ev, st, data = s.data(in); n > 0 || ev != More || s.inData {
			return n, ev, st, data
		}
	}
	if len(in) < headerLen {
		return 0, More, NoStream, nil
	}
	f := frame{length: int(in[0])<<16 | int(in[1])<<8 | int(in[2]), kind: in[3], flags: in[4], id: binary.BigEndian.Uint32(in[5:]) & maxWindow}
	if c, wrong := s.order(&f); wrong != causeNone {
		return 0, s.fail(c, wrong), NoStream, nil
	}
	if f.kind == typeData {
		n, ev, st = s.dataFrame(&f, in)
		return n, ev, st, nil
	}
	if f.kind > typeContinuation { // of no meaning (RFC 9113, section 5.5)
		s.inData, s.current, s.left, s.padding, s.fin = f.length > 0, NoStream, f.length, 0, false
		return headerLen, s.charge(PriorityFlood, costFrame), NoStream, nil
	}
	n = headerLen + f.length
	if len(in) < n {
		return 0, More, NoStream, nil
	}
	ev, st = s.whole(&f, in[headerLen:n], sc)
	return n, ev, st, nil
}

// preface compares what comes with the client's preface.
func (s *Server) preface(in []byte) (n int, ev Event) {
	n = min(len(in), len(Preface)-int(s.begun))
	if string(in[:n]) != Preface[s.begun:int(s.begun)+n] {
		return 0, s.fail(ProtocolError, causePreface)
	}
	s.begun += uint8(n)
	return n, More
}

// frame is the header of a frame.
type frame struct {
	length int
	kind   byte
	flags  byte
	id     uint32
}

// order judges whether a frame may come now and be so long.
func (s *Server) order(f *frame) (Code, cause) {
	switch {
	case !s.greeted && (f.kind != typeSettings || f.flags&flagAck != 0):
		return ProtocolError, causeNoSettings
	case f.length > maxFrame:
		return FrameSizeError, causeFrameSize
	case s.blockID != 0 && (f.kind != typeContinuation || f.id != s.blockID), s.blockID == 0 && f.kind == typeContinuation:
		return ProtocolError, causeFrameOrder
	}
	switch f.kind {
	case typeData, typeHeaders, typePriority, typeReset:
		if f.id == 0 {
			return ProtocolError, causeStreamID
		}
	case typeSettings, typePing, typeGoAway:
		if f.id != 0 {
			return ProtocolError, causeStreamID
		}
	case typePushPromise:
		return ProtocolError, causePush
	}
	return NoError, causeNone
}

// whole takes a frame that is there as a whole.
func (s *Server) whole(f *frame, payload []byte, sc *Scratch) (Event, Stream) {
	switch f.kind {
	case typeHeaders:
		return s.headersFrame(f, payload, sc)
	case typeContinuation:
		return s.continuationFrame(f, payload, sc)
	case typePriority:
		return s.priorityFrame(f, payload)
	case typeReset:
		return s.resetFrame(f)
	case typeSettings:
		return s.settingsFrame(f, payload), NoStream
	case typePing:
		return s.pingFrame(f, payload), NoStream
	case typeWindowUpdate:
		return s.windowUpdateFrame(f, payload)
	default: // GOAWAY: we open no streams
		if f.length < 8 {
			return s.fail(FrameSizeError, causeFrameSize), NoStream
		}
		return s.charge(PriorityFlood, costFrame), NoStream
	}
}

// fail ends the connection (RFC 9113, section 5.4.1).
func (s *Server) fail(code Code, c cause) Event {
	if !s.failed {
		s.failed = true
		s.cause, s.headCause = c, message.HeadFine
		s.goAway(s.lastServed(), code)
	}
	return Failed
}

// Fault returns what is wrong after Refused, Broken and Failed.
func (s *Server) Fault() message.Fault {
	switch {
	case s.headCause != message.HeadFine:
		return s.headCause.Fault()
	case s.cause == causeBodyTooLarge:
		return message.FaultBodyTooLarge
	case s.cause == causeNone:
		return message.FaultNone
	default:
		return message.FaultGrammar
	}
}

// Cause returns the constant sub-cause for the log after Refused, Broken and Failed.
func (s *Server) Cause() string {
	if s.headCause != message.HeadFine {
		return s.headCause.String()
	}
	return causes[s.cause]
}

// Abuse returns of what kind the waste of time was for which the connection Failed with ENHANCE_YOUR_CALM, NotAbused if
// it did for something else.
func (s *Server) Abuse() Abuse { return s.abuse }

// Live returns how many streams are not Done.
func (s *Server) Live() int { return s.streams.live }

// InHead reports that a header block has begun and not ended.
func (s *Server) InHead() bool { return s.blockID != 0 }

// Idle reports that no stream is live and that the machine is between two frames.
func (s *Server) Idle() bool { return s.streams.live == 0 && !s.inData && s.blockID == 0 }
