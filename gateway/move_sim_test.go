// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// Large bodies that are moved and not copied, when something goes wrong with them. That they are is checked each time.

const largeBody = 1_000_000

func (st *stage) wantsMoved() {
	st.t.Helper()
	if n := st.server.nodes[0].loop.Stats().Spliced; n < 50_000 {
		st.t.Fatalf("%d octets were moved: it is another path", n)
	}
}

// pour writes until n octets have gone, or nothing goes any more; each is called in between.
func (st *stage) pour(e *simsys.End, n int, each func()) (sent int) {
	for idle := 0; sent < n && idle < 5; {
		k := e.Write([]byte(strings.Repeat("x", min(n-sent, 10_000))))
		sent += k
		if idle++; k > 0 {
			idle = 0
		}
		st.settle()
		each()
	}
	return sent
}

// large asks for a large answer, of which only its head has come, with nothing left to read at the client.
func (st *stage) large() (client, backend *simsys.End) {
	st.t.Helper()
	st.net.SetCapacity(64 << 10)
	client = st.send(getA)
	backend = st.accept()
	backend.Read()
	st.write(backend, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", largeBody))
	client.Read()
	return client, backend
}

// upload sends the head of a request with a large body.
func (st *stage) upload() (client, backend *simsys.End) {
	st.t.Helper()
	st.net.SetCapacity(64 << 10)
	client = st.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", largeBody))
	backend = st.accept()
	backend.Read()
	return client, backend
}

// RP-06: an answer that breaks off is broken off for the client too, and counted as far as it came.
func TestRP06MovedAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*simsys.End){"closes": (*simsys.End).Close, "resets": (*simsys.End).Reset} {
		st := newStage(t)
		c, b := st.large()
		got := 0
		sent := st.pour(b, 300_000, func() { got += len(c.Read()) })
		end(b)
		st.settle()
		got += len(c.Read())
		st.wantsMoved()
		if !c.Broken() || got != sent {
			t.Errorf("it %s: the client got %d of %d octets, broken %v", how, got, sent, c.Broken())
		}
		if n := st.metered()[1]; n != uint64(sent) {
			t.Errorf("it %s: %d octets were counted of %d", how, n, sent)
		}
		if why := st.leftovers(); why != "" {
			t.Error(how, why)
		}
	}
}

// RP-03: a request that breaks off does not look whole to the backend.
func TestRP03MovedRequestThatBreaksOff(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*simsys.End){"closes": (*simsys.End).Close, "resets": (*simsys.End).Reset} {
		st := newStage(t)
		c, b := st.upload()
		got := 0
		sent := st.pour(c, 300_000, func() { got += len(b.Read()) })
		end(c)
		st.settle()
		st.wantsMoved()
		if got += len(b.Read()); !b.Broken() || got > sent {
			t.Errorf("it %s: the backend got %d of %d octets, broken %v", how, got, sent, b.Broken())
		}
		if n := st.metered()[0]; n != uint64(sent) {
			t.Errorf("it %s: %d octets were counted of %d", how, n, sent)
		}
		if why := st.leftovers(); why != "" {
			t.Error(how, why)
		}
	}
}

// RP-01: a request whose answer came early, and one with surplus behind its answer, leave no connection to others.
func TestRP01MovedBodiesAndReuse(t *testing.T) {
	t.Parallel()
	for surplus, again := range map[string]bool{"": true, "x": false} {
		st := newStage(t)
		c, b := st.large()
		got := 0
		st.pour(b, largeBody-1, func() { got += len(c.Read()) })
		st.write(b, "x"+surplus)
		st.wantsMoved()
		if got += len(c.Read()); got != largeBody || c.EOF() {
			t.Fatalf("the client got %d octets, ended %v", got, c.EOF())
		}
		st.write(c, getA)
		if used := strings.HasPrefix(string(b.Read()), "GET /a "); used != again {
			t.Errorf("surplus %q: the connection was used again: %v", surplus, used)
		}
	}
	st := newStage(t)
	c, b := st.upload()
	st.pour(c, 200_000, func() { b.Read() })
	st.wantsMoved()
	st.write(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
	st.wants(c, 413, "no", true)
	if !b.EOF() {
		t.Error("the connection with half a request is kept")
	}
}

// Whoever does not take what is moved is waited for, and the other side with it; and not for ever.
func TestMovedBodiesWaitForWhoIsSlow(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.large()
	taken := st.pour(b, largeBody, func() {})
	st.wantsMoved()
	if taken > 900_000 {
		t.Fatalf("%d octets were taken for a client that reads none", taken)
	}
	st.pass(29*time.Second, time.Second, nil)
	if c.Broken() || b.Broken() {
		t.Fatal("given up too early")
	}
	st.pass(40*time.Second, time.Second, nil)
	if !c.Broken() {
		t.Error("the client is still waited for")
	}
	if st.settle(); !b.EOF() {
		t.Error("the backend is")
	}
	if why := st.leftovers(); why != "" {
		t.Error(why)
	}

	st = newStage(t)
	c, b = st.upload()
	taken = st.pour(c, largeBody, func() {})
	st.wantsMoved()
	st.pass(59*time.Second, time.Second, nil)
	st.wantsSilence(c)
	st.pass(5*time.Second, time.Second, nil)
	st.wants(c, 504, "write_timeout", true)
	if taken > 900_000 || !b.Broken() {
		t.Errorf("%d octets were taken for a backend that reads none; it may take them for whole: %v", taken, !b.Broken())
	}

	// Who reads now and then gets everything.
	st = newStage(t)
	c, b = st.upload()
	got := 0
	left := largeBody
	for round := 0; got < largeBody && round < 1000; round++ {
		left -= st.pour(c, left, func() {})
		got += len(b.Take(20_000))
		st.settle()
	}
	if got != largeBody {
		t.Errorf("the backend got %d octets", got)
	}
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(c, 200, "", false)
}

// After an early answer has begun, no more of the request is taken than is copied at most.
func TestMovedRequestEndsWithAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.upload()
	st.pour(c, 200_000, func() { b.Read() })
	st.wantsMoved()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly")
	c.Read()
	if n := st.pour(c, largeBody-200_000, func() { b.Read() }); n > 256<<10 { // what the kernel holds among it
		t.Errorf("%d octets of a request that was answered were taken", n)
	}
}
