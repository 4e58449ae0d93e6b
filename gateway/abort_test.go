// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// RS-10: whoever leaves, in whichever phase of a request, leaves nothing behind: no socket, no buffer, no place at the
// backend, no goroutine.
func TestRS10AbortInEachPhase(t *testing.T) {
	t.Parallel()
	const head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
	rounds := 200
	if os.Getenv("PVGATE_PROVE") != "" {
		rounds = 100_000
	}
	for phase, enter := range map[string]func(st *stage) *simsys.End{
		"connected":     func(st *stage) *simsys.End { return st.send("") },
		"in the head":   func(st *stage) *simsys.End { return st.send("GET /a HTTP/1.1\r\nHo") },
		"awaits answer": func(st *stage) *simsys.End { e := st.send(getA); st.accept().Read(); return e },
		"connecting":    func(st *stage) *simsys.End { st.back.Silent = true; return st.send(getA) },
		"in the body": func(st *stage) *simsys.End {
			e := st.send(head + strings.Repeat("x", 5000))
			st.accept()
			return e
		},
		"body held back": func(st *stage) *simsys.End {
			e := st.send(head)
			for range 20 { // more than the backend's buffer takes
				e.Write([]byte(strings.Repeat("x", 5000)))
				st.settle()
			}
			st.accept()
			return e
		},
		"in a chunk": func(st *stage) *simsys.End {
			e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc")
			st.accept()
			return e
		},
		"expecting": func(st *stage) *simsys.End {
			e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			st.accept()
			return e
		},
		"in the answer": func(st *stage) *simsys.End {
			e := st.send(getA)
			st.write(st.accept(), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
			return e
		},
		"answer held back": func(st *stage) *simsys.End {
			e := st.send(getA)
			b := st.accept()
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 200_000)
			for range 20 {
				answer = answer[b.Write([]byte(answer)):]
				st.settle()
			}
			return e
		},
		"pipelined":     func(st *stage) *simsys.End { return st.send(getA + getA + "GET /own HTTP/1.1\r\nHost: a\r\n\r\nGET") },
		"served":        func(st *stage) *simsys.End { return st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n") },
		"refused":       func(st *stage) *simsys.End { return st.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") },
		"in the target": func(st *stage) *simsys.End { return st.send("GET http://a/") },
	} {
		for how, leave := range map[string]func(*simsys.End){"closes": (*simsys.End).Close, "resets": (*simsys.End).Reset} {
			t.Run(phase+" and "+how, func(t *testing.T) {
				t.Parallel()
				// Other tests run beside this one: what it starts carries its name.
				pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", t.Name())))
				st := newStage(t)
				st.net.SetCapacity(16 << 10)
				before := 0
				for round := range rounds + 1 {
					st.back.Silent = false
					e := enter(st)
					leave(e)
					st.settle()
					for st.back.Accept() != nil {
						st.settle()
					}
					if round == 0 {
						before = goroutinesOf(t)
					}
				}
				// Connects and pooled connections have their time, and so has an answer to a whole request: a client
				// that has only shut down writing may still take it.
				st.pass(130*time.Second, time.Second, nil)
				if why := st.leftovers(); why != "" {
					t.Error(why)
				}
				if n := goroutinesOf(t); before == 0 || n > before {
					t.Errorf("%d goroutines, %d after the first round", n, before)
				}
			})
		}
	}
}

// goroutinesOf counts those that carry the test's name.
func goroutinesOf(t *testing.T) (n int) {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	_, all, _ := strings.Cut(text.String(), "\n")      // how many there are in all
	for alike := range strings.SplitSeq(all, "\n\n") { // "3 @ 0x…", and behind it their labels
		if strings.Contains(alike, fmt.Sprintf("%q:%q", "test", t.Name())) {
			var m int
			if _, err := fmt.Sscanf(alike, "%d @", &m); err != nil {
				t.Fatalf("%v: %.60q", err, alike)
			}
			n += m
		}
	}
	return n
}

// leftovers says what is still held after everybody has left, "" if nothing is.
func (st *stage) leftovers() string {
	n := st.server.nodes[0]
	open, active := n.host.Count()
	loop := n.loop.Stats()
	left := ""
	for _, x := range []struct {
		what string
		n    int
	}{
		{"client connections", open},
		{"exchanges", active},
		{"accepted connections", int(loop.Connections)},
		{"sockets", st.net.Owned()},
		{"streams", loop.Streams},
		{"buffers", loop.Lent},
		{"pipes", loop.Pipes},
		{"panics", int(loop.Panics)},
		{"pooled connections", n.cache.Stats().Idle},
		{"places at the backend", int(st.server.Snapshot().Backends[0].Limiter.Usage(0).InFlight)},
	} {
		if x.n != 0 {
			left += fmt.Sprintf("%d %s are left; ", x.n, x.what)
		}
	}
	return left
}
