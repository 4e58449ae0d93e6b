// SPDX-License-Identifier: EUPL-1.2

// Package header decides which fields cross the gateway: what is removed, what
// is set, what is rewritten, in both directions and for every protocol version.
//
// The calls you want: Request.Apply on the way to a backend, Response.Apply on
// the way back. Both edit the head's field list in place and append to it; with
// enough capacity they do not allocate.
//
// It is pure and deliberately does not parse or serialise (http1), decide where
// a request goes, or know who is a trusted peer (it is told).
package header

import "github.com/pvgate/pvgate/gateway/message"

// Request holds what the gateway says about itself and the client when it sends
// a request on. All slices must stay valid until the head is serialised. An
// empty slice means the field is not sent.
type Request struct {
	Host     []byte // the backend's authority
	Via      []byte // our pseudonym, e.g. "pvgate-gw.example.de"
	For      []byte // text form of the client's address, IPv6 without brackets
	Proto    []byte // "http" or "https": how the client reached us
	OrigHost []byte // the authority the client asked for

	Leistung, ARS, Level, Sender, OE, Language []byte // PV- fields

	Traceparent   []byte
	KnownSender   bool  // the peer may tell us who is behind it
	Chunked       bool  // the body goes upstream in chunks
	ContentLength int64 // octets; -1 = no body or chunked
}

// Removed counts what Apply took out because the client had no right to say it.
type Removed struct {
	PV        int // PV- names
	Forwarded int // Forwarded, X-Forwarded-…, X-Real-IP and their like
	Alias     int // names spelled to be mistaken for a protected one
}

// Apply turns the client's fields in h into the fields for the backend. It
// returns FaultLoop if the request has been here before, FaultNone else.
func (r *Request) Apply(h *message.Head) (removed Removed, fault message.Fault) {
	return Removed{}, message.FaultNone
}

// Response holds what the gateway says when it sends a response on.
type Response struct {
	Via           []byte // our pseudonym
	Trace         []byte // PV-Trace
	Date          []byte // used if the backend sent none
	Close         bool   // send Connection: close
	KeepAlive10   bool   // send Connection: keep-alive (HTTP/1.0 client that asked)
	Chunked       bool   // the body goes to the client in chunks
	ContentLength int64  // octets; -1 = none
}

// Apply turns the backend's fields in h into the fields for the client and
// returns them.
func (r *Response) Apply(h *message.Head) []message.Field { return h.Fields }
