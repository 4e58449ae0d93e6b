// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// Result is what became of a look-up: a closed list, the label of a metric.
type Result uint8

// All results. With the first three comes an answer, with the others none.
const (
	Hit      Result = iota // answered
	Negative               // answered: the registry knows nothing of the key
	Stale                  // answered by what the registry said long ago: it does not say anything better now
	Wait                   // it has to be asked: see [Cache.Want]
	Failed                 // it was asked, or would be, in vain
	Budget                 // it may not be asked now: by its own word, by our budget, or because too many wait
	results
)

// String is the word of metrics and answers. What had to be waited for is a miss there.
func (r Result) String() string {
	return [results]string{"hit", "negative", "stale", "miss", "error", "budget"}[r]
}

// Options configures a [Cache]; what is zero has the default that stands beside it.
type Options struct {
	Source Source // needed
	// Now is the clock of answers; nil = time.Now. Waiting for the source is by the machine's in any case.
	Now func() time.Time
	// Log is told when the source begins or ceases to fail, and what becomes of File; nil: nobody is.
	Log *slog.Logger

	// TTL is the age from which an answer is renewed if it is asked for: two calls for one key are never nearer. The answer is
	// given at once while that goes on, and that up to twice the TTL. After it those who ask wait for a new one.
	TTL         time.Duration // 1 h
	NegativeTTL time.Duration // 5 min; TTL of answers that nothing is known

	Rate    float64       // calls per second; 5
	Burst   int           // of Rate; 50
	Calls   int           // at once; 8
	Timeout time.Duration // of a call; 5 s
	// Patience is how long a call waits for its turn, and those who ask for a key that was answered once for a better answer;
	// where no call has come back for a quarter of it, they get the old one at once.
	Patience time.Duration // 1 s

	Entries     int   // keys with an answer, and as many again without or with a negative one; 65 536
	Bytes       int64 // of all answers; 64 MiB
	AnswerRows  int   // entries and contexts of one answer; 256
	AnswerBytes int   // 64 KiB
	Waiters     int   // at once; 10 000

	// File keeps the answers that were asked for last over a restart, in at most Bytes; "" = nothing is kept. Of a file with
	// another Digest nothing is used: it stands for the settings of the source.
	File, Digest string
}

func (o Options) withDefaults() Options {
	o.TTL, o.NegativeTTL = cmp.Or(o.TTL, time.Hour), cmp.Or(o.NegativeTTL, 5*time.Minute)
	o.Rate, o.Burst, o.Calls = cmp.Or(o.Rate, 5), cmp.Or(o.Burst, 50), cmp.Or(o.Calls, 8)
	o.Timeout, o.Patience = cmp.Or(o.Timeout, 5*time.Second), cmp.Or(o.Patience, time.Second)
	o.Entries, o.Bytes, o.Waiters = cmp.Or(o.Entries, 1<<16), cmp.Or(o.Bytes, 64<<20), cmp.Or(o.Waiters, 10_000)
	o.AnswerRows, o.AnswerBytes = cmp.Or(o.AnswerRows, 256), cmp.Or(o.AnswerBytes, 64<<10)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("source", o.Source.Name())
	return o
}

const (
	maxShards = 64
	// maxQueue bounds the keys that wait for a call, and those that wait to be renewed.
	maxQueue = 1024
	// saveEvery is how much of what is kept a crash can cost.
	saveEvery = 5 * time.Minute
)

// Cache answers for a source, and asks it as seldom as it can. Make one with [New]. Safe for concurrent use.
type Cache struct {
	options  Options
	seed     maphash.Seed
	shards   []shard
	pace     pace
	share    share
	asked    chan *flight // that somebody waits for
	renewals chan Key     // that somebody has asked for and whose answer is to be renewed; after all of asked
	waiting  atomic.Int64 // waiters

	closing chan struct{}
	ctx     context.Context // of calls
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a cache with what it has kept of an earlier life. Close it.
func New(o Options) *Cache {
	o = o.withDefaults()
	n := min(max(o.Entries/64, 1), max(int(o.Bytes)/o.AnswerBytes/4, 1), maxShards)
	n = 1 << (bits.Len(uint(n)) - 1)
	c := &Cache{
		options: o, seed: maphash.MakeSeed(), shards: make([]shard, n),
		asked: make(chan *flight, maxQueue), renewals: make(chan Key, maxQueue), closing: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for i := range c.shards {
		c.shards[i].open((o.Entries+n-1)/n, (o.Bytes+int64(n)-1)/int64(n))
	}
	c.pace.open(&c.options)
	c.share.open(&c.options)
	c.load()
	for range o.Calls {
		c.running.Go(c.work)
	}
	if o.File != "" {
		c.running.Go(c.keep)
	}
	return c
}

// Close ends all calls, calls back who waits, and keeps the answers. What it has it still gives.
func (c *Cache) Close() {
	close(c.closing)
	c.cancel()
	for i := range c.shards { // from here on nobody joins a flight
		s := &c.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	c.running.Wait()
	for i := range c.shards {
		for _, f := range c.shards[i].allFlights() {
			c.land(f, nil, Failed, nil)
		}
	}
	c.save()
}

// Name is that of the source.
func (c *Cache) Name() string { return c.options.Source.Name() }

func (c *Cache) shard(k Key) *shard {
	return &c.shards[maphash.Comparable(c.seed, k)&uint64(len(c.shards)-1)]
}

// Get returns the answer of a key if there is one to be given now. It never waits, and a hit costs no memory: a loop may
// call it. An answer whose time comes is renewed meanwhile.
func (c *Cache) Get(k Key) (*Answer, Result) {
	now := c.options.Now()
	s := c.shard(k)
	s.mu.Lock()
	a, r := c.answer(s, k, now)
	if r != Wait {
		s.count(r, a, now)
	}
	s.mu.Unlock()
	return a, r
}

// Want is Get for those who can wait: where Get says [Wait] it asks the source, or joins those who do, and done is called
// exactly once, with what came of it, on a goroutine that serves others too: it must not block. With any other result
// there is no Waiter and done is never called. Where calls are scarce the network from which it is wanted, the zero one for nobody's,
// makes half of them at most. A loop may call it.
func (c *Cache) Want(k Key, from netip.Prefix, done func(*Answer, Result)) (*Answer, Result, *Waiter) {
	now := c.options.Now()
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, r := c.answer(s, k, now)
	if r == Wait {
		if w := c.join(s, k, from, done); w != nil {
			return nil, Wait, w
		}
		if a, r = s.last(k), Stale; a == nil {
			r = Budget
		}
		if s.closed && a == nil {
			r = Failed
		}
	}
	s.count(r, a, now)
	return a, r, nil
}

// Look is Want for those who have nothing else to do, such as explain. If ctx ends first there is no answer.
func (c *Cache) Look(ctx context.Context, k Key) (*Answer, Result) {
	type outcome struct {
		a *Answer
		r Result
	}
	came := make(chan outcome, 1)
	a, r, w := c.Want(k, netip.Prefix{}, func(a *Answer, r Result) { came <- outcome{a, r} })
	if w == nil {
		return a, r
	}
	select {
	case o := <-came:
		return o.a, o.r
	case <-ctx.Done():
		w.Cancel()
		return nil, Failed
	}
}

// answer is what a key gets now. The shard is locked.
func (c *Cache) answer(s *shard, k Key, now time.Time) (*Answer, Result) {
	v := s.find(k)
	switch {
	case v == nil:
		return nil, c.ask(s, now)
	case v.answer == nil && now.Before(v.retryAt):
		return nil, Failed
	case v.answer == nil:
		return nil, c.ask(s, now)
	case now.Before(v.renewAt):
		return v.answer, v.result
	}
	fresh := now.Before(v.freshUntil)
	shut := c.pace.shut.Load()
	failing := v.failures > 0 || shut.failing
	if !now.Before(v.retryAt) && c.ask(s, now) == Wait {
		if !fresh && !failing && !shut.stuck(c.options.Patience/hopeless) {
			return nil, Wait
		}
		c.renew(v) // of a source that fails nobody has to wait to hear that it still does
	}
	if fresh && !failing {
		return v.answer, v.result
	}
	return v.answer, Stale
}

// ask says whether the source may be asked now: Wait, or why not.
func (c *Cache) ask(s *shard, now time.Time) Result {
	if s.closed {
		return Failed
	}
	return c.pace.now(now)
}

// renew has the answer of a slot renewed when there is time for it.
func (c *Cache) renew(v *slot) {
	if v.queued {
		return
	}
	select {
	case c.renewals <- v.key:
		v.queued = true
	default: // the next who asks
	}
}

// check refuses what no honest source says.
func (c *Cache) check(k Key, a *Answer) error {
	o := source.Options{Name: c.options.Source.Name()}
	if n := len(a.Entries) + len(a.Contexts); n > c.options.AnswerRows {
		return o.Refuse(source.CauseOversized, 0, "an answer of %d rows, more than %d", n, c.options.AnswerRows)
	}
	if n := a.size(); n > c.options.AnswerBytes {
		return o.Refuse(source.CauseOversized, 0, "an answer of %d bytes, more than %d", n, c.options.AnswerBytes)
	}
	for i := range a.Entries {
		if l := a.Entries[i].Leistung; l != k.Leistung {
			return o.Refuse(source.CauseSchema, 0, "an answer about %s, asked was %s", l, k.Leistung)
		}
	}
	return nil
}
