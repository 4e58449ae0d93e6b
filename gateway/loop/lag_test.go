// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"cmp"
	"testing"
	"time"
)

// queue plays a loop with so many requests a second, some of which it refuses, in virtual time.
type queue struct {
	lag                     lag
	now, worked             int64
	share                   int64 // of the processor that others have, in hundredths
	rest                    float64
	waiting, admitted, shed int
	ahead                   int   // of the probe, -1: there is none
	longest                 int64 // that one had waited which was served
	long                    int   // that were served and had waited for more than a quarter of aim
	refuseCost              int64 // 0: 40 % of serveCost
}

const (
	serveCost  = int64(20 * time.Microsecond)
	refuseCost = 2 * serveCost / 5
)

// pause stops the loop for a while, in which its thread seems to have worked, while so many requests a second come.
func (q *queue) pause(d int64, rate float64) {
	q.now += d
	q.worked += d
	q.waiting += int(rate * float64(d) / 1e9)
	q.lag.polled(poll{now: q.now, busy: d, events: eventBatch}, func() int64 { return q.worked })
	q.ahead = q.waiting
}

// run lets so many requests a second come for a while.
func (q *queue) run(d time.Duration, rate float64) {
	q.loop(d, func(passed int64, _ int) int {
		q.rest += float64(passed) * rate / 1e9
		come := int(q.rest)
		q.rest -= float64(come)
		return come
	}, int64(1e9/rate))
}

// loop serves what waits, a batch per turn; come says how many more have come in a time, in which so many were answered, and
// pause how long it sleeps where there is nothing.
func (q *queue) loop(d time.Duration, come func(passed int64, answered int) int, pause int64) {
	n, probed := 0, false
	look := func() {
		n = min(q.waiting, eventBatch)
		if probed = q.ahead >= 0 && q.ahead < eventBatch; probed {
			n, q.ahead = min(q.waiting, eventBatch-1), -1
		}
		q.ahead = max(q.ahead-n, -1)
		q.waiting -= n
	}
	if q.now == 0 {
		q.ahead = -1
	}
	refuses := cmp.Or(q.refuseCost, refuseCost)
	for until := q.now + int64(d); q.now < until; {
		before, cost := q.now, int64(1000)
		for range n {
			if q.lag.late() {
				q.shed++
				cost += refuses
			} else {
				q.admitted++
				cost += serveCost
				q.longest = max(q.longest, q.lag.waited)
				if q.lag.waited > aim/4 {
					q.long++
				}
			}
		}
		q.worked += cost
		q.now += cost * 100 / (100 - q.share)
		q.waiting += come(q.now-before, n)
		busy, slept := q.now-before, int64(0)
		if q.waiting == 0 {
			slept = pause
			q.now += pause
			q.waiting += come(pause, 0)
		}
		look()
		if q.lag.polled(poll{q.now, busy, n, slept, probed}, func() int64 { return q.worked }) {
			q.ahead = q.waiting
		}
	}
}

func TestNothingIsLateThatTheLoopCanServe(t *testing.T) {
	t.Parallel()
	for _, load := range []float64{.01, .5, .9, .98} {
		var q queue
		q.run(5*time.Second, load*1e9/float64(serveCost))
		if q.shed > 0 {
			t.Errorf("at %.0f %% of what it can serve %d of %d are late", 100*load, q.shed, q.shed+q.admitted)
		}
	}
}

// As many as a loop is fast with may ask again as soon as they are answered: it is busy all the time, and nobody is late.
func TestAClosedLoopOfManyIsNotLate(t *testing.T) {
	t.Parallel()
	for clients, want := range map[int]bool{64: false, 512: false, 2000: false, 4000: true, 8000: true} {
		q := queue{waiting: clients}
		q.loop(3*time.Second, func(_ int64, answered int) int { return answered }, 1000)
		if got := q.shed > 0; got != want {
			t.Errorf("of %d clients %d are late, and %d not; waited %v", clients, q.shed, q.admitted, time.Duration(q.lag.most))
		}
		q.waiting, q.ahead = min(q.waiting, 600), min(q.ahead, 600) // the others leave
		again := func(_ int64, answered int) int { return answered }
		q.loop(time.Second, again, 1000)
		shed := q.shed
		if q.loop(time.Second, again, 1000); q.shed != shed {
			t.Errorf("%d are late when 600 of %d clients are left", q.shed-shed, clients)
		}
	}
}

func TestAPauseOfTheMachineMakesNothingLate(t *testing.T) {
	t.Parallel()
	var q queue
	q.run(time.Second, 5_000)
	for range 20 {
		q.now += int64(400 * time.Millisecond)
		q.waiting += 2_000
		q.lag.polled(poll{now: q.now, busy: int64(400 * time.Millisecond), events: eventBatch}, func() int64 { return q.worked })
		q.run(time.Second, 5_000)
	}
	if q.shed > 0 {
		t.Errorf("%d are late after pauses", q.shed)
	}
}

// A thread's time counts on while the hypervisor has its processor. A thousand clients that wait meanwhile are not too many.
func TestTimeThatTheHypervisorTakesMakesNothingLate(t *testing.T) {
	t.Parallel()
	const clients = 1000
	var q queue
	for range 20 {
		q.run(200*time.Millisecond, 5_000)
		for range 3 { // again while what has come meanwhile is served
			q.now += int64(150 * time.Millisecond)
			q.worked += int64(150 * time.Millisecond)
			q.waiting = clients
			q.lag.polled(poll{now: q.now, busy: int64(150 * time.Millisecond), events: eventBatch}, func() int64 { return q.worked })
			q.run(5*time.Millisecond, 5_000)
		}
	}
	if q.shed > 0 {
		t.Errorf("%d are late", q.shed)
	}
}

// The hypervisor takes a third of a second, or all of one, which the thread's time counts too, of a loop that is used to a third.
func TestWhatAPauseLeavesBehindIsServed(t *testing.T) {
	t.Parallel()
	for _, pause := range []int64{int64(time.Second / 3), int64(time.Second)} {
		var q queue
		third := 1e9 / float64(serveCost) / 3
		for range 5 {
			q.run(2*time.Second, third)
			q.pause(pause, third)
		}
		if q.run(2*time.Second, third); q.shed > 0 {
			t.Errorf("after %v %d are late", time.Duration(pause), q.shed)
		}
	}
}

// Pauses excuse nobody for whom more comes than he can serve, neither those of long ago nor those meanwhile.
func TestPausesDoNotHideAnOverload(t *testing.T) {
	t.Parallel()
	var q queue
	third, twice := 1e9/float64(serveCost)/3, 2e9/float64(serveCost)
	for range 5 {
		q.pause(int64(time.Second), third)
		q.run(2*time.Second, third)
	}
	if q.run(time.Second, twice); q.shed == 0 {
		t.Error("nothing is late after pauses of long ago")
	}
	q = queue{}
	for range 4 {
		q.run(200*time.Millisecond, twice)
		q.pause(2*stall, twice)
	}
	if q.run(200*time.Millisecond, twice); q.shed == 0 {
		t.Error("nothing is late between pauses")
	}
	q = queue{}
	for range 50 {
		q.pause(2*stall, twice)
	}
	if q.run(100*time.Millisecond, twice); q.shed == 0 {
		t.Error("nothing is late where every turn is a pause")
	}
}

func TestOverloadKeepsTheDelayAndEnds(t *testing.T) {
	t.Parallel()
	var q queue
	q.run(time.Second, 10_000)
	q.run(2*time.Second, 1.5e9/float64(serveCost)) // until the delay is known to stand, and what came meanwhile is served
	q.longest = 0
	admitted := q.admitted
	q.run(10*time.Second, 1.5e9/float64(serveCost))
	if q.shed == 0 || q.lag.waited > 4*lateAfter {
		t.Fatalf("%d are late, the delay is %v", q.shed, time.Duration(q.lag.waited))
	}
	if longest := time.Duration(q.longest); longest > 2*time.Duration(aim) {
		t.Errorf("one that was served had waited %v", longest)
	}
	// Refusing costs, so less than all that can be served is: of 1.5 offered, x served and the rest refused take all the time.
	share := float64(refuseCost) / float64(serveCost)
	want := (1 - 1.5*share) / (1 - share)
	if got := float64(q.admitted-admitted) * float64(serveCost) / float64(10*time.Second); got < .9*want {
		t.Errorf("%.0f %% of what can be served is, want %.0f", 100*got, 100*want)
	}
	q.run(2*time.Second, 10_000)
	shed := q.shed
	q.run(2*time.Second, 45_000)
	if q.lag.behind || q.shed != shed {
		t.Errorf("behind %v after the overload, %d more are late", q.lag.behind, q.shed-shed)
	}
}

// Few wait at a time, however long more comes than can be served: what asks for more is tried seldom.
func TestOverloadKeepsFewWaiting(t *testing.T) {
	t.Parallel()
	var q queue
	q.run(10*time.Second, 1.5e9/float64(serveCost))
	q.long, q.admitted = 0, 0
	if q.run(10*time.Second, 1.5e9/float64(serveCost)); q.long*20 > q.admitted {
		t.Errorf("%d of %d that were served had waited for more than %v", q.long, q.admitted, time.Duration(aim/4))
	}
}

// Clients that ask again as soon as they are answered make a queue that is not brief, and yet all of them can be served: the loop has
// to find that out, though it is never idle and refusing some makes the queue brief.
func TestAnOverloadEndsWhenAFewAreLeftWhoAskAllTheTime(t *testing.T) {
	t.Parallel()
	for _, clients := range []int{130, 200, 250, 400, 600, 900} {
		var q queue
		q.run(12*time.Second, 1.5e9/float64(serveCost))
		q.waiting, q.ahead = clients, min(q.ahead, clients)
		again := func(_ int64, answered int) int { return answered }
		q.loop(time.Duration(mostTrial+steady), again, 1000)
		shed := q.shed
		if q.loop(2*time.Second, again, 1000); q.lag.behind || q.shed != shed {
			t.Errorf("%d are late of %d clients; behind %v", q.shed-shed, clients, q.lag.behind)
		}
	}
}

// Bursts which are half of what the loop can serve, each longer than the delay that is kept, must not keep up the refusals that an
// overload before them began.
func TestBurstsDoNotKeepALoopBehind(t *testing.T) {
	t.Parallel()
	var q queue
	q.run(time.Second, 10_000)
	q.run(3*time.Second, 1.5e9/float64(serveCost))
	if !q.lag.behind {
		t.Fatal("the overload has left the loop on top of its work")
	}
	shed, passed := 0, int64(0)
	for range 3 {
		shed = q.shed
		q.loop(time.Second, func(d int64, _ int) (come int) {
			for passed += d; passed >= int64(80*time.Millisecond); passed -= int64(80 * time.Millisecond) {
				come += int(40 * time.Millisecond / time.Duration(serveCost))
			}
			return come
		}, int64(time.Millisecond))
	}
	if q.lag.behind || q.shed != shed {
		t.Errorf("behind %v in the third second, %d are late", q.lag.behind, q.shed-shed)
	}
}

// All clients open their connections at once, so that the loop is hopelessly late at first, and then half as much again comes as it
// serves. Refusing is dear, and yet the delay must not stay what it was.
func TestALoopThatIsHopelesslyLateGetsOverIt(t *testing.T) {
	t.Parallel()
	const clients, rate = 8000, 1.45e9 / float64(serveCost) / 2
	q := queue{waiting: clients, refuseCost: 6 * serveCost / 10, share: 50}
	rest := 0.
	come := func(passed int64, _ int) int {
		n := int(min(rest+float64(passed)*rate/1e9, clients-float64(q.waiting)))
		rest = min(rest+float64(passed)*rate/1e9-float64(n), 1)
		return n
	}
	q.loop(10*time.Second, come, 1000)
	q.longest = 0
	if q.loop(5*time.Second, come, 1000); time.Duration(q.longest) > 2*time.Duration(aim) {
		t.Errorf("one that was served had waited %v", time.Duration(q.longest))
	}
}

func TestAPollThatWaitedFindsNothingLate(t *testing.T) {
	t.Parallel()
	var g lag
	for i := range int64(10) {
		now := i * int64(200*time.Millisecond)
		g.polled(poll{now: now, busy: int64(60 * time.Millisecond), events: 1, slept: 1}, func() int64 { return now + 1 })
		if g.late() {
			t.Fatal("what has come just now is late, for the turn before took long")
		}
	}
}

// However much comes, and however little of the processor the loop has, some of it is served.
func TestRefusingNeverIsAll(t *testing.T) {
	t.Parallel()
	for _, share := range []int64{0, 90} {
		for _, times := range []float64{1.5, 3, 10} {
			q := queue{share: share}
			q.run(time.Second, 1_000)
			admitted := q.admitted
			q.run(time.Duration(tryAgain), times*1e7/float64(serveCost)*float64(100-share))
			if got := float64(q.admitted-admitted) * float64(serveCost) / float64(tryAgain) * 100 / float64(100-share); got < .4 || q.shed == 0 {
				t.Errorf("with %.1f of what can be served, and %d %% of the processor with others, %.0f %% of it is; %d are refused", times, share, 100*got, q.shed)
			}
		}
	}
}

// A machine that runs the loop now and then only makes nothing late, as long as the loop is done with it when it runs.
func TestWaitingForAProcessorIsNotLate(t *testing.T) {
	t.Parallel()
	var g lag
	for i := range int64(100) {
		g.polled(poll{now: i * int64(90*time.Millisecond), busy: int64(90 * time.Millisecond), events: eventBatch / 2}, func() int64 { return 1 + i*int64(4*time.Millisecond) })
		if g.late() {
			t.Fatalf("late at poll %d", i)
		}
	}
}
