// SPDX-License-Identifier: EUPL-1.2

package ratio_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pvgate/pvgate/bench/ratio"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		x    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		before := slices.Clone(c.x)
		if got := ratio.Median(c.x); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.x, got, c.want)
		}
		if !slices.Equal(before, c.x) {
			t.Errorf("median changed its input to %v", c.x)
		}
	}
}

func TestIntervalEnclosesTheMedianAndIsDecidedByItsSeed(t *testing.T) {
	t.Parallel()
	x := []float64{0.55, 0.57, 0.56, 0.61, 0.54, 0.58, 0.57}
	low, high := ratio.Interval(x, 1)
	if m := ratio.Median(x); low > m || high < m || low < 0.54 || high > 0.61 || low == high {
		t.Errorf("got %v to %v around %v", low, high, m)
	}
	if l, h := ratio.Interval(x, 1); l != low || h != high {
		t.Error("the same seed gives another interval")
	}
	if l, h := ratio.Interval([]float64{2}, 1); l != 2 || h != 2 {
		t.Errorf("one value: got %v to %v", l, h)
	}
	if l, h := ratio.Interval(nil, 1); l != 0 || h != 0 {
		t.Errorf("no value: got %v to %v", l, h)
	}
}

func TestIntervalHoldsTheTrueMedianAboutAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const trials = 200
	inside := 0
	for i := range uint64(trials) {
		x := make([]float64, 9)
		for j := range x {
			x[j] = 1 + r.NormFloat64()*0.1
		}
		if low, high := ratio.Interval(x, i); low <= 1 && 1 <= high {
			inside++
		}
	}
	// The bootstrap of so few rounds is a little short of its 95 %.
	if inside < trials*88/100 {
		t.Errorf("the true median lies inside %d of %d times", inside, trials)
	}
}
