// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"encoding/json"
	"math/bits"
	"time"
)

// Histogram counts durations in log-linear buckets: exact below 64 ns, then 32
// buckets to each power of two, so a quantile is off by at most 3 %. The zero
// value is empty and ready. It is not safe for concurrent use; use one for each
// thread and Merge them.
type Histogram struct {
	count    uint64
	sum      uint64
	least    int64
	greatest int64
	buckets  [bucketCount]uint64
}

const (
	subBits     = 5
	subCount    = 1 << subBits
	exact       = 2 * subCount // values below are their own bucket
	bucketCount = exact + (63-subBits-1)*subCount
)

func bucketOf(v uint64) int {
	if v < exact {
		return int(v)
	}
	e := bits.Len64(v) - 1 // ≥ subBits+1
	shift := e - subBits
	return exact + (e-subBits-1)*subCount + int(v>>shift) - subCount
}

// topOf is the greatest value of the bucket.
func topOf(i int) uint64 {
	if i < exact {
		return uint64(i)
	}
	i -= exact
	shift := i/subCount + 1
	return (uint64(i%subCount)+subCount+1)<<shift - 1
}

// Record adds one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	v := max(int64(d), 0)
	if h.count == 0 || v < h.least {
		h.least = v
	}
	h.greatest = max(h.greatest, v)
	h.count++
	h.sum += uint64(v)
	h.buckets[bucketOf(uint64(v))]++
}

// Merge adds all of o.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h.count == 0 || o.least < h.least {
		h.least = o.least
	}
	h.greatest = max(h.greatest, o.greatest)
	h.count += o.count
	h.sum += o.sum
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// Count is the number of durations recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Mean is exact; 0 if empty.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return time.Duration(h.sum / h.count)
}

// Min is exact; 0 if empty.
func (h *Histogram) Min() time.Duration { return time.Duration(h.least) }

// Max is exact; 0 if empty.
func (h *Histogram) Max() time.Duration { return time.Duration(h.greatest) }

// Quantile returns a duration that at least the share q (0 to 1) of the recorded
// ones does not exceed; never less than the true value and at most 3 % above it.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q*float64(h.count) + 0.999999)
	rank = min(max(rank, 1), h.count)
	var seen uint64
	for i, n := range h.buckets {
		seen += n
		if seen >= rank {
			return time.Duration(min(topOf(i), uint64(h.greatest)))
		}
	}
	return h.Max()
}

// sparse is the JSON form: only the buckets that hold something.
type sparse struct {
	Count   uint64         `json:"count"`
	Sum     uint64         `json:"sum_ns"`
	Min     int64          `json:"min_ns"`
	Max     int64          `json:"max_ns"`
	Buckets map[int]uint64 `json:"buckets,omitempty"`
}

// MarshalJSON writes a form that UnmarshalJSON reads back without loss.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	s := sparse{Count: h.count, Sum: h.sum, Min: h.least, Max: h.greatest, Buckets: map[int]uint64{}}
	for i, n := range h.buckets {
		if n != 0 {
			s.Buckets[i] = n
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON replaces h.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var s sparse
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*h = Histogram{count: s.Count, sum: s.Sum, least: s.Min, greatest: s.Max}
	for i, n := range s.Buckets {
		if i >= 0 && i < bucketCount {
			h.buckets[i] = n
		}
	}
	return nil
}
