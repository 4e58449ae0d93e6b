// SPDX-License-Identifier: EUPL-1.2

package wire_test

import (
	"bytes"
	"testing"

	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// FuzzSection compares two decoders.
func FuzzSection(f *testing.F) {
	for _, s := range sections {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, want := ours(in), theirs(in)
		if got != want && !lenient(in) && !(got == "bad" && long(in)) {
			t.Errorf("% x: got %q, want %q", in, got, want)
		}
	})
}

// long is whether a number might be longer than anything needs to be: the other decoder takes up to 2^63.
func long(in []byte) bool {
	return bytes.Count(in, []byte{0x80}) > 3 || bytes.Count(in, []byte{0xff}) > 3
}

// FuzzRequest feeds a stream whole and in pieces: what is found must not depend on where it is cut.
func FuzzRequest(f *testing.F) {
	f.Add(slicesOf(frame(1, 'H'), frame(0, 'a', 'b'), frame(0x21, 1), frame(1, 'T')), 1)
	f.Add(frame(0), 2)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 {
			return
		}
		if whole, pieces := drive(in, 1<<20), drive(in, step); whole != pieces {
			t.Errorf("by %d: got %q, want %q", step, pieces, whole)
		}
	})
}

// FuzzControl is the same for what stands on unidirectional streams.
func FuzzControl(f *testing.F) {
	f.Add(slicesOf(frame(4, 1, 0), frame(7, 0), frame(13, 3), frame(0x21)), 1)
	f.Add([]byte{0x20, 0x40, 0x3f, 1}, 1)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 {
			return
		}
		for _, fed := range []func() func([]byte) (int, wire.Code){
			func() func([]byte) (int, wire.Code) { return new(wire.Control).Feed },
			func() func([]byte) (int, wire.Code) { return new(wire.Instructions).Feed },
			func() func([]byte) (int, wire.Code) { return (&wire.Instructions{Decoder: true}).Feed },
		} {
			_, want := fed()(in)
			feed := fed()
			got := wire.None
			var rest []byte
			for in := in; len(in) > 0 && got == wire.None; {
				k := min(step, len(in))
				rest = append(rest, in[:k]...)
				in = in[k:]
				var n int
				n, got = feed(rest)
				rest = rest[n:]
			}
			if got != want {
				t.Errorf("% x by %d: got %v, want %v", in, step, got, want)
			}
		}
	})
}
