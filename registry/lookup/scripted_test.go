// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is a call that a scripted source got.
type call struct {
	key Key
	at  time.Time
}

// scripted is a source that does what a test says.
type scripted struct {
	mu     sync.Mutex // guards what follows
	script func(ctx context.Context, k Key, n int) (Answer, Quota, error)
	calls  []call
	flying int
	most   int // of flying
}

func (s *scripted) Name() string { return "scripted" }

func (s *scripted) Look(ctx context.Context, k Key) (Answer, Quota, error) {
	s.mu.Lock()
	s.calls = append(s.calls, call{k, time.Now()})
	n, script := len(s.calls), s.script
	s.flying++
	s.most = max(s.most, s.flying)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.flying--
		s.mu.Unlock()
	}()
	return script(ctx, k, n)
}

// set changes what the source does.
func (s *scripted) set(script func(ctx context.Context, k Key, n int) (Answer, Quota, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// asked returns how often it was called, for a key if one is named.
func (s *scripted) asked(keys ...Key) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(keys) == 0 {
		return len(s.calls)
	}
	n := 0
	for _, c := range s.calls {
		if slices.Contains(keys, c.key) {
			n++
		}
	}
	return n
}

// peak is how many calls were under way at once.
func (s *scripted) peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// nearest returns the shortest time between two calls for one key.
func (s *scripted) nearest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, shortest := map[Key]time.Time{}, time.Duration(1<<62)
	for _, c := range s.calls {
		if before, ok := last[c.key]; ok {
			shortest = min(shortest, c.at.Sub(before))
		}
		last[c.key] = c.at
	}
	return shortest
}

// key is the nth of as many as a test likes.
func key(n int) Key {
	l, err := registry.ParseLeistung(fmt.Sprintf("99%09d000", n%1_000_000_000))
	if err != nil {
		panic(err)
	}
	a, err := registry.ParseARS("010530032032")
	if err != nil {
		panic(err)
	}
	return Key{l, a}
}

// found is an answer with a row; the nth call's has its number in it.
func found(k Key, n int) Answer {
	return Answer{Entries: []registry.Entry{{Leistung: k.Leistung, URL: fmt.Sprintf("https://portal.example/%s/%d", k.Leistung, n)}}}
}

// The scripts.

func answers(_ context.Context, k Key, n int) (Answer, Quota, error) {
	return found(k, n), Quota{}, nil
}

func knowsNothing(context.Context, Key, int) (Answer, Quota, error) { return Answer{}, Quota{}, nil }

func freezes(ctx context.Context, _ Key, _ int) (Answer, Quota, error) {
	<-ctx.Done()
	return Answer{}, Quota{}, fmt.Errorf("frozen: %w", ctx.Err())
}

// refuses fails with a cause at once.
func refuses(cause source.Cause, retry time.Duration) func(context.Context, Key, int) (Answer, Quota, error) {
	return func(context.Context, Key, int) (Answer, Quota, error) {
		return Answer{}, Quota{}, &source.Refusal{Cause: cause, Text: "refused", RetryAfter: retry}
	}
}

// after does the same later.
func after(d time.Duration, script func(context.Context, Key, int) (Answer, Quota, error)) func(context.Context, Key, int) (Answer, Quota, error) {
	return func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
		select {
		case <-ctx.Done():
			return Answer{}, Quota{}, ctx.Err()
		case <-time.After(d):
			return script(ctx, k, n)
		}
	}
}

// simulate runs a test in simulated time with a cache before a source that answers.
func simulate(t *testing.T, o Options, f func(t *testing.T, c *Cache, s *scripted)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{script: answers}
		o.Source = s
		c := New(o)
		defer c.Close()
		f(t, c, s)
	})
}

// expect asks as one who can wait and holds the result to what should come.
func expect(t *testing.T, c *Cache, k Key, want Result) *Answer {
	t.Helper()
	a, r := c.Look(t.Context(), k)
	if r != want || (a != nil) != (want <= Stale) {
		t.Fatalf("%s: %v (answer %v), want %v", k.Leistung, r, a != nil, want)
	}
	return a
}

// gets asks as one who cannot wait.
func gets(t *testing.T, c *Cache, k Key, want Result) *Answer {
	t.Helper()
	a, r := c.Get(k)
	if r != want || (a != nil) != (want <= Stale) {
		t.Fatalf("%s: %v (answer %v), want %v", k.Leistung, r, a != nil, want)
	}
	return a
}
