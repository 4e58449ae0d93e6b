// SPDX-License-Identifier: EUPL-1.2

package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/message"
)

var (
	errNone    = &net.DNSError{Err: "no such host", IsNotFound: true}
	errServer  = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	errTimeout = &net.DNSError{Err: "i/o timeout", IsTimeout: true}
)

// script answers look-ups; a look-up that is answered by nobody ends with its time.
type script struct {
	mu     sync.Mutex // guards what follows
	answer Answer
	err    error
	mute   bool
	asked  int
	busy   int
	most   int
	pause  time.Duration
}

func (s *script) set(a Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.err, s.mute = a, err, false
}

func (s *script) lookup(ctx context.Context, _ string) (Answer, error) {
	s.mu.Lock()
	s.asked++
	s.busy++
	s.most = max(s.most, s.busy)
	mute, pause, a, err := s.mute, s.pause, s.answer, s.err
	s.mu.Unlock()
	if mute {
		<-ctx.Done()
		err = ctx.Err()
	}
	time.Sleep(pause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	return a, err
}

func (s *script) count() (asked, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.most
}

// group makes endpoints by URL; those whose host is an address have it.
func group(book *endpoint.Book, hosts ...string) []*endpoint.Endpoint {
	var o endpoint.Options
	for _, h := range hosts {
		s := endpoint.Spec{URL: "http://" + h, Host: h, Port: 80}
		if a, err := netip.ParseAddr(h); err == nil {
			s.Addresses = []netip.AddrPort{netip.AddrPortFrom(a, 80)}
		}
		o.Endpoints = append(o.Endpoints, s)
	}
	g := book.Group("b", o)
	var all []*endpoint.Endpoint
	for i := range g.Len() {
		all = append(all, g.At(i))
	}
	return all
}

func good(ttl time.Duration, texts ...string) Answer {
	return Answer{Addresses: addrs(texts...), TTL: ttl}
}

func wants(t *testing.T, e *endpoint.Endpoint, texts ...string) {
	t.Helper()
	var got []netip.Addr
	for _, a := range e.Addresses() {
		if a.Port() != e.Port() {
			t.Errorf("%v: port %d", a, a.Port())
		}
		got = append(got, a.Addr())
	}
	if !slices.Equal(got, addrs(texts...)) {
		t.Errorf("%s has %v, want %v", e.URL(), got, texts)
	}
}

// BE-04: once there was an answer, no failure of whatever kind, however long, takes an address away; and what comes
// after it is seen.
func TestBE04AGoodAnswerStaysUntilABetterOne(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"silent": nil, "NXDOMAIN": errNone, "SERVFAIL": errServer, "timeout": errTimeout} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answer: good(30*time.Second, "20.0.0.1", "2600::1")}
			r := New(Options{Lookup: s.lookup})
			defer r.Close()
			es := group(new(endpoint.Book), "portal.example", "20.0.0.9")
			if failed := r.Resolve(t.Context(), es); len(failed) > 0 {
				t.Fatal(failed)
			}
			r.Follow(es)
			s.mu.Lock()
			s.answer, s.err, s.mute = Answer{}, failure, failure == nil
			s.mu.Unlock()
			for range 600 {
				time.Sleep(time.Second)
				wants(t, es[0], "20.0.0.1", "2600::1")
			}
			if st := r.Stats().Names[0]; st.Age < 10*time.Minute || st.Err == nil || st.TTL != 30*time.Second {
				t.Errorf("%s: %+v", name, st)
			}
			if n, _ := s.count(); n < 15 || n > 50 {
				t.Errorf("%s: asked %d times in 10 min", name, n)
			}
			s.set(good(time.Hour, "20.0.0.2"), nil)
			time.Sleep(maxRetry + lookupTime)
			wants(t, es[0], "20.0.0.2")
			wants(t, es[1], "20.0.0.9")
		})
	}
}

// BE-04: a name that has never resolved says how, and is found as soon as it does.
func TestBE04ANameThatNeverResolved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want message.Fault
	}{{errNone, message.FaultDNS}, {errServer, message.FaultDNS}, {errTimeout, message.FaultDNSTimeout}, {nil, message.FaultDNSTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{err: c.err, mute: c.err == nil}
			r := New(Options{Lookup: s.lookup})
			defer r.Close()
			es := group(new(endpoint.Book), "portal.example")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			failed := r.Resolve(ctx, es)
			if failed[es[0]] == nil || c.err != nil && !errors.Is(failed[es[0]], c.err) {
				t.Errorf("%v", failed)
			}
			r.Follow(es)
			if f := es[0].Unresolved(); f != c.want || es[0].Addresses() != nil {
				t.Errorf("%v: %v, want %v", c.err, f, c.want)
			}
			s.set(good(time.Minute, "20.0.0.1"), nil)
			time.Sleep(2 * time.Second)
			wants(t, es[0], "20.0.0.1")
		})
	}
}

// BE-04: how long an answer is good is between a second and five minutes, and it is asked for again ahead of that, not
// for all names at once.
func TestBE04TimesAreBoundedAndSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ttl, least, most time.Duration }{
		{0, minTTL * 3 / 4, minTTL}, {100 * time.Second, 75 * time.Second, 95 * time.Second}, {24 * time.Hour, maxTTL * 3 / 4, maxTTL * 19 / 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answer: good(c.ttl, "20.0.0.1")}
			r := New(Options{Lookup: s.lookup})
			defer r.Close()
			var hosts []string
			for i := range 200 {
				hosts = append(hosts, "p"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example")
			}
			es := group(new(endpoint.Book), hosts...)
			r.Resolve(t.Context(), es)
			r.Follow(es)
			asked := func() int { n, _ := s.count(); return n }
			time.Sleep(c.least - time.Millisecond)
			if n := asked(); n != 200 {
				t.Errorf("%v: %d look-ups before %v", c.ttl, n, c.least)
			}
			time.Sleep((c.most - c.least) / 2)
			if n := asked(); n < 240 || n > 360 {
				t.Errorf("%v: %d look-ups at half time: they are not spread", c.ttl, n)
			}
			time.Sleep((c.most-c.least)/2 + 2*time.Millisecond)
			if n := asked(); n < 400 {
				t.Errorf("%v: %d look-ups after %v", c.ttl, n, c.most)
			}
		})
	}
}

// BE-04: however many names there are, few questions are under way.
func TestBE04LookUpsAreFewAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: good(time.Minute, "20.0.0.1"), pause: time.Second}
		r := New(Options{Lookup: s.lookup})
		defer r.Close()
		var hosts []string
		for i := range 500 {
			hosts = append(hosts, "p"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example")
		}
		r.Resolve(t.Context(), group(new(endpoint.Book), hosts...))
		if asked, most := s.count(); asked != 500 || most != lookups {
			t.Errorf("%d asked, %d at once", asked, most)
		}
	})
}

func TestAFamilyThatNobodyCouldBeAskedForStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: good(10*time.Second, "20.0.0.1", "2600::1")}
		r := New(Options{Lookup: s.lookup})
		defer r.Close()
		es := group(new(endpoint.Book), "portal.example")
		r.Resolve(t.Context(), es)
		r.Follow(es)
		half := good(10*time.Second, "20.0.0.2")
		half.NoSix = true
		s.set(half, nil)
		time.Sleep(10 * time.Second)
		wants(t, es[0], "20.0.0.2", "2600::1")
		s.set(good(10*time.Second, "20.0.0.2"), nil) // now servers say that there is none
		time.Sleep(10 * time.Second)
		wants(t, es[0], "20.0.0.2")
	})
}

func TestOnlyWhatIsInServiceIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: good(10*time.Second, "20.0.0.1")}
		r := New(Options{Lookup: s.lookup})
		defer r.Close()
		var book endpoint.Book
		es := group(&book, "a.example", "b.example")
		r.Resolve(t.Context(), es)
		r.Follow(es)
		again := group(new(endpoint.Book), "a.example", "c.example") // of a configuration that is built
		r.Resolve(t.Context(), again)
		wants(t, again[0], "20.0.0.1")
		if n, _ := s.count(); n != 3 {
			t.Errorf("%d look-ups: what is known is asked for again", n)
		}
		r.Follow(again)
		s.set(good(10*time.Second, "20.0.0.2"), nil)
		time.Sleep(time.Minute)
		wants(t, again[0], "20.0.0.2")
		wants(t, again[1], "20.0.0.2")
		wants(t, es[1], "20.0.0.1")
		if names := r.Stats().Names; len(names) != 2 || names[0].Host != "a.example" || names[1].Host != "c.example" {
			t.Errorf("%+v", names)
		}
		r.Follow(nil)
		before, _ := s.count()
		time.Sleep(time.Hour)
		if n, _ := s.count(); n != before {
			t.Errorf("%d look-ups for nobody", n-before)
		}
	})
}
