// SPDX-License-Identifier: EUPL-1.2

package meter

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/reason"
)

const ms = 1_000_000

// failed is one failure.
func failed(why reason.Code) []uint64 {
	f := make([]uint64, reason.Count)
	f[why] = 1
	return f
}

func TestRecordCountsAnExchangeWhereItBelongs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		r    exchange.Record
		want func(m *Meter)
	}{
		"forwarded": {
			exchange.Record{Protocol: exchange.HTTP2, Status: 201, Land: 6, Backend: 1, Forwarded: true, BytesIn: 10, BytesOut: 20, Total: 7 * ms, Upstream: 6 * ms},
			func(m *Meter) {
				m.Codes[exchange.HTTP2][201] = 1
				m.Backends = make([]Backend, 2)
				b := &m.Backends[1]
				b.Requests[2], b.BytesIn, b.BytesOut = 1, 10, 20
				b.Seconds.Sum, b.Seconds.Counts[1] = 6*ms, 1
				m.Overhead[exchange.HTTP2].Sum, m.Overhead[exchange.HTTP2].Counts[5] = ms, 1
			},
		},
		"handover to a configured backend": {
			exchange.Record{Status: 303, Reason: reason.Handover, Land: 6, Backend: 0, Total: 20_000},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][303], m.Reasons[reason.Handover][6] = 1, 1
				m.Backends = make([]Backend, 1)
				m.Backends[0].Requests[3] = 1
				m.Overhead[exchange.HTTP1].Sum, m.Overhead[exchange.HTTP1].Counts[0] = 20_000, 1
			},
		},
		"handover to any other": {
			exchange.Record{Status: 303, Reason: reason.Handover, Land: 0, Backend: exchange.BackendOther, Total: 30_000},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][303], m.Reasons[reason.Handover][0] = 1, 1
				m.Other.Requests[3] = 1
				m.Overhead[exchange.HTTP1].Sum, m.Overhead[exchange.HTTP1].Counts[1] = 30_000, 1
			},
		},
		"no backend": {
			exchange.Record{Status: 404, Reason: reason.NoRoute, Land: 16, Backend: -1, Total: ms},
			func(m *Meter) { m.Codes[exchange.HTTP1][404], m.Reasons[reason.NoRoute][16] = 1, 1 },
		},
		"failed at the backend": {
			exchange.Record{Status: 502, Reason: reason.ConnectRefused, Land: exchange.LandNone, Backend: 0},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][502], m.Reasons[reason.ConnectRefused][exchange.LandNone] = 1, 1
				m.Backends = make([]Backend, 1)
				m.Backends[0].Requests[0], m.Backends[0].Failures = 1, failed(reason.ConnectRefused)
				m.Overhead[exchange.HTTP1].Counts[0] = 1
			},
		},
		"the client's fault before the backend saw anything": {
			exchange.Record{Status: 408, Reason: reason.RequestTimeout, Land: 6, Backend: 0},
			func(m *Meter) { m.Codes[exchange.HTTP1][408], m.Reasons[reason.RequestTimeout][6] = 1, 1 },
		},
		"the client left while the backend worked": {
			exchange.Record{Status: 499, Reason: reason.ClientGone, Land: 6, Backend: 0, Forwarded: true, Aborted: true},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][499], m.Reasons[reason.ClientGone][6] = 1, 1
				m.Backends = make([]Backend, 1)
				m.Backends[0].Requests[0], m.Backends[0].Failures = 1, failed(reason.ClientGone)
				m.Overhead[exchange.HTTP1].Counts[0] = 1
			},
		},
		"a tunnel, whose octets are counted as they pass": {
			exchange.Record{Status: 101, Backend: 0, Forwarded: true, BytesIn: 10, BytesOut: 20, Total: 3600e9, Upstream: 6 * ms, Tunnel: exchange.TunnelFinished},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][101], m.Tunnels[exchange.TunnelFinished] = 1, 1
				m.Backends = make([]Backend, 1)
				m.Backends[0].Requests[1] = 1
				m.Backends[0].Seconds.Sum, m.Backends[0].Seconds.Counts[1] = 6*ms, 1
			},
		},
		"a tunnel that the client broke off": {
			exchange.Record{Status: 101, Reason: reason.ClientGone, Land: 6, Backend: 0, Forwarded: true, Total: 3600e9, Aborted: true, Tunnel: exchange.TunnelClient},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][101], m.Reasons[reason.ClientGone][6], m.Tunnels[exchange.TunnelClient] = 1, 1, 1
				m.Backends = make([]Backend, 1)
				m.Backends[0].Requests[1], m.Backends[0].Failures = 1, failed(reason.ClientGone)
			},
		},
		"forged fields": {
			exchange.Record{Status: 400, Reason: reason.BadPath, Land: 255, Backend: -1, Removed: header.Removed{PV: 1, Forwarded: 2, Identity: 3, Alias: 4}},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][400], m.Reasons[reason.BadPath][exchange.LandNone], m.Removed = 1, 1, [4]uint64{1, 2, 3, 4}
			},
		},
		"a large body measures the client's line": {
			exchange.Record{Status: 200, Backend: 0, Forwarded: true, BytesOut: 64 << 10, Total: 90_000 * ms, Upstream: 60_000 * ms},
			func(m *Meter) {
				m.Codes[exchange.HTTP1][200] = 1
				m.Backends = make([]Backend, 1)
				b := &m.Backends[0]
				b.Requests[2], b.BytesOut = 1, 64<<10
				b.Seconds.Sum, b.Seconds.Counts[len(backendBounds)] = 60_000*ms, 1
			},
		},
	} {
		var got, want Meter
		got.Record(&tt.r)
		tt.want(&want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

// What the loops have counted is what was served, however it was spread over them.
func TestSumOfLoopsIsWhatWasServed(t *testing.T) {
	t.Parallel()
	var loops [3]Meter
	var all Meter
	const served = 10_000
	for i := range served {
		r := exchange.Record{
			Status: 200 + 100*(i%4), Land: uint8(i % (Lands + 3)), Backend: i%9 - 2, Forwarded: i%2 == 0, BytesIn: int64(i), BytesOut: 1,
			Total: int64(i) * 1000, Upstream: int64(i%7) * 100, Removed: header.Removed{PV: i % 2},
		}
		if i%3 > 0 {
			r.Reason = reason.All()[i%(reason.Count-1)]
		}
		loops[i*i%3].Record(&r)
		all.Record(&r)
	}
	var sum Meter
	for i := range loops {
		before := loops[i].Codes[exchange.HTTP1]
		loops[i].AddTo(&sum)
		if loops[i].Codes[exchange.HTTP1] != before {
			t.Error("AddTo changed what it added")
		}
	}
	if d := cmp.Diff(all, sum); d != "" {
		t.Errorf("-counted at one place +added up\n%s", d)
	}
	total := uint64(0)
	for _, n := range sum.Codes[exchange.HTTP1] {
		total += n
	}
	if total != served {
		t.Errorf("%d requests counted, %d served", total, served)
	}
}

func TestBucketsAscendAndFit(t *testing.T) {
	t.Parallel()
	for _, bounds := range [][]float64{BackendBuckets(), OverheadBuckets()} {
		if len(bounds) >= len(Histogram{}.Counts) {
			t.Errorf("%d bounds leave no open bucket", len(bounds))
		}
		for i := range bounds[1:] {
			if bounds[i] >= bounds[i+1] {
				t.Errorf("%v before %v", bounds[i], bounds[i+1])
			}
		}
	}
	var h Histogram
	for _, ns := range []int64{0, 5 * ms, 5*ms + 1, 31_000 * ms} {
		h.observe(ns, backendBounds[:])
	}
	if want := [16]uint64{0: 2, 1: 1, len(backendBounds): 1}; h.Counts != want {
		t.Errorf("got %v, want %v: a bound belongs to its bucket", h.Counts, want)
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	var m Meter
	r := exchange.Record{Status: 200, Land: 6, Backend: 499, Forwarded: true, Total: ms, Upstream: ms}
	m.Record(&r)
	if n := testing.AllocsPerRun(1000, func() { m.Record(&r) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkRecord is what counting costs a request.
func BenchmarkRecord(b *testing.B) {
	var m Meter
	r := exchange.Record{Status: 200, Land: 6, Backend: 3, Forwarded: true, Total: ms, Upstream: ms}
	b.ReportAllocs()
	for b.Loop() {
		m.Record(&r)
	}
}

// BenchmarkAddTo is what a scrape costs one loop, with 500 backends: the loop serves nobody in that time.
func BenchmarkAddTo(b *testing.B) {
	var m, sum Meter
	for i := range 500 {
		m.Record(&exchange.Record{Status: 200, Backend: i, Forwarded: true})
	}
	m.AddTo(&sum)
	b.ReportAllocs()
	for b.Loop() {
		m.AddTo(&sum)
	}
}

func TestTunnelledCountsWhileATunnelLasts(t *testing.T) {
	t.Parallel()
	var m, sum Meter
	m.Tunnelled(1, 3, 0)
	m.Tunnelled(1, 0, 4)
	m.Tunnelled(exchange.BackendOther, 5, 0)
	m.Record(&exchange.Record{Status: 101, Backend: 1, Forwarded: true, BytesIn: 3, BytesOut: 4, Tunnel: exchange.TunnelIdle})
	m.AddTo(&sum)
	if b := sum.Backends[1]; b.BytesIn != 3 || b.BytesOut != 4 || sum.Other.BytesIn != 5 || sum.Tunnels[exchange.TunnelIdle] != 1 {
		t.Errorf("in %d, out %d, other %d, ends %v", b.BytesIn, b.BytesOut, sum.Other.BytesIn, sum.Tunnels)
	}
}
