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
	// floodGoodput is the least part of the peak that is served beside the refusals, in a short run half of it. It is met where a
	// refusal costs half of a request at most: of one and a half times the peak (1 − 1.5·0.5) ÷ (1 − 0.5) can be served beside it.
	floodGoodput = .5
	// peakRecovers is how often at most a short run asks for half the peak behind the flood, which may not be over at once there.
	peakRecovers = 5
	// leastAfter is the part of half the peak that has to be served again: all but one of a thousand.
	leastAfter = .999
)

// peakFigures is what the peak rig measured.
type peakFigures struct {
	Disturbed  int     `json:"disturbed_rounds_left_out"`
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
	r := &peakRound{address: netip.MustParseAddrPort(p.Address(0)), pid: p.PID(), seed: b.seed}
	disturbed, err := r.repeat(ctx)
	r.Disturbed = disturbed
	return &r.peakFigures, end(p, err)
}

// peakRound measures the gateway once.
type peakRound struct {
	peakFigures
	address netip.AddrPort
	pid     int
	seed    uint64
}

// repeat makes rounds until one counts. A full run leaves out those that the hypervisor has disturbed. A short one, which
// is made beside others, believes no verdict about time before it has come timedTries times.
func (r *peakRound) repeat(ctx context.Context) (void int, err error) {
	for ; void < timedTries; void++ {
		stolen, err := theft()
		if err != nil {
			return void, err
		}
		r.peakFigures = peakFigures{}
		late, err := r.run(ctx)
		if err != nil {
			return void, err
		}
		share, err := stolen()
		if err != nil {
			return void, err
		}
		if disturbed := share > mostStolen; late == nil || proof.Full() && !disturbed || !proof.Full() && void+1 == timedTries {
			return void, late
		}
	}
	return void, errDisturbed
}

// run returns what was too late or too little, and apart from that what may not be however slow a machine is.
func (r *peakRound) run(ctx context.Context) (late, err error) {
	cpu := func(pid int) float64 {
		used, _ := proc.CPU(pid) // 0 for one that has ended: then nothing else works either
		return used.Seconds()
	}
	second := time.Second
	if proof.Full() {
		second = 5 * time.Second
	}
	full, err := r.load(ctx, peakConns, 0, second/2, second)
	if err != nil {
		return nil, err
	}
	r.Peak = float64(full.Good) / full.Elapsed.Seconds()
	half, err := r.load(ctx, peakConns, r.Peak/2, second/2, second)
	if err != nil {
		return nil, err
	}
	r.BaseP99MS, r.Offered = ms(half.Latency.Quantile(.99)), flood*r.Peak
	own, gateways, began := cpu(os.Getpid()), cpu(r.pid), time.Now()
	most, err := r.load(ctx, floodConns, r.Offered, floodOpens, 2*second)
	if err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	r.GatewayCPU, r.RigCPU = (cpu(r.pid)-gateways)/took, (cpu(os.Getpid())-own)/took
	span := most.Elapsed.Seconds()
	r.Goodput, r.Refused = float64(most.Good)/span/r.Peak, float64(most.Statuses[5])/span
	r.AdmittedMS = ms(most.Latency.Quantile(.99))
	if err := r.recovers(ctx, second); err != nil {
		return nil, err
	}
	return errors.Join(full.Err(), half.Err(), r.judge()), nil
}

// load asks the gateway; what gets no answer, or a broken one, is an error.
func (r *peakRound) load(ctx context.Context, conns int, rate float64, warm, d time.Duration) (load.Result, error) {
	got, err := load.Run(ctx, load.Options{
		Address: r.address, Conns: conns, Rate: rate, Poisson: true, Seed: r.seed, WarmUp: warm, Duration: d, WantStatus: http.StatusOK, WantLength: -1, MaxBacklog: 1e6,
		Requests: [][]byte{[]byte("GET /16k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
	})
	if got.Lost+got.Invalid+got.TimedOut > 0 {
		err = errors.Join(err, got.Err())
	}
	return got, err
}

// recovers offers half the peak behind the flood. A short run does so until all is served, and measures the peak anew before.
func (r *peakRound) recovers(ctx context.Context, second time.Duration) error {
	for peak, try := r.Peak, 1; ; try++ {
		after, err := r.load(ctx, peakConns, peak/2, second/2, second)
		if err != nil {
			return err
		}
		r.After = float64(after.Good) / max(float64(after.Good+after.Failed()), 1)
		if r.After >= leastAfter || proof.Full() || try == peakRecovers {
			return nil
		}
		again, err := r.load(ctx, peakConns, 0, 0, second/2)
		if err != nil {
			return err
		}
		peak = float64(again.Good) / again.Elapsed.Seconds()
	}
}

// judge is about what another machine, or another minute, may change.
func (r *peakRound) judge() (late error) {
	if proof.Full() && r.RigCPU > 1.45 { // the neighbour has one half
		late = errors.Join(late, fmt.Errorf("clients, portal and neighbour have used %.2f processors: they are what ended first", r.RigCPU))
	}
	if proof.Full() && r.Refused == 0 {
		late = errors.Join(late, errors.New("nothing was refused: the gateway was not offered too much, or does not know"))
	}
	if most := 2*r.BaseP99MS + ms(lateCap); proof.Full() && r.AdmittedMS > most {
		late = errors.Join(late, fmt.Errorf("what is served takes %.0f ms, want %.0f at most", r.AdmittedMS, most))
	}
	least := floodGoodput
	if !proof.Full() {
		least /= 2
	}
	if r.Goodput < least {
		late = errors.Join(late, fmt.Errorf("%.0f %% of the peak are served, want %.0f", 100*r.Goodput, 100*least))
	}
	if r.After < leastAfter {
		late = errors.Join(late, fmt.Errorf("%.1f %% are served after that, want all", 100*r.After))
	}
	return late
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
