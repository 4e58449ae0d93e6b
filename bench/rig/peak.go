// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	// peakConns find the gateway's peak, floodConns are enough for what is beyond it to wait in the gateway and not here.
	peakConns, floodConns = 512, 8000
	flood                 = 1.5
	// floodOpens is for how long the flood has come before it is measured: its connections, opened in one go, make the gateway
	// late by a second, and more is offered than it serves, so that is made good slowly.
	floodOpens = 4 * time.Second
	// lateCap is for how long the gateway lets a request wait for its loop: twice 50 ms, when it comes and when its answer does,
	// and twice what it takes to notice and to refuse those before it.
	lateCap = 200 * time.Millisecond
	// floodGoodput is the least part of the peak that is served beside the refusals: one costs 0.4 to 0.55 of a request, in the
	// kernel most of all, so of one and a half times the peak at most (1 − 1.5·0.5) ÷ (1 − 0.5) can be.
	floodGoodput = .5
)

// peakFigures is what the peak rig measured.
type peakFigures struct {
	Peak       float64 `json:"peak_a_second"`
	BaseP99MS  float64 `json:"p99_ms_at_half_the_peak"`
	Offered    float64 `json:"offered_a_second"`
	Goodput    float64 `json:"goodput_of_the_peak"`
	Refused    float64 `json:"refused_a_second"`
	AdmittedMS float64 `json:"admitted_p99_ms"`
	GatewayCPU float64 `json:"processors_of_the_gateway_meanwhile"`
	RigCPU     float64 `json:"processors_of_clients_and_portal_meanwhile"`
	After      float64 `json:"served_at_half_the_peak_after"`
}

// peak offers the gateway half as much again as it can serve. It has half of one processor, so that clients and portal, who have
// the others, are not what ends first.
func peak(ctx context.Context, b *bed) (any, error) {
	if runtime.NumCPU() < 2 {
		return nil, skipped("the gateway needs a processor of its own here, and there is only one")
	}
	free, err := leaveProcessor(0)
	if err != nil {
		return nil, err
	}
	defer free()
	rest, err := neighbour(0)
	if err != nil {
		return nil, err
	}
	defer rest()
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	p, err := binary.Start(ctx, binary.Options{
		Path: b.binary, Wrap: []string{"taskset", "-c", "0"},
		Config: fmt.Sprintf("listen: [{address: %q, hosts: any, default: portal}]\nloops: 1\nclients: {per_network: 0}\nbackends:\n"+
			"  portal: {mode: proxy, endpoints: [\"http://%s\"]}\n", binary.AnyPort, back),
	})
	if err != nil {
		return nil, err
	}
	f := &peakFigures{}
	return f, end(p, f.run(ctx, netip.MustParseAddrPort(p.Address(0)), p.PID(), b.seed))
}

func (f *peakFigures) run(ctx context.Context, address netip.AddrPort, pid int, seed uint64) error {
	cpu := func(pid int) float64 {
		used, _ := proc.CPU(pid) // 0 for one that has ended: then nothing else works either
		return used.Seconds()
	}
	second := time.Duration(proof.Count(1, 5)) * time.Second
	run := func(conns int, rate float64, warm, d time.Duration) (load.Result, error) {
		return load.Run(ctx, load.Options{
			Address: address, Conns: conns, Rate: rate, Poisson: true, Seed: seed, WarmUp: warm, Duration: d, WantStatus: http.StatusOK, WantLength: -1, MaxBacklog: 1e6,
			Requests: [][]byte{[]byte("GET /16k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
		})
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	full, err := run(peakConns, 0, time.Second, 2*second)
	if err != nil {
		return err
	}
	f.Peak = float64(full.Good) / full.Elapsed.Seconds()
	half, err := run(peakConns, f.Peak/2, time.Second, 2*second)
	if err != nil {
		return err
	}
	f.BaseP99MS, f.Offered = ms(half.Latency.Quantile(.99)), flood*f.Peak
	own, gateways, began := cpu(os.Getpid()), cpu(pid), time.Now()
	most, err := run(floodConns, f.Offered, floodOpens, 3*second)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	f.GatewayCPU, f.RigCPU = (cpu(pid)-gateways)/took, (cpu(os.Getpid())-own)/took
	span := most.Elapsed.Seconds()
	f.Goodput, f.Refused = float64(most.Good)/span/f.Peak, float64(most.Statuses[5])/span
	f.AdmittedMS = ms(most.Latency.Quantile(.99))
	after, err := run(peakConns, f.Peak/2, time.Second, second)
	if err != nil {
		return err
	}
	f.After = float64(after.Good) / max(float64(after.Good+after.Failed()), 1)
	err = errors.Join(full.Err(), half.Err())
	if most.Lost+most.Invalid+most.TimedOut > 0 {
		err = errors.Join(err, fmt.Errorf("beyond the peak: %w", most.Err()))
	}
	if proof.Full() && f.RigCPU > 1.45 { // the neighbour has one half
		err = errors.Join(err, fmt.Errorf("clients, portal and neighbour have used %.2f processors: they are what ended first", f.RigCPU))
	}
	if proof.Full() && f.Refused == 0 {
		err = errors.Join(err, errors.New("nothing was refused: the gateway was not offered too much, or does not know"))
	}
	least := floodGoodput
	if !proof.Full() {
		least /= 2
	}
	// Beside others the processor is not the gateway's alone, and its peak another in every second.
	if most := 2*f.BaseP99MS + ms(lateCap); proof.Full() && f.AdmittedMS > most {
		err = errors.Join(err, fmt.Errorf("what is served takes %.0f ms, want %.0f at most", f.AdmittedMS, most))
	}
	if f.Goodput < least {
		err = errors.Join(err, fmt.Errorf("%.0f %% of the peak are served, want %.0f", 100*f.Goodput, 100*least))
	}
	if f.After < .999 {
		err = errors.Join(err, fmt.Errorf("%.1f %% are served after that, want all", 100*f.After))
	}
	return err
}

// neighbour keeps a processor busy, so that another there has half of it. rest ends that.
func neighbour(n int) (rest func(), err error) {
	runtime.GOMAXPROCS(runtime.NumCPU() + 2) // clients, portal and this each occupy one
	var one unix.CPUSet
	one.Set(n)
	var stop atomic.Bool
	moved := make(chan error)
	var spinning sync.WaitGroup
	spinning.Go(func() {
		runtime.LockOSThread() // and is never unlocked: the thread ends with it, and its processor is nobody's
		moved <- unix.SchedSetaffinity(0, &one)
		for !stop.Load() {
		}
	})
	rest = func() { stop.Store(true); spinning.Wait() }
	if err := <-moved; err != nil {
		rest()
		return nil, fmt.Errorf("take processor %d: %w", n, err)
	}
	return rest, nil
}

// leaveProcessor moves all threads of this process to the other processors, and new ones with them.
func leaveProcessor(n int) (free func(), err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("processors: %w", err)
	}
	others := all
	others.Clear(n)
	if others.Count() == 0 || !all.IsSet(n) {
		return nil, skipped(fmt.Sprintf("processor %d and another are needed", n))
	}
	move := func(to *unix.CPUSet) error {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("threads: %w", err)
		}
		for _, t := range threads {
			id, _ := strconv.Atoi(t.Name())
			if err := unix.SchedSetaffinity(id, to); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("leave processor %d: %w", n, err)
			}
		}
		return nil
	}
	return func() { _ = move(&all) }, move(&others)
}
