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
	s := slices.Clone(x)
	slices.Sort(s)
	return middle(s)
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
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
	medians := make([]float64, resamples)
	draw := make([]float64, len(x))
	for i := range medians {
		for j := range draw {
			draw[j] = x[r.IntN(len(x))]
		}
		slices.Sort(draw)
		medians[i] = middle(draw)
	}
	slices.Sort(medians)
	return medians[resamples*25/1000], medians[resamples*975/1000-1]
}
