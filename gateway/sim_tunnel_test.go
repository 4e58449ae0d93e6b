// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// Tunnels in the simulation: what each side says follows from a tag, and what arrives must be the beginning of it; all of
// it, where the end looks like one.

// simSocket plays a client that asks for WebSocket. It says the body of tag/up, some of it too early.
type simSocket struct {
	w       *world
	end     farEnd
	tag     string
	early   int // octets of its own that it sends behind the request without waiting
	out     []byte
	said    int // octets of its own handed to the kernel so far, those of the head not counted
	head    int
	got     []byte
	lazy    int // chance in ten to read in a round
	leaveAt int // octets after which it leaves, -1 never
	reset   bool
	half    bool // has sent FIN
	open    bool // has seen the 101
	left    bool
	broken  bool
	done    bool
}

func newSimSocket(w *world) *simSocket {
	s := &simSocket{w: w, tag: fmt.Sprintf("s%d", len(w.sockets)), lazy: 1 + w.rng.IntN(10), leaveAt: -1, reset: w.rng.IntN(2) == 0}
	if w.calm {
		s.lazy = max(s.lazy, 5)
	}
	up := simBody(s.tag + "/up")
	if w.rng.IntN(3) == 0 {
		s.early = w.rng.IntN(len(up) + 1)
		if w.calm {
			s.early = min(s.early, 1000)
		}
	}
	if w.rng.IntN(5) == 0 && !w.calm {
		s.leaveAt = w.rng.IntN(len(up) + 200)
	}
	path := []string{"/t/", "/u/"}[w.rng.IntN(2)] + s.tag
	s.out = append(s.out, strings.Replace(askSocket, "/a", path, 1)...)
	s.head = len(s.out)
	s.out = append(s.out, up[:s.early]...)
	s.end = w.dial(byte(100 + len(w.sockets)))
	return s
}

func (s *simSocket) step() {
	if s.done {
		return
	}
	s.end.Pump()
	if s.leaveAt >= 0 && s.said >= s.leaveAt {
		s.left, s.done = true, true
		if s.reset {
			s.end.Reset()
		} else {
			s.end.Close()
		}
		return
	}
	if len(s.out) > 0 {
		n := s.end.Write(s.out[:1+s.w.rng.IntN(len(s.out))])
		s.out = s.out[n:]
		s.said += n
	} else if s.open && !s.half && s.w.rng.IntN(10) == 0 {
		s.half = true
		s.end.CloseWrite()
	}
	if s.w.rng.IntN(10) < s.lazy {
		s.got = append(s.got, s.end.Read()...)
	}
	if !s.open && bytes.Contains(s.got, []byte("\r\n\r\n")) && bytes.HasPrefix(s.got, []byte("HTTP/1.1 101 ")) {
		s.open = true
		s.out = append(s.out, simBody(s.tag + "/up")[s.early:]...)
	} else if !s.open && bytes.Contains(s.got, []byte("\r\n\r\n")) && s.w.rng.IntN(10) == 0 {
		s.done = true // refused, and not interested in the page
		s.end.Close()
		return
	}
	if s.end.EOF() {
		s.got = append(s.got, s.end.Read()...)
		s.broken = s.end.Broken()
		if s.broken || s.half || !s.open {
			s.done = true
			s.end.Close()
		}
	}
}

func (s *simSocket) check() {
	head, rest, ok := bytes.Cut(s.got, []byte("\r\n\r\n"))
	agreed := s.w.agreed[s.tag]
	switch {
	case !ok:
		if s.w.calm {
			s.w.fatal("socket %s got no answer: %q", s.tag, s.got)
		}
		return
	case !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")):
		if agreed && s.w.calm {
			s.w.fatal("socket %s got %q for an agreement", s.tag, head)
		}
		return
	case !agreed:
		s.w.fatal("socket %s got %q and nobody agreed", s.tag, head)
	}
	down := simBody(s.tag + "/down")
	if !bytes.HasPrefix(down, rest) {
		s.w.fatal("socket %s got %d octets that were not sent: %.80q, want %.80q", s.tag, len(rest), rest, down)
	}
	if whole := len(rest) == len(down); !whole && (s.w.calm || !s.left && !s.broken && s.w.finished[s.tag]) {
		s.w.fatal("socket %s got %d of %d octets and a clean end (broken %v)", s.tag, len(rest), len(down), s.broken)
	} else if whole {
		s.w.tunnels++
	}
}

// upgrade answers a request for WebSocket; it reports false if the request is answered like any other.
func (o *simOrigin) upgrade(req *http.Request, tag string) bool {
	if req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" {
		return false
	}
	switch n := o.w.rng.IntN(12); {
	case n == 0:
		return false
	case n == 1:
		o.out = append(o.out, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"...)
	case n == 2 && !o.w.calm:
		o.out = append(o.out, strings.Replace(agree, accepted, "", 1)...)
	default:
		o.w.agreed[tag] = true
		o.tunnel, o.heard = tag, simBody(tag+"/up")
		o.out = append(o.out, strings.Replace(agree, accepted, acceptOf(req), 1)...)
		o.out = append(o.out, simBody(tag+"/down")...)
	}
	return true
}

// pass plays the backend's end of a tunnel.
func (o *simOrigin) pass() {
	if o.w.rng.IntN(10) < o.slow {
		o.hear()
	}
	if len(o.out) > 0 {
		n := o.end.Write(o.out[:1+o.w.rng.IntN(len(o.out))])
		o.out = o.out[n:]
	} else if !o.close && o.w.rng.IntN(10) == 0 {
		o.close = true
		o.w.finished[o.tunnel] = true
		o.end.CloseWrite()
	}
	ended := o.end.EOF()
	if ended {
		o.hear()
		if whole := len(o.heard) == 0; !whole && (o.w.calm || !o.end.Broken() && !o.w.leaves(o.tunnel)) {
			o.w.fatal("backend of %s did not get the last %d octets and has a clean end (broken %v)", o.tunnel, len(o.heard), o.end.Broken())
		}
	}
	switch {
	case ended && (o.close || o.end.Broken()):
		o.gone = true
		o.end.Close()
	case o.w.calm:
	case o.w.rng.IntN(1000) == 0:
		o.gone = true
		o.end.Reset()
	case o.close && o.w.rng.IntN(100) == 0: // hears no more
		o.gone = true
		o.end.Close()
	}
}

// hear reads, and sees that it is what the client says.
func (o *simOrigin) hear() {
	got := append(o.in, o.end.Read()...)
	if o.in = nil; !bytes.HasPrefix(o.heard, got) {
		o.w.fatal("backend of %s got octets that were not sent: %.80q, want %.80q", o.tunnel, got, o.heard)
	}
	o.heard = o.heard[len(got):]
}

// hears reports whether a tunnel's backend is there: who closes the connection under a tunnel takes what has not been taken
// yet along.
func (w *world) hears(tag string) bool {
	for _, o := range w.origins {
		if o.tunnel == tag && !o.gone {
			return true
		}
	}
	return false
}

// leaves reports whether that client sends less than all.
func (w *world) leaves(tag string) bool {
	for _, s := range w.sockets {
		if s.tag == tag {
			return s.left || s.done
		}
	}
	for _, s := range w.streamers {
		for _, r := range s.streams {
			if r.tag == tag {
				return s.left || s.done || r.broken
			}
		}
	}
	return true
}
