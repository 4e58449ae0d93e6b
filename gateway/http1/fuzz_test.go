// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

// scatter cuts input into pieces whose lengths come from seed.
func scatter(input []byte, seed uint64) [][]byte {
	var pieces [][]byte
	for len(input) > 0 {
		seed = seed*6364136223846793005 + 1442695040888963407
		n := min(int(seed>>60)+1, len(input))
		pieces = append(pieces, input[:n])
		input = input[n:]
	}
	return pieces
}

func FuzzServer(f *testing.F) {
	for i, c := range allRequests() {
		f.Add([]byte(c.in), uint64(i))
	}
	l := &Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1 << 20, ChunkOverhead: 1 << 20}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		for _, limits := range []*Limits{l, testLimits()} {
			whole := transcript(newServer(limits), in)
			if got := transcript(newServer(limits), scatter(in, seed)...); got != whole {
				t.Fatalf("%q\n whole  %q\n pieces %q", in, whole, got)
			}
		}
		checkFirstHead(t, l, in)
	})
}

// checkFirstHead compares the machine's verdict on the first head with naive's.
func checkFirstHead(t *testing.T, l *Limits, in []byte) {
	t.Helper()
	text := string(in)
	text = strings.TrimPrefix(text, "\r\n")
	end := strings.Index(text, "\r\n\r\n")
	if end < 0 {
		return
	}
	if strings.HasPrefix(text, "\r") && len(text) != len(in) {
		return // a second empty line, refused before there is a head
	}
	want, length, chunked := naive(text[:end+4])
	var h message.Head
	_, ev, _ := newServer(l).Feed(in, &h)
	if got := ev == HeadDone; got != want {
		t.Fatalf("%q: accepted %v, the oracle says %v", in, got, want)
	}
	if want && (h.ContentLength != length || h.Chunked != chunked) {
		t.Fatalf("%q: framing %d, %v; the oracle says %d, %v", in, h.ContentLength, h.Chunked, length, chunked)
	}
}

func TestHeadsAgreeWithTheOracle(t *testing.T) {
	t.Parallel()
	l := &Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1 << 20, ChunkOverhead: 1 << 20}
	for _, c := range allRequests() {
		checkFirstHead(t, l, []byte(c.in))
		// And with every octet at every place of a small request: 256 × length.
		if c.name == "plain" || c.name == "absolute form" || c.name == "chunked" {
			for at := range len(c.in) {
				for b := range 256 {
					in := []byte(c.in)
					in[at] = byte(b)
					checkFirstHead(t, l, in)
				}
			}
		}
	}
}

func FuzzChunked(f *testing.F) {
	for i, c := range allRequests() {
		if body, found := strings.CutPrefix(c.in, chunk); found {
			f.Add([]byte(body), uint64(i))
		}
	}
	f.Add([]byte("5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n"), uint64(7))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		l := DefaultLimits()
		stream := append([]byte(chunk), in...)
		whole := transcript(newServer(&l), stream)
		if got := transcript(newServer(&l), scatter(stream, seed)...); got != whole {
			t.Fatalf("%q\n whole  %q\n pieces %q", in, whole, got)
		}
		// What was understood, written anew and in other chunks, is understood as
		// the same.
		data, rest, complete := decode(&l, stream)
		if !complete {
			return
		}
		anew := []byte(chunk)
		for _, piece := range scatter(data, seed) {
			anew = AppendChunk(anew, piece)
		}
		anew = append(anew, LastChunk...)
		again, left, complete := decode(&l, append(anew, rest...))
		if !complete || !bytes.Equal(again, data) || !bytes.Equal(left, rest) {
			t.Fatalf("%q: written anew as %q, read as %q with %q behind it", in, anew, again, left)
		}
	})
}

// decode returns the body of the first request in stream and what is behind it.
func decode(l *Limits, stream []byte) (data, rest []byte, complete bool) {
	s := newServer(l)
	var h message.Head
	for {
		n, ev, d := s.Feed(stream, &h)
		stream = stream[n:]
		data = append(data, d...)
		switch ev {
		case End:
			return data, stream, true
		case More, Failed:
			return data, stream, false
		}
	}
}

func FuzzClient(f *testing.F) {
	for i, r := range responses {
		f.Add([]byte(r.in), uint64(i), r.isHEAD, r.offered)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, isHEAD, offered bool) {
		l := testLimits()
		c := newClient(l, isHEAD, offered)
		whole := withEOF(c, transcript(c, in))
		c = newClient(l, isHEAD, offered)
		got := withEOF(c, transcript(c, scatter(in, seed)...))
		// The word "reusable" is about the moment: octets that come later spoil it.
		whole, got = strings.ReplaceAll(whole, "; reusable", ""), strings.ReplaceAll(got, "; reusable", "")
		if got != whole {
			t.Fatalf("%q\n whole  %q\n pieces %q", in, whole, got)
		}
	})
}
