// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// manyBackends is a server with one loop and n backends, each of which has a connection that waits.
func manyBackends(b *testing.B, n int) (*loopback, *node) {
	before, after, _ := strings.Cut(benchRequest, "127.0.0.1:10140")
	k := &loopback{
		start: time.Now(), request: before + "b0000.gw.bench.example" + after, answer: append([]byte(benchAnswer), bytes.Repeat([]byte("x"), 1024)...),
		waiting: 64, hosts: n, digitsAt: len(before) + 1,
	}
	var book limit.Book
	snap := &Snapshot{Via: "pvgate-gw.bench.example"}
	o := surface.Options{Domain: "gw.bench.example", Listeners: []surface.Listener{{Any: true}}}
	for i := range n {
		name := fmt.Sprintf("b%04d", i)
		snap.Backends = append(snap.Backends, Backend{
			Name: name, Host: name, Endpoints: fixed([]netip.AddrPort{simBack}), Limiter: book.Backend(name),
			Timeouts: upstream.Timeouts{Connect: time.Second, FirstByte: time.Minute, Idle: time.Minute, Keep: time.Minute},
		})
		o.Backends = append(o.Backends, surface.Backend{Name: name, Proxy: true})
	}
	face, err := surface.New(o)
	if err != nil {
		b.Fatal(err)
	}
	snap.Resolver = face
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
