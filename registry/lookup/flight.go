// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// flight is a call for a key that is under way or waits for its turn; of a key there is at most one. The lock of its shard
// guards it.
type flight struct {
	key     Key
	shard   *shard
	since   time.Time // by the machine's clock
	network *counter  // of who asked first; nil = nobody's
	ahead   bool      // it renews an answer: nobody has to wait for it
	waiters []*Waiter
	hurry   *time.Timer // at its end waiters get the last answer; nil if there is none
}

// Waiter is a place among those who wait for a key.
type Waiter struct {
	cache  *Cache
	flight *flight // nil: it was called back, or is just being
	index  int     // in flight.waiters
	done   func(*Answer, Result)
	shard  *shard
}

// Cancel gives the place back. It says whether it came in time: then done will never be called. A loop may call it.
func (w *Waiter) Cancel() bool {
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	f := w.flight
	if f == nil {
		return false
	}
	end := len(f.waiters) - 1
	last := f.waiters[end]
	f.waiters[w.index], last.index = last, w.index
	f.waiters[end] = nil
	f.waiters = f.waiters[:end]
	w.flight = nil
	w.shard.counts[Wait]++
	w.cache.waiting.Add(-1)
	return true
}

// join makes a place in the flight of a key, or returns nil if there is none left. The shard is locked.
func (c *Cache) join(s *shard, k Key, from netip.Prefix, done func(*Answer, Result)) *Waiter {
	if c.waiting.Add(1) > int64(c.options.Waiters) {
		c.waiting.Add(-1)
		return nil
	}
	f := s.flights[k]
	if f == nil {
		if f = c.begin(s, k, from); f == nil {
			c.waiting.Add(-1)
			return nil
		}
	}
	if f.hurry == nil && s.last(k) != nil {
		f.hurry = time.AfterFunc(c.options.Patience, func() { c.release(f) })
	}
	w := &Waiter{cache: c, flight: f, index: len(f.waiters), done: done, shard: s}
	f.waiters = append(f.waiters, w)
	return w
}

// begin makes the flight of a key that has none, or returns nil if too many wait, or too many of who asks.
func (c *Cache) begin(s *shard, k Key, from netip.Prefix) *flight {
	f := &flight{key: k, shard: s, since: time.Now(), network: c.share.of(from)}
	if !c.share.enter(f.network, c.pace.shut.Load().scarce, c.options.Now()) {
		return nil
	}
	select {
	case c.asked <- f:
	default:
		f.network.leave()
		return nil
	}
	s.flights[k] = f
	return f
}

// work calls the source, for those who wait first.
func (c *Cache) work() {
	for {
		select {
		case <-c.closing:
			return
		case f := <-c.asked:
			f.network.leave()
			c.fly(f)
			continue
		default:
		}
		select {
		case <-c.closing:
			return
		case f := <-c.asked:
			f.network.leave()
			c.fly(f)
		case k := <-c.renewals:
			c.renewal(k)
		}
	}
}

// renewal renews the answer of a key unless that has happened.
func (c *Cache) renewal(k Key) {
	now := c.options.Now()
	s := c.shard(k)
	s.mu.Lock()
	v := s.peek(k)
	if v == nil || v.answer == nil {
		s.mu.Unlock()
		return
	}
	v.queued = false
	if now.Before(v.renewAt) || now.Before(v.retryAt) || s.flights[k] != nil || s.closed {
		s.mu.Unlock()
		return
	}
	f := &flight{key: k, shard: s, since: time.Now(), ahead: true}
	s.flights[k] = f
	s.mu.Unlock()
	c.fly(f)
}

// fly makes the call of a flight.
func (c *Cache) fly(f *flight) {
	f.shard.mu.Lock()
	nobody := len(f.waiters) == 0
	if nobody && !f.ahead { // all have gone
		f.stop()
		f.shard.mu.Unlock()
		return
	}
	f.shard.mu.Unlock()
	if time.Since(f.since) > c.options.Timeout { // the source is too slow for so many
		c.land(f, nil, Budget, nil)
		return
	}
	turn, refused := c.pace.take(c.options.Now(), nobody)
	if refused != Wait {
		c.land(f, nil, refused, nil)
		return
	}
	if !c.sleep(turn.after) {
		return // Close calls those who wait
	}
	c.pace.begin()
	a, quota, took, err := c.call(f.key, &turn)
	if c.ctx.Err() != nil {
		return
	}
	if errors.Is(err, errNoTurn) {
		c.pace.leave()
		c.land(f, nil, Budget, nil)
		return
	}
	if err == nil {
		err = c.check(f.key, &a)
	}
	now := c.options.Now()
	refused = c.pace.done(now, turn, took, quota, err)
	if err != nil {
		c.land(f, nil, refused, err)
		return
	}
	a.At = now
	c.land(f, &a, Wait, nil)
}

// call asks the source.
func (c *Cache) call(k Key, t *turn) (a Answer, q Quota, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.options.Timeout)
	defer cancel()
	ctx = context.WithValue(ctx, againKey{}, func(ctx context.Context, q Quota) error { return c.again(ctx, t, q) })
	start := time.Now()
	defer func() {
		took = time.Since(start)
		if broken := recover(); broken != nil { // what a stranger sent has broken a reader: that costs its answer
			c.options.Log.Error("panic in a look-up", "panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
			o := source.Options{Name: c.options.Source.Name()}
			a, err = Answer{}, o.Refuse(source.CauseSchema, 0, "an answer that broke its reader")
		}
	}()
	a, q, err = c.options.Source.Look(ctx, k)
	return a, q, 0, err
}

// again lets a call make another request when it is its turn.
func (c *Cache) again(ctx context.Context, t *turn, q Quota) error {
	if err := c.pace.again(c.options.Now(), t, q); err != nil {
		return err
	}
	if !c.sleep(t.after) {
		return ctx.Err()
	}
	return nil
}

// sleep says whether the time passed before the cache was closed.
func (c *Cache) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closing:
		return false
	}
}

// land ends a flight: with an answer, or with a call that failed, or without one for it was refused.
func (c *Cache) land(f *flight, a *Answer, refused Result, err error) {
	now := c.options.Now()
	s := f.shard
	s.mu.Lock()
	r := Hit
	switch {
	case a != nil:
		s.put(f.key, a, c.ttl(a))
		if a.Negative() {
			r = Negative
		}
	default:
		if err != nil && refused == Failed {
			s.fail(f.key, now)
		} else if v := s.peek(f.key); v != nil && f.ahead {
			v.retryAt = now.Add(firstRetry)
		}
		if a, r = s.last(f.key), Stale; a == nil {
			r = refused
		}
	}
	waiters := f.stop()
	c.dismiss(s, waiters, a, r, now)
	s.mu.Unlock()
	for _, w := range waiters {
		w.done(a, r)
	}
}

// release gives those who wait for a better answer the last one; the call goes on.
func (c *Cache) release(f *flight) {
	now := c.options.Now()
	s := f.shard
	s.mu.Lock()
	a := s.last(f.key)
	if s.flights[f.key] != f || a == nil { // driven out meanwhile
		s.mu.Unlock()
		return
	}
	waiters := f.waiters
	f.waiters, f.ahead = nil, true
	f.hurry = nil
	c.dismiss(s, waiters, a, Stale, now)
	s.mu.Unlock()
	for _, w := range waiters {
		w.done(a, Stale)
	}
}

// stop takes a flight out and returns who waits for it. The shard is locked.
func (f *flight) stop() []*Waiter {
	if f.hurry != nil {
		f.hurry.Stop()
	}
	if f.shard.flights[f.key] == f {
		delete(f.shard.flights, f.key)
	}
	waiters := f.waiters
	f.waiters = nil
	return waiters
}

// dismiss frees the places of waiters and counts what they got. The shard is locked.
func (c *Cache) dismiss(s *shard, waiters []*Waiter, a *Answer, r Result, now time.Time) {
	counted := r
	if r == Hit || r == Negative {
		counted = Wait
	}
	for _, w := range waiters {
		w.flight = nil
		s.count(counted, a, now)
	}
	c.waiting.Add(-int64(len(waiters)))
}

func (c *Cache) ttl(a *Answer) time.Duration {
	if a.Negative() {
		return c.options.NegativeTTL
	}
	return c.options.TTL
}
