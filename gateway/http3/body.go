// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/message"
)

// bodyBuffer is how much of a body is read at a time, octets.
const bodyBuffer = 32 << 10

// bodyReader is a body on its way to the loop, a piece at a time.
type bodyReader struct {
	*stream
	in    []byte // received; what was used of it stands before at
	at    int
	total int64 // octets of the body
	// The least rate holds over spans of waiting for the client; what its backend takes does not count.
	waited time.Duration
	got    int64
}

// readBody is the goroutine that reads a body, whenever the loop wants a piece of it.
func (s *stream) readBody() {
	select {
	case <-s.began:
	case <-s.host.loop.Done():
		return
	}
	defer s.release()
	defer s.survive()
	r := bodyReader{stream: s}
	for {
		select {
		case <-s.feed:
		case <-s.done:
			return
		}
		if r.in == nil {
			r.in = append(append(s.server.bodies.Get().([]byte), s.head.ahead...), s.head.in[s.head.at:]...)
			r.at = len(s.head.ahead)
			defer func() { s.server.bodies.Put(r.in[:0]) }() //nolint:staticcheck // a slice's header is small
		}
		more := r.next()
		select {
		case <-s.done:
			return
		default:
		}
		s.post(s.took)
		if !more {
			return
		}
	}
}

// next reads until there is a piece or an end of the body, and reports whether there may be more.
func (r *bodyReader) next() bool {
	r.piece = nil
	for {
		if done := r.scan(); done {
			return !r.entire
		}
		r.in = r.in[:copy(r.in[:cap(r.in)], r.in[r.at:])]
		r.at = 0
		if len(r.in) == cap(r.in) {
			r.in = append(make([]byte, 0, cap(r.in)+r.server.limits.Section), r.in...) // trailers
		}
		if done := r.read(); done {
			return !r.entire
		}
	}
}

// scan looks at what has been received. The octets of all DATA frames in it become one piece, moved together at the front.
func (r *bodyReader) scan() (done bool) {
	m := &r.head.machine
	w := len(r.head.ahead) // stands where it should already
	r.head.ahead = nil
	for {
		n, ev, data := m.Feed(r.in[r.at:])
		switch ev {
		case wire.Data:
			w += copy(r.in[w:], data)
			r.at += n
			continue
		case wire.Trailers:
			r.at += n
			if code := r.trailers(data); code != wire.None {
				r.lost(code)
			}
			if r.entire { // for what is wrong with them
				return true
			}
			continue
		case wire.TooLarge:
			r.wrong(message.FaultHeadTooLarge, message.HeadTooLarge.String())
			return true
		case wire.Failed:
			r.lost(m.Code())
			return true
		default:
			r.at += n
		}
		break
	}
	if r.total += int64(w); !r.fits() {
		return true
	}
	if r.head.eof {
		return r.end(w)
	}
	r.piece = r.in[:w]
	return w > 0
}

// fits compares what has come with what was announced and is allowed.
func (r *bodyReader) fits() bool {
	announced, most := r.length, r.server.options.Limits.Body
	switch {
	case r.tunnel:
	case announced >= 0 && r.total > announced:
		r.wrong(message.FaultGrammar, message.HeadLengthMismatch.String())
	case most > 0 && r.total > most:
		r.wrong(message.FaultBodyTooLarge, message.HeadBodyTooLarge.String())
	}
	return r.fault == message.FaultNone
}

// end takes the end of the stream behind the last w octets.
func (r *bodyReader) end(w int) bool {
	switch code := r.head.machine.End(r.in[r.at:]); {
	case code != wire.None:
		r.lost(code)
	case r.length >= 0 && r.total != r.length:
		r.wrong(message.FaultGrammar, message.HeadLengthMismatch.String())
	default:
		r.piece, r.entire = r.in[:w], true
	}
	return true
}

// read waits for the client, as long as it keeps the least rate; in a tunnel as long as the exchange does.
func (r *bodyReader) read() (done bool) {
	t := &r.server.options.Timeouts
	for {
		from, until := time.Now(), time.Time{}
		if !r.tunnel {
			until = from.Add(t.Body - r.waited)
		}
		_ = r.quic.SetReadDeadline(until) // fails never
		n, err := r.quic.Read(r.in[len(r.in):cap(r.in)])
		r.in = r.in[:len(r.in)+n]
		r.got += int64(n)
		if r.waited += time.Since(from); r.waited >= t.Body && !r.tunnel {
			if r.got < int64(t.Rate)*int64(t.Body)/1e9 && !errors.Is(err, io.EOF) {
				r.server.count(conn.SlowBody)
				r.wrong(message.FaultTimeout, "")
				return true
			}
			r.waited, r.got = 0, 0
		}
		switch {
		case errors.Is(err, io.EOF):
			r.head.eof = true
			return false
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			r.cancelled(err)
			r.left, r.entire = true, true
			return true
		case n > 0:
			return false
		}
	}
}

// wrong notes what is wrong with the request: it ends.
func (r *bodyReader) wrong(f message.Fault, note string) {
	r.piece = nil
	r.refuse(f, note)
}

// lost ends the connection for what the client did on the stream.
func (r *bodyReader) lost(code wire.Code) {
	r.fail(code)
	r.piece, r.left, r.entire = nil, true, true
}
