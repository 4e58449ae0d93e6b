// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const second = int64(time.Second)

func groupOf(n int, p Method) *Group {
	o := Options{Pick: p}
	for i := range n {
		o.Endpoints = append(o.Endpoints, Spec{URL: fmt.Sprint(i), Weight: i + 1})
	}
	return new(Book).Group("b", o)
}

func (g *Group) wants(t *testing.T, place int, want State) {
	t.Helper()
	if got, _ := g.At(place).State(); got != want {
		t.Errorf("endpoint %d is %v, want %v", place, got, want)
	}
}

// fail fails n requests in a row, each begun just now.
func (g *Group) fail(n, place int, f Failure, now int64) {
	for range n {
		g.Fail(place, f, now, now)
	}
}

// TestHowManyFailuresEject: as many in a row as the kind of failure needs, for one endpoint as for several; a good answer
// in between begins the count anew. A backend's own 5xx never closes its only endpoint.
func TestHowManyFailuresEject(t *testing.T) {
	for _, c := range []struct {
		f         Failure
		endpoints int
		n         int
		want      State
	}{
		{Unreachable, 1, 3, Ejected},
		{Unreachable, 4, 3, Ejected},
		{Silent, 1, 5, Ejected},
		{Silent, 4, 5, Ejected},
		{Broken, 4, 5, Outlier},
		{ServerError, 4, 5, Outlier},
		{Broken, 1, 50, InService},
		{ServerError, 1, 50, InService},
	} {
		g := groupOf(c.endpoints, LeastLoad)
		g.fail(c.n-1, 0, c.f, 0)
		g.wants(t, 0, InService)
		g.Succeed(0, 0, 0, 1)
		g.fail(c.n-1, 0, c.f, 0)
		g.wants(t, 0, InService)
		g.fail(1, 0, c.f, 0)
		if g.wants(t, 0, c.want); t.Failed() {
			t.Fatalf("%d times %v at one of %d", c.n, c.f, c.endpoints)
		}
	}
}

// TestAtMostHalfAreOutliers: and when less than half are left for other reasons too, all that answer are used again.
func TestAtMostHalfAreOutliers(t *testing.T) {
	g := groupOf(4, RoundRobin)
	for i := range 4 {
		g.fail(5, i, ServerError, 0)
	}
	for i, want := range []State{Outlier, Outlier, InService, InService} {
		g.wants(t, i, want)
	}
	used := func() (n [4]int) {
		for turn := range uint64(40) {
			n[g.Pick(Wish{Turn: turn, Now: 1})]++
		}
		return n
	}
	if n := used(); n[0]+n[1] > 0 {
		t.Errorf("outliers are used: %v", n)
	}
	g.fail(3, 2, Unreachable, 1)
	g.wants(t, 2, Ejected)
	if n := used(); n[0] == 0 || n[1] == 0 || n[2] > 0 || n[3] == 0 {
		t.Errorf("with one of four in service, used %v: want the outliers too, and not who cannot be reached", n)
	}
	if n := g.Serving(); n != 3 {
		t.Errorf("%d serve, want 3", n)
	}
}

// TestWhoCannotBeReachedIsTriedByOne: after a second, then two, four, five; by one request at a time; what was sent before
// the ejection says nothing.
func TestWhoCannotBeReachedIsTriedByOne(t *testing.T) {
	g := groupOf(1, LeastLoad)
	g.fail(3, 0, Unreachable, 0)
	now := int64(0)
	for _, wait := range []int64{1, 2, 4, 5, 5} {
		g.fail(10, 0, Unreachable, now-1)
		g.Succeed(0, now-1, now, 1)
		g.wants(t, 0, Ejected)
		if got := g.Pick(Wish{Now: now + wait*second - 1}); got != None {
			t.Fatalf("tried %d s after the failure at the latest, want after %d", wait, wait)
		}
		if _, next := g.Down(); next != now+wait*second {
			t.Fatalf("says that it is tried in %v, want %v s", time.Duration(next-now), wait)
		}
		now += wait * second
		if got := g.Pick(Wish{Now: now}); got != 0 {
			t.Fatalf("not tried after %d s", wait)
		}
		for range 10 {
			if g.Pick(Wish{Now: now + trial - 1}) != None {
				t.Fatal("tried by two at once")
			}
		}
		g.Fail(0, Unreachable, now, now)
	}
	if since, _ := g.Down(); since != 0 {
		t.Errorf("down since %d, want since the first ejection", since)
	}
	now += 5 * second
	if g.Pick(Wish{Now: now}) != 0 || g.Pick(Wish{Now: now + trial}) != 0 {
		t.Error("a trial of which nothing comes keeps others away for longer than a second")
	}
}

// TestReturnIsSlow: one who is back gets two at once, and one more for each good answer; a failure to reach it ends that
// at once.
func TestReturnIsSlow(t *testing.T) {
	g := groupOf(1, LeastLoad)
	g.fail(3, 0, Unreachable, 0)
	now := second
	e := g.At(0)
	inside := 0
	come := func() {
		for g.Pick(Wish{Now: now}) == 0 && inside < 1000 {
			g.Enter(0, now)
			inside++
		}
	}
	answer := func() {
		for n := inside; n > 0; n-- {
			e.Leave()
			inside--
			g.Succeed(0, now, now, 1)
		}
	}
	var most []int
	for len(most) < 7 {
		come()
		most = append(most, inside)
		answer()
	}
	if got := fmt.Sprint(most); got != "[1 2 4 8 16 32 1000]" {
		t.Errorf("at once, round by round: %s", got)
	}
	g.wants(t, 0, InService)

	g.fail(3, 0, Unreachable, now)
	now += 2 * second
	g.Pick(Wish{Now: now})
	g.Succeed(0, now, now, 1)
	g.wants(t, 0, Returning)
	g.Fail(0, Unreachable, now, now)
	g.wants(t, 0, Ejected)

	now += 4 * second
	g.Pick(Wish{Now: now})
	g.Succeed(0, now, now, 1)
	now += returnMost
	come()
	if inside != 1000 {
		t.Errorf("%d at once after the slow start's time, want all", inside)
	}
}

// TestWhoAnswersBadlyIsReached: an only endpoint that cannot be reached and then answers 503 passes its answers on.
func TestWhoAnswersBadlyIsReached(t *testing.T) {
	g := groupOf(1, LeastLoad)
	g.fail(3, 0, Unreachable, 0)
	g.Fail(0, ServerError, second, second)
	g.wants(t, 0, Returning)
}

// TestUnsafeRequestsLeaveTrialsToOthers: for a while, as long as somebody else is in service.
func TestUnsafeRequestsLeaveTrialsToOthers(t *testing.T) {
	for _, p := range []Method{LeastLoad, RoundRobin, Weighted} {
		g := groupOf(2, p)
		g.fail(3, 0, Unreachable, 0)
		for turn := range uint64(50) {
			if g.Pick(Wish{Now: 2 * second, Turn: turn}) != 1 {
				t.Fatalf("method %d: an unsafe request is the trial", p)
			}
		}
		tried := 0
		for turn := range uint64(50) {
			tried += 1 - g.Pick(Wish{Now: 2 * second, Turn: turn, Safe: true})
		}
		if tried != 1 {
			t.Errorf("method %d: %d trials, want 1", p, tried)
		}
		tried = 0
		for turn := range uint64(50) {
			tried += 1 - g.Pick(Wish{Now: 20 * second, Turn: turn})
		}
		if tried != 1 {
			t.Errorf("method %d: %d trials where nobody sends anything safe, want 1", p, tried)
		}
	}
}

// TestChecks: who is unhealthy is out for everybody, whatever requests say, and returns slowly; an answer to a check ends
// an ejection.
func TestChecks(t *testing.T) {
	g := groupOf(1, LeastLoad)
	g.Checked(0, false, false, 1)
	g.wants(t, 0, Unhealthy)
	g.Succeed(0, 2, 2, 1)
	g.fail(10, 0, Unreachable, 2)
	g.wants(t, 0, Unhealthy)
	if g.Pick(Wish{Now: 100 * second}) != None {
		t.Error("used although it is unhealthy")
	}
	g.Checked(0, true, false, 3)
	g.wants(t, 0, Returning)
	g.fail(1, 0, Unreachable, 4)
	g.wants(t, 0, Ejected)
	g.Checked(0, true, false, 5) // it takes connections, but that says little of answers
	g.wants(t, 0, Ejected)
	g.Checked(0, true, true, 6)
	g.wants(t, 0, Returning)
}

// TestLeastLoad: the slow and the stuck get little, and are not forgotten.
func TestLeastLoad(t *testing.T) {
	share := func(g *Group, from, until int64, stuck int) (n [2]int) {
		turn := uint64(0)
		for now := from; now < until; now += second / 1000 {
			turn++
			at := g.Pick(Wish{Now: now, Turn: turn, Safe: true})
			n[at]++
			g.Enter(at, now)
			if at != stuck {
				g.Succeed(at, now, now, []int64{second / 1000, second / 100}[at])
				g.At(at).Leave()
			}
		}
		return n
	}
	o := Options{Endpoints: []Spec{{URL: "fast"}, {URL: "slow"}}}
	if n := share(new(Book).Group("b", o), 0, 30*second, None); n[1] > n[0]/20 || n[1] < 2 {
		t.Errorf("shares of one that needs 1 ms and one that needs 10: %v", n)
	}
	g := new(Book).Group("b", o)
	share(g, 0, second, None)
	if n := share(g, second, 3*second, 0); n[0] > 20 {
		t.Errorf("%d requests are stuck where nobody answers any more", n[0])
	}
}

func TestWeights(t *testing.T) {
	g := groupOf(3, Weighted) // 1, 2, 3
	var n [3]int
	for turn := range uint64(6000) {
		n[g.Pick(Wish{Turn: turn})]++
	}
	for i, want := range []int{1000, 2000, 3000} {
		if n[i] < want-150 || n[i] > want+150 {
			t.Errorf("shares %v, want about 1000, 2000, 3000", n)
			break
		}
	}
}

// TestStay: a client stays where it was as long as that is in service, however busy others are.
func TestStay(t *testing.T) {
	g := groupOf(3, LeastLoad)
	for turn := range uint64(50) {
		if got := g.Pick(Wish{Turn: turn, Stay: 2}); got != 1 {
			t.Fatalf("went to %d", got)
		}
	}
	g.fail(3, 1, Unreachable, 0)
	if got := g.Pick(Wish{Now: 1, Stay: 2}); got == 1 {
		t.Error("stays at an endpoint that is out")
	}
	if got := g.Pick(Wish{Now: 1, Stay: 9}); got < 0 {
		t.Error("a place that is none leads nowhere")
	}
}

// TestEventsAreTold: one for each change of state, and nobody waits for who listens.
func TestEventsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(Book)
		g := k.Group("b", specs("http://a"))
		var got []string
		wait := make(chan struct{})
		stop := k.Watch(func(e Event) {
			<-wait
			got = append(got, fmt.Sprintf("%s %s→%s %s %d/%d", e.Endpoint.URL(), e.From, e.To, e.Why, e.Serving, e.Of))
		})
		g.fail(20, 0, Unreachable, 0)
		g.Succeed(0, second, second, 1)
		for range lastWindow {
			g.Succeed(0, second, second, 1)
		}
		close(wait)
		synctest.Wait()
		if want := "[http://a in_service→ejected unreachable 0/1 http://a ejected→returning  1/1 http://a returning→in_service  1/1]"; fmt.Sprint(got) != want {
			t.Errorf("got  %v\nwant %s", got, want)
		}
		wait = make(chan struct{})
		for i := range maxEvents * 2 {
			g.Checked(0, i%2 == 1, false, second)
		}
		close(wait)
		stop()
		if k.Lost() == 0 {
			t.Error("more events than there is room for, and none was lost")
		}
		if n := len(got) - 3 + int(k.Lost()); n != maxEvents*2 {
			t.Errorf("%d events were told or lost when nobody watches any more, want %d", n, maxEvents*2)
		}
	})
}

// TestNothingIsAllocated on the way of requests, good and bad.
func TestNothingIsAllocated(t *testing.T) {
	for n := 1; n < 4; n++ {
		g := groupOf(n, LeastLoad)
		turn := uint64(0)
		if a := testing.AllocsPerRun(100, func() {
			turn++
			at := g.Pick(Wish{Turn: turn, Now: 1})
			g.Enter(at, 1)
			g.Succeed(at, 1, 1, 1)
			g.Fail(at, ServerError, 1, 1)
			g.At(at).Leave()
		}); a != 0 {
			t.Errorf("%d endpoints: %v allocations", n, a)
		}
	}
}

// BenchmarkPick is what choosing and counting costs a request.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := groupOf(n, LeastLoad)
			for turn := uint64(0); b.Loop(); turn++ {
				at := g.Pick(Wish{Turn: turn, Now: 1})
				g.Enter(at, 1)
				g.Succeed(at, 1, 1, 1)
				g.At(at).Leave()
			}
		})
	}
}
