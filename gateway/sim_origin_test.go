// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

// simOrigin plays a backend's connection.
type simOrigin struct {
	w      *world
	end    farEnd
	in     []byte
	looked int // octets of in that did not make a request
	out    []byte
	slow   int
	close  bool // after the present answer
	kill   bool // by RST
	gone   bool
	tunnel string // the tag of the tunnel that it has become
	heard  []byte // what it has still to hear there
	got    int64  // octets that had come when it had heard its last request whole
	// surplus comes in one piece with the last octet of an answer. What a backend sends of its own accord when the next request has
	// left nobody can tell from its answer; until then, it does: unasked.
	surplus string
}

func newSimOrigin(w *world, e farEnd) *simOrigin {
	o := &simOrigin{w: w, end: e, slow: 1 + w.rng.IntN(10)}
	if w.calm {
		o.slow = max(o.slow, 5) // or it runs into our patience
	}
	return o
}

func (o *simOrigin) step() {
	if o.end.Pump(); o.gone {
		return
	}
	if o.tunnel != "" {
		o.pass()
		return
	}
	if o.w.rng.IntN(10) < o.slow {
		o.in = append(o.in, o.end.Read()...)
	}
	if len(o.out) > 0 {
		if o.surplus == "" || len(o.out) > 1 {
			n := 1 + o.w.rng.IntN(len(o.out))
			if o.surplus != "" {
				n = min(n, len(o.out)-1)
			}
			n = o.end.Write(o.out[:n])
			o.out = o.out[n:]
			return
		}
		if o.end.Room() > len(o.surplus) {
			o.end.Write(append(o.out, o.surplus...))
			o.out, o.surplus, o.gone = nil, "", true // it plays no more, and leaves the connection open
		}
		return
	}
	if o.close || o.end.EOF() {
		o.gone = true
		switch {
		case o.kill && o.w.behind != 0 && o.w.rng.IntN(2) == 0:
			o.end.Close() // without close_notify
		case o.kill:
			o.end.Reset()
		default:
			o.end.Finish()
		}
		return
	}
	if o.got > 0 && o.end.Got() == o.got && o.end.Taken() && o.w.own.IntN(20) == 0 {
		o.speak()
		return
	}
	o.serve()
}

// speak says something that nobody has asked for, or leaves: its last answer has been read, and nothing of another request has come.
func (o *simOrigin) speak() {
	o.gone = true
	o.w.spoken++
	switch o.w.own.IntN(4) {
	case 0:
		o.end.Finish()
	case 1:
		o.end.Reset()
	default:
		o.end.Write([]byte("HTTP/1.1 200 OK\r\nX-Tag: unasked\r\nContent-Length: 0\r\n\r\n"))
	}
}

// serve answers the request at the head of the input, if it is whole (or early, now and then).
func (o *simOrigin) serve() {
	if len(o.in) == o.looked || !bytes.Contains(o.in, []byte("\r\n\r\n")) {
		return // nothing new; and net/http takes half a line for a wrong one
	}
	o.looked = len(o.in)
	src := bytes.NewReader(o.in)
	r := bufio.NewReader(src)
	req, err := http.ReadRequest(r)
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			o.w.fatal("backend: request does not parse: %v in %q", err, o.in)
		}
		return
	}
	tag := req.URL.Path[len("/t/"):]
	early := o.w.rng.IntN(200) == 0 && !o.w.calm
	if req.Header.Get("Expect") != "" && o.w.rng.IntN(8) == 0 {
		o.out = append(o.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
		o.in, o.looked = bytes.Replace(o.in, []byte("Expect: 100-continue\r\n"), nil, 1), 0
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil && !early {
		return
	}
	if err == nil {
		if req.Method == "POST" {
			o.w.seen[tag]++
			if !bytes.Equal(body, simBody(tag)) {
				o.w.fatal("backend: body of %s is not its own", tag)
			}
		}
		o.in, o.looked = o.in[len(o.in)-r.Buffered()-src.Len():], 0
		o.got = o.end.Got()
	} else {
		o.close = true
	}
	if !o.upgrade(req, tag) {
		o.answer(req, tag)
	}
}

func (o *simOrigin) answer(req *http.Request, tag string) {
	var b strings.Builder
	body := simBody(tag + "/answer")
	for range o.w.rng.IntN(8) / 6 {
		o.out = append(o.out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"...)
	}
	if o.w.rng.IntN(12) == 0 {
		fmt.Fprintf(&b, "HTTP/1.1 %d No\r\nX-Tag: %s\r\n\r\n", []int{204, 304}[o.w.rng.IntN(2)], tag)
		o.out = append(o.out, b.String()...)
		o.poison()
		return
	}
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nX-Tag: %s\r\n", tag)
	form := o.w.rng.IntN(3)
	if form == 2 || o.w.rng.IntN(10) == 0 {
		o.close = true
		b.WriteString("Connection: close\r\n")
	}
	switch {
	case req.Method == "HEAD":
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	case form == 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case form == 1:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		simChunks(o.w.rng, &b, body)
	default:
		b.WriteString("\r\n")
		b.Write(body)
	}
	o.out = append(o.out, b.String()...)
	if form != 2 || req.Method == "HEAD" {
		o.poison()
	}
	if o.w.calm {
		return
	}
	switch o.w.rng.IntN(60) {
	case 0: // dies before it has said all; what ends by closing can be cut visibly only by a reset
		o.out, o.close, o.kill, o.surplus = o.out[:o.w.rng.IntN(len(o.out))], true, form == 2, ""
	case 1:
		o.gone = true
		o.end.Reset()
	case 2: // closes a kept connection right after the answer
		o.close = true
	}
}

// poison makes the backend send, now and then, more than it should.
func (o *simOrigin) poison() {
	if o.w.rng.IntN(20) == 0 {
		o.surplus = []string{"HTTP/1.1 200 OK\r\nX-Tag: poison\r\nContent-Length: 0\r\n\r\n", "body", "\r\n"}[o.w.rng.IntN(3)]
	}
}

// simChunks writes a body in chunks, with extensions and trailers that must not come through.
func simChunks(rng *rand.Rand, b *strings.Builder, body []byte) {
	for len(body) > 0 {
		n := 1 + rng.IntN(len(body))
		fmt.Fprintf(b, "%x%s\r\n%s\r\n", n, []string{"", "", ";a=b", ";q=\"x;y\""}[rng.IntN(4)], body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n" + []string{"", "", "X-Tag: trailer\r\n"}[rng.IntN(3)] + "\r\n")
}
