// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// shard is a part of the keys, with a lock that is held for some hundred instructions at most.
//
// Keys that the registry does not know, or fails for, have room of their own: whoever asks for many of them drives out no
// answer that is of use.
type shard struct {
	mu       sync.Mutex // guards what follows, the slots and the flights
	answers  *simplelru.LRU[Key, *slot]
	others   *simplelru.LRU[Key, *slot]
	bytes    int64 // of answers
	maxBytes int64
	flights  map[Key]*flight
	closed   bool
	counts   [results]uint64
	age      age
}

// slot is what is known of a key.
type slot struct {
	key    Key
	answer *Answer // the last one; nil: there was none
	result Result  // Hit or Negative, the answer's while its time is not over
	size   int64   // bytes, of itself too
	// At renewAt the answer is renewed if it is asked for; until freshUntil that is not waited for.
	renewAt, freshUntil time.Time
	failures            int       // of calls since the answer
	retryAt             time.Time // no call before
	queued              bool      // for a renewal
}

const (
	// firstRetry is how long a key is not asked for again after the first failure, doubled by each further one to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

func (s *shard) open(entries int, maxBytes int64) {
	// An error is a size below 1, which New does not give.
	s.answers, _ = simplelru.NewLRU(entries, func(_ Key, v *slot) { s.bytes -= v.size })
	s.others, _ = simplelru.NewLRU[Key, *slot](entries, nil)
	s.maxBytes, s.flights = maxBytes, map[Key]*flight{}
}

// find returns the slot of a key that was asked for, or nil.
func (s *shard) find(k Key) *slot {
	if v, ok := s.answers.Get(k); ok {
		return v
	}
	v, _ := s.others.Get(k)
	return v
}

// peek is find without asking.
func (s *shard) peek(k Key) *slot {
	if v, ok := s.answers.Peek(k); ok {
		return v
	}
	v, _ := s.others.Peek(k)
	return v
}

// last returns the last answer of a key, or nil.
func (s *shard) last(k Key) *Answer {
	if v := s.peek(k); v != nil {
		return v.answer
	}
	return nil
}

// put stores an answer in the place of what was known of its key.
func (s *shard) put(k Key, a *Answer, ttl time.Duration) {
	s.answers.Remove(k) // by itself, for the bytes
	v := &slot{
		key: k, answer: a, size: int64(a.size()),
		renewAt: a.At.Add(ttl), freshUntil: a.At.Add(2 * ttl),
	}
	if a.Negative() {
		v.result = Negative
		s.others.Add(k, v)
		return
	}
	s.others.Remove(k)
	s.bytes += v.size
	s.answers.Add(k, v)
	for s.bytes > s.maxBytes {
		s.answers.RemoveOldest()
	}
}

// fail notes that a key was asked for in vain.
func (s *shard) fail(k Key, now time.Time) {
	v := s.peek(k)
	if v == nil {
		v = &slot{key: k}
		s.others.Add(k, v)
	}
	v.retryAt = now.Add(min(firstRetry<<min(v.failures, 10), lastRetry))
	v.failures++
}

// count notes what somebody who asked got, r, for which a is the answer.
func (s *shard) count(r Result, a *Answer, now time.Time) {
	s.counts[r]++
	if r == Stale {
		s.age.note(now.Sub(a.At), now)
	}
}

// newest are the slots with an answer that is not negative, those last asked for first.
func (s *shard) newest() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.answers.Values()
	slices.Reverse(all)
	return all
}

func (s *shard) allFlights() (all []*flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.flights {
		all = append(all, f)
	}
	return all
}

// Bytes of structures, with what it costs to have them in a list and a map; a test holds them to be enough.
const (
	slotBytes    = 512 // with an Answer
	entryBytes   = 512
	contextBytes = 256
	langBytes    = 32
)

// size is about how many bytes an answer takes.
func (a *Answer) size() int {
	n := slotBytes + cap(a.Entries)*entryBytes + cap(a.Contexts)*contextBytes
	for i := range a.Entries {
		e := &a.Entries[i]
		n += len(e.AreaKey) + len(e.URL) + len(e.Backend) + len(e.Path) + len(e.Title) + len(e.Lang) + len(e.Role) +
			len(e.OE) + len(e.LB) + len(e.OD) + len(e.Origin.Source) + len(e.Origin.File) + len(e.Refused)
		for _, o := range e.Others {
			n += langBytes + len(o.Lang) + len(o.URL)
		}
	}
	for i := range a.Contexts {
		c := &a.Contexts[i]
		n += len(c.DestinationID) + len(c.Authority) + len(c.Imprint) + len(c.Privacy) + len(c.Accessibility) + len(c.OE) +
			len(c.Origin.Source) + len(c.Origin.File)
	}
	return n
}

// age is the greatest age in the minute before, or in this one.
type age struct {
	minute int64 // since 1970, that of last
	before time.Duration
	last   time.Duration
}

func (a *age) turn(now time.Time) {
	minute := now.Unix() / 60
	switch minute {
	case a.minute:
		return
	case a.minute + 1:
		a.before = a.last
	default:
		a.before = 0
	}
	a.minute, a.last = minute, 0
}

func (a *age) note(d time.Duration, now time.Time) {
	a.turn(now)
	a.last = max(a.last, d)
}

func (a *age) greatest(now time.Time) time.Duration {
	a.turn(now)
	return max(a.before, a.last)
}
