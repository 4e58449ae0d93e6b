// SPDX-License-Identifier: EUPL-1.2

// Package strict is an independent judge of HTTP/1.1 bytes, written from RFC 9110 and RFC 9112 and nothing else. It
// reads what a client sent, what arrived at an origin and what came back, and says for each whether it is one clean
// message after the other. It imports nothing of the gateway (a test of cmd/pvgate holds that), so that a mistake there
// is not repeated here.
//
// The calls you want are [NextRequest] and [NextResponse] for one message at the start of a buffer, and [Requests] for
// a whole stream. Two levels of strictness: [Sent] refuses what a smuggling-safe gateway must refuse of a client, and
// leaves open what the RFCs leave open; [Forwarded] is what a gateway may write: one spelling for everything.
//
// It is a judge, not a parser to build on: it is written to be compared with the RFCs, copies freely and reads a message
// from its beginning again when more of it has come.
package strict

import "fmt"

// Level is how strict to be.
type Level uint8

const (
	// Sent judges bytes of a client: RFC 9112 without the leniencies it permits where two readers could differ
	// (bare LF, obs-fold, repeated Content-Length, Transfer-Encoding beside Content-Length, other codings).
	Sent Level = iota
	// Forwarded judges bytes a gateway wrote to an origin: as Sent, and besides only HTTP/1.1, origin-form or "*",
	// one space, "Name: value", no hop-by-hop field, chunks without extensions, no trailers, no empty lines between.
	Forwarded
)

// Status is the outcome of reading one message.
type Status uint8

const (
	// Complete means that the message is whole and ends where n says.
	Complete Status = iota
	// Incomplete means that the bytes are the clean beginning of a message.
	Incomplete
	// Bad means that no message can begin with these bytes.
	Bad
)

func (s Status) String() string {
	switch s {
	case Complete:
		return "complete"
	case Incomplete:
		return "incomplete"
	case Bad:
		return "bad"
	default:
		return fmt.Sprintf("status %d", uint8(s))
	}
}

// Field is one header field as sent, its value without surrounding whitespace.
type Field struct{ Name, Value string }

// Message is what requests and responses share.
type Message struct {
	// Head says that the head was read to its end; without it nothing below holds.
	Head   bool
	Minor  int
	Fields []Field
	// Body is the body read so far, chunk framing removed.
	Body    []byte
	Chunked bool
	// Length is the Content-Length, -1 if there was none.
	Length int64
	// Close says that the connection ends after this message.
	Close bool
}

// Get returns the first value of the field called name (any case), "" if there is none.
func (m *Message) Get(name string) string {
	for _, f := range m.Fields {
		if equalFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Count returns how many fields are called name (any case).
func (m *Message) Count(name string) int {
	n := 0
	for _, f := range m.Fields {
		if equalFold(f.Name, name) {
			n++
		}
	}
	return n
}

// Request is one request.
type Request struct {
	Method, Target string
	Message
}

// Response is one response.
type Response struct {
	Code   int
	Reason string
	// UntilClose says that the body has no length of its own.
	UntilClose bool
	Message
}

// Fault is why bytes are Bad.
type Fault struct {
	Cause string
	At    int
}

func (f Fault) String() string { return fmt.Sprintf("%s at byte %d", f.Cause, f.At) }

// Stream is what a whole byte stream of one client was.
type Stream struct {
	// Requests are the complete ones, in order, up to the first that closes the connection.
	Requests []Request
	// Rest is the status of what follows the last complete request: Complete if nothing follows.
	Rest Status
	// Partial is the unfinished request if Rest is Incomplete, as far as it was read.
	Partial Request
	Fault   Fault
	// Used is how many bytes the complete requests take.
	Used int
	// Closed says that the last request ends the connection, so that bytes after it mean nothing.
	Closed bool
}

// Requests reads a stream of requests from its beginning.
func Requests(stream []byte, level Level) Stream {
	var s Stream
	for s.Used < len(stream) {
		req, n, status, fault := NextRequest(stream[s.Used:], level)
		if status != Complete {
			s.Rest, s.Partial = status, req
			s.Fault = Fault{fault.Cause, s.Used + fault.At}
			if status == Incomplete && onlyEmptyLines(stream[s.Used:]) && level == Sent {
				s.Rest = Complete // empty lines after a message belong to nobody (RFC 9112 2.2)
			}
			return s
		}
		s.Requests = append(s.Requests, req)
		s.Used += n
		if req.Close {
			s.Closed = true
			return s
		}
	}
	return s
}

func onlyEmptyLines(b []byte) bool {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] != '\r' || b[i+1] != '\n' {
			return false
		}
	}
	return len(b)%2 == 0
}
