// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"container/heap"
	"testing"
	"time"
)

// scene plays citizens before a portal in virtual time.
type scene struct {
	b       *Backend
	now     int64
	events  happenings
	workers int           // that are free
	inside  []*citizen    // who wait inside the portal
	good    map[int64]int // answered in time, by the second in which they first asked
}

type happening struct {
	at int64
	do func()
}

type happenings []happening

func (h happenings) Len() int           { return len(h) }
func (h happenings) Less(i, j int) bool { return h[i].at < h[j].at }
func (h happenings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)        { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any          { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// citizen is one request, and its repetitions.
type citizen struct {
	first   int64
	sent    int64 // to the portal
	retries int
	over    bool // answered in time, or given up
	waiter  Waiter
}

const (
	citizenPatience = int64(time.Second)
	portalTakes     = int64(100 * time.Millisecond)
)

func (s *scene) at(t int64, do func()) { heap.Push(&s.events, happening{t, do}) }

// ask is one try. Whoever has no answer in time, or is refused, asks again.
func (s *scene) ask(c *citizen) {
	c.over = false
	this := *c
	again := func() {
		if c.over {
			return
		}
		if c.over = true; c.retries > 0 {
			s.ask(&citizen{first: this.first, retries: this.retries - 1})
		}
	}
	outcome, _ := s.b.Admit(s.now)
	if outcome == Full {
		c.waiter.Granted = func() { s.enter(c) }
		outcome, _ = s.b.Wait(s.now, &c.waiter)
		s.at(s.now+s.b.Patience(), func() {
			if outcome == Queued && s.b.Quit(&c.waiter) {
				again()
			}
		})
	}
	switch outcome {
	case Admitted:
		s.enter(c)
	case Queued:
	default:
		s.at(s.now+int64(10*time.Millisecond), again)
		return
	}
	s.at(s.now+citizenPatience, again)
}

// enter puts a request into the portal, which does not know who has left.
func (s *scene) enter(c *citizen) {
	c.sent = s.now
	s.work(c)
}

// work takes a worker, or waits for one.
func (s *scene) work(c *citizen) {
	if s.workers == 0 {
		s.inside = append(s.inside, c)
		return
	}
	s.workers--
	s.at(s.now+portalTakes, func() {
		if s.workers++; !c.over {
			c.over = true
			s.good[c.first/1e9]++
		}
		if len(s.inside) > 0 { // before anybody who is let in now
			next := s.inside[0]
			s.inside = s.inside[1:]
			s.work(next)
		}
		s.b.Heard(c.sent, s.now)
		s.b.Release(s.now)
	})
}

// pulse plays 5 s at nine tenths of what the portal takes, 30 s at three times as much with citizens who ask again twice,
// and 10 s as before. It returns which part of those who asked in the fifth to tenth second after the pulse were answered.
func pulse(b *Backend) float64 {
	s := &scene{b: b, workers: 50, good: map[int64]int{}}
	for t := int64(0); t < 45e9; {
		rate := int64(450)
		if t >= 5e9 && t < 35e9 {
			rate = 1500
		}
		c := &citizen{first: t, retries: 2}
		s.at(t, func() { s.ask(c) })
		t += 1e9 / rate
	}
	for len(s.events) > 0 && s.now < 60e9 {
		e := heap.Pop(&s.events).(happening)
		s.now = e.at
		e.do()
	}
	good := 0
	for second := int64(40); second < 45; second++ {
		good += s.good[second]
	}
	return float64(good) / (5 * 450)
}

// BE-06: after a pulse of three times what a portal takes, with citizens who ask again when they have no answer within a
// second, it is as before within five seconds. Without a limit it never is: it goes on working for who has left.
func TestBE06APulseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]Limits{
		"in_flight and queue": {InFlight: 60, Queue: 200, Patience: 500 * time.Millisecond},
		"adaptive":            {InFlight: 800, Adaptive: true},
		"adaptive and queue":  {InFlight: 800, Adaptive: true, Queue: 200, Patience: 500 * time.Millisecond},
	} {
		if got := pulse(granting(t, l)); got < .95 {
			t.Errorf("%s: %.0f %% are answered five seconds after the pulse, want 95", name, 100*got)
		}
	}
	if got := pulse(new(Backend)); got > .5 {
		t.Errorf("without limits %.0f %% are answered: the pulse shows nothing", 100*got)
	}
}
