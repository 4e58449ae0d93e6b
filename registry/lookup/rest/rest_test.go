// SPDX-License-Identifier: EUPL-1.2

package rest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, p fetch.Policy) *Client {
	t.Helper()
	c := &Client{Source: "pvog", HTTP: fetch.Client(p), MaxBody: 1 << 20, Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }}
	t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

func refusal(t *testing.T, name string, err error) *source.Refusal {
	t.Helper()
	var r *source.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%s: %v is no refusal", name, err)
	}
	return r
}

const path = "/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014&size=5&secret=x"

// Whatever comes instead of the document has a cause, and is never taken for an answer.
func TestEveryFaultHasItsCause(t *testing.T) {
	t.Parallel()
	want := map[scripted.Fault]source.Cause{
		scripted.Frozen: source.CauseTimeout, scripted.Drip: source.CauseTimeout,
		scripted.Broken: source.CauseUnreachable, scripted.Repair: source.CauseUnreachable, scripted.Forbidden: source.CauseUnreachable,
		scripted.Gone: source.CauseUnreachable, scripted.Reset: source.CauseUnreachable,
		scripted.Busy: source.CauseRateLimited, scripted.BusyBare: source.CauseRateLimited,
		scripted.HTML: source.CauseSchema, scripted.Problem: source.CauseSchema, scripted.WrongType: source.CauseSchema,
		scripted.Text: source.CauseTruncated, scripted.Cut: source.CauseTruncated, scripted.CutChunk: source.CauseTruncated,
		scripted.Huge: source.CauseOversized, scripted.Elsewhere: source.CauseURLPolicy, scripted.Circles: source.CauseURLPolicy,
	}
	for _, f := range scripted.Faults() {
		if f == scripted.Shape || f == scripted.Loop { // JSON as far as this package knows
			continue
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := &scripted.Service{}
			server := httptest.NewServer(s)
			t.Cleanup(server.Close)
			t.Cleanup(s.Close)
			t.Cleanup(server.CloseClientConnections)
			s.Be(f)
			c := client(t, fetch.Policy{HTTP: true})
			ctx, cancel := context.WithTimeout(t.Context(), patience(f))
			defer cancel()
			var v map[string]any
			quota, err := c.Get(ctx, server.URL+path, &v)
			r := refusal(t, f.String(), err)
			if r.Cause != want[f] {
				t.Errorf("%v: cause %s, want %s", r, r.Cause, want[f])
			}
			if text := r.Error(); strings.Contains(text, "secret") || !strings.HasPrefix(text, server.URL) {
				t.Errorf("said: %s", text)
			}
			switch f {
			case scripted.Busy:
				if r.RetryAfter != 11*time.Second || quota != (lookup.Quota{Limit: 100, Remaining: 0, Reset: 11 * time.Second}) {
					t.Errorf("again after %v, quota %+v", r.RetryAfter, quota)
				}
			case scripted.Repair:
				if r.RetryAfter != 7*time.Second {
					t.Errorf("again after %v", r.RetryAfter)
				}
			default:
				if r.RetryAfter != 0 || quota != (lookup.Quota{}) {
					t.Errorf("again after %v, quota %+v, though nothing was said", r.RetryAfter, quota)
				}
			}
			if s.Total() != 1 && f != scripted.Circles {
				t.Errorf("asked %d times", s.Total())
			}
		})
	}
}

// patience is how long a test waits: for what never ends a moment, else long enough for the slowest machine.
func patience(f scripted.Fault) time.Duration {
	if f == scripted.Frozen || f == scripted.Drip {
		return 300 * time.Millisecond
	}
	return time.Minute
}

// What is too long is left with its server.
func TestNoMoreIsTakenThanIsAllowed(t *testing.T) {
	t.Parallel()
	sent := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, some := 0, make([]byte, 64<<10)
		defer func() { sent <- n }()
		w.Header().Set("Content-Type", "application/json")
		for n < 256<<20 {
			if _, err := w.Write(some); err != nil {
				return
			}
			n += len(some)
		}
	}))
	t.Cleanup(server.Close)
	_, err := client(t, fetch.Policy{HTTP: true}).Get(t.Context(), server.URL, new(any))
	if r := refusal(t, "endless", err); r.Cause != source.CauseOversized {
		t.Errorf("%v", r)
	}
	if n := <-sent; n > 64<<20 { // the limit, and what fits into the sockets
		t.Errorf("%d bytes were taken", n)
	}
}

func TestWhoeverLeavesIsNoFaultOfTheService(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	s.Be(scripted.Frozen)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := client(t, fetch.Policy{HTTP: true}).Get(ctx, server.URL+path, new(any))
	if r := (*source.Refusal)(nil); errors.As(err, &r) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The address policy of package fetch holds for look-ups too: by name a service may not be on this machine.
func TestPrivateAddressesAreNotAsked(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&scripted.Service{})
	t.Cleanup(server.Close)
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for name, c := range map[string]*Client{
		"a name of this machine": client(t, fetch.Policy{HTTP: true}),
		"without TLS":            client(t, fetch.Policy{}),
	} {
		_, err := c.Get(t.Context(), byName+path, new(any))
		if r := refusal(t, name, err); r.Cause != source.CauseURLPolicy {
			t.Errorf("%s: %v: %s", name, r, r.Cause)
		}
	}
	_, err := client(t, fetch.Policy{HTTP: true, Address: registry.AddressPolicy{Loopback: true}}).Get(t.Context(), byName+path, new(any))
	if err != nil {
		t.Errorf("allowed: %v", err)
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte("[1]"))
	}))
	t.Cleanup(server.Close)
	c := client(t, fetch.Policy{HTTP: true})
	c.Header = http.Header{"User-Agent": {"pvgate test"}, "X-Id": {"7"}}
	var v []int
	if _, err := c.Get(t.Context(), server.URL, &v); err != nil || len(v) != 1 {
		t.Fatalf("%v, %v", v, err)
	}
	if got.Get("User-Agent") != "pvgate test" || got.Get("X-Id") != "7" || got.Get("Accept") != "application/json" || got.Get("Accept-Encoding") != "" {
		t.Errorf("%v", got)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, remaining, reset string
		want                    lookup.Quota
	}{
		{"", "", "", lookup.Quota{}},
		{"100", "7", "", lookup.Quota{}},
		{"100", "", "9", lookup.Quota{}},
		{"100", "7", "9", lookup.Quota{Limit: 100, Remaining: 7, Reset: 9 * time.Second}},
		{"", "7", "9", lookup.Quota{Limit: 7, Remaining: 7, Reset: 9 * time.Second}},
		{"10, 10;w=1, 50;w=60", "0", "0", lookup.Quota{Limit: 10, Remaining: 0, Reset: time.Second}},
		{"10", "-1", "9", lookup.Quota{}},
		{"10", "3", "99999999", lookup.Quota{Limit: 10, Remaining: 3, Reset: maxReset}},
		{"10", "3", "9999999999999", lookup.Quota{}},
	} {
		h := http.Header{}
		h.Set("RateLimit-Limit", c.limit)
		h.Set("RateLimit-Remaining", c.remaining)
		h.Set("RateLimit-Reset", c.reset)
		if got := quotaOf(h); got != c.want {
			t.Errorf("%v: %+v, want %+v", h, got, c.want)
		}
	}
}
