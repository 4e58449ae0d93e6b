// SPDX-License-Identifier: EUPL-1.2

package http1

import "github.com/pvgate/pvgate/gateway/message"

// Limits bounds what a machine accepts. It may be shared by many machines and
// must not change while one uses it.
type Limits struct {
	Line          int   // request or status line without its CRLF, bytes
	Head          int   // head from its first byte to the end of its empty line, bytes; the input buffer must hold that much
	Fields        int   // field lines in a head, and in a trailer section
	Body          int64 // octets of a request body; 0 = unlimited
	ChunkOverhead int   // chunk lines and trailers of one body beyond what its data earns, bytes
	Interim       int   // 1xx responses before the final one
}

// Heads returns those that hold in every version of HTTP.
func (l Limits) Heads() message.HeadLimits {
	return message.HeadLimits{Line: l.Line, Head: l.Head, Fields: l.Fields, Body: l.Body}
}

// DefaultLimits returns the limits used when the operator names none.
func DefaultLimits() Limits {
	return Limits{
		Line:          8 << 10,
		Head:          32 << 10,
		Fields:        100,
		Body:          0,
		ChunkOverhead: 16 << 10,
		Interim:       5,
	}
}

// Event is what one call of Feed found.
type Event uint8

// Events of both machines.
const (
	More     Event = iota // nothing yet: keep in[n:], append what arrives, feed again
	HeadDone              // the head is in h
	Data                  // data holds body octets
	End                   // the message is complete
	Interim               // client only: a 1xx response is in h, the final one follows
	Failed                // see Fault and Cause; the connection is of no further use
)

// String returns the event's name for logs and test failures.
func (e Event) String() string {
	switch e {
	case More:
		return "More"
	case HeadDone:
		return "HeadDone"
	case Data:
		return "Data"
	case End:
		return "End"
	case Interim:
		return "Interim"
	case Failed:
		return "Failed"
	default:
		return "Event?"
	}
}
