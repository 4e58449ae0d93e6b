// SPDX-License-Identifier: EUPL-1.2

package http1

import "github.com/pvgate/pvgate/gateway/message"

// Limits bounds what a machine accepts. It may be shared and must not change
// while a machine uses it.
type Limits struct {
	Line          int   // request or status line without its CRLF, bytes
	Head          int   // head from its first byte to the empty line, bytes; the input buffer must hold that much
	Fields        int   // field lines in a head
	Body          int64 // body octets; 0 = unlimited
	ChunkOverhead int   // chunk sizes, extensions and trailers of one body beyond what its data earns, bytes
	Interim       int   // 1xx responses before the final one
}

// DefaultLimits returns the limits used when the operator names none.
func DefaultLimits() Limits {
	return Limits{Line: 8 << 10, Head: 32 << 10, Fields: 100, Body: 0, ChunkOverhead: 16 << 10, Interim: 5}
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

// String returns the event's name for test failures and logs.
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

// Server reads the requests of one client connection. Call Init before use. Not
// safe for concurrent use.
type Server struct {
	limits *Limits
	cause  string
	fault  message.Fault
}

// Init starts the machine at the beginning of a connection.
func (s *Server) Init(l *Limits) { *s = Server{limits: l} }

// Feed consumes n bytes of in and returns at most one event.
//
//   - More: nothing to report. Keep in[n:]; feed it again with more appended. The
//     machine remembers what it has looked at, so this stays linear.
//   - HeadDone: h holds slices into in, valid until in is overwritten.
//   - Data: data is a slice of in, body octets without chunk framing.
//   - End: the request is complete, perhaps with n = 0 right after HeadDone. The
//     next Feed begins the next request.
//   - Failed: Fault and Cause tell why; it stays that way.
//
// After the End of a request that said it is the last one (h.Close), Feed
// swallows whatever comes: it is never taken for a request.
func (s *Server) Feed(in []byte, h *message.Head) (n int, ev Event, data []byte) {
	return 0, More, nil
}

// Fault returns what is wrong after Failed.
func (s *Server) Fault() message.Fault { return s.fault }

// Cause returns the constant sub-cause for the log after Failed, e.g. "bare-lf".
func (s *Server) Cause() string { return s.cause }

// Idle reports that the machine stands between two messages and has seen no byte
// of the next.
func (s *Server) Idle() bool { return true }

// Client reads the responses of one upstream connection. Call Init once per
// connection and Start per request. Not safe for concurrent use.
type Client struct {
	limits *Limits
	cause  string
	fault  message.Fault
}

// Init starts the machine at the beginning of a connection.
func (c *Client) Init(l *Limits) { *c = Client{limits: l} }

// Start makes the machine ready for the response to a request that is about to
// be sent.
func (c *Client) Start(requestIsHEAD, upgradeOffered bool) {}

// Feed works like Server.Feed. A 1xx response gives Interim (h holds it); a 101,
// if an upgrade was offered, gives HeadDone, and what follows is Data until EOF.
func (c *Client) Feed(in []byte, h *message.Head) (n int, ev Event, data []byte) {
	return 0, More, nil
}

// EOF tells the machine that the upstream has closed its side: End if that
// completes the response, else Failed.
func (c *Client) EOF() Event { return Failed }

// Reusable reports that the response is complete by its own framing, nothing
// was received beyond it, and the upstream keeps the connection.
func (c *Client) Reusable() bool { return false }

// Fault returns what is wrong after Failed.
func (c *Client) Fault() message.Fault { return c.fault }

// Cause returns the constant sub-cause for the log after Failed.
func (c *Client) Cause() string { return c.cause }

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// AppendRequest appends a request head: the method of h, the target, HTTP/1.1,
// all fields of h, and the empty line.
func AppendRequest(dst []byte, h *message.Head, target []byte) []byte { return dst }

// AppendResponse appends a response head with our own reason phrase.
func AppendResponse(dst []byte, status int, fields []message.Field) []byte { return dst }

// AppendChunk appends one chunk with its framing; empty data appends nothing,
// since an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte { return dst }

// AppendChunkSize appends the line that opens a chunk of n octets, n > 0. The
// caller sends the octets and CRLF after it.
func AppendChunkSize(dst []byte, n int) []byte { return dst }
