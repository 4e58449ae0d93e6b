// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/pvgate/pvgate/bench/proof"
)

// mutated is the policy of a case of which only judge 1 says what it is.
const mutated = "mutated"

// mutationBatch is how many mutated cases one process of the gateway is given.
const mutationBatch = 50_000

// maxMutated bounds a mutated case, bytes.
const maxMutated = 64 << 10

// ingredients are what requests are smuggled with.
var ingredients = [...]string{
	"\r", "\n", "\r\n", "\r\n\r\n", "\x00", " ", "\t", "\x0b", ":", ";", ",", "\"", "\\", "%2f", "%00", "..", "/", "//", "?", "#", "@", "\xff", "\u00e4",
	"0\r\n\r\n", "1\r\nx\r\n", "ffffffffffffffff", "+1", "-1", "0x10", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "GET / HTTP/1.1\r\nHost: b\r\n\r\n",
	"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding\r\n", "Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: 5, 5\r\n",
	"Host: b\r\n", "Connection: close\r\n", "Connection: Host, Content-Length\r\n", "Expect: 100-continue\r\n", "Upgrade: websocket\r\n", " folded\r\n", "X: ",
}

// mutate makes n cases out of those of the material: a few changes each, the same ones for the same seed. What they must
// lead to is not known; judge 1 reads them as they are sent, and whatever arrives must be what it has read.
func mutate(from []*kase, seed uint64, n int) []*kase {
	rnd := rand.New(rand.NewPCG(seed, 0x6d757461))
	out := make([]*kase, n)
	for i := range out {
		raw := slices.Clone(from[rnd.IntN(len(from))].Raw)
		for range 1 + rnd.IntN(4) {
			raw = change(rnd, raw, from)
		}
		out[i] = &kase{corpus: "mutations", Name: fmt.Sprintf("%d/%d", seed, i), Policy: mutated, Raw: raw}
	}
	return out
}

// change makes one change.
func change(rnd *rand.Rand, b []byte, from []*kase) []byte {
	if len(b) == 0 || len(b) > maxMutated {
		return []byte(ingredients[rnd.IntN(len(ingredients))])
	}
	at := rnd.IntN(len(b))
	to := min(len(b), at+1+rnd.IntN(16))
	switch rnd.IntN(9) {
	case 0:
		b[at] ^= 1 << rnd.IntN(8)
	case 1:
		b[at] = byte(rnd.IntN(256))
	case 2:
		b = slices.Delete(b, at, to)
	case 3:
		b = slices.Insert(b, at, slices.Clone(b[at:to])...)
	case 4, 5:
		b = slices.Insert(b, at, []byte(ingredients[rnd.IntN(len(ingredients))])...)
	case 6:
		b = b[:at]
	case 7: // the beginning of this one, the end of another
		other := from[rnd.IntN(len(from))].Raw
		if len(other) > 0 {
			b = append(b[:at:at], other[rnd.IntN(len(other)):]...)
		}
	case 8: // a whole line once more, or in another place
		if lines := bytes.SplitAfter(b, []byte("\n")); len(lines) > 1 {
			line := slices.Clone(lines[rnd.IntN(len(lines))])
			b = slices.Insert(b, at, line...)
		}
	}
	return b
}

// runMutations runs n mutated cases, a batch for each process of the gateway.
func runMutations(ctx context.Context, o options, m *material, seed uint64, n int, out io.Writer) error {
	proven := proof.Start("mutations", seed)
	all, failures := figures{Corpora: map[string]*tally{}}, 0
	for batch := 0; all.Cases < n; batch++ {
		mutants := mutate(m.requests, seed+uint64(batch), min(mutationBatch, n-all.Cases))
		r, err := session(ctx, o.binary, o, &material{mutants: mutants})
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed+uint64(batch), err)
		}
		r.print(out, o.show)
		failures += r.failures()
		all.add(&r.figures)
	}
	if _, err := proven.Write(all, false); err != nil {
		return err
	}
	fmt.Fprintf(out, "mutations: %d passed, %d failed\n", all.Cases-all.FailedCases, failures)
	if failures > 0 {
		return fmt.Errorf("%d violations", failures)
	}
	return nil
}

// add sums up the figures of several sessions.
func (f *figures) add(o *figures) {
	f.Cases += o.Cases
	f.FailedCases += o.FailedCases
	f.Canaries += o.Canaries
	f.Upstream += o.Upstream
	f.Forwarded += o.Forwarded
	f.Seconds += o.Seconds
	f.Judge2 = o.Judge2
	for name, t := range o.Corpora {
		if f.Corpora[name] == nil {
			f.Corpora[name] = &tally{}
		}
		f.Corpora[name].Cases += t.Cases
		f.Corpora[name].Open += t.Open
		f.Corpora[name].Failed += t.Failed
	}
}

// mutant runs a mutated case.
func (l *lane) mutant(k *kase) []finding {
	return l.requestOnce(k, k.Raw, false)
}
