// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"runtime/metrics"
	"time"
)

const (
	// settleTick is how often it is looked whether a wave of new connections is over, and trickle how many may come meanwhile
	// where it is.
	settleTick = 125 * time.Millisecond
	trickle    = 2
	// wave is how many new connections are worth a collection, if what they have taken is so large a part of all that lives:
	// that is looked through for them. perConnection is what one holds on to, octets.
	wave, waveShare = 256, 16
	perConnection   = 40 << 10
	// settlePause is how many times longer than a collection took it is at least until the next.
	settlePause = 4
	// settleBurst is how many collections there may be in a row; one more every settleEvery. Whoever makes waves on purpose
	// pays for a handshake, all others for the collection.
	settleBurst = 16
	settleEvery = 4 * time.Second
)

// settle has the garbage of handshakes collected and its memory given back once a wave of them is over, until Close. A
// handshake leaves three times the octets of the connection that it makes. The collector itself begins when there is half
// as much garbage as there is of what lives, which connections that wait never bring about.
func (s *Server) settle(living func() uint64, collect func()) {
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	var seen, collected uint64
	var next, spent time.Time // spent is that of the rate of collections
	for {
		select {
		case <-s.over.Done():
			return
		case <-tick.C:
		}
		begun := s.next.Load()
		over := begun-seen <= trickle
		seen = begun
		begin := time.Now()
		if fresh := begun - collected; over && fresh >= wave && fresh*perConnection >= living()/waveShare && !begin.Before(next) {
			collect()
			end := time.Now()
			spent = later(spent, end.Add(-settleBurst*settleEvery)).Add(settleEvery)
			collected, next = begun, later(spent, end.Add(settlePause*end.Sub(begin)))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// living is what the collector has last found to live, octets.
func living() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
