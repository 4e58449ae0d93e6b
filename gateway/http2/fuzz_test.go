// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// palette makes a frame of a kind that a client might send, mostly on a new stream or one that has been opened, now and
// then with a wrong octet.
func palette(r *rand.Rand, opened *int) []byte {
	stream := max(0, *opened-1-r.IntN(6))
	kind := r.IntN(14)
	if kind < 5 && r.IntN(8) > 0 {
		stream = *opened
		*opened++
	}
	id := uint32(2*stream + 1)
	flags := byte(r.IntN(2))
	var b []byte
	switch kind {
	case 0, 1:
		b = headers(id, flags, getLines)
	case 2, 3:
		b = headers(id, flags, postLines)
	case 4:
		b = headers(id, flags, postLines+[]string{"|content-length: 20", "|expect: cake"}[r.IntN(2)])
	case 5:
		b = headers(id, flagEndStream, "x: y")
	case 6:
		b = join(frameOf(typeHeaders, flags, id+2, block(postLines)...), frameOf(typeContinuation, flagEndHeaders, id+2))
		*opened = max(*opened, stream+2)
	case 7:
		b = priority(id, uint32(r.IntN(2*stream+9)))
	case 8, 9:
		b = dataOf(id, flags, strings.Repeat("d", r.IntN(40)))
	case 10:
		b = frameOf(typeData, flags|flagPadded, id, append([]byte{byte(r.IntN(12))}, make([]byte, r.IntN(12))...)...)
	case 11:
		b = reset(id)
	case 12:
		b = windowUpdate(id*uint32(r.IntN(2)), uint32(r.IntN(1<<r.IntN(29))))
	default:
		b = setting(settingInitialWindow, uint32(r.IntN(1<<r.IntN(31))))
	}
	if r.IntN(200) == 0 {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b
}

// H2-10: no sequence of frames makes the machine panic, lose count, or say what is no HTTP/2.
func TestH210RandomFrames(t *testing.T) {
	t.Parallel()
	met := ""
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 0))
		var in []byte
		for opened, n := 0, 1+r.IntN(60); n > 0; n-- {
			in = append(in, palette(r, &opened)...)
		}
		whole, said := run(t, [][]byte{in}, seed)
		if pieces, saidToo := run(t, scatter(in, seed), seed); whole != pieces || said != saidToo {
			t.Fatalf("seed %d: %x\n whole  %q %q\n pieces %q %q", seed, in, whole, said, pieces, saidToo)
		}
		met += whole + said
	}
	for _, event := range []string{"head 4", "data", "end", "refused", "reset", "broken", "writable", "fail", "goaway", "NO_ERROR", "STREAM_CLOSED"} {
		if !strings.Contains(met, event) {
			t.Errorf("%q was never met", event)
		}
	}
}

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
