// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"maps"
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// Stats is a cache's account.
type Stats struct {
	// Counts are what those got who asked, by result; those who waited and got an answer, or left, are under Wait.
	Counts  [results]uint64
	Calls   Histogram
	Causes  map[source.Cause]uint64 // of calls that failed
	Entries int                     // keys with an answer that is not negative
	Bytes   int64                   // of those
	Waiting int
	// StaleAge is the greatest age of an answer that was given as stale in the last minute or two; 0 = there was none.
	StaleAge time.Duration
	// Until is when calls are made again, Why they are not; Wait = they are.
	Until time.Time
	Why   Result
}

// Results are all results in the order of [Stats.Counts].
func Results() []Result { return []Result{Hit, Negative, Stale, Wait, Failed, Budget} }

// Histogram counts calls by how long they took.
type Histogram struct {
	Counts [len(buckets) + 1]uint64 // by bucket, not cumulative; the last is of what took longer
	Sum    time.Duration
}

var buckets = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} // s

// Buckets are the upper bounds of a [Histogram] in seconds.
func Buckets() []float64 { return slices.Clone(buckets[:]) }

func (h *Histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(buckets[:], d.Seconds())
	h.Counts[i]++
	h.Sum += d
}

// Stats reads the account.
func (c *Cache) Stats() Stats {
	now := c.options.Now()
	st := Stats{Waiting: int(c.waiting.Load()), Why: c.pace.now(now), Until: c.pace.shut.Load().until}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for r, n := range s.counts {
			st.Counts[r] += n
		}
		st.Entries += s.answers.Len()
		st.Bytes += s.bytes
		st.StaleAge = max(st.StaleAge, s.age.greatest(now))
		s.mu.Unlock()
	}
	c.pace.mu.Lock()
	defer c.pace.mu.Unlock()
	st.Calls, st.Causes = c.pace.seconds, maps.Clone(c.pace.causes)
	return st
}
