// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	// A portal that works on so many requests at once, each for so long, answers 500 a second.
	portalWorkers  = 50
	portalWork     = 100 * time.Millisecond
	portalCapacity = 500
	// Descriptors of a gateway that has few, and connections that want some of it.
	fewDescriptors  = "256"
	wantDescriptors = 1000
	enoughHeld      = 300
	// Memory of a gateway that has little, and connections that take none of their answers.
	littleMemory = 96 << 20
	greedy       = 3000
	// pulseLooks is how often at most a short run, which is made beside others, looks whether a pulse is over.
	pulseLooks = 4
)

// overloadFigures is what the overload rig measured.
type overloadFigures struct {
	Capacity      float64 `json:"portal_answers_a_second_without_gateway"`
	Goodput       float64 `json:"goodput_at_1500_a_second"`
	AdmittedP99MS float64 `json:"admitted_p99_ms"`
	ShedP50MS     float64 `json:"shed_p50_ms"`
	ShedP99MS     float64 `json:"shed_p99_ms"`
	AfterPulse    float64 `json:"goodput_after_a_pulse_with_retries"`
	PulseSeconds  float64 `json:"pulse_seconds"`
	ScarceCPU     float64 `json:"cpu_with_1000_connections_for_256_descriptors"`
	ScarceServed  uint64  `json:"requests_served_meanwhile"`
	ReleasedMS    float64 `json:"ms_until_a_new_connection_is_served_after_release"`
	MemoryLimit   int64   `json:"memory_limit"`
	MemoryMost    int64   `json:"memory_used_at_most"`
	RSSMost       int64   `json:"rss_at_most"`
	MemoryShed    float64 `json:"connections_and_requests_refused_for_memory"`
	MemoryBackMS  float64 `json:"ms_until_served_after_the_attack"`
}

// overload offers more than there is: to a portal, of descriptors, of memory.
func overload(ctx context.Context, b *bed) (any, error) {
	f := &overloadFigures{}
	return f, errors.Join(f.portal(ctx, b), f.descriptors(ctx, b), f.memory(ctx, b))
}

// startPortal starts a portal of that capacity; who finds all workers busy waits inside, as in most software.
func startPortal() (address string, stop func(), err error) {
	ln, err := net.Listen("tcp", binary.AnyPort)
	if err != nil {
		return "", nil, err
	}
	workers := make(chan struct{}, portalWorkers)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case workers <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		time.Sleep(portalWork)
		<-workers
		_, _ = io.WriteString(w, "ok")
	})}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(ln) })
	return ln.Addr().String(), func() { _ = srv.Close(); running.Wait() }, nil
}

func (f *overloadFigures) portal(ctx context.Context, b *bed) error {
	back, stop, err := startPortal()
	if err != nil {
		return err
	}
	defer stop()
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: fmt.Sprintf("listen: [{address: %q, hosts: any, default: portal}]\nbackends:\n"+
		"  portal: {mode: proxy, endpoints: [\"http://%s\"], limits: {in_flight: 800, adaptive: true}}\n", binary.AnyPort, back)})
	if err != nil {
		return err
	}
	alone, err := load.Run(ctx, load.Options{
		Address: netip.MustParseAddrPort(back), Conns: portalWorkers, WarmUp: 300 * time.Millisecond, Duration: time.Second, WantStatus: http.StatusOK, WantLength: -1,
		Requests: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
	})
	if err != nil {
		return end(p, err)
	}
	f.Capacity = min(float64(alone.Good)/alone.Elapsed.Seconds(), portalCapacity) // a busy machine sleeps longer
	address := netip.MustParseAddrPort(p.Address(0))
	return end(p, errors.Join(patiently(func() error { return f.shed(ctx, address, b.seed) }), f.pulse(ctx, address, b.seed)))
}

// shed offers three times what the portal takes, open loop: half of it is measured by its answers, half by its refusals.
func (f *overloadFigures) shed(ctx context.Context, address netip.AddrPort, seed uint64) error {
	span := time.Duration(proof.Count(2, 30)) * time.Second
	run := func(status int, seed uint64) (load.Result, error) {
		return load.Run(ctx, load.Options{
			Address: address, Conns: 900, Rate: 1.5 * portalCapacity, Poisson: true, Seed: seed, WarmUp: 3 * time.Second, Duration: span, WantStatus: status, WantLength: -1,
			Requests: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
		})
	}
	var good, refused load.Result
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { good, errs[0] = run(http.StatusOK, seed) })
	both.Go(func() { refused, errs[1] = run(http.StatusServiceUnavailable, seed+1) })
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	f.Goodput = float64(good.Statuses[2]+refused.Statuses[2]) / span.Seconds() / f.Capacity
	f.AdmittedP99MS = ms(good.Latency.Quantile(.99))
	f.ShedP50MS, f.ShedP99MS = ms(refused.Latency.Quantile(.5)), ms(refused.Latency.Quantile(.99))
	var err error
	want := .9
	if !proof.Full() {
		want = .7 // a busy machine delays answers, which looks like a portal that has too much to do
	}
	if f.Goodput < want {
		err = late{fmt.Errorf("%.0f %% of what the portal takes is answered, want %.0f", 100*f.Goodput, 100*want)}
	}
	shed := f.ShedP99MS // a short run beside others says little about the last of a hundred
	if !proof.Full() {
		shed = f.ShedP50MS
	}
	if shed >= 5 {
		err = errors.Join(err, late{fmt.Errorf("a refusal takes %.1f ms, want less than 5", shed)})
	}
	return err
}

// pulse offers three times what the portal takes for a while, by citizens who ask again at once when they are refused, and
// then looks whether nine tenths of it are served again.
func (f *overloadFigures) pulse(ctx context.Context, address netip.AddrPort, seed uint64) error {
	span := time.Duration(proof.Count(2, 30)) * time.Second
	f.PulseSeconds = span.Seconds()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}
	defer client.CloseIdleConnections()
	ask := func(retries int) bool {
		for ; ; retries-- {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address.String()+"/", nil)
			if err != nil {
				return false
			}
			res, err := client.Do(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return true
				}
			}
			if retries == 0 {
				return false
			}
		}
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	var all sync.WaitGroup
	offer := func(rate float64, d time.Duration, retries int, good *atomic.Int64) (offered int) {
		next := time.Now()
		for until := next.Add(d); next.Before(until) && ctx.Err() == nil; offered++ {
			time.Sleep(time.Until(next))
			next = next.Add(time.Duration(rng.ExpFloat64() * 1e9 / rate))
			all.Go(func() {
				if ask(retries) {
					good.Add(1)
				}
			})
		}
		return offered
	}
	var during, settling atomic.Int64
	offer(3*portalCapacity, span, 2, &during)
	offer(.8*portalCapacity, 2*time.Second, 0, &settling) // it has five seconds to be back
	for range proof.Count(pulseLooks, 1) {
		var after atomic.Int64
		offered := offer(.8*portalCapacity, 2*time.Second, 0, &after)
		all.Wait()
		if f.AfterPulse = float64(after.Load()) / float64(max(offered, 1)); f.AfterPulse >= .95 {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%.0f %% are served after a pulse, want 95", 100*f.AfterPulse)
}

// descriptors holds far more connections than there are descriptors while some clients go on asking.
func (f *overloadFigures) descriptors(ctx context.Context, b *bed) error {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	p, err := binary.Start(ctx, binary.Options{
		Path: b.binary, Wrap: []string{"sh", "-c", "ulimit -n " + fewDescriptors + ` && exec "$@"`, "sh"},
		Config: fmt.Sprintf("listen: [{address: %q, hosts: any, default: portal}]\nclients: {per_network: 0}\nbackends:\n"+
			"  portal: {mode: proxy, endpoints: [\"http://%s\"]}\n", binary.AnyPort, back),
	})
	if err != nil {
		return err
	}
	return end(p, f.scarce(ctx, p))
}

func (f *overloadFigures) scarce(ctx context.Context, p *binary.Process) error {
	address := netip.MustParseAddrPort(p.Address(0))
	steady := func(d time.Duration) (load.Result, error) {
		return load.Run(ctx, load.Options{
			Address: address, Conns: 16, Rate: 100, Duration: d, WantStatus: http.StatusOK, WantLength: 1024, WarmUp: 500 * time.Millisecond,
			Requests: [][]byte{[]byte("GET /1k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
		})
	}
	var served load.Result
	var failed error
	var client sync.WaitGroup
	client.Go(func() { served, failed = steady(2 * time.Second) })
	time.Sleep(700 * time.Millisecond) // the clients that are served are there first
	var held []net.Conn
	for range wantDescriptors {
		c, err := net.DialTimeout("tcp", address.String(), 200*time.Millisecond)
		if err == nil {
			held = append(held, c)
		} else if len(held) >= enoughHeld { // with less, the machine is late
			break // the kernel's queue is full as well
		}
	}
	before, err := proc.CPU(p.PID())
	if err != nil {
		return err
	}
	const look = time.Second
	time.Sleep(look)
	after, err := proc.CPU(p.PID())
	if err != nil {
		return err
	}
	f.ScarceCPU = float64(after-before) / float64(look)
	client.Wait()
	f.ScarceServed = served.Good
	for _, c := range held {
		_ = c.Close()
	}
	began := time.Now()
	once, err := load.Run(ctx, load.Options{
		Address: address, Conns: 1, Count: 1, WantStatus: http.StatusOK, WantLength: 1024,
		Requests: [][]byte{[]byte("GET /1k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\nConnection: close\r\n\r\n")},
	})
	f.ReleasedMS = float64(time.Since(began)) / 1e6
	err = errors.Join(failed, served.Err(), err, once.Err())
	if f.ScarceCPU > .2 {
		err = errors.Join(err, fmt.Errorf("%.0f %% of a processor are used while descriptors are scarce, want 20 at most", 100*f.ScarceCPU))
	}
	if f.ReleasedMS > 1000 {
		err = errors.Join(err, fmt.Errorf("served %.0f ms after descriptors were released, want 1000 at most", f.ReleasedMS))
	}
	if len(held) < enoughHeld {
		err = errors.Join(err, fmt.Errorf("only %d connections could be held: nothing is proven", len(held)))
	}
	return err
}

// memory lets thousands of clients ask for much and take nothing.
func (f *overloadFigures) memory(ctx context.Context, b *bed) error {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	f.MemoryLimit = littleMemory
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: fmt.Sprintf("listen: [{address: %q, hosts: any, default: portal}]\nmemory: %dMiB\nclients: {per_network: 0}\nbackends:\n"+
		"  portal: {mode: proxy, endpoints: [\"http://%s\"]}\n", binary.AnyPort, littleMemory>>20, back)})
	if err != nil {
		return err
	}
	return end(p, f.starve(ctx, p))
}

func (f *overloadFigures) starve(ctx context.Context, p *binary.Process) error {
	address := p.Address(0)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for i := range greedy {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			break
		}
		held = append(held, c)
		_, _ = io.WriteString(c, "GET /1m HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n") // it may be refused
		if i%100 == 99 {
			if err := f.look(p); err != nil {
				return err
			}
		}
	}
	for n := 0; n < 10 || n < 200 && f.MemoryShed == 0; n++ { // a busy machine takes its time to answer them
		time.Sleep(100 * time.Millisecond)
		if err := f.look(p); err != nil {
			return err
		}
	}
	for _, c := range held {
		_ = c.Close()
	}
	held = nil
	began := time.Now()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for served := false; !served; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			return errors.New("nobody is served 10 s after the attack")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/1k", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(r); err == nil {
			served = res.StatusCode == http.StatusOK
			_ = res.Body.Close()
		}
	}
	f.MemoryBackMS = float64(time.Since(began)) / 1e6
	switch {
	case f.MemoryShed == 0:
		return errors.New("nobody was refused: the attack does not reach the limit")
	case f.RSSMost > f.MemoryLimit:
		return fmt.Errorf("%d octets of memory were resident, the limit is %d", f.RSSMost, f.MemoryLimit)
	}
	return nil
}

// look reads how much memory is used, and what was refused for it.
func (f *overloadFigures) look(p *binary.Process) error {
	m, err := p.Metrics()
	if err != nil {
		return err
	}
	used, _ := m.Sum("pvgate_memory_used_bytes")
	f.MemoryMost = max(f.MemoryMost, int64(used))
	closed, _ := m.Sum("pvgate_connections_closed_total", `cause="overloaded"`)
	refused, _ := m.Sum("pvgate_reasons_total", `reason="overloaded"`)
	f.MemoryShed = max(f.MemoryShed, closed+refused)
	rss, _, err := p.RSS()
	f.RSSMost = max(f.RSSMost, rss)
	return err
}
