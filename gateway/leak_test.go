// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/limit"
)

// descriptors counts the open ones of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestStartAndDrainLeaveNothing runs in a process of its own: others' goroutines and descriptors are none of its business.
func TestStartAndDrainLeaveNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv("PVGATE_ALONE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStartAndDrainLeaveNothing$", "-test.timeout=3m")
		cmd.Env = append(os.Environ(), "PVGATE_ALONE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	round(t) // the runtime's own poller and the like
	before, known := descriptors(t), goleak.IgnoreCurrent()
	for range 3 {
		round(t)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	goleak.VerifyNone(t, known)
}

// round starts a server, uses, swaps, asks and drains it at once.
func round(t *testing.T) {
	t.Helper()
	address, closeBackend := echo(t)
	defer closeBackend()
	limiter := new(limit.Backend)
	snap := func(id string, keep time.Duration) *gateway.Snapshot {
		times := timeouts()
		times.Keep = keep
		return &gateway.Snapshot{ID: id, Resolver: forwardAll{}, Via: "pvgate-test", Backends: []gateway.Backend{{
			Name: "origin", Host: "origin", Endpoints: gatewaytest.Fixed([]netip.AddrPort{netip.MustParseAddrPort(address)}),
			Timeouts: times, Limiter: limiter,
		}}}
	}
	s, err := gateway.Start(gateway.Options{Loops: 2, Listen: []gateway.Listener{{Address: "127.0.0.1:0"}, {Address: "127.0.0.1:0"}}, Poison: true}, snap("a", 4*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	c := &http.Client{Transport: tr, Timeout: 20 * time.Second}
	stop := make(chan struct{})
	var wg, others sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				url := fmt.Sprintf("http://%s/%d", s.Addresses()[(i+n)%2], n)
				resp, err := c.Post(url, "text/plain", io.LimitReader(zeros{}, int64(n*3000)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || got != int64(n*3000) || resp.StatusCode != 200 {
					t.Errorf("got %d, %d octets, %v", resp.StatusCode, got, err)
				}
			}
		})
	}
	others.Go(func() { // whoever reloads and scrapes does so at any time, also when all is over
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			s.Swap(snap(fmt.Sprint(n), time.Duration(2+n%2)*time.Second))
			_, _ = s.Stats()
		}
	})
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	close(stop)
	others.Wait()
	if n := limiter.Usage(0).InFlight; n != 0 {
		t.Errorf("%d places at the backend were not given back", n)
	}
	tr.CloseIdleConnections()
}

// echo is a backend that can be taken down without a trace.
func echo(t *testing.T) (address string, down func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})}
	served := make(chan struct{})
	go func() { _ = back.Serve(ln); close(served) }()
	return ln.Addr().String(), func() {
		_ = back.Close()
		<-served
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
