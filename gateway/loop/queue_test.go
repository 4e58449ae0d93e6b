// SPDX-License-Identifier: EUPL-1.2

package loop_test

import (
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// A crowd of messages holds up what a client sends by a few of them; none is lost, and their order is kept.
func TestACrowdOfMessagesLetsEventsThrough(t *testing.T) {
	t.Parallel()
	const crowd = 1000
	var ran []int
	at := -1
	_, l, end, _ := desk(t, func(c *scribe) {
		var b [16]byte
		if _, st := c.stream.Read(b[:]); st == loop.Data {
			at = len(ran)
		}
	})
	for i := range crowd {
		l.Queue(func() { ran = append(ran, i) })
	}
	l.Turn()
	end.Write([]byte("now"))
	first := len(ran)
	l.Turn()
	if first == 0 || first > 8 || at < 0 || at > 2*first {
		t.Errorf("a turn ran %d of the crowd, and an event that came then was served after %d", first, at)
	}
	for range crowd {
		l.Turn()
	}
	for i, n := range ran {
		if i != n {
			t.Fatalf("message %d came as the %dth", n, i)
		}
	}
	if len(ran) != crowd {
		t.Errorf("%d of %d ran", len(ran), crowd)
	}
}

// A crowd has its share of a loop that never ends to have events, and one whose message is broken loses that one only.
func TestACrowdIsNotStarved(t *testing.T) {
	t.Parallel()
	net, _, _, _ := desk(t, nil)
	broken := 0
	l := loop.New(loop.Options{Kernel: net.Kernel(), Panic: func(any, []byte) { broken++ }})
	ran, turns := 0, 0
	for i := range 100 {
		l.Queue(func() {
			if ran++; i == 10 {
				panic("broken")
			}
		})
	}
	for ; ran < 100 && turns < 50; turns++ {
		l.Post(func() {})
		l.Turn()
	}
	if ran != 100 || broken != 1 {
		t.Errorf("%d of 100 ran in %d turns, %d broke", ran, turns, broken)
	}
	l.Queue(func() {
		ran++
		l.Queue(func() { ran++ }) // comes while the crowd is served
	})
	l.Turn()
	l.Turn()
	if ran != 102 {
		t.Errorf("%d ran, want 102", ran)
	}
}

type alarm struct {
	loop.Timer
	rang *int
}

func (a *alarm) Expire(int64) { *a.rang++ }

// Timers that run out together hold up what a client sends by a few of them; the loop does not sleep before all have been told.
func TestACrowdOfTimersLetsEventsThrough(t *testing.T) {
	t.Parallel()
	const crowd = 1000
	rang, at := 0, -1
	net := simsys.New(1, simsys.Faults{})
	k := net.Kernel()
	l, ends, _ := room(t, net, loop.Options{Kernel: k}, 1, func(c *scribe) {
		var b [16]byte
		if _, st := c.stream.Read(b[:]); st == loop.Data {
			at = rang
		}
	})
	alarms := make([]alarm, crowd)
	for i := range alarms {
		alarms[i].rang = &rang
		l.SetTimer(&alarms[i].Timer, &alarms[i], l.Now()+int64(time.Second)+int64(i)*int64(time.Millisecond))
	}
	net.Advance(time.Minute)
	l.Turn()
	ends[0].Write([]byte("now"))
	first := rang
	l.Turn()
	if first == 0 || first > 8 || at < 0 || at > 2*first {
		t.Errorf("a turn told %d of the crowd, and an event that came then was served after %d", first, at)
	}
	for turns := 0; rang < crowd; turns++ {
		l.Turn()
		if k.Sleep() != 0 || turns == crowd {
			t.Fatalf("%d of %d were told when the loop slept for %v", rang, crowd, k.Sleep())
		}
	}
	if l.Turn(); k.Sleep() == 0 {
		t.Error("it does not sleep when all have been told")
	}
}
