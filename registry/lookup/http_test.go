// SPDX-License-Identifier: EUPL-1.2

package lookup_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/lookup/pvog"
	"github.com/pvgate/pvgate/registry/source"
)

// quick is a clock on which an hour takes a second.
func quick() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(3600 * time.Since(start)) }
}

// suchdienst is a cache before the client of a service that knows all keys of marburg.
func suchdienst(t *testing.T, s *scripted.Service, o lookup.Options) *lookup.Cache {
	t.Helper()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	s.Descriptions = func(q scripted.Question) []scripted.Description {
		return []scripted.Description{{
			ID: "L100002.LB.1", Name: "Gewerbe anmelden", ARS: []string{"065340014014"}, LeikaKeys: []string{q.Leistung},
			OnlineServiceLinks: []scripted.Link{{Title: "Online", URI: "https://www.marburg.de/" + q.Leistung}},
		}}
	}
	server := httptest.NewServer(s)
	client := fetch.Client(fetch.Policy{HTTP: true, Address: registry.AddressPolicy{Private: true}, Stall: time.Second})
	t.Cleanup(func() { s.Close(); client.CloseIdleConnections(); server.Close() })
	o.Source = pvog.New(pvog.Options{Options: source.Options{Name: "pvog", Areas: areas}, Base: server.URL, HTTP: client})
	c := lookup.New(o)
	t.Cleanup(c.Close)
	return c
}

func marburg(t testing.TB, n int) lookup.Key {
	t.Helper()
	l, err := registry.ParseLeistung(fmt.Sprintf("99%09d000", n))
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.ParseARS("065340014014")
	if err != nil {
		t.Fatal(err)
	}
	return lookup.Key{Leistung: l, Area: a}
}

// A thousand citizens over real HTTP, on a clock that runs fast.
func TestOneCallForAKeyAndItsTimeOverHTTP(t *testing.T) {
	t.Parallel()
	const citizens, each, keys, ttl = 1000, 20, 50, 20 * time.Minute
	clock := quick()
	s := &scripted.Service{Delay: 5 * time.Millisecond}
	c := suchdienst(t, s, lookup.Options{Now: clock, TTL: ttl, Rate: 1, Burst: 2 * keys, Timeout: time.Minute})
	start := clock()
	var of sync.WaitGroup
	var answered atomic.Int64
	for i := range citizens {
		of.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range each {
				n := r.IntN(keys)
				if a, _ := c.Look(t.Context(), marburg(t, n)); a != nil && len(a.Entries) == 1 {
					answered.Add(1)
				}
				time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
			}
		})
	}
	of.Wait()
	times := int(clock().Sub(start)/ttl) + 1
	if n := answered.Load(); n != citizens*each {
		t.Errorf("%d of %d were answered", n, citizens*each)
	}
	for n := range keys {
		if calls := s.Calls(scripted.Question{Leistung: marburg(t, n).Leistung.String(), Area: "065340014014"}); calls > times || calls == 0 {
			t.Errorf("key %d: %d calls in %d times of %v", n, calls, times, ttl)
		}
	}
	t.Logf("%d calls for %d keys in %d times; at most %d at once", s.Total(), keys, times, s.Most())
}

// An answer of several pages costs as many requests of the budget, and of what the service says is left.
func TestEveryPageIsARequest(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{}
	c := suchdienst(t, s, lookup.Options{Rate: 1e-6, Burst: 4, Timeout: time.Minute, AnswerBytes: 1 << 20})
	one := s.Descriptions(scripted.Question{Leistung: marburg(t, 0).Leistung.String()})[0]
	s.Descriptions = func(q scripted.Question) []scripted.Description {
		all := slices.Repeat([]scripted.Description{one}, 120) // three pages
		for i := range all {
			all[i].ID, all[i].LeikaKeys = fmt.Sprintf("L100002.LB.%d", i), []string{q.Leistung}
		}
		return all
	}
	if a, r := c.Look(t.Context(), marburg(t, 1)); r != lookup.Hit || a == nil || s.Total() != 3 {
		t.Errorf("%v after %d requests, want a hit after three", r, s.Total())
	}
	if _, r := c.Look(t.Context(), marburg(t, 2)); r != lookup.Budget || s.Total() != 4 {
		t.Errorf("%v after %d requests, want no more than the budget of four", r, s.Total())
	}
}

func TestNoFaultOfAServiceTakesAKnownKeyAway(t *testing.T) {
	t.Parallel()
	for _, f := range scripted.Faults() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			clock := quick()
			s := &scripted.Service{}
			c := suchdienst(t, s, lookup.Options{Now: clock, TTL: time.Minute, Timeout: 500 * time.Millisecond, Patience: 50 * time.Millisecond})
			for n := range 5 {
				a, r := c.Look(t.Context(), marburg(t, n))
				for tries := 0; a == nil && tries < 10; tries++ { // half a second is short on a busy machine
					time.Sleep(100 * time.Millisecond)
					a, r = c.Look(t.Context(), marburg(t, n))
				}
				if a == nil || len(a.Entries) != 1 {
					t.Fatal(r)
				}
			}
			s.Be(f)
			time.Sleep(50 * time.Millisecond) // three minutes
			for i := range 20 {
				a, r := c.Look(t.Context(), marburg(t, i%5))
				if a == nil || len(a.Entries) != 1 || r > lookup.Stale {
					t.Errorf("a known key gets %v", r)
				}
				if a, r := c.Look(t.Context(), marburg(t, 100+i)); a != nil || r != lookup.Failed && r != lookup.Budget {
					t.Errorf("an unknown key gets %v, %v", r, a)
				}
			}
		})
	}
}
