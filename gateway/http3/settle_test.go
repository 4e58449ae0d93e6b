// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Garbage is collected when a wave of handshakes is over, if they were many for what lives, and seldom.
func TestGarbageOfHandshakesIsCollected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		var collected atomic.Int64
		var lives atomic.Uint64
		s.running.Go(func() {
			s.settle(lives.Load, func() {
				collected.Add(1)
				time.Sleep(2 * settleTick)
			})
		})
		arrive := func(n int) { s.next.Add(uint64(n)) }
		time.Sleep(settleTick / 2) // they come between looks
		for _, step := range []struct {
			what    string
			arrive  int // in each of ten ticks
			rest    int // ticks in which nobody comes
			lives   uint64
			collect int64
		}{
			{"a few", 25, 50, 10 << 20, 0},
			{"more, of which they are the last", 1, 10, 10 << 20, 1},
			{"a wave that lasts", 40, 0, 10 << 20, 0},
			{"its end", 0, 5, 10 << 20, 1},
			{"many that are few for what lives", 39, 30, 250 << 20, 0},
			{"enough of them", 2, 30, 250 << 20, 1},
			{"nobody", 0, 30, 250 << 20, 0},
		} {
			lives.Store(step.lives)
			before := collected.Load()
			for range 10 {
				arrive(step.arrive)
				time.Sleep(settleTick)
			}
			time.Sleep(time.Duration(step.rest) * settleTick)
			if got := collected.Load() - before; got != step.collect {
				t.Errorf("%s: collected %d times, want %d", step.what, got, step.collect)
			}
		}
		before := collected.Load()
		arrive(1000)
		time.Sleep(5 * settleTick)
		arrive(1000)
		time.Sleep(5 * settleTick) // less than settlePause collections
		if got := collected.Load() - before; got != 1 {
			t.Errorf("one wave behind the other: collected %d times, want once", got)
		}
		if time.Sleep(10 * settleTick); collected.Load() != before+2 {
			t.Errorf("then collected %d times, want twice", collected.Load()-before)
		}
		s.end()
		s.running.Wait()
	})
}

// Whoever makes one wave after the other has no more than a few in a row collected, and then one now and then.
func TestGarbageIsCollectedSeldomHoweverManyWaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		var collected atomic.Int64
		s.running.Go(func() {
			s.settle(func() uint64 { return 10 << 20 }, func() { collected.Add(1) })
		})
		waves := func(lasting time.Duration) int64 {
			before := collected.Load()
			for begun := time.Now(); time.Since(begun) < lasting; time.Sleep(2 * settleTick) {
				s.next.Add(wave)
			}
			return collected.Load() - before
		}
		time.Sleep(settleTick / 2) // they come between looks
		const lasting = time.Minute
		if got, want := waves(lasting), int64(settleBurst+lasting/settleEvery); got < want-1 || got > want+1 {
			t.Errorf("collected %d times in %v, want %d", got, lasting, want)
		}
		if got, want := waves(lasting), int64(lasting/settleEvery); got < want-1 || got > want+1 {
			t.Errorf("then %d times in %v, want %d", got, lasting, want)
		}
		s.end()
		s.running.Wait()
	})
}
