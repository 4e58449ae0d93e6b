// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/origin"
	"github.com/pvgate/pvgate/bench/peers"
	"github.com/pvgate/pvgate/bench/proc"
)

const (
	originRole = "origin"
	loadRole   = "load"
)

// runOrigin serves until it is killed; the first line of its output is its address.
func runOrigin(ctx context.Context, stdout io.Writer) error {
	s, err := origin.New(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return err
	}
	s.Alone = true
	fmt.Fprintln(stdout, s.Addr())
	return s.Run(ctx)
}

// order is what the load role reads.
type order struct {
	Case      string
	Rows      int
	Seed      uint64
	First     int
	Address   netip.AddrPort
	WarmUp    time.Duration
	Duration  time.Duration // 0: each message once, to see that all are answered
	ProxyPID  int
	OriginPID int
	ProxyCore int
	LoadCore  int
}

// turn is what the load role writes: what one proxy did in one turn.
type turn struct {
	counts
	Failed  uint64
	Failure string
	Latency load.Histogram
}

// counts can be added up over turns.
type counts struct {
	Requests  uint64        `json:"requests"`
	Elapsed   time.Duration `json:"elapsed_ns"`
	ProxyCPU  time.Duration `json:"proxy_cpu_ns"`
	OriginCPU time.Duration `json:"origin_cpu_ns"`
	LoadCPU   time.Duration `json:"load_cpu_ns"`
	ProxyCore proc.Core     `json:"proxy_core"`
	LoadCore  proc.Core     `json:"load_core"`
}

func (c *counts) add(o *counts) {
	c.Requests += o.Requests
	c.Elapsed += o.Elapsed
	c.ProxyCPU += o.ProxyCPU
	c.OriginCPU += o.OriginCPU
	c.LoadCPU += o.LoadCPU
	c.ProxyCore = proc.Core{Busy: c.ProxyCore.Busy + o.ProxyCore.Busy, Steal: c.ProxyCore.Steal + o.ProxyCore.Steal}
	c.LoadCore = proc.Core{Busy: c.LoadCore.Busy + o.LoadCore.Busy, Steal: c.LoadCore.Steal + o.LoadCore.Steal}
}

// runLoad measures one turn. It reads the kernel's counters itself, at the very
// moments at which its own counting begins and ends.
func runLoad(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var o order
	if err := json.NewDecoder(stdin).Decode(&o); err != nil {
		return fmt.Errorf("load: order: %w", err)
	}
	cases, err := pick(o.Case)
	if err != nil {
		return err
	}
	set, err := entries.New(o.Rows, o.Seed)
	if err != nil {
		return err
	}
	c := cases[0]
	msgs := c.requests(set.Pairs(pairCount))
	if c.streams == 0 && !(c.tls && c.close) {
		debug.SetGCPercent(-1) // nothing is allocated from here on; elsewhere new memory would cost more than collecting the old
	}
	lo := load.Options{
		Address: o.Address, Conns: c.Conns, Requests: msgs, First: o.First % len(msgs), WarmUp: o.WarmUp, Duration: o.Duration,
		WantStatus: 200, WantLength: c.length, ReconnectEach: c.close, Streams: c.streams, QUIC: c.quic, Alone: true,
	}
	if c.tls {
		lo.TLS = &tls.Config{ServerName: peers.BackendHost, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, InsecureSkipVerify: true} //nolint:gosec // the bench made the certificate
	}
	if o.Duration == 0 {
		lo.Count = uint64(len(msgs))
	}
	var before, after counters
	var errBefore, errAfter error
	lo.Begin = func() { before, errBefore = o.read() }
	lo.End = func() { after, errAfter = o.read() }
	res, err := load.Run(ctx, lo)
	if err := errors.Join(err, errBefore, errAfter); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(&turn{
		Failed: res.Failed(), Failure: res.FirstFailure, Latency: res.Latency,
		counts: counts{
			Requests: res.Good, Elapsed: res.Elapsed,
			ProxyCPU: after.proxy - before.proxy, OriginCPU: after.origin - before.origin, LoadCPU: after.load - before.load,
			ProxyCore: since(after.proxyCore, before.proxyCore), LoadCore: since(after.loadCore, before.loadCore),
		},
	})
}

type counters struct {
	proxy, origin, load time.Duration
	proxyCore, loadCore proc.Core
}

func (o *order) read() (counters, error) {
	var c counters
	var errs [4]error
	c.proxy, errs[0] = proc.CPU(o.ProxyPID)
	c.origin, errs[1] = proc.CPU(o.OriginPID)
	c.load, errs[2] = proc.CPU(os.Getpid())
	cores, err := proc.Cores()
	errs[3] = err
	c.proxyCore, c.loadCore = cores[o.ProxyCore], cores[o.LoadCore]
	return c, errors.Join(errs[:]...)
}

func since(after, before proc.Core) proc.Core {
	return proc.Core{Busy: after.Busy - before.Busy, Steal: after.Steal - before.Steal}
}
