// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A stream that was refused by the frame that ended the connection was nobody's: the connection counted as active for ever.
func TestH2AFloodOfMalformedRequestsLeavesNothing(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.get("/a")
	b := st.accept()
	for range 250 {
		c.request("GET /own", true, "connection: close")
	}
	for c.out.Len() > 0 && !c.end.EOF() {
		c.out.Next(max(c.end.Write(c.out.Bytes()), 1))
		st.settle()
		c.hear()
	}
	st.pass(3*time.Second, 100*time.Millisecond, nil)
	c.wantsEnd(http2.ErrCodeEnhanceYourCalm)
	if b.Read(); !b.EOF() {
		t.Error("the backend still works for nobody")
	}
	if open, active := st.server.nodes[0].host.Count(); open != 0 || active != 0 || st.net.Owned() != 0 {
		t.Errorf("%d connections, %d active, %d owned; want none", open, active, st.net.Owned())
	}
}

// H2-01, H2-02: what is reset by what comes right behind it reaches no backend, once the client has done it before.
func TestH201WhatIsResetAtOnceReachesNoBackend(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http2.Framer, uint32) error{
		"rapid reset":         func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeCancel) },
		"made you reset":      func(f *http2.Framer, id uint32) error { return f.WriteWindowUpdate(id, 0) },
		"data behind the end": func(f *http2.Framer, id uint32) error { return f.WriteData(id, true, []byte("x")) },
	} {
		st := newH2Stage(t)
		c := st.h2()
		var ids []uint32
		for range 100 {
			ids = append(ids, c.request("GET /a", true))
			if len(ids)%5 == 0 { // not behind its own head
				for _, id := range ids[len(ids)-5:] {
					_ = spoil(c.framer, id)
				}
			}
		}
		c.flush()
		if n := len(st.accepted()); n == 0 || n > 16 {
			t.Errorf("%s: %d connections to the backend, want those of the first few requests", name, n)
		}
		st.pass(3*time.Second, 100*time.Millisecond, nil)
		if open, active := st.server.nodes[0].host.Count(); open != 1 || active != 0 {
			t.Errorf("%s: %d connections, %d active; want 1 and 0", name, open, active)
		}
	}
}

// What a client asks that has wasted our time is answered like anything else, a moment later: the buffers that it came in
// have been used for others by then.
func TestH2WhoWastedOurTimeIsServedToo(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.get("/a")
	first := st.accept() // what it is asked leaves as soon as it stands, the next at the end of a batch
	first.Read()
	st.write(first, h2ok)
	ids := map[uint32]string{}
	for range 3 {
		_ = c.framer.WritePing(false, [8]byte{})
	}
	for i := range 20 {
		get, post := fmt.Sprint("/get", i), fmt.Sprint("/post", i)
		ids[c.request("GET "+get, true, "x-is: "+get)] = "GET " + get
		id := c.request("POST "+post, false, "x-is: "+post, "content-length: 4")
		ids[id] = "POST " + post
		c.data(id, "body", true)
	}
	bad := c.request("GET /bad", true, "connection: close")
	c.flush()
	for _, b := range append(st.accepted(), first) {
		asked := string(b.Read())
		if asked == "" {
			t.Fatal("a request stays here")
		}
		line, _, _ := strings.Cut(asked, " HTTP/1.1")
		is := line[strings.Index(line, "/"):]
		if !strings.Contains(asked, "x-is: "+is+"\r\n") || strings.HasPrefix(line, "POST") != strings.HasSuffix(asked, "\r\n\r\nbody") {
			t.Errorf("the backend got %q", asked)
		}
		st.write(b, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(line), line))
	}
	c.hear()
	for id, line := range ids {
		c.wants(id, "200", line)
	}
	if got := c.answer(bad); got.status != "400" && !got.reset {
		t.Errorf("a request that is none: %+v", got)
	}
}

// A client that leaves while its requests are put off leaves nothing.
func TestH2WhatIsPutOffEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	for _, leave := range []func(*h2client){
		func(c *h2client) { c.end.Close() },
		func(c *h2client) { c.end.Reset() },
		func(c *h2client) {
			c.framer.AllowIllegalWrites = true
			_ = c.framer.WriteData(0, false, nil)
			c.flush()
		},
	} {
		st := newH2Stage(t)
		c := st.h2()
		_ = c.framer.WritePing(false, [8]byte{})
		for range 40 {
			c.request("POST /a", false)
		}
		c.end.Write(c.out.Bytes())
		c.out.Reset()
		leave(c)
		st.pass(3*time.Second, 100*time.Millisecond, nil)
		if open, active := st.server.nodes[0].host.Count(); open != 0 || active != 0 || st.net.Owned() != 0 {
			t.Errorf("%d connections, %d active, %d owned; want none", open, active, st.net.Owned())
		}
	}
}

// A head does not wait for its body: the backend may have an opinion about it.
func TestH2AHeadIsSentBeforeItsBodyComes(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.get("/a")
	b := st.accept() // what it was asked leaves as soon as it stands; the next head must do so by itself
	b.Read()
	st.write(b, h2ok)
	id := c.request("POST /a", false, "expect: 100-continue")
	c.flush()
	if got := string(b.Read()); !strings.HasPrefix(got, "POST /a ") {
		t.Fatalf("the backend got %q", got)
	}
	st.write(b, "HTTP/1.1 100 Continue\r\n\r\n")
	c.data(id, "body", true)
	c.flush()
	st.write(b, h2ok)
	c.hear()
	c.wants(id, "100200", "ok")
}

// RS-02: content-length: 0 announces no octets, but the request has not ended: that has the time of a body.
func TestRS02ABodyOfNothingHasItsTime(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.get("/a")
	b := st.accept()
	b.Read()
	st.write(b, h2ok)
	id := c.request("POST /a", false, "content-length: 0")
	c.flush()
	if got := string(b.Read()); !strings.HasPrefix(got, "POST /a ") {
		t.Fatalf("the backend got %q", got)
	}
	st.pass(11*time.Second, time.Second, nil)
	c.hear()
	if got := c.answer(id); got.status != "408" || !got.ended {
		t.Errorf("got %+v, want 408", got)
	}
}

// A body that the backend did not ask for does not go there, though the client's window is open.
func TestH2AnUnaskedBodyStaysHere(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	id := c.request("POST /a", false, "expect: 100-continue", "content-length: 31")
	c.flush()
	b := st.accept()
	b.Read()
	st.write(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nsome")
	c.hear()
	c.data(id, "GET /hidden HTTP/1.1\r\nHost: a\r\n", true)
	c.flush()
	if got := string(b.Read()); got != "" {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, strings.Repeat("x", 96))
	c.hear()
	c.wants(id, "403", "some"+strings.Repeat("x", 96))
	if b.Read(); !b.EOF() {
		t.Error("the backend's connection is kept, though it waits for a body")
	}
}

// What was received whole does not hold the connection's window while its answer is awaited.
func TestH2AWholeBodyGivesItsWindowBack(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	st.net.SetCapacity(8 << 10)
	c := st.h2()
	for range 16 {
		id := c.request("POST /a", false)
		c.flush()
		b := st.accept()
		for left := 65535; left > 0; left -= 4096 {
			c.data(id, strings.Repeat("x", min(left, 4096)), left <= 4096)
		}
		c.flush()
		for range 100 {
			b.Read()
			st.settle()
		}
	}
	c.flush()
	opened := uint32(0)
	for _, f := range c.frames {
		if f.kind == http2.FrameWindowUpdate && f.stream == 0 {
			opened += f.last
		}
	}
	if opened < 1<<20+12*65535 {
		t.Errorf("the connection's window was opened by %d octets in all", opened)
	}
}

// H2-08: what a client sends of a body does not excuse that it takes nothing of the answer.
func TestH208AnUploadDoesNotExcuseAShutWindow(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	id := c.request("POST /a", false)
	c.flush()
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nsome")
	st.pass(32*time.Second, time.Second, func() {
		c.data(id, strings.Repeat("x", 1000), false)
		c.flush()
		b.Read()
		st.settle()
	})
	c.hear()
	c.wantsReset(id, http2.ErrCodeCancel)
}

// Who has asked and finished sending gets its answers, also if they do not fit into the kernel.
func TestH2AHalfClosedClientGetsItsAnswers(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	var ids []uint32
	for range 5 {
		ids = append(ids, c.request("GET /own", true))
	}
	c.end.Write(c.out.Bytes())
	c.end.CloseWrite()
	st.net.SetCapacity(64)
	st.settle()
	for range 100 {
		c.hear()
		st.settle()
	}
	for _, id := range ids {
		c.wants(id, "404", "own")
	}
}

// RS-01: of those that wait for a request the one that has waited longest makes room, not the one that is open longest.
func TestRS01CrowdedStreamsMakeRoom(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) {
		o.MaxConnections = 16
		o.Listen = []Listener{{Protocols: spoken2}}
	})
	var all []*h2client
	for range 14 {
		c := st.h2()
		c.wants(c.get("/own"), "404", "own")
		all = append(all, c)
		st.pass(100*time.Millisecond, 100*time.Millisecond, nil)
	}
	all[0].wants(all[0].get("/own"), "404", "own")
	st.pass(2*time.Second-time.Millisecond, 100*time.Millisecond, nil)
	st.h2()
	all[0].hear()
	all[1].hear()
	if all[0].end.EOF() || !all[1].end.EOF() {
		t.Errorf("who was served last ended %v, who has waited longest %v", all[0].end.EOF(), all[1].end.EOF())
	}
}
