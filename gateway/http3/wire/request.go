// SPDX-License-Identifier: EUPL-1.2

package wire

// Limits bound what a stream may carry. They must not change while a machine uses them.
type Limits struct {
	Section int // encoded field section of a HEADERS frame, octets; the input buffer must hold that much
	// Overhead is what frame headers, frames of no meaning to us and trailers may take on one stream beyond what its
	// content earns, octets.
	Overhead int
}

// earnPerOctet is how much overhead an octet of content pays for, and grace what each DATA frame's header costs nothing
// of: content in reasonable pieces never runs out.
const (
	earnPerOctet = 1
	grace        = 2
)

// Event is what one call of Request.Feed found.
type Event uint8

// The events.
const (
	More     Event = iota // nothing yet: keep in[n:], append what comes, feed again
	Head                  // data is the encoded field section of the request
	Data                  // data is content
	Trailers              // data is the encoded field section behind the content
	TooLarge              // a field section is longer than Limits.Section; the stream is of no further use
	Failed                // see Code: an error of the connection
)

type requestState uint8

const (
	beforeHead requestState = iota
	inBody
	afterTrailers
	requestFailed
)

// Request reads one request stream. Call Init before use. It holds no slice and no buffer. Not safe for concurrent use.
type Request struct {
	limits *Limits
	state  requestState
	code   Code
	data   uint64 // octets of the present DATA frame still to come
	skip   uint64 // of a frame of no meaning to us
	excess int    // overhead so far
	tunnel bool
}

// Init starts the machine at the beginning of a stream.
func (r *Request) Init(l *Limits) { *r = Request{limits: l} }

// Tunnel says that the head was an extended CONNECT: behind it there is only DATA (RFC 9114, section 4.4).
func (r *Request) Tunnel() { r.tunnel = true }

// Code returns the error after Failed.
func (r *Request) Code() Code { return r.code }

// Feed consumes n octets of in and returns at most one event. data is a slice of in.
func (r *Request) Feed(in []byte) (n int, ev Event, data []byte) {
	for {
		switch {
		case r.state == requestFailed:
			return n, Failed, nil
		case n == len(in):
			return n, More, nil
		case r.data > 0:
			k := int(min(r.data, uint64(len(in)-n)))
			r.data -= uint64(k)
			r.excess = max(r.excess-k*earnPerOctet, 0)
			return n + k, Data, in[n : n+k]
		case r.skip > 0:
			k := int(min(r.skip, uint64(len(in)-n)))
			r.skip -= uint64(k)
			n += k
			continue
		}
		k, ev, data := r.frame(in[n:])
		n += k
		if ev != More || k == 0 {
			return n, ev, data
		}
	}
}

// frame reads the header of a frame, and with it the whole of HEADERS.
func (r *Request) frame(in []byte) (n int, ev Event, data []byte) {
	kind, k := Varint(in)
	size, m := Varint(in[k:])
	if k == 0 || m == 0 {
		return 0, More, nil
	}
	head := k + m
	switch {
	case kind == frameHeaders:
		return r.section(in, head, size)
	case kind == frameData:
		if r.state != inBody {
			return 0, r.fail(FrameUnexpected), nil
		}
		r.data = size
		return head, r.spend(uint64(head - grace*int(min(size, 1)))), nil
	case kind == frameSettings, kind == frameGoaway, kind == frameCancelPush, kind == frameMaxPushID, kind == framePushPromise, fromHTTP2(kind):
		return 0, r.fail(FrameUnexpected), nil
	default: // a type that nobody here knows is no error (RFC 9114, section 9)
		r.skip = size
		return head, r.spend(uint64(head) + size), nil
	}
}

// section waits until the whole of a field section is there.
func (r *Request) section(in []byte, head int, size uint64) (n int, ev Event, data []byte) {
	if r.state == afterTrailers || r.tunnel {
		return 0, r.fail(FrameUnexpected), nil
	}
	if size > uint64(r.limits.Section) {
		r.state = requestFailed
		return 0, TooLarge, nil
	}
	n = head + int(size)
	if len(in) < n {
		return 0, More, nil
	}
	if r.state == beforeHead {
		r.state = inBody
		return n, Head, in[head:n]
	}
	r.state = afterTrailers
	if ev := r.spend(uint64(n)); ev == Failed {
		return n, ev, nil
	}
	return n, Trailers, in[head:n]
}

// spend counts overhead.
func (r *Request) spend(octets uint64) Event {
	if octets > uint64(max(r.limits.Overhead-r.excess, 0)) {
		return r.fail(ExcessiveLoad)
	}
	r.excess += int(octets)
	return More
}

func (r *Request) fail(c Code) Event {
	r.state, r.code = requestFailed, c
	return Failed
}

// End is called when the client has ended the stream; rest is what Feed has not consumed. It returns None for a whole
// request, RequestIncomplete, an error of the stream, for one without a head, and else an error of the connection: a frame
// was cut short (RFC 9114, section 7.1).
func (r *Request) End(rest []byte) Code {
	switch {
	case r.state == requestFailed:
		return r.code
	case len(rest) > 0 || r.data > 0 || r.skip > 0:
		return FrameError
	case r.state == beforeHead:
		return RequestIncomplete
	}
	return None
}
