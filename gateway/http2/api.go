// SPDX-License-Identifier: EUPL-1.2

package http2

import "github.com/pvgate/pvgate/gateway/message"

// Preface is what a client's connection begins with (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// MaxStreams is the most that Limits.Streams may be.
const MaxStreams = 128

// Limits bounds what a machine accepts. It may be shared by many machines and must not change while one uses it.
type Limits struct {
	message.HeadLimits

	Streams int // exchanges of one connection that have not ended; at most MaxStreams
	Heads   int // size of the heads of all those together, as HeadLimits.Head
	Window  int // octets of all request bodies of the connection that Consumed has not been told of; 65535 or more
}

// defaultStreams is Limits.Streams when the operator names none.
const defaultStreams = 100

// StreamWindow is how many octets of one request's body may be unconsumed.
const StreamWindow = 65535

// DefaultLimits returns the limits used when the operator names none.
func DefaultLimits() Limits {
	return Limits{
		HeadLimits: message.HeadLimits{Line: 8 << 10, Head: 32 << 10, Fields: 100},
		Streams:    defaultStreams,
		Heads:      512 << 10,
		Window:     defaultStreams * StreamWindow, // however many bodies nobody takes, the next one comes in
	}
}

// Stream is the place of a stream in its connection's table, 0 to Limits.Streams-1. It is taken from HeadDone or Refused
// on until Done.
type Stream int

// NoStream is none, or all, as an event says.
const NoStream Stream = -1

// Event is what one call of Feed found.
type Event uint8

// The events. A stream goes HeadDone, Data…, End; or Refused. Reset and Broken can come at any time until Done.
const (
	// More: nothing yet. Keep in[n:], append what arrives, feed again.
	More Event = iota
	// HeadDone: a request's head is in Scratch.Head, valid until the next Feed with the same Scratch.
	HeadDone
	// Data: octets of a request's body, a slice of in. The client's window is opened by Consumed only.
	Data
	// End: the request is complete; comes for every one, also right after HeadDone.
	End
	// Refused: a request whose head cannot be served; Fault and Cause tell why, Scratch.Head.Method is its method as far
	// as it was understood. If it was malformed its stream is reset already, and what is appended for it goes nowhere.
	// Neither Data nor End follow.
	Refused
	// Reset: the client has reset the stream: it waits for no answer.
	Reset
	// Broken: the request went wrong behind its head; Fault and Cause tell why. As with Refused, the stream may be reset.
	Broken
	// Writable: there may be more room to send, on the stream or, with NoStream, on all of them.
	Writable
	// Failed: the connection is of no further use. Cause tells why; GOAWAY waits in AppendControl. It stays that way.
	Failed
)

// String returns the event's name for logs and test failures.
func (e Event) String() string {
	if int(e) >= len(eventNames) {
		return "Event?"
	}
	return eventNames[e]
}

var eventNames = [...]string{
	More: "More", HeadDone: "HeadDone", Data: "Data", End: "End", Refused: "Refused", Reset: "Reset", Broken: "Broken",
	Writable: "Writable", Failed: "Failed",
}

// Scratch is what the machines of one loop share, since only one of them is fed at a time. The zero value is ready.
type Scratch struct {
	Head message.Head

	assembler message.Assembler
	text      []byte // decoded names and values
}

// Code is an error code (RFC 9113, section 7).
type Code uint32

// The error codes.
const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)
