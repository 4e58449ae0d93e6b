// SPDX-License-Identifier: EUPL-1.2

package http1

import "github.com/pvgate/pvgate/gateway/message"

type serverState uint8

const (
	serverStart  serverState = iota // before a request
	serverHead                      // in a head
	serverBody                      // behind a head
	serverClosed                    // behind the last request of the connection
	serverFailed
)

// Server reads the requests of one client connection. Call Init before use. It
// holds no slice and no buffer. Not safe for concurrent use.
type Server struct {
	limits *Limits
	at     progress
	body   body
	state  serverState
	cause  cause
	blank  bool           // the one empty line before a request has been seen
	last   bool           // this request is the last one
	method message.Method // of a head that is not complete yet
}

// Init starts the machine at the beginning of a connection.
func (s *Server) Init(l *Limits) { *s = Server{limits: l} }

// Feed consumes n bytes of in and returns at most one event.
//
//   - More: nothing to report. Keep in[n:]; feed it again with more appended. The
//     machine remembers what it has looked at, so this stays linear. h is scratch.
//   - HeadDone: h holds slices into in, valid until in is overwritten.
//   - Data: data is a slice of in, body octets without chunk framing.
//   - End: the request is complete, perhaps with n = 0 right after HeadDone. The
//     next Feed begins the next request.
//   - Failed: Fault and Cause tell why; it stays that way. If it was the head,
//     h.Method is the method as far as the request line was understood: even an
//     error has no body if it answers HEAD.
//
// After the End of a request that is the last one (h.Close), Feed swallows
// whatever comes: it is never taken for a request (RFC 9112, section 9.6).
func (s *Server) Feed(in []byte, h *message.Head) (n int, ev Event, data []byte) {
	switch s.state {
	case serverStart:
		n, ev = s.start(in, h)
		return n, ev, nil
	case serverHead:
		n, ev = s.head(in, h)
		return n, ev, nil
	case serverBody:
		n, ev, data, c := s.body.feed(in, s.limits)
		switch ev {
		case End:
			s.end()
		case Failed:
			s.fail(c)
		}
		return n, ev, data
	case serverClosed:
		return len(in), More, nil
	default:
		return 0, Failed, nil
	}
}

// start looks at the first octets of a request. One empty line is swallowed (RFC
// 9112, section 2.2: old clients send it after a body), and what cannot be a
// method is refused at once: a TLS handshake on a plaintext port has no line feed
// to wait for.
func (s *Server) start(in []byte, h *message.Head) (n int, ev Event) {
	if !strict {
		for n < len(in) && (in[n] == '\r' || in[n] == '\n') {
			n++
		}
	} else if len(in) > 0 && in[0] == '\r' {
		switch {
		case s.blank:
			return 0, s.refuse(causeEmptyLines, h)
		case len(in) == 1:
			s.at.seen = 1 // not idle
			return 0, More
		case in[1] != '\n':
			return 0, s.refuse(causeBareCR, h)
		}
		s.blank = true
		s.at.seen = 0
		n = 2
	}
	if n == len(in) {
		return n, More
	}
	switch c := in[n]; {
	case message.Token.Has(c) || !strict:
		s.state = serverHead
		k, ev := s.head(in[n:], h)
		return n + k, ev
	case c == '\r' && s.blank:
		return n, s.refuse(causeEmptyLines, h)
	case c == '\n':
		return n, s.refuse(causeBareLF, h)
	default:
		return n, s.refuse(causeNotHTTP, h)
	}
}

// Raw returns how many octets follow that are the body's as they stand, without framing among them: whoever can pass them
// on without looking may, and says so by Skip. Then comes Feed, also if it has nothing.
func (s *Server) Raw() int64 {
	if s.state == serverBody {
		return s.body.raw()
	}
	return 0
}

// Skip notes that n octets, at most Raw, have been passed on.
func (s *Server) Skip(n int64) { s.body.skip(n) }

func (s *Server) head(in []byte, h *message.Head) (n int, ev Event) {
	waiting := s.at.waiting(in)
	h.Reset()
	h.Method = s.method // of a request line that came earlier
	if waiting {
		return 0, s.moreOr(overrun(s.at.line, len(in)+1, s.limits))
	}
	begin := s.at.line
	i := begin
	if i == 0 {
		n, c := requestLine(in, h)
		s.method = h.Method
		if n == 0 {
			return 0, s.moreOr(s.at.stop(in, 0, c, s.limits))
		}
		if c := overrun(0, n, s.limits); c != causeNone {
			return 0, s.fail(c)
		}
		i = n
	}
	end, c := s.at.fields(in, i, h, s.limits)
	if end == 0 || c != causeNone {
		return 0, s.moreOr(c)
	}
	s.at, s.method = progress{}, message.Other
	if begin > 0 {
		// The head came in pieces and h holds its last lines only. All of it is
		// here and well-formed, so once more, in one go.
		return s.head(in, h)
	}
	if c := requestHead(h, s.limits); c != causeNone {
		return 0, s.fail(c)
	}
	s.body.open(h, 0)
	s.last = h.Close
	s.state = serverBody
	return end, HeadDone
}

func (s *Server) end() {
	s.state, s.blank = serverStart, false
	if s.last {
		s.state = serverClosed
	}
}

func (s *Server) moreOr(c cause) Event {
	if c == causeNone {
		return More
	}
	return s.fail(c)
}

func (s *Server) fail(c cause) Event {
	s.state, s.cause = serverFailed, c
	return Failed
}

// refuse is fail before the first octet of a head: h tells nothing of this message, its method least of all.
func (s *Server) refuse(c cause, h *message.Head) Event {
	h.Reset()
	return s.fail(c)
}

// Fault returns what is wrong after Failed.
func (s *Server) Fault() message.Fault { return causes[s.cause].request }

// Cause returns the constant sub-cause for the log after Failed, e.g. "bare-lf".
func (s *Server) Cause() string { return causes[s.cause].text }

// Idle reports that the machine stands between two messages and has seen no byte
// of the next.
func (s *Server) Idle() bool { return s.state == serverStart && s.at.seen == 0 }
