// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Clients of HTTP/1.1 in the simulation.

// body is what belongs to a tag: its length and octets follow from it.
func simBody(tag string) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, tag)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	n := r.IntN(200)
	if r.IntN(4) == 0 {
		n = r.IntN(100_000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return b
}

// simRequest is one request of a client and what may come back.
type simRequest struct {
	tag, method string
	own         bool
	last        bool // the client said so
	old         bool // HTTP/1.0
}

// simClient plays a browser: it pipelines, splits, hurries, leaves.
type simClient struct {
	w        *world
	end      farEnd
	requests []simRequest
	out      []byte
	got      []byte
	lazy     int  // chance in ten to read in a round
	abortAt  int  // bytes after which it leaves, -1 never
	reset    bool // by RST
	half     bool // sends FIN behind its last request
	sent     int
	left     bool
	broken   bool // by a reset
	done     bool
}

func newSimClient(w *world) *simClient {
	c := &simClient{w: w, lazy: 1 + w.rng.IntN(10), abortAt: -1, reset: w.rng.IntN(2) == 0, half: w.rng.IntN(4) == 0}
	if w.calm {
		c.lazy = max(c.lazy, 5)                        // or it runs into our patience
		c.half = c.half && !w.queues && w.looks == nil // or it is taken for one that has left
	}
	old := w.rng.IntN(10) == 0
	n := 1 + w.rng.IntN(6)
	for i := range n {
		r := simRequest{tag: fmt.Sprintf("c%dr%d", len(w.clients), i), method: "GET"}
		switch w.rng.IntN(12) {
		case 0, 1, 2, 3:
			r.method = "POST"
		case 4:
			r.method = "HEAD"
		case 5:
			r.own = true
		case 6:
			r.method = "DELETE"
		}
		r.old = old
		r.last = i == n-1 && !c.half || !w.calm && w.rng.IntN(30) == 0 // and goes on, at its own risk
		c.requests = append(c.requests, r)
		c.write(r)
	}
	if w.rng.IntN(5) == 0 && !w.calm {
		c.abortAt = w.rng.IntN(len(c.out) + 1)
	}
	c.end = w.dial(byte(len(w.clients)))
	return c
}

func (c *simClient) write(r simRequest) {
	var b strings.Builder
	path := []string{"/t/", "/t/", "/u/"}[c.w.rng.IntN(3)] + r.tag
	if r.own {
		path = "/own/" + r.tag
	}
	version := "1.1"
	if r.old {
		version = "1.0"
	}
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\nHost: sim\r\n", r.method, path, version)
	switch {
	case r.last:
		b.WriteString("Connection: close\r\n")
	case r.old:
		b.WriteString("Connection: keep-alive\r\n")
	}
	if r.method != "POST" {
		b.WriteString("\r\n")
		c.out = append(c.out, b.String()...)
		return
	}
	body := simBody(r.tag)
	if c.w.rng.IntN(6) == 0 && len(body) > 0 && !r.old {
		b.WriteString("Expect: 100-continue\r\n")
	}
	if c.w.rng.IntN(2) == 0 && !r.old {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		simChunks(c.w.rng, &b, body)
	} else {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	c.out = append(c.out, b.String()...)
}

func (c *simClient) step() {
	if c.done {
		return
	}
	c.end.Pump()
	if c.abortAt >= 0 && c.sent >= c.abortAt {
		c.left, c.done = true, true
		if c.reset {
			c.end.Reset()
		} else {
			c.end.Close()
		}
		return
	}
	if len(c.out) > 0 {
		n := 1 + c.w.rng.IntN(len(c.out))
		if c.abortAt >= 0 {
			n = min(n, c.abortAt-c.sent)
		}
		n = c.end.Write(c.out[:n])
		c.out = c.out[n:]
		c.sent += n
	}
	if len(c.out) == 0 && c.half {
		c.end.CloseWrite()
	}
	if c.w.rng.IntN(10) < c.lazy {
		c.got = append(c.got, c.end.Read()...)
	}
	if c.end.EOF() {
		c.got = append(c.got, c.end.Read()...)
		c.done, c.broken = true, c.end.Broken()
		c.end.Close()
	}
}

// check reads the answers in order: each is the own one of its request, or says that it failed, or is visibly cut.
func (c *simClient) check() {
	src := bytes.NewReader(c.got)
	r := bufio.NewReader(src)
	for _, q := range c.requests {
		if left := c.got[len(c.got)-src.Len()-r.Buffered():]; !bytes.Contains(left, []byte("\r\n\r\n")) {
			if c.w.calm {
				c.w.fatal("client %s got no answer: %q (%+v, broken %v, unsent %d of %d, it is %v)", q.tag, left, q, c.broken, len(c.out), c.sent+len(c.out), time.Duration(c.w.net.Now()))
			}
			return // net/http takes half a line for a wrong one
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: q.method})
		for err == nil && resp.StatusCode == 100 {
			if left := c.got[len(c.got)-src.Len()-r.Buffered():]; !bytes.Contains(left, []byte("\r\n\r\n")) {
				return
			}
			resp, err = http.ReadResponse(r, &http.Request{Method: q.method})
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				c.w.fatal("client %s: answer does not parse: %v in %q", q.tag, err, c.got)
			}
			return
		}
		got, err := io.ReadAll(resp.Body)
		tag := resp.Header.Get("X-Tag")
		switch {
		case string(got) == "overloaded" && !c.w.toils:
			c.w.fatal("client %s is refused, and no loop is late", q.tag)
		case q.own && (c.w.unlooked(q.tag, 0, resp.StatusCode, string(got), err != nil) || c.w.late(resp.StatusCode, string(got), err != nil)):
		case q.own:
			if resp.StatusCode != 404 || string(got) != "own" && err == nil {
				c.w.fatal("client %s: got %d %q for our own answer", q.tag, resp.StatusCode, got)
			}
		case c.w.calm && (err != nil || tag == ""):
			c.w.fatal("client %s got %d %v %.60q for no reason (%+v, broken %v, unsent %d)", q.tag, resp.StatusCode, err, got, q, c.broken, len(c.out))
		case tag == "" && resp.StatusCode >= 400:
		case tag != q.tag:
			c.w.fatal("client %s got the answer of %q", q.tag, tag)
		case q.old && resp.ContentLength < 0 && (c.broken || c.left): // an answer that ends by closing, visibly cut
		case err == nil && q.method != "HEAD" && resp.StatusCode == 200 && !bytes.Equal(got, simBody(tag+"/answer")):
			c.w.fatal("client %s: a whole answer %.80q is not its own %.80q (%v)", q.tag, got, simBody(tag+"/answer"), resp.Header)
		}
		if err != nil {
			return
		}
		c.w.whole++
		if resp.Close || q.last {
			break
		}
	}
	if n := r.Buffered(); n > 0 {
		c.w.fatal("client got %d octets that nobody asked for", n)
	}
}
