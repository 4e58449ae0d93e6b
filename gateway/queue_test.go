// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// queued is a stage whose backend takes one request at a time and lets others wait for 2 s; the first is there.
func queued(t *testing.T) (st *stage, limiter *limit.Backend, first, backend *simsys.End) {
	t.Helper()
	st = newStage(t)
	limiter = st.limited(limit.Limits{InFlight: 1, Queue: 3, Patience: 2 * time.Second})
	first = st.send(getA)
	backend = st.accept()
	if got := string(backend.Read()); !strings.HasPrefix(got, "GET /a ") {
		t.Fatalf("the backend got %q", got)
	}
	return st, limiter, first, backend
}

// limited gives the first backend limits.
func (st *stage) limited(l limit.Limits) *limit.Backend {
	st.t.Helper()
	var book limit.Book
	b := book.Backend("sim")
	if err := book.Apply(map[string]limit.Limits{"sim": l}, 0); err != nil {
		st.t.Fatal(err)
	}
	snap := *st.server.Snapshot()
	snap.Backends = append([]Backend(nil), snap.Backends...)
	snap.Backends[0].Limiter = b
	st.server.Swap(&snap)
	return b
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// wantsIdle fails unless nobody is at the backend, or waits for it.
func (st *stage) wantsIdle(b *limit.Backend) {
	st.t.Helper()
	st.settle()
	n := st.server.nodes[0]
	if u := b.Usage(0); u.InFlight != 0 || u.Queued != 0 || n.share.taken != 0 {
		st.t.Errorf("%d in flight, %d in the queue, %d shares taken; want none", u.InFlight, u.Queued, n.share.taken)
	}
}

func TestARequestWaitsForAPlace(t *testing.T) {
	t.Parallel()
	st, limiter, first, backend := queued(t)
	second, third := st.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), st.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n123")
	st.write(third, "45")
	st.wantsSilence(second)
	if u := limiter.Usage(0); u.InFlight != 1 || u.Queued != 2 {
		t.Fatalf("usage %+v, want one in flight and two waiting", u)
	}
	for i, want := range []string{"GET /b ", "POST /c "} {
		st.net.Advance(5 * time.Millisecond)
		backend.Write([]byte(okAnswer))
		st.settle()
		st.wants([]*simsys.End{first, second}[i], 200, "ok", false)
		got := string(backend.Read())
		if !strings.HasPrefix(got, want) || i == 1 && !strings.HasSuffix(got, "\r\n\r\n12345") {
			t.Fatalf("the backend got %q, want %s", got, want)
		}
	}
	st.write(third, "67") // what came later has waited for the place, too
	if got := string(backend.Read()); got != "67" {
		t.Errorf("the backend got %q, want the rest of the body", got)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(third, 200, "ok", false)
	st.wantsIdle(limiter)
	if q := st.server.nodes[0].meter.Queued; q.Sum != 15e6 {
		t.Errorf("%d ns of waiting are counted, want 15 ms", q.Sum)
	}
}

func TestWhoWaitsTooLongIsTold(t *testing.T) {
	t.Parallel()
	st, limiter, first, backend := queued(t)
	waits := st.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n123")
	st.pass(1900*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(waits)
	st.pass(200*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(waits, 503, "queue_timeout", false)
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(first, 200, "ok", false)
	st.wantsIdle(limiter)
	if got := backend.Read(); len(got) > 0 {
		t.Errorf("the backend got %q of who had been told to come again", got)
	}
	st.write(waits, getA) // the connection goes on
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(waits, 200, "ok", false)
}

// A form that has waited in vain, for there is no connection to be had, is nobody else's.
func TestAFormThatGetsAPlaceAndNoConnectionIsForgotten(t *testing.T) {
	t.Parallel()
	st, limiter, _, backend := queued(t)
	waits := st.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret")
	st.net.Descriptors = 1
	backend.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	st.settle()
	st.wants(waits, 503, "local_resource", false)
	st.wantsIdle(limiter)
	st.net.Descriptors = 0
	st.send(getA)
	backend = st.accept()
	backend.Read()
	for _, form := range []string{"form 1", "form 2", "form 3"} {
		st.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n" + form)
		st.write(backend, okAnswer)
		if got := string(backend.Read()); !strings.HasSuffix(got, "\r\n\r\n"+form) {
			t.Errorf("the backend got %q, want %s", got, form)
		}
	}
	st.write(backend, okAnswer)
	st.wantsIdle(limiter)
}

func TestWhoLeavesTheQueueIsNotSent(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*simsys.End){"reset": (*simsys.End).Reset, "FIN": (*simsys.End).Close} {
		st, limiter, _, backend := queued(t)
		waits, behind := st.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), st.send("GET /c HTTP/1.1\r\nHost: a\r\n\r\n")
		leave(waits)
		st.settle()
		if u := limiter.Usage(0); u.Queued != 1 {
			t.Errorf("%s: %d wait, want one", name, u.Queued)
		}
		backend.Write([]byte(okAnswer))
		st.settle()
		if got := string(backend.Read()); !strings.HasPrefix(got, "GET /c ") {
			t.Errorf("%s: the backend got %q, want the one who is left", name, got)
		}
		backend.Write([]byte(okAnswer))
		st.settle()
		st.wants(behind, 200, "ok", false)
		st.wantsIdle(limiter)
	}
}

// A client that ends its side right behind its request has not left: it gets its answer after the wait as without one.
func TestAClientThatSendsNoMoreMayWait(t *testing.T) {
	t.Parallel()
	st, limiter, _, backend := queued(t)
	waits := st.net.Dial(simFrom, simFront)
	waits.Write([]byte(getA))
	waits.CloseWrite()
	st.settle()
	for range 2 {
		backend.Write([]byte(okAnswer))
		st.settle()
	}
	st.wants(waits, 200, "ok", true)
	st.wantsIdle(limiter)
}

// A grant that is on its way to who leaves in the same moment goes to the next.
func TestAGrantToWhoHasLeftGoesToTheNext(t *testing.T) {
	t.Parallel()
	st, limiter, _, backend := queued(t)
	waits, behind := st.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), st.send("GET /c HTTP/1.1\r\nHost: a\r\n\r\n")
	st.net.Order = true
	backend.Write([]byte(okAnswer)) // both are heard in one turn of the loop, and the grant's message in the next
	waits.Reset()
	st.settle()
	if got := string(backend.Read()); !strings.HasPrefix(got, "GET /c ") {
		t.Errorf("the backend got %q, want the one who is left", got)
	}
	if n := st.server.nodes[0].stale; n != 1 {
		t.Errorf("%d grants came too late, want one", n)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(behind, 200, "ok", false)
	st.wantsIdle(limiter)
}

// What is kept of a request that waits is a read at most, or a window, however much its client would send.
func TestLittleIsKeptOfWhoWaits(t *testing.T) {
	t.Parallel()
	st, limiter, _, backend := queued(t)
	st.net.SetCapacity(256 << 10)
	waits := st.net.Dial(simFrom, simFront)
	const head, size = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 1_000_000
	message := []byte(head + strings.Repeat("x", size))
	sent := 0
	for range 10 {
		sent += waits.Write(message[sent:])
		st.settle()
	}
	if taken := sent - (st.net.Capacity() - waits.Room()); taken > 64<<10 {
		t.Errorf("%d octets are kept, want 64 KiB at most", taken)
	}
	backend.Write([]byte(okAnswer))
	got := 0
	for range 100 {
		st.settle()
		got += len(backend.Read())
		if sent < len(message) {
			sent += waits.Write(message[sent:])
		}
	}
	if got < size {
		t.Errorf("the backend got %d octets, want the body's %d", got, size)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(waits, 200, "ok", false)
	st.wantsIdle(limiter)
}

// limit draws limits of both backends, with queues before them; in a calm world there is always room to wait.
func (w *world) limit() {
	limits := map[string]limit.Limits{}
	for _, name := range []string{"sim", "next"} {
		l := limit.Limits{}
		if w.queues && w.rng.IntN(3) > 0 {
			l = limit.Limits{InFlight: 1 + w.rng.Int64N(3), Queue: 1000, Patience: 1000 * time.Hour}
			if !w.calm {
				l.Queue, l.Patience = 1+w.rng.Int64N(6), time.Duration(1+w.rng.IntN(5000))*time.Millisecond
			}
		}
		limits[name] = l
	}
	if err := w.limits.Apply(limits, w.net.Now()); err != nil {
		w.fatal("%v", err)
	}
}
