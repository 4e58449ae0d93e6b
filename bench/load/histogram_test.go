// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverEveryValueOnceAndInOrder(t *testing.T) {
	t.Parallel()
	last := -1
	for _, v := range []uint64{0, 1, 63, 64, 65, 66, 127, 128, 131, 132, 1000, 1 << 20, 1<<20 + 1<<15, 1 << 40, 1<<62 + 12345, 1<<63 - 1} {
		i := bucketOf(v)
		if i < last || i >= bucketCount {
			t.Errorf("bucket of %d is %d after %d, of %d", v, i, last, bucketCount)
		}
		last = i
		if top := topOf(i); top < v || float64(top) > float64(v)*1.033 {
			t.Errorf("bucket %d of %d ends at %d", i, v, top)
		}
	}
	for i := range bucketCount {
		if got := bucketOf(topOf(i)); got != i {
			t.Fatalf("top of bucket %d falls into %d", i, got)
		}
		if i+1 < bucketCount {
			if got := bucketOf(topOf(i) + 1); got != i+1 {
				t.Fatalf("value after bucket %d falls into %d", i, got)
			}
		}
	}
}

func TestQuantilesAreNeverBelowAndAtMostThreePercentAbove(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var h, left, right Histogram
	var all []time.Duration
	for i := range 5000 {
		d := time.Duration(r.ExpFloat64() * 1e6)
		all = append(all, d)
		h.Record(d)
		if i%2 == 0 {
			left.Record(d)
		} else {
			right.Record(d)
		}
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*5000+0.999999), 1)-1]
		if got := h.Quantile(q); got < want || float64(got) > 1.033*float64(want) {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	left.Merge(&right)
	left.Merge(&Histogram{})
	if left != h {
		t.Error("merging the halves does not give the whole")
	}
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := json.Unmarshal(b, &back); err != nil || back != h {
		t.Errorf("JSON does not round-trip: %v", err)
	}
	if h.Min() != all[0] || h.Max() != all[len(all)-1] || h.Count() != 5000 || h.Mean() == 0 {
		t.Errorf("min %v max %v count %d mean %v", h.Min(), h.Max(), h.Count(), h.Mean())
	}
}

func TestEmptyHistogramAnswersZero(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("want zeros")
	}
}

func TestEqualPaceDoesNotDrift(t *testing.T) {
	t.Parallel()
	p := newPace(3, false, 0)
	for range 3_000_000 {
		p.step()
	}
	if d := p.next() - 1_000_000*time.Second; d < -time.Millisecond || d > time.Millisecond {
		t.Errorf("after 10⁶ s the schedule is off by %v", d)
	}
}

func TestQueueIsFirstInFirstOutAndBounded(t *testing.T) {
	t.Parallel()
	var q queue
	q.init(3)
	for round := range 5 {
		for i := range 3 {
			if !q.push(time.Duration(round*10 + i)) {
				t.Fatal("push refused below the bound")
			}
		}
		if q.push(99) {
			t.Fatal("push over the bound")
		}
		for i := range 3 {
			if d, ok := q.pop(); !ok || d != time.Duration(round*10+i) {
				t.Fatalf("got %v %v", d, ok)
			}
		}
		if _, ok := q.pop(); ok {
			t.Fatal("pop from empty")
		}
	}
}
