// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// simH2 plays a browser that speaks HTTP/2: streams beside each other, bodies within the windows, windows that open late,
// resets at any time.
type simH2 struct {
	w       *world
	c       *h2client
	streams []*simStream
	window  int // that the connection has for bodies
	first   int // window of each answer
	lazy    int // chance in ten to read in a round
	abortAt int // octets after which it leaves, -1 never
	reset   bool
	pings   int // it may still send, for which its requests are put off
	sent    int
	heard   int // frames that have been looked at
	owed    int // octets of answers that were read since the connection's window was opened
	away    bool
	left    bool
	done    bool
}

// simStream is one request and what comes back.
type simStream struct {
	simRequest
	id      uint32
	begun   bool
	body    []byte // to be sent
	sent    int    // octets of it, of what is no tunnel
	ended   bool   // the request
	waits   bool   // for 100
	window  int
	owed    int
	got     []byte
	status  int
	echo    string
	whole   bool
	broken  bool
	patient int64 // when it stops waiting for 100
	socket  bool  // asks for WebSocket, and says the body of tag/up
	early   int   // octets that it says of that without waiting
}

func newSimH2(w *world) *simH2 {
	s := &simH2{w: w, lazy: 1 + w.rng.IntN(10), abortAt: -1, reset: w.rng.IntN(2) == 0, window: 65535, first: []int{0, 2000, 65535, 1 << 20}[w.rng.IntN(4)]}
	if w.calm {
		s.lazy, s.first = max(s.lazy, 5), max(s.first, 5000) // or it runs into our patience
	}
	for i := range 1 + w.rng.IntN(8) {
		r := &simStream{simRequest: simRequest{tag: fmt.Sprintf("h%ds%d", len(w.streamers), i), method: "GET"}, window: 65535}
		switch w.rng.IntN(10) {
		case 0, 1, 2:
			r.method, r.body = "POST", simBody(r.tag)
		case 3:
			r.method = "HEAD"
		case 4:
			r.own = true
		case 5:
			r.method = "DELETE"
		case 6, 7:
			r.socket, r.body = true, simBody(r.tag+"/up")
			if w.rng.IntN(3) == 0 {
				r.early = min(w.rng.IntN(1000), len(r.body))
			}
		}
		s.streams = append(s.streams, r)
	}
	s.pings = max(w.rng.IntN(30)-15, 0)
	if w.rng.IntN(5) == 0 && !w.calm {
		s.abortAt = w.rng.IntN(2000)
	}
	host := byte(100 + len(w.streamers))
	end := w.net.Dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 4000), simFront)
	far := farEnd(end)
	if w.version != 0 {
		config := simClientTLS(w.version)
		config.NextProtos = []string{"h2"}
		far = end.Secure(config, w.rng.IntN(8) == 0)
	}
	s.c = newH2(w.t, far, func() {}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(s.first)})
	return s
}

func (s *simH2) step() {
	if s.done {
		return
	}
	s.c.end.Pump()
	if s.abortAt >= 0 && s.sent >= s.abortAt {
		s.leave(s.reset)
		s.left = true
		return
	}
	for _, r := range s.streams {
		if s.pings > 0 && !r.begun {
			s.pings--
			_ = s.c.framer.WritePing(false, [8]byte{})
		}
		s.send(r)
	}
	if b := s.c.out.Bytes(); len(b) > 0 {
		n := s.c.end.Write(b[:1+s.w.rng.IntN(len(b))])
		s.c.out.Next(n)
		s.sent += n
	}
	if s.w.rng.IntN(10) < s.lazy {
		s.read()
	}
	open := false
	for _, r := range s.streams {
		open = open || r.begun && !r.broken && !(r.whole && (r.ended || !r.socket)) || !r.begun && !s.away
		open = open || r.socket && s.w.calm && s.w.hears(r.tag)
	}
	switch {
	case s.c.end.EOF():
		s.read()
		s.leave(false)
	case !open && s.c.out.Len() == 0 && s.w.rng.IntN(10) == 0:
		s.leave(false)
	}
}

func (s *simH2) leave(reset bool) {
	s.done = true
	if reset {
		s.c.end.Reset()
	} else {
		s.c.end.Close()
	}
}

// send goes on with a request.
func (s *simH2) send(r *simStream) {
	rng := s.w.rng
	switch {
	case r.broken || s.away && !r.begun:
	case !r.begun:
		if rng.IntN(4) > 0 {
			return
		}
		path := []string{"/t/", "/t/", "/u/"}[rng.IntN(3)] + r.tag
		if r.own {
			path = "/own/" + r.tag
		}
		if r.socket {
			r.begun, r.id = true, s.c.connect(path, false)
			return
		}
		var fields []string
		if r.method == "POST" && rng.IntN(2) == 0 {
			fields = append(fields, "content-length: "+strconv.Itoa(len(r.body)))
		}
		if r.waits = len(r.body) > 0 && rng.IntN(6) == 0; r.waits {
			fields = append(fields, "expect: 100-continue")
			r.patient = s.w.net.Now() + int64(rng.IntN(3000))*int64(time.Millisecond)
		}
		r.begun, r.ended = true, r.method != "POST"
		r.id = s.c.request(r.method+" "+path, r.ended, fields...)
	case r.socket:
		s.talk(r)
	case !r.ended && r.status < 200 && (!r.waits || s.w.net.Now() > r.patient):
		r.waits = false
		n := min(len(r.body), r.window, s.window, 1+rng.IntN(16<<10))
		if n == 0 && len(r.body) > 0 || s.c.out.Len() > 1<<16 {
			break
		}
		r.ended = n == len(r.body) && (n == 0 || rng.IntN(2) == 0) // or with an empty frame
		s.c.data(r.id, string(r.body[:n]), r.ended)
		r.body, r.sent = r.body[n:], r.sent+n
		r.window -= n
		s.window -= n
	}
	if r.begun && !r.broken && !r.whole && !s.w.calm && rng.IntN(3000) == 0 {
		_ = s.c.framer.WriteRSTStream(r.id, http2.ErrCodeCancel)
		r.broken = true
	}
	if r.begun && !r.whole && !r.broken && (r.owed > 0 || s.first == 0 && r.got == nil) && rng.IntN(4) == 0 {
		if s.first == 0 && r.got == nil { // opens a window that was shut
			r.got, r.owed = []byte{}, r.owed+2000+rng.IntN(5000)
		}
		_ = s.c.framer.WriteWindowUpdate(r.id, uint32(r.owed))
		r.owed = 0
	}
}

// talk goes on with what a tunnel's client says.
func (s *simH2) talk(r *simStream) {
	most := len(r.body)
	switch {
	case r.ended || s.c.out.Len() > 1<<16:
		return
	case r.status == 0:
		most = r.early
	case r.status != 200:
		r.ended = true
		return
	case most == 0:
		if r.ended = s.w.rng.IntN(10) == 0; r.ended {
			s.c.data(r.id, "", true)
		}
		return
	}
	n := min(most, r.window, s.window, 1+s.w.rng.IntN(16<<10))
	if n == 0 {
		return
	}
	s.c.data(r.id, string(r.body[:n]), false)
	r.body, r.early = r.body[n:], max(r.early-n, 0)
	r.window -= n
	s.window -= n
}

// checkSocket looks at what a tunnel's client has heard.
func (s *simH2) checkSocket(r *simStream) {
	down := simBody(r.tag + "/down")
	switch agreed := s.w.agreed[r.tag]; {
	case r.status != 200:
		if agreed && s.w.calm || r.status == 0 && s.w.calm && !s.away {
			s.w.fatal("socket %s got %d, agreed %v", r.tag, r.status, agreed)
		}
		return
	case !agreed:
		s.w.fatal("socket %s got 200 and nobody agreed", r.tag)
	case !bytes.HasPrefix(down, r.got):
		s.w.fatal("socket %s got %d octets that were not sent: %.80q, want %.80q", r.tag, len(r.got), r.got, down)
	case len(r.got) != len(down) && (s.w.calm || r.whole):
		s.w.fatal("socket %s got %d of %d octets, ended %v, broken %v", r.tag, len(r.got), len(down), r.whole, r.broken)
	}
	if r.whole {
		s.w.h2tunnels++
	}
}

// read takes what has come.
func (s *simH2) read() {
	s.c.hear()
	for _, f := range s.c.frames[s.heard:] {
		s.take(f)
	}
	s.heard = len(s.c.frames)
	if s.owed > 0 {
		_ = s.c.framer.WriteWindowUpdate(0, uint32(s.owed))
		s.owed = 0
	}
}

func (s *simH2) take(f h2frame) {
	switch {
	case f.kind == http2.FrameWindowUpdate && f.stream == 0:
		s.window += int(f.last)
	case f.kind == http2.FrameGoAway:
		if f.code != http2.ErrCodeNo {
			s.w.fatal("GOAWAY %v for who did no wrong", f.code)
		}
		s.away = true
	}
	for _, r := range s.streams {
		if f.stream == 0 || r.id != f.stream {
			continue
		}
		if r.whole && f.kind != http2.FrameRSTStream && f.kind != http2.FrameWindowUpdate {
			s.w.fatal("stream %s: %v after its end", r.tag, f)
		}
		switch f.kind {
		case http2.FrameHeaders:
			r.status, _ = strconv.Atoi(f.status)
			r.waits = r.waits && r.status != 100
			for _, field := range f.fields {
				if field.Name == "x-tag" {
					r.echo = field.Value
				}
			}
		case http2.FrameData:
			r.got = append(r.got, f.data...)
			r.owed += len(f.data)
			s.owed += len(f.data)
		case http2.FrameRSTStream:
			r.broken = r.broken || !r.whole
			r.ended = true
		case http2.FrameWindowUpdate:
			r.window += int(f.last)
		}
		r.whole = r.whole || f.end
	}
}

// check looks at the answers: each whole one is that of its request, or says that it failed.
func (s *simH2) check() {
	for _, r := range s.streams {
		switch {
		case r.socket:
			s.checkSocket(r)
			continue
		case !r.whole:
			if s.w.calm && !s.away {
				s.w.fatal("stream %s got no whole answer: %d, %d octets, begun %v, broken %v, it is %v", r.tag, r.status, len(r.got), r.begun, r.broken, time.Duration(s.w.net.Now()))
			}
			continue
		case string(r.got) == "overloaded" && !s.w.toils:
			s.w.fatal("stream %s is refused, and no loop is late", r.tag)
		case s.w.unlooked(r.tag, r.sent, r.status, string(r.got), false):
		case r.own && s.w.late(r.status, string(r.got), false):
		case r.own:
			if r.status != 404 || string(r.got) != "own" {
				s.w.fatal("stream %s: got %d %q for our own answer", r.tag, r.status, r.got)
			}
		case r.echo == "" && r.status >= 400 && !s.w.calm:
		case r.echo != r.tag:
			s.w.fatal("stream %s got %d, the answer of %q: %.200s", r.tag, r.status, r.echo, r.got)
		case r.method != "HEAD" && r.status == 200 && string(r.got) != string(simBody(r.tag+"/answer")):
			s.w.fatal("stream %s: a whole answer %.80q is not its own %.80q", r.tag, r.got, simBody(r.tag+"/answer"))
		}
		s.w.whole++
		s.w.streamed++
	}
}
