// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"strings"
	"testing"
)

// FuzzServer: whatever comes, in whatever pieces, the machine does not panic, keeps its accounts, comes to the same end,
// and what it says their framer reads. Requests are answered in some of several ways, chosen by their place.
func FuzzServer(f *testing.F) {
	for i, c := range sequences {
		f.Add(c.in, uint64(i))
	}
	all := []byte{}
	for i := range 30 {
		all = append(all, sequences[i].in...)
	}
	f.Add(all, uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, said := run(t, [][]byte{in}, seed)
		pieces, saidToo := run(t, scatter(in, seed), seed)
		if whole != pieces || said != saidToo {
			t.Fatalf("%x\n whole  %q %q\n pieces %q %q", in, whole, said, pieces, saidToo)
		}
	})
}

func run(t *testing.T, pieces [][]byte, seed uint64) (events, said string) {
	t.Helper()
	d := newDriver(t, testLimits())
	body := []byte(strings.Repeat("z", 40_000))
	waiting := map[Stream]int{}
	d.on = func(d *driver, ev Event, st Stream, data []byte) {
		switch ev {
		case Data:
			if seed&1 == 0 {
				d.m.Consumed(st, len(data))
			}
		case End:
			switch (seed + uint64(st)) % 5 {
			case 0:
				d.answer(st, "answer")
			case 1:
				d.out = d.m.AppendHead(d.out, st, 200, nil, false)
				waiting[st] = len(body)
			case 2:
				d.m.Reset(st, Cancel)
				d.done(st)
			case 3:
				d.done(st)
			}
		case Refused:
			d.answer(st, "no")
		case Reset, Broken:
			delete(waiting, st)
			d.done(st)
		case Writable, More, HeadDone, Failed:
		}
		for st := range Stream(MaxStreams) { // in order
			if left, ok := waiting[st]; ok {
				var n int
				if d.out, n = d.m.AppendData(d.out, st, body[:left], true); n == left {
					delete(waiting, st)
					d.done(st)
				} else {
					waiting[st] = left - n
				}
			}
		}
	}
	d.feed(greeting())
	for _, p := range pieces {
		if d.feed(p); d.m.failed {
			break
		}
	}
	d.flush()
	return strings.Join(d.events, "; "), d.said()
}

// scatter cuts input into pieces whose lengths come from seed.
func scatter(input []byte, seed uint64) [][]byte {
	var pieces [][]byte
	for len(input) > 0 {
		seed = seed*6364136223846793005 + 1442695040888963407
		n := min(int(seed>>59)+1, len(input))
		pieces = append(pieces, input[:n])
		input = input[n:]
	}
	return pieces
}
