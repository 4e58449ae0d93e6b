// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/registry/source"
)

// model is a cache as one would write it who has all the time in the world: lists, the clock as a number, one asks after
// the other. It is written from the comments of Options, not from the cache.
type model struct {
	o       Options
	now     time.Duration
	answers []remembered // those last asked for first
	others  []remembered

	tokens  float64
	filled  time.Duration
	inARow  int // failures
	failing bool
	next    time.Duration
	held    time.Duration
	why     Result
	calls   int
	source  string // what it does
	results [results]uint64
}

type remembered struct {
	key      Key
	answer   int // the call that gave it; 0 = none
	negative bool
	at       time.Duration
	failures int
	retry    time.Duration
}

// at returns what is remembered of a key, which is moved to the front of its list if touch says so.
func (m *model) at(k Key, touch bool) *remembered {
	for _, list := range []*[]remembered{&m.answers, &m.others} {
		i := slices.IndexFunc(*list, func(r remembered) bool { return r.key == k })
		if i < 0 {
			continue
		}
		if touch {
			r := (*list)[i]
			*list = slices.Insert(slices.Delete(*list, i, i+1), 0, r)
			i = 0
		}
		return &(*list)[i]
	}
	return nil
}

func (m *model) put(r remembered) {
	same := func(old remembered) bool { return old.key == r.key }
	m.answers, m.others = slices.DeleteFunc(m.answers, same), slices.DeleteFunc(m.others, same)
	list := &m.answers
	if r.negative || r.answer == 0 {
		list = &m.others
	}
	*list = slices.Insert(*list, 0, r)
	*list = (*list)[:min(len(*list), m.o.Entries)]
}

// get is what one gets at once; renew says that the answer is to be renewed.
func (m *model) get(k Key) (answer int, r Result, renew bool) {
	v := m.at(k, true)
	if v == nil || v.answer == 0 && m.now >= v.retry {
		if m.now < m.held {
			return 0, m.why, false
		}
		return 0, Wait, false
	}
	if v.answer == 0 {
		return 0, Failed, false
	}
	ttl, good := m.o.TTL, Hit
	if v.negative {
		ttl, good = m.o.NegativeTTL, Negative
	}
	age := m.now - v.at
	if age < ttl {
		return v.answer, good, false
	}
	may := m.now >= v.retry && m.now >= m.held
	bad := v.failures > 0 || m.failing
	switch {
	case bad:
		return v.answer, Stale, may
	case age < 2*ttl:
		return v.answer, good, may
	case may:
		return 0, Wait, false
	}
	return v.answer, Stale, false
}

// call asks the source and says what those get who wait.
func (m *model) call(k Key, spare bool) (int, Result) {
	m.tokens = min(float64(m.o.Burst), m.tokens+(m.now-m.filled).Seconds()*m.o.Rate)
	m.filled = m.now
	refused := Wait
	switch {
	case m.now < m.held:
		refused = m.why
	case spare && m.tokens < float64(1+m.o.Burst/2):
		refused = Budget
	case m.tokens < 1:
		wait := time.Duration((1 - m.tokens) / m.o.Rate * 1e9)
		if wait > m.o.Patience {
			m.hold(m.now+wait-m.o.Patience, Budget)
			refused = Budget
		}
		if refused == Wait {
			m.now += wait
			m.tokens += wait.Seconds() * m.o.Rate
			m.filled = m.now
		}
	}
	if refused != Wait {
		v := m.at(k, false)
		if spare && v != nil {
			v.retry = m.now + time.Second
		}
		if v != nil && v.answer > 0 {
			return v.answer, Stale
		}
		return 0, refused
	}
	m.tokens--
	m.calls++
	switch m.source {
	case "answers", "knows nothing":
		m.inARow, m.failing, m.next = 0, false, 5*time.Second
		if m.why == Failed {
			m.held = 0
		}
		m.put(remembered{key: k, answer: m.calls, negative: m.source == "knows nothing", at: m.now})
		if m.source == "answers" {
			return m.calls, Hit
		}
		return m.calls, Negative
	}
	return m.failed(k, spare)
}

// failed is a call that was in vain.
func (m *model) failed(k Key, spare bool) (int, Result) {
	limited, wants := m.source == "429", time.Duration(0)
	if m.source == "503 with Retry-After" {
		wants = 20 * time.Second
	}
	if !limited {
		m.inARow++
	}
	pause := time.Duration(0)
	if limited || m.inARow >= 5 {
		m.failing = true
		if m.now >= m.held {
			pause = m.next
			m.next = min(2*m.next, time.Minute)
		}
	}
	why := Failed
	if limited {
		why = Budget
	}
	m.hold(m.now+max(pause, wants), why)
	v := m.at(k, false)
	switch {
	case limited && v != nil && spare:
		v.retry = m.now + time.Second
	case !limited && v == nil:
		m.put(remembered{key: k, failures: 1, retry: m.now + time.Second})
	case !limited:
		v.retry = m.now + min(time.Second<<min(v.failures, 6), time.Minute)
		v.failures++
	}
	if v != nil && v.answer > 0 {
		return v.answer, Stale
	}
	return 0, why
}

func (m *model) hold(until time.Duration, why Result) {
	if until > m.held {
		m.held, m.why = until, why
	}
}

// ask is one who asks, and waits if wait says so. It returns what he gets.
func (m *model) ask(k Key, wait bool) (int, Result) {
	answer, r, renew := m.get(k)
	counted := r
	switch {
	case r == Wait && !wait:
		return 0, Wait
	case r == Wait:
		answer, r = m.call(k, false)
		if counted = r; r <= Negative {
			counted = Wait
		}
	case renew:
		m.call(k, true)
	}
	m.results[counted]++
	return answer, r
}

// script is what the model's source does, for the cache.
func (m *model) script(_ context.Context, k Key, n int) (Answer, Quota, error) {
	switch m.source {
	case "answers":
		return found(k, n), Quota{}, nil
	case "knows nothing":
		return Answer{}, Quota{}, nil
	case "429":
		return refuses(source.CauseRateLimited, 0)(context.Background(), k, n)
	case "503 with Retry-After":
		return refuses(source.CauseUnreachable, 20*time.Second)(context.Background(), k, n)
	}
	return refuses(source.CauseSchema, 0)(context.Background(), k, n)
}

// step is one thing that happens.
type step struct {
	pass   time.Duration // before it
	source string        // what it does from now on
	key    int           // that somebody asks for
	waits  bool          // if he has to
}

func steps() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4, 5, 9, 10, 20, 40, 60, 120, 300, 10_000}).Draw(t, "seconds")) * time.Second,
			rapid.SampledFrom([]string{"", "", "", "", "", "answers", "answers", "knows nothing", "garbage", "429", "503 with Retry-After"}).Draw(t, "source"),
			rapid.IntRange(0, 9).Draw(t, "key"), rapid.Bool().Draw(t, "waits"),
		}
	}), 50, 200)
}

func TestTheCacheIsTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := Options{
			TTL: time.Duration(rapid.IntRange(5, 200).Draw(rt, "ttl")) * time.Second, NegativeTTL: 30 * time.Second, Patience: 1500 * time.Millisecond,
			Rate: 1, Burst: rapid.IntRange(1, 20).Draw(rt, "burst"), Entries: rapid.IntRange(1, 8).Draw(rt, "entries"),
		}
		all := steps().Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = compare(o, all) }) // a bubble of rapid's own would be over after a day
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// compare has the cache and the model go through the same.
func compare(o Options, all []step) error {
	m := &model{o: o, tokens: float64(o.Burst), next: 5 * time.Second, source: "answers"}
	s := &scripted{script: m.script}
	o.Source = s
	c := New(o)
	defer c.Close()
	start, asks := time.Now(), uint64(0)
	for n, st := range all {
		m.now += st.pass
		time.Sleep(m.now - time.Since(start))
		m.source = cmp.Or(st.source, m.source)
		k := key(st.key)
		answer, want := m.ask(k, st.waits)
		a, got := c.Get(k)
		if st.waits && got == Wait {
			a, got = c.Look(context.Background(), k)
		}
		synctest.Wait()
		if got != Wait {
			asks++
		}
		if got != want || (a != nil) != (answer > 0) || a != nil && len(a.Entries) > 0 && a.Entries[0].URL != found(k, answer).Entries[0].URL {
			return fmt.Errorf("step %d at %v, %s: %v %+v, want %v of call %d", n, m.now, k.Leistung, got, a, want, answer)
		}
		stats, sum := c.Stats(), uint64(0)
		for _, n := range stats.Counts {
			sum += n
		}
		if stats.Counts != m.results || sum != asks || stats.Entries != len(m.answers) {
			return fmt.Errorf("step %d: counted %v of %d with %d answers, want %v with %d", n, stats.Counts, asks, stats.Entries, m.results, len(m.answers))
		}
		if now := time.Since(start); s.asked() != m.calls || now != m.now {
			return fmt.Errorf("step %d at %v: %d calls, want %d at %v", n, now, s.asked(), m.calls, m.now)
		}
	}
	return nil
}
