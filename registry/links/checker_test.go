// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	neturl "net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// web is a simulated web: it notes who is asked when, and that it is done politely.
type web struct {
	t      *testing.T
	answer func(q question) (answer, error) // robots.txt is 404 unless robots says something
	robots map[string]string                // by host
	takes  time.Duration                    // each answer

	mu     sync.Mutex // guards what stands below
	hits   []hit
	active map[string]int
	most   int // at once
}

type hit struct {
	at                time.Time
	host, method, url string
}

func (w *web) ask(ctx context.Context, q question) (answer, error) {
	u, err := neturl.Parse(q.url)
	if err != nil {
		return answer{}, err
	}
	host := hostOf(u)
	w.mu.Lock()
	if w.active == nil {
		w.active = map[string]int{}
	}
	w.active[host]++
	all := 0
	for _, n := range w.active {
		all += n
	}
	w.most = max(w.most, all)
	if w.active[host] > 1 {
		w.t.Errorf("%d requests at once to %s", w.active[host], host)
	}
	w.hits = append(w.hits, hit{time.Now(), host, q.method, q.url})
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.active[host]--
		w.mu.Unlock()
	}()
	select {
	case <-time.After(w.takes):
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	if u.Path == "/robots.txt" {
		if text, ok := w.robots[host]; ok {
			q.body(strings.NewReader(text))
			return answer{status: 200}, nil
		}
		return answer{status: 404}, nil
	}
	if w.answer == nil {
		return answer{status: 200}, nil
	}
	return w.answer(q)
}

// pages are the hits beside robots.txt.
func (w *web) pages() (out []hit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hits {
		if !strings.HasSuffix(h.url, "/robots.txt") {
			out = append(out, h)
		}
	}
	return out
}

// apart is the least time between the beginnings of two requests to one host, and of any two.
func (w *web) apart() (host, any time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	host, any = math.MaxInt64, math.MaxInt64
	last := map[string]time.Time{}
	for i, h := range w.hits {
		if i > 0 {
			any = min(any, h.at.Sub(w.hits[i-1].at))
		}
		if at, ok := last[h.host]; ok {
			host = min(host, h.at.Sub(at))
		}
		last[h.host] = h.at
	}
	return host, any
}

// row is a row of a test's registry.
type row struct{ leistung, area, url string }

const (
	gewerbe  = "99050012104000"
	marburg  = "065340014014"
	kassel   = "066110000000"
	augsburg = "097610000000"
)

func registryOf(t testing.TB, rows ...row) *Registry {
	t.Helper()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	b := index.NewBuilder(areas, []string{"land", "hub"})
	for i, r := range rows {
		l, err := registry.ParseLeistung(r.leistung)
		if err != nil {
			t.Fatal(err)
		}
		id, err := areas.EntryArea(r.area)
		if err != nil {
			t.Fatal(err)
		}
		e := registry.Entry{Leistung: l, Area: id, URL: r.url, Source: i % 2, Origin: registry.Origin{Source: []string{"land", "hub"}[i%2], Line: int32(i + 1)}}
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := b.Finish()
	return &Registry{Index: x, Near: func(int) bool { return false }}
}

// at many hosts, so many addresses each.
func many(hosts, each int) (rows []row) {
	for h := range hosts {
		for i := range each {
			rows = append(rows, row{gewerbe, marburg, fmt.Sprintf("https://h%d.example/%d", h, i)})
		}
	}
	return rows
}

func optionsOf(t testing.TB, w *web, r *Registry) Options {
	return Options{
		Dir: t.TempDir(), Agent: Agent, Every: 7 * 24 * time.Hour, Rate: 1, Pause: 10 * time.Second, Failures: 3,
		Registry: func() *Registry { return r }, Log: slog.New(slog.DiscardHandler), ask: w.ask, noSync: true,
	}
}

// during runs a checker for a while of simulated time, and gives its last report.
func during(t *testing.T, o Options, d time.Duration) *Report {
	t.Helper()
	c := New(o)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the checker ended: %v", err)
	}
	return c.Report()
}

const day = 24 * time.Hour

// Whatever there is to ask: one request at a time to a host, a pause between two of them, and no more than the rate.
func TestHostsAreAskedPolitely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, takes: 5 * time.Second, answer: func(q question) (answer, error) {
			u, _ := neturl.Parse(q.url)
			switch {
			case strings.HasSuffix(u.Path, "1"): // to a host that is asked itself
				return answer{status: 301, location: "https://h0.example/elsewhere"}, nil
			case strings.HasSuffix(u.Path, "2") && q.method == "HEAD":
				return answer{status: 405}, nil
			case strings.HasSuffix(u.Path, "3"):
				return answer{status: 404}, nil
			}
			return answer{status: 200}, nil
		}}
		o := optionsOf(t, w, registryOf(t, many(20, 60)...))
		o.Every = 20 * time.Minute // more than can be done
		during(t, o, 30*time.Minute)
		host, all := w.apart()
		if host < o.Pause+w.takes || all < time.Second-time.Microsecond { // the limiter counts in floats
			t.Errorf("requests to one host %v apart, to all %v; want %v and 1s at least", host, all, o.Pause+w.takes)
		}
		if n := len(w.hits); n < 1500 || w.most > maxRequests {
			t.Errorf("%d requests in half an hour, %d at once", n, w.most)
		}
	})
}

// A round is spread over its time, and every address is asked in it once.
func TestARoundIsSpreadOverItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, takes: time.Second}
		o := optionsOf(t, w, registryOf(t, append(many(50, 3), many(1, 100)...)...))
		began := time.Now()
		r := during(t, o, o.Every+time.Minute)
		asked, days := map[string]int{}, [8]int{}
		for _, h := range w.pages() {
			asked[h.url]++
			days[h.at.Sub(began)/day]++
		}
		if n := len(w.pages()) - len(asked); n > 2 { // in the minute that is more than a round
			t.Errorf("%d were asked again in a round", n)
		}
		if len(asked) != r.Links || r.Links != 49*3+100 || r.Hosts != 50 || r.Checked != r.Links || r.Results["ok"] != r.Links {
			t.Errorf("%d were asked: %+v", len(asked), r)
		}
		for i, n := range days[:7] {
			if n < r.Links/14 || n > r.Links/4 {
				t.Errorf("day %d: %d of %d", i, n, r.Links)
			}
		}
	})
}

// A link is stale after several failures, days apart; one that answers in between is not, and one that answers again is no more.
func TestALinkIsStaleAfterSeveralFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t}
		flaky, back := 0, false
		w.answer = func(q question) (answer, error) {
			switch q.url {
			case "https://a.example/gone":
				if back {
					return answer{status: 200}, nil
				}
				return answer{status: 404}, nil
			case "https://a.example/flaky":
				if q.method == "GET" {
					flaky++
				}
				if flaky%3 != 0 {
					return answer{status: 500}, nil
				}
			case "https://a.example/bot":
				return answer{status: 403}, nil
			case "https://a.example/moved":
				return answer{status: 301, location: "/there"}, nil
			}
			return answer{status: 200}, nil
		}
		o := optionsOf(t, w, registryOf(t,
			row{gewerbe, marburg, "https://a.example/gone"}, row{gewerbe, kassel, "https://a.example/gone"}, row{gewerbe, augsburg, "https://a.example/gone"},
			row{gewerbe, "06", "https://a.example/flaky"}, row{gewerbe, "09", "https://a.example/bot"}, row{gewerbe, "05", "https://a.example/moved"},
		))
		var r *Report
		for range 81 {
			if r = during(t, o, day/4); r.Stale > 0 {
				break
			}
		}
		var times []time.Time
		for _, h := range w.pages() {
			if h.url == "https://a.example/gone" && h.method == "GET" {
				times = append(times, h.at)
			}
		}
		if len(times) != 3 || times[1].Sub(times[0]) < day || times[2].Sub(times[1]) < day || times[2].Sub(times[0]) > 5*day {
			t.Errorf("stale after checks at %v", times)
		}
		during(t, o, 30*day)
		r = during(t, o, day)
		if r.Stale != 1 || len(r.StaleLinks) != 1 || len(r.MovedLinks) != 1 || r.Results["denied"] != 1 {
			t.Fatalf("%+v", r)
		}
		l := r.StaleLinks[0]
		if l.URL != "https://a.example/gone" || l.Result != "gone" || l.Code != 404 || l.Failures < 3 || l.Rows != 3 || l.Sample || !l.Since.Equal(times[0].Truncate(time.Second)) ||
			!slices.Equal(l.Lands, []string{"06", "09"}) || !slices.Equal(l.Owners, []string{"hub", "land"}) || l.Leistung != gewerbe || l.From == "" {
			t.Errorf("%+v", l)
		}
		if m := r.MovedLinks[0]; m.To != "https://a.example/there" || m.Code != 301 || m.Result != "redirected" {
			t.Errorf("%+v", m)
		}
		want := []OwnerReport{{"05", "hub", 0, 0, 1}, {"06", "hub", 1, 1, 0}, {"06", "land", 1, 1, 0}, {"09", "land", 1, 1, 0}}
		if !slices.Equal(r.Owners, want) || r.Lands["06"] != 1 || r.Lands["09"] != 1 {
			t.Errorf("%+v, %v; want %+v", r.Owners, r.Lands, want)
		}
		back = true
		if during(t, o, 16*day); during(t, o, day).Stale != 0 {
			t.Errorf("it answers and is stale")
		}
	})
}

// What differs from place to place in its own digits is asked at one of them, and not at eleven thousand.
func TestAddressesThatDifferInTheirKeysAreSampled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows []row
		for i := range 25 {
			ars := fmt.Sprintf("065340%03d%03d", i+1, i+1)
			rows = append(rows, row{gewerbe, ars, "https://a.example/form?ars=" + ars})
		}
		areas, _ := registry.DefaultAreas()
		rows = slices.DeleteFunc(rows, func(r row) bool { _, err := areas.EntryArea(r.area); return err != nil })
		w := &web{t: t, answer: func(question) (answer, error) { return answer{status: 410}, nil }}
		o := optionsOf(t, w, registryOf(t, rows...))
		during(t, o, 20*day)
		r := during(t, o, day)
		asked := map[string]bool{}
		for _, h := range w.pages() {
			asked[h.url] = true
		}
		if r.Links != 1 || len(r.StaleLinks) != 1 || !r.StaleLinks[0].Sample || r.StaleLinks[0].Rows != len(rows) || len(rows) < 10 || len(asked) != 1 {
			t.Errorf("of %d rows %d were asked: %+v", len(rows), len(asked), r)
		}
		if url := r.StaleLinks[0].URL; !asked[url] || strings.ContainsAny(url, "\x10\x1c") {
			t.Errorf("%q was asked, %v", url, asked)
		}
	})
}

// A process that goes on where another one was killed asks nothing a second time, and leaves nothing out.
func TestTheNextProcessGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, takes: time.Second}
		o := optionsOf(t, w, registryOf(t, many(3, 200)...))
		o.Every = day
		for range 24 {
			during(t, o, time.Hour)
		}
		asked := map[string]int{}
		for _, h := range w.pages() {
			asked[h.url]++
		}
		twice := 0
		for _, n := range asked {
			twice += n - 1
		}
		// The times at which a host is asked are its own; what is under way when a process ends is asked again.
		if len(asked) < 3*200-24*2 || twice > 24 {
			t.Errorf("%d of 600 were asked in a round of 24 processes, %d twice", len(asked), twice)
		}
		if n := strings.Count(fmt.Sprint(w.hits), "/robots.txt"); n > 6 {
			t.Errorf("robots.txt was asked for %d times of 3 hosts in a day", n)
		}
	})
}

// One process checks, and the next one begins when it has ended.
func TestOneProcessChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t}
		o := optionsOf(t, w, registryOf(t, many(2, 100)...))
		o.Every = time.Hour
		second := New(o)
		later, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		ended := make(chan error)
		// It does not end at a moment at which the second tries again, which are multiples of 50 ms (bbolt's): what both did
		// then would be anybody's guess.
		first, end := context.WithTimeout(t.Context(), time.Hour-time.Second-20*time.Millisecond)
		defer end()
		go func() { ended <- New(o).Run(first) }()
		synctest.Wait()
		go func() { ended <- second.Run(later) }()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || second.Requests() > 0 || second.Report() != nil {
			t.Errorf("%v; beside it the second has sent %d requests", err, second.Requests())
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || second.Requests() == 0 {
			t.Errorf("%v; after it the second has sent %d requests", err, second.Requests())
		}
	})
}

// Who says that it is asked too much is asked less, and who names a time not before it. It is no fault of a link.
func TestHostsThatWantToBeLeftAloneAre(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer answer
		robots string
		least  time.Duration // between two requests
		most   int
	}{
		"429 with a time":          {answer{status: 429, retry: 10 * time.Hour}, "", 10 * time.Hour, 0},
		"503 with a time":          {answer{status: 503, retry: 10 * time.Hour}, "", 10 * time.Hour, 0},
		"429 without":              {answer{status: 429}, "", firstHold, 30},
		"a delay":                  {answer{status: 200}, "User-agent: *\nCrawl-delay: 120\n", 2 * time.Minute, 0},
		"a delay, and HEAD is not": {answer{status: 405}, "User-agent: *\nCrawl-delay: 120\n", 2 * time.Minute, 0},
		"429 and a great delay":    {answer{status: 429}, "User-agent: *\nCrawl-delay: 12000\n", maxDelay, 30},
		"everything is refused":    {answer{status: 200}, "User-agent: *\nDisallow: /\n", day - time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &web{t: t, answer: func(question) (answer, error) { return tc.answer, nil }}
				if tc.robots != "" {
					w.robots = map[string]string{"h0.example": tc.robots}
				}
				o := optionsOf(t, w, registryOf(t, many(1, 500)...))
				o.Every = day
				r := during(t, o, 2*day+time.Hour)
				hits := w.pages()
				if name == "everything is refused" {
					if hits = w.hits; len(w.pages()) > 0 {
						t.Errorf("what robots.txt refuses was asked: %v", w.pages()[0])
					}
				}
				for i, h := range hits[1:] {
					if gap := h.at.Sub(hits[i].at); gap < tc.least {
						t.Fatalf("request %d came %v after the one before, want %v", i+1, gap, tc.least)
					}
				}
				if tc.most > 0 && len(hits) > tc.most || len(hits) < 2 {
					t.Errorf("%d requests in two days", len(hits))
				}
				if tc.answer.status != 405 && tc.answer.status != 503 && r.Results["server_error"]+r.Results["client_error"] > 0 {
					t.Errorf("%+v", r.Results)
				}
			})
		})
	}
}

// Where nobody answers any more it is this machine that hears nothing.
func TestNobodyIsStaleWhereNothingIsHeard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := false
		w := &web{t: t, answer: func(q question) (answer, error) {
			if cut || strings.Contains(q.url, "h0.") {
				return answer{}, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
			return answer{status: 200}, nil
		}}
		o := optionsOf(t, w, registryOf(t, many(12, 5)...))
		during(t, o, 14*day)
		if r := during(t, o, day); r.Stale != 5 || r.Blind {
			t.Errorf("one host is away: %d stale, %v", r.Stale, r.Results)
		}
		cut = true
		during(t, o, 30*day)
		if r := during(t, o, 10*day); r.Stale > 10 || !r.Blind {
			t.Errorf("all are away: %d stale, %v, %v", r.Stale, r.Results, r.Blind)
		}
		cut = false
		during(t, o, 30*day)
		if r := during(t, o, day); r.Stale != 5 || r.Blind {
			t.Errorf("they are back: %d stale, %v", r.Stale, r.Results)
		}
	})
}

// What is in no row any more is in no report, and a new registry is looked at at once.
func TestAnotherRegistryIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, answer: func(question) (answer, error) { return answer{status: 404}, nil }}
		r := registryOf(t, many(3, 4)...)
		r.Fixed = []Fixed{{URL: "https://own.example/a", Owner: "routes.d/06.yaml", Land: 6, Leistung: mustLeistung(t), Area: "06"}}
		o := optionsOf(t, w, r)
		o.Every = day
		told := make(chan struct{}, 1)
		o.Changed, o.Registry = told, func() *Registry { return r }
		during(t, o, 5*day)
		if got := during(t, o, day); got.Stale != 13 || got.Owners[0] != (OwnerReport{"06", "hub", 6, 6, 0}) || got.Owners[2] != (OwnerReport{"06", "routes.d/06.yaml", 1, 1, 0}) {
			t.Fatalf("%+v", got)
		}
		c := New(o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		r = registryOf(t, many(2, 2)...)
		told <- struct{}{}
		time.Sleep(40 * time.Second)
		if got := c.Report(); got.Stale != 4 || got.Links != 4 || got.Hosts != 2 || len(got.StaleLinks) != 4 {
			t.Errorf("%+v", got)
		}
		r = nil
		told <- struct{}{}
		time.Sleep(10 * time.Second)
		if got := c.Report(); got.Stale != 0 || got.Links != 0 {
			t.Errorf("%+v", got)
		}
		<-ended
	})
}

// What was under way when another registry came is in no report either.
func TestWhatIsUnderWayMayBeInNoRowAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, takes: 30 * time.Second, answer: func(question) (answer, error) { return answer{status: 404}, nil }}
		r := registryOf(t, row{gewerbe, marburg, "https://a.example/old"}, row{gewerbe, marburg, "https://b.example/old"})
		o := optionsOf(t, w, r)
		o.Every, o.Failures = time.Minute, 1
		told := make(chan struct{}, 1)
		o.Changed, o.Registry = told, func() *Registry { return r }
		c := New(o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		for len(w.pages()) == 0 {
			time.Sleep(time.Second)
		}
		r = registryOf(t, row{gewerbe, marburg, "https://a.example/new"})
		told <- struct{}{}
		time.Sleep(30 * time.Minute)
		if got := c.Report(); got.Stale != 1 || got.Results["gone"] != 1 || len(got.StaleLinks) != 1 {
			t.Errorf("%+v", got)
		}
		<-ended
	})
}

func mustLeistung(t *testing.T) registry.Leistung {
	t.Helper()
	l, err := registry.ParseLeistung(gewerbe)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
