// SPDX-License-Identifier: EUPL-1.2

// Package meter counts exchanges: one [Meter] per loop, plain additions, no locks; a reading is a copy made on the
// loop's own thread and added up elsewhere.
//
// The calls you want are [Meter.Record] on the request path and [Meter.AddTo] at a scrape. It deliberately knows
// no labels and no exposition format (metrics), and keeps nothing of a request but numbers.
package meter

import (
	"slices"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/prefetch"
	"github.com/pvgate/pvgate/gateway/reason"
)

// Lands is the number of values of the land label: Bund, sixteen Länder, none.
const Lands = exchange.LandNone + 1

// Classes of a backend's answers: index 1 to 5 by the first digit of the status; 0 is an exchange without an answer
// of the backend.
const Classes = 6

var (
	queueBounds = [...]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	// Seven, for they are counted once per backend: the budget of series is in the tests of gateway/metrics.
	backendBounds  = [...]float64{.005, .025, .1, .25, 1, 5, 30}
	overheadBounds = [...]float64{.000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1}
)

// BackendBuckets, QueueBuckets and OverheadBuckets return the upper bounds of the histograms' buckets in seconds; the
// bucket after the last is open.
func BackendBuckets() []float64 { return slices.Clone(backendBounds[:]) }

// QueueBuckets: see BackendBuckets.
func QueueBuckets() []float64 { return slices.Clone(queueBounds[:]) }

// OverheadBuckets: see BackendBuckets.
func OverheadBuckets() []float64 { return slices.Clone(overheadBounds[:]) }

// Histogram counts durations; Counts are per bucket, not cumulative.
type Histogram struct {
	Sum    int64 // nanoseconds
	Counts [16]uint64
}

func (h *Histogram) observe(ns int64, bounds []float64) {
	h.Sum += ns
	s := float64(ns) / 1e9
	for i, b := range bounds {
		if s <= b {
			h.Counts[i]++
			return
		}
	}
	h.Counts[len(bounds)]++
}

func (h *Histogram) add(o *Histogram) {
	for i := range h.Counts {
		h.Counts[i] += o.Counts[i]
	}
	h.Sum += o.Sum
}

// Backend is one backend's account.
type Backend struct {
	Requests [Classes]uint64
	BytesIn  uint64
	BytesOut uint64
	Seconds  Histogram
	// Failures are by reason.Code, nil as long as there are none: they would keep what every request touches of the backends apart.
	Failures []uint64
}

// Meter is one loop's account. Owned by the loop's thread.
type Meter struct {
	Codes    [exchange.Protocols][600]uint64 // by status
	Reasons  [reason.Count][Lands]uint64
	Backends []Backend // by exchange.Record.Backend
	Other    Backend   // all targets of no configured backend
	Overhead [exchange.Protocols]Histogram
	Queued   Histogram // waits for a place at a backend, of those that had to
	Removed  [4]uint64 // pv, forwarded, identity, alias
	// Tunnels counts those that have ended, by how.
	Tunnels  [exchange.TunnelEnds]uint64
	Accounts [exchange.Accounts]uint64
}

// Record counts one finished exchange.
func (m *Meter) Record(r *exchange.Record) {
	if r.Status > 0 && r.Status < len(m.Codes[r.Protocol]) {
		m.Codes[r.Protocol][r.Status]++
	}
	if r.Account != exchange.AccountNone {
		m.Accounts[r.Account]++
	}
	// A handover to a backend's own origin takes a second step, which is no second handover.
	if r.Reason != reason.None && r.Account < exchange.AccountArrived {
		m.Reasons[r.Reason][min(int(r.Land), Lands-1)]++
	}
	m.Removed[0] += uint64(r.Removed.PV)
	m.Removed[1] += uint64(r.Removed.Forwarded)
	m.Removed[2] += uint64(r.Removed.Identity)
	m.Removed[3] += uint64(r.Removed.Alias)
	if r.Queued > 0 {
		m.Queued.observe(r.Queued, queueBounds[:])
	}
	if r.Backend == -1 || !r.Forwarded && r.Reason.Fault() == reason.FaultClient {
		return // a request that was refused before the backend saw anything of it is none of the backend's
	}
	b := m.backend(r.Backend)
	class := 0
	if r.Reason == reason.None || r.Reason == reason.Handover || r.Tunnel != exchange.NoTunnel {
		class = min(r.Status/100, Classes-1)
	}
	if r.Reason != reason.None && r.Reason != reason.Handover {
		if b.Failures == nil {
			b.Failures = make([]uint64, reason.Count)
		}
		b.Failures[r.Reason]++
	}
	b.Requests[class]++
	if r.Upstream > 0 {
		b.Seconds.observe(r.Upstream, backendBounds[:])
	}
	if r.Tunnel != exchange.NoTunnel {
		m.Tunnels[r.Tunnel]++
		return // its octets have been counted, and its time is the peers'
	}
	b.BytesIn += uint64(r.BytesIn)
	b.BytesOut += uint64(r.BytesOut)
	// Bodies that fill more than a buffer measure the client's line, not us.
	if r.BytesIn+r.BytesOut < 64<<10 {
		m.Overhead[r.Protocol].observe(max(r.Total-r.Upstream-r.Queued, 0), overheadBounds[:])
	}
}

// touched is how many octets of a Backend requests touch: to the end of the first buckets, which most are in.
const touched = 8 * (Classes + 2 + 1 + 2)

// Expect asks the memory for what Record will touch of exchange.Record.Backend.
func (m *Meter) Expect(index int) {
	if index < len(m.Backends) {
		b := &m.Backends[index]
		prefetch.First(b, touched)
	}
}

// backend returns the account of exchange.Record.Backend.
func (m *Meter) backend(index int) *Backend {
	if index == exchange.BackendOther {
		return &m.Other
	}
	for index >= len(m.Backends) {
		m.Backends = append(m.Backends, Backend{})
	}
	return &m.Backends[index]
}

// Tunnelled counts octets of a tunnel while it lasts: whoever looks should not have to wait for its end.
func (m *Meter) Tunnelled(backend, in, out int) {
	b := m.backend(backend)
	b.BytesIn += uint64(in)
	b.BytesOut += uint64(out)
}

// AddTo adds this account to a sum.
func (m *Meter) AddTo(sum *Meter) {
	for p := range m.Codes {
		for i, n := range m.Codes[p] {
			sum.Codes[p][i] += n
		}
		sum.Overhead[p].add(&m.Overhead[p])
	}
	for i := range m.Reasons {
		for j, n := range m.Reasons[i] {
			sum.Reasons[i][j] += n
		}
	}
	sum.Queued.add(&m.Queued)
	for i, n := range m.Removed {
		sum.Removed[i] += n
	}
	for i, n := range m.Tunnels {
		sum.Tunnels[i] += n
	}
	for i, n := range m.Accounts {
		sum.Accounts[i] += n
	}
	for len(sum.Backends) < len(m.Backends) {
		sum.Backends = append(sum.Backends, Backend{})
	}
	for i := range m.Backends {
		m.Backends[i].addTo(&sum.Backends[i])
	}
	m.Other.addTo(&sum.Other)
}

func (b *Backend) addTo(sum *Backend) {
	for i, n := range b.Requests {
		sum.Requests[i] += n
	}
	if b.Failures != nil && sum.Failures == nil {
		sum.Failures = make([]uint64, reason.Count)
	}
	for i, n := range b.Failures {
		sum.Failures[i] += n
	}
	sum.Seconds.add(&b.Seconds)
	sum.BytesIn += b.BytesIn
	sum.BytesOut += b.BytesOut
}
