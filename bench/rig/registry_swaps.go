// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/ratio"
)

const (
	// swapRate is how many requests come a second while registries are swapped: enough that loops wait ten times as often as the
	// runtime asks everybody who runs to make way, which is every 10 ms and costs a locked thread a switch.
	swapRate  = 4000
	swapConns = 16
	swapPairs = 20_000
	smallRows = 1000
	// The promises, of full runs: short ones are too short for times.
	mostSwapMemory = 600 * mib
	mostSwapSlower = 2.0
	leastSpeed     = 0.95
)

// swapFigures are of a large registry that is swapped while it is asked.
type swapFigures struct {
	Rows         int       `json:"rows"`
	BuildSeconds []float64 `json:"build_seconds"`
	BundleMiB    float64   `json:"bundle_mib"`
	LoadSeconds  float64   `json:"start_seconds"` // from the start of the process to its readiness
	SwapSeconds  []float64 `json:"swap_seconds"`  // from a new file to its first request, guards and disk included
	RSSMiB       float64   `json:"rss_mib"`
	PeakMiB      float64   `json:"rss_mib_peak_of_swaps"`
	Requests     uint64    `json:"requests_beside_swaps"`
	Failed       uint64    `json:"requests_failed"`
	QuietP99     float64   `json:"p99_ms_undisturbed"`
	SwapP99      float64   `json:"p99_ms_beside_swaps"`
	WorstExcess  float64   `json:"worst_excess_of_switches"`
	Speed        float64   `json:"throughput_over_that_of_1000_rows"`
	SpeedRounds  []float64 `json:"throughput_rounds"`
}

func (f *swapFigures) run(ctx context.Context, b *bed, dir string) error {
	f.Rows = proof.Count(100_000, 10_000_000)
	set, err := entries.New(f.Rows, b.seed)
	if err != nil {
		return err
	}
	swaps := proof.Count(2, 5)
	if err := f.build(ctx, b, dir, set, swaps+1); err != nil {
		return err
	}
	current := filepath.Join(dir, "current.pvb")
	if err := os.Rename(bundleOf(dir, 1), current); err != nil {
		return err
	}
	config := fmt.Sprintf("listen: [{address: %q, hosts: any}]\nloops: 2\nregistry: {state: %q}\nsources: [{name: hub, type: bundle, path: %q}]\n",
		binary.AnyPort, filepath.Join(dir, "kept"), current)
	began := time.Now()
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config, Wait: 2 * time.Minute})
	if err != nil {
		return err
	}
	f.LoadSeconds = time.Since(began).Seconds()
	requests := requestsOf(set)
	err = f.swaps(ctx, p, dir, current, requests, swaps)
	return end(p, errors.Join(err, f.compare(ctx, b, p, requests)))
}

func bundleOf(dir string, n int) string { return filepath.Join(dir, strconv.Itoa(n)+".pvb") }

// build makes bundles of the same rows, each newer than the one before.
func (f *swapFigures) build(ctx context.Context, b *bed, dir string, set *entries.Set, n int) error {
	rows, err := os.Create(filepath.Join(dir, "rows.csv"))
	if err != nil {
		return err
	}
	if err := errors.Join(set.WriteCSV(rows), rows.Close()); err != nil {
		return err
	}
	config := filepath.Join(dir, "build.yaml")
	if err := os.WriteFile(config, []byte("sources: [{name: hub, type: csv, path: rows.csv, columns: {area: ars, url: url}}]\n"), 0o600); err != nil {
		return err
	}
	for i := 1; i <= n; i++ {
		began := time.Now()
		cmd := exec.CommandContext(ctx, b.binary, "registry", "build", bundleOf(dir, i), "-c", config, "--sequence", strconv.Itoa(i))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("registry build: %w\n%s", err, out[max(0, len(out)-1000):])
		}
		f.BuildSeconds = append(f.BuildSeconds, time.Since(began).Seconds())
	}
	st, err := os.Stat(bundleOf(dir, 1))
	if err == nil {
		f.BundleMiB = float64(st.Size()) / mib
	}
	return errors.Join(err, os.Remove(rows.Name()))
}

func requestsOf(set *entries.Set) (all [][]byte) {
	for _, p := range set.Pairs(swapPairs) {
		all = append(all, fmt.Appendf(nil, "GET /leistung/%s/%s HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\nAccept: */*\r\n\r\n", p.Leistung, p.Area))
	}
	return all
}

// swaps puts one bundle after the other in service under a steady load, and compares with the same load before.
func (f *swapFigures) swaps(ctx context.Context, p *binary.Process, dir, current string, requests [][]byte, swaps int) error {
	steady := load.Options{
		Address: netip.MustParseAddrPort(p.Address(0)), Conns: swapConns, Requests: requests, Rate: swapRate, WantStatus: 303, WantLength: -1,
		WarmUp: time.Second, Duration: time.Duration(proof.Count(1, 10)) * time.Second,
	}
	quiet, err := load.Run(ctx, steady)
	if err := errors.Join(err, quiet.Err()); err != nil {
		return err
	}
	f.QuietP99 = ms(quiet.Latency.Quantile(0.99))
	now, _, err := p.RSS()
	if err != nil {
		return err
	}
	f.RSSMiB = float64(now) / mib
	before, err := takeReading(p)
	if err := errors.Join(err, p.ResetPeak()); err != nil {
		return err
	}
	var swapping atomic.Bool
	swapping.Store(true)
	beside := make(chan error, 1)
	var latency load.Histogram
	go func() {
		steady.WarmUp, steady.Duration = 0, time.Second
		for swapping.Load() {
			r, err := load.Run(ctx, steady)
			f.Requests, f.Failed = f.Requests+r.Good, f.Failed+r.Failed()
			latency.Merge(&r.Latency)
			if err = errors.Join(err, r.Err()); err != nil {
				beside <- err
				return
			}
		}
		beside <- nil
	}()
	var failed error
	for i := 2; i <= swaps+1 && failed == nil; i++ {
		time.Sleep(500 * time.Millisecond)
		began := time.Now()
		failed = errors.Join(os.Rename(bundleOf(dir, i), current), p.ReloadByAdmin())
		f.SwapSeconds = append(f.SwapSeconds, time.Since(began).Seconds())
	}
	swapping.Store(false)
	if err := errors.Join(failed, <-beside); err != nil {
		return err
	}
	f.SwapP99 = ms(latency.Quantile(0.99))
	_, peak, err := p.RSS()
	if err != nil {
		return err
	}
	f.PeakMiB = float64(peak) / mib
	after, err := takeReading(p)
	if err != nil {
		return err
	}
	return errors.Join(f.judgeLoops(before, after), f.judge())
}

// judgeLoops holds the first rule of the loops, as the rig loops does.
func (f *swapFigures) judgeLoops(before, after loopReading) (all error) {
	for loop, thread := range after.threads {
		waits := after.waits[loop] - before.waits[loop]
		more := float64(after.switches[thread]-before.switches[thread]) - waits
		f.WorstExcess = max(f.WorstExcess, more/max(waits, 1))
		if proof.Full() && more > maxExcess*waits && more*minExcess > float64(f.Requests) {
			all = errors.Join(all, fmt.Errorf("loop %s gave up the processor %.0f times more than it waited (%.0f times)", loop, more, waits))
		}
	}
	return all
}

func (f *swapFigures) judge() (all error) {
	if !proof.Full() {
		return nil
	}
	if f.PeakMiB*mib > mostSwapMemory {
		all = errors.Join(all, fmt.Errorf("%.0f MiB at the most during swaps, at most %d", f.PeakMiB, mostSwapMemory/mib))
	}
	if f.SwapP99 > mostSwapSlower*f.QuietP99 {
		all = errors.Join(all, fmt.Errorf("p99 is %.2f ms beside swaps and %.2f ms without", f.SwapP99, f.QuietP99))
	}
	return all
}

// compare asks a large registry and a small one as fast as they answer, in turns.
func (f *swapFigures) compare(ctx context.Context, b *bed, large *binary.Process, requests [][]byte) error {
	set, err := entries.New(smallRows, b.seed)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rows, err := os.Create(filepath.Join(dir, "rows.csv"))
	if err != nil {
		return err
	}
	if err := errors.Join(set.WriteCSV(rows), rows.Close()); err != nil {
		return err
	}
	small, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: fmt.Sprintf(
		"listen: [{address: %q, hosts: any}]\nloops: 2\nsources: [{name: hub, type: csv, path: %q, columns: {area: ars, url: url}}]\n", binary.AnyPort, rows.Name())})
	if err != nil {
		return err
	}
	speed := func(p *binary.Process, requests [][]byte) (float64, error) {
		r, err := load.Run(ctx, load.Options{
			Address: netip.MustParseAddrPort(p.Address(0)), Conns: swapConns, Requests: requests, WantStatus: 303, WantLength: -1,
			WarmUp: 100 * time.Millisecond, Duration: time.Duration(proof.Count(150, 2000)) * time.Millisecond,
		})
		return float64(r.Good) / r.Elapsed.Seconds(), errors.Join(err, r.Err())
	}
	few := requestsOf(set)
	for i := 0; len(few) < len(requests); i++ { // as many messages of their own: the client's part shall be the same
		few = append(few, slices.Clone(few[i]))
	}
	for range proof.Count(2, 10) {
		var got [4]float64
		for i, isLarge := range [...]bool{true, false, false, true} {
			p, asked := small, few
			if isLarge {
				p, asked = large, requests
			}
			if got[i], err = speed(p, asked); err != nil {
				return end(small, err)
			}
		}
		f.SpeedRounds = append(f.SpeedRounds, (got[0]+got[3])/(got[1]+got[2]))
	}
	if f.Speed = ratio.Median(slices.Clone(f.SpeedRounds)); proof.Full() && f.Speed < leastSpeed {
		err = fmt.Errorf("with %d rows there are %.3f times the answers of %d rows, at least %.2f", f.Rows, f.Speed, smallRows, leastSpeed)
	}
	return end(small, err)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
