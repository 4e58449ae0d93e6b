// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"slices"
	"testing"
)

// foreseer is a host and a resolver that guesses the same for all.
type foreseer struct {
	Host
	Resolver
	guess    int
	snapshot Snapshot
	scratch  Scratch
}

func (f *foreseer) Likely([]byte) int   { return f.guess }
func (f *foreseer) Snapshot() *Snapshot { return &f.snapshot }
func (f *foreseer) Scratch() *Scratch   { return &f.scratch }
func (f *foreseer) Now() int64          { return 0 }

// expected notes what it is told to expect.
type expected struct {
	Backend
	calls []string
}

func (e *expected) Near()   { e.calls = append(e.calls, "near") }
func (e *expected) Expect() { e.calls = append(e.calls, "expect") }

// A guess is one request's, whoever it was made for, and none where there is no such backend, or no longer.
func TestAGuessIsForOneRequest(t *testing.T) {
	t.Parallel()
	for guess, want := range []int{0, 1, -1} {
		f, all := &foreseer{guess: guess}, [2]expected{}
		f.snapshot = Snapshot{Resolver: f, Backends: []Backend{&all[0], &all[1]}}
		Foresee(f, []byte("b.gw.example"))
		var x Exchange
		if x.begin(f, nil, &Client{}); x.likely != want {
			t.Errorf("guess %d: got %d, want %d", guess, x.likely, want)
		}
		for i := range all {
			if told := slices.Equal(all[i].calls, []string{"near", "expect"}); told != (i == want) || len(all[i].calls)%2 != 0 {
				t.Errorf("guess %d: backend %d was told %v", guess, i, all[i].calls)
			}
		}
		if x.begin(f, nil, &Client{}); x.likely != -1 {
			t.Errorf("guess %d: the next request has it too: %d", guess, x.likely)
		}
		Foresee(f, nil)
		f.snapshot.Backends = nil
		if x.begin(f, nil, &Client{}); x.likely != -1 {
			t.Errorf("guess %d: got %d of no backends", guess, x.likely)
		}
	}
}

// What has been asked for once is not asked for again when the resolver finds out that the guess was right.
func TestARightGuessIsExpectedOnce(t *testing.T) {
	t.Parallel()
	var all [2]expected
	p := Plan{backends: []Backend{&all[0], &all[1]}, likely: 1}
	p.Expect(0)
	p.Expect(1)
	if len(all[0].calls) != 1 || len(all[1].calls) != 0 {
		t.Errorf("told: %v, guessed: %v", all[0].calls, all[1].calls)
	}
}
