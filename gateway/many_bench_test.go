// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// inTurn sends each request to the next of n backends.
type inTurn struct{ n, next int }

func (r *inTurn) Resolve(q *exchange.Request, p *exchange.Plan) {
	r.next = (r.next + 1) % r.n
	p.Expect(r.next)
	p.Forward, p.Backend = true, r.next
	p.Scratch = append(p.Scratch, q.Path...)
	p.Target = p.Scratch
}

func (r *inTurn) Page(_ *exchange.Request, code reason.Code, _ exchange.Detail, p *exchange.Plan) {
	p.Reply.Reason, p.Reply.Status = code, code.Status()
}

// manyBackends is a server with one loop and n backends, each of which has a connection that waits.
func manyBackends(b *testing.B, n int) (*loopback, *node) {
	k := &loopback{start: time.Now(), request: benchRequest, answer: append([]byte(benchAnswer), bytes.Repeat([]byte("x"), 1024)...), waiting: 64}
	var book limit.Book
	snap := &Snapshot{Resolver: &inTurn{n: n}, Via: "pvgate-gw.bench.example"}
	for i := range n {
		name := fmt.Sprint("b", i)
		snap.Backends = append(snap.Backends, Backend{
			Name: name, Host: name, Endpoints: fixed([]netip.AddrPort{simBack}), Limiter: book.Backend(name),
			Timeouts: upstream.Timeouts{Connect: time.Second, FirstByte: time.Minute, Idle: time.Minute, Keep: time.Minute},
		})
	}
	s, err := assemble(Options{Loops: 1, NewKernel: func(time.Time) (loop.Kernel, error) { return k, nil }}, snap)
	if err != nil {
		b.Fatal(err)
	}
	node := s.nodes[0]
	if err := node.listen(k.open(client), 0, Listener{}); err != nil {
		b.Fatal(err)
	}
	for k.answered < 3*n+1000 {
		node.loop.Turn()
	}
	if st := node.cache.Stats(); st.Idle+64 < n || st.Evicted > 0 {
		b.Skipf("%d connections wait, %d were evicted: this machine has too few descriptors for %d backends", st.Idle, st.Evicted, n)
	}
	runtime.GC()
	return k, node
}

// userTime is what the thread has computed, without what others on the machine took.
func userTime(b *testing.B) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano())
}

// BenchmarkBackends is a request where it is one of few or of very many backends' turn. What differs is what is not in the
// processor's caches, and what the state of a backend takes.
func BenchmarkBackends(b *testing.B) {
	for _, n := range []int{10, 8000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k, node := manyBackends(b, n)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			b.ResetTimer()
			from := userTime(b)
			for end := k.answered + b.N; k.answered < end; {
				node.loop.Turn()
			}
			b.ReportMetric(float64(userTime(b)-from)/float64(b.N), "user-ns/op")
		})
	}
}
