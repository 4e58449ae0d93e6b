// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"math/rand/v2"
	"testing"
)

// How a stream ended is known of the last thousand, whatever identifiers a client leaves out.
func TestHowStreamsEndedIsRemembered(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var s Server
	l := DefaultLimits()
	s.Init(&l)
	all := map[uint32]ending{}
	for id := uint32(1); id < 200_000; id += 2 * (1 + rng.Uint32N(3)) {
		if rng.IntN(200) == 0 {
			id += 2 * rng.Uint32N(3000)
		}
		s.advance(id)
		all[id] = ending(1 + rng.IntN(3))
		s.remember(id, all[id])
		for range 20 {
			asked := id - min(2*rng.Uint32N(1500), id-1)
			want := all[asked]
			if id-asked >= 2*pastStreams {
				want = notEnded
			}
			if got := s.ended(asked); got != want {
				t.Fatalf("after %d: stream %d ended as %d, want %d", id, asked, got, want)
			}
		}
	}
	s.remember(1, weReset) // one that was open for very long
	if s.ended(1) != notEnded || s.ended(s.last-2*pastStreams+2) != all[s.last-2*pastStreams+2] {
		t.Error("what is long ago is mistaken for something later")
	}
	s.advance(1<<31 - 1)
	if s.ended(1<<31-1) != notEnded || s.ended(1<<31-3) != notEnded {
		t.Error("after a leap to the last stream others seem to have ended")
	}
}

// DATA and HEADERS on a stream that has ended break the connection, also when hundreds have ended since.
func TestFramesOnAStreamThatEndedLongAgo(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string][]byte{"DATA": dataOf(1, 0, "x"), "HEADERS": get(1)} {
		d := newDriver(t, testLimits())
		d.on = func(d *driver, ev Event, st Stream, _ []byte) {
			if ev == End {
				d.answer(st, "")
			}
		}
		d.feed(greeting())
		for i := range 500 {
			d.feed(get(id(i)))
		}
		d.feed(frame)
		if !d.m.failed || d.m.Cause() != "h2-stream-closed" {
			t.Errorf("%s: failed %v, %s", name, d.m.failed, d.m.Cause())
		}
	}
}

// However many bodies nobody takes, the connection's window lets the next one in: one backend that is stuck does not shut
// the others out.
func TestStuckBodiesDoNotShutTheConnection(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	d := newDriver(t, &l)
	got := 0
	d.on = func(_ *driver, ev Event, _ Stream, data []byte) {
		if ev == Data {
			got += len(data)
		}
	}
	d.feed(greeting())
	for i := range l.Streams {
		d.feed(post(id(i), ""))
		for left := StreamWindow; left > 0; left -= min(left, maxFrame) {
			d.feed(dataOf(id(i), 0, string(make([]byte, min(left, maxFrame)))))
		}
	}
	if d.m.failed || got != l.Streams*StreamWindow {
		t.Errorf("%d octets came in, failed %v %s", got, d.m.failed, d.m.Cause())
	}
}
