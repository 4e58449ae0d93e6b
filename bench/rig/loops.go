// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
)

// What the gateway's metrics are called that say what its loops do.
const (
	metricWaits   = "pvgate_loop_blocking_waits_total" // polls of epoll that may sleep
	metricThread  = "pvgate_loop_thread_id"
	metricMallocs = "go_memstats_mallocs_total"
)

const (
	maxExcess  = 0.01 // of voluntary context switches over blocking waits,
	minExcess  = 5000 // or one in so many requests: a loop that is always busy hardly ever waits
	maxMallocs = 0.01 // per proxied request
)

// loopFigures is what the loops rig measured.
type loopFigures struct {
	Requests          uint64             `json:"requests"`
	BlockingWaits     map[string]float64 `json:"blocking_waits"`
	Switches          map[string]int64   `json:"voluntary_switches"`
	WorstExcess       float64            `json:"worst_excess"`
	MallocsPerRequest float64            `json:"mallocs_per_request"`
}

// loops drives real requests through every loop and compares, for each loop's thread, how often it gave up the processor
// with how often it meant to: what is more was a lock, a page fault or a missing processor. It then counts allocations.
func loops(ctx context.Context, b *bed) (any, error) {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	p, address, err := b.gateway(ctx, back, "loops: 2\n")
	if err != nil {
		return nil, err
	}
	f := &loopFigures{}
	return f, end(p, measureLoops(ctx, p, netip.MustParseAddrPort(address), f))
}

func measureLoops(ctx context.Context, p *binary.Process, address netip.AddrPort, f *loopFigures) error {
	send := func(conns, count int) error {
		r, err := load.Run(ctx, load.Options{
			Address: address, Conns: conns, Count: uint64(count), WantStatus: 200, WantLength: -1,
			Requests: [][]byte{[]byte("GET /1k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\nAccept: */*\r\n\r\n")},
		})
		f.Requests += r.Good
		return errors.Join(err, r.Err())
	}
	// The first requests open connections and fill pools.
	if err := send(64, 5000); err != nil {
		return err
	}
	if _, err := p.Metrics(); err != nil {
		return err
	}
	f.Requests = 0
	before, err := takeReading(p)
	if err != nil {
		return err
	}
	idle, err := takeReading(p) // what a reading itself allocates
	if err != nil {
		return err
	}
	// Busy loops, and loops that wait for nearly every request. There are so many requests that what a reading allocates, some
	// thousands of pieces behind a collection, is little beside the bound.
	const count = 1_000_000
	if err := errors.Join(send(64, count/2), send(4, count/2)); err != nil {
		return err
	}
	after, err := takeReading(p)
	if err != nil {
		return err
	}
	all := judgeLoops(before, after, f)
	cost := idle.mallocs - before.mallocs
	f.MallocsPerRequest = max(0, after.mallocs-idle.mallocs-cost) / float64(f.Requests)
	if f.MallocsPerRequest > maxMallocs {
		all = errors.Join(all, fmt.Errorf("%.4f mallocs per request, at most %.2f", f.MallocsPerRequest, maxMallocs))
	}
	return all
}

// judgeLoops compares how often each loop's thread gave up the processor with how often it meant to.
func judgeLoops(before, after loopReading, f *loopFigures) error {
	f.BlockingWaits, f.Switches = map[string]float64{}, map[string]int64{}
	var all error
	for loop, thread := range after.threads {
		waits := after.waits[loop] - before.waits[loop]
		switches := after.switches[thread] - before.switches[thread]
		f.BlockingWaits[loop], f.Switches[loop] = waits, switches
		excess := (float64(switches) - waits) / max(waits, 1)
		f.WorstExcess = max(f.WorstExcess, excess)
		if excess > maxExcess && (float64(switches)-waits)*minExcess > float64(f.Requests) {
			all = errors.Join(all, fmt.Errorf("loop %s gave up the processor %d times in %.0f blocking waits (%.2f %% more, at most %.0f %%)",
				loop, switches, waits, 100*excess, 100*maxExcess))
		}
	}
	return all
}

// loopReading is what the metrics and the kernel say of the loops at one time.
type loopReading struct {
	waits    map[string]float64
	threads  map[string]int
	switches map[int]int64
	mallocs  float64
}

func takeReading(p *binary.Process) (loopReading, error) {
	r := loopReading{waits: map[string]float64{}, threads: map[string]int{}}
	// Switches are read last before and first after the time that is measured would be exact; the difference of one scrape
	// is far below the bound.
	var err error
	if r.switches, err = p.VoluntarySwitches(); err != nil {
		return r, err
	}
	m, err := p.Metrics()
	if err != nil {
		return r, err
	}
	for loop := 0; ; loop++ {
		label := fmt.Sprintf("loop=\"%d\"", loop)
		thread, ok := m.Sum(metricThread, label)
		if !ok {
			break
		}
		waits, ok := m.Sum(metricWaits, label)
		if !ok {
			return r, fmt.Errorf("the metrics lack %s{%s}", metricWaits, label)
		}
		r.threads[label], r.waits[label] = int(thread), waits
	}
	mallocs, ok := m.Sum(metricMallocs)
	if len(r.threads) == 0 || !ok {
		return r, fmt.Errorf("the metrics lack %s or %s", metricThread, metricMallocs)
	}
	r.mallocs = mallocs
	return r, nil
}
