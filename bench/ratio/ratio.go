// SPDX-License-Identifier: EUPL-1.2

// Package ratio says from paired rounds how two programs compare.
//
// The two halves of a round ran one right after the other, so what slowed one
// mostly slowed the other: the ratio within a round is far steadier than either
// half. The calls you want: [Median], [Interval].
//
// It deliberately makes no test of significance and assumes no distribution.
package ratio

import (
	"math/rand/v2"
	"slices"
)

// Median of x, which it does not change; 0 if empty.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// resamples is enough that another seed moves the ends by less than the rounds do.
const resamples = 20_000

// Interval returns the 95 % interval of the median of x: the 2.5th and 97.5th
// percentile of the medians of resampled rounds (bootstrap). The same x and seed
// give the same interval. With a single value both ends are that value.
func Interval(x []float64, seed uint64) (low, high float64) {
	if len(x) == 0 {
		return 0, 0
	}
	r := rand.New(rand.NewPCG(seed, uint64(len(x))))
	sorted := slices.Sorted(slices.Values(x))
	drawn := make([]int, len(x)) // how often each value was
	at := func(n int) float64 {  // the n-th of the values drawn
		i := 0
		for ; n >= drawn[i]; i++ {
			n -= drawn[i]
		}
		return sorted[i]
	}
	medians := make([]float64, resamples)
	for i := range medians {
		clear(drawn)
		for range x {
			drawn[r.IntN(len(x))]++
		}
		medians[i] = (at((len(x)-1)/2) + at(len(x)/2)) / 2
	}
	slices.Sort(medians)
	return medians[resamples*25/1000], medians[resamples*975/1000-1]
}
