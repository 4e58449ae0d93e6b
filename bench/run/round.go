// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/pvgate/pvgate/bench/load"
)

// The rule by which a round is void. It looks at both cores: a load generator that
// does not get its core leaves the proxy idle between requests, which costs the
// proxy more per request.
const (
	maxForeign = 0.05
	maxSteal   = 0.03
	// attemptsPerRound bounds the repetitions: so many rounds are tried at most for
	// each one wanted.
	attemptsPerRound = 4
)

func ruleText() string {
	return fmt.Sprintf("a round is void if in either half, on either core, other programs took more than %.0f %% or the hypervisor more than %.0f %% of the time; it is repeated at most %d times as often as rounds are wanted",
		maxForeign*100, maxSteal*100, attemptsPerRound)
}

// half is one half of a round: all turns of one proxy.
type half struct {
	Peer string `json:"peer"`
	counts
	P50     time.Duration  `json:"p50_ns"`
	P99     time.Duration  `json:"p99_ns"`
	latency load.Histogram // of all turns
}

func (h *half) add(t *turn) {
	h.counts.add(&t.counts)
	h.latency.Merge(&t.Latency)
	h.P50, h.P99 = h.latency.Quantile(0.5), h.latency.Quantile(0.99)
}

// round is both halves.
type round struct {
	Subject half `json:"subject"`
	Peer    half `json:"peer"`
}

// us is the CPU time of the proxy per request, in microseconds.
func (h *half) us() float64 {
	return float64(h.ProxyCPU) / float64(time.Microsecond) / float64(h.Requests)
}

func (h *half) perSecond() float64 { return float64(h.Requests) / h.Elapsed.Seconds() }

func (h *half) share(d time.Duration) float64 { return float64(d) / float64(h.Elapsed) }

func (r *round) ratio() float64 { return r.Subject.us() / r.Peer.us() }

// disturbance says what makes the round void; "" if nothing.
func (r *round) disturbance() string {
	var why []string
	for _, h := range []*half{&r.Subject, &r.Peer} {
		note := func(what string, share, limit float64) {
			if share > limit {
				why = append(why, fmt.Sprintf("%s: %s %.0f %%", h.Peer, what, share*100))
			}
		}
		note("foreign CPU on the proxy's core", h.share(h.ProxyCore.Busy-h.ProxyCPU), maxForeign)
		note("foreign CPU on the load's core", h.share(h.LoadCore.Busy-h.OriginCPU-h.LoadCPU), maxForeign)
		note("steal on the proxy's core", h.share(h.ProxyCore.Steal), maxSteal)
		note("steal on the load's core", h.share(h.LoadCore.Steal), maxSteal)
	}
	if len(why) == 0 {
		return ""
	}
	return "disturbed (" + strings.Join(why, "; ") + ")"
}
