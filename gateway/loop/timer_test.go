// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"testing"

	"pgregory.net/rapid"
)

// modelTimer is a timer with its expected deadline; fired timers may do something to others.
type modelTimer struct {
	t        *rapid.T
	timer    Timer
	deadline int64 // 0: unarmed
	firedAt  int64
	then     func(now int64)
}

func (m *modelTimer) Expire(now int64) {
	switch {
	case m.deadline == 0:
		m.t.Fatalf("fired at %d although unarmed", now)
	case m.deadline > now:
		m.t.Fatalf("fired at %d, due at %d", now, m.deadline)
	}
	m.deadline, m.firedAt = 0, now
	if f := m.then; f != nil {
		m.then = nil
		f(now)
	}
}

// TestWheelAgainstModel: no timer fires early, unarmed or twice, none more of them at a time than may, and none is more than a tick
// late but for that.
func TestWheelAgainstModel(t *testing.T) {
	t.Parallel()
	const tick = 1 << tickShift
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		now := rapid.Int64Range(1, 1<<40).Draw(t, "start")
		timers := make([]*modelTimer, 8)
		for i := range timers {
			timers[i] = &modelTimer{t: t}
		}
		span := rapid.OneOf(rapid.Int64Range(0, 3*tick), rapid.Int64Range(0, 100*tick), rapid.Int64Range(0, 3*wheelSlots*tick))
		set := func(m *modelTimer, after, now int64) {
			m.deadline = now + after
			w.set(&m.timer, m, m.deadline, now)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m := timers[rapid.IntRange(0, len(timers)-1).Draw(t, "timer")]
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				set(m, span.Draw(t, "after"), now)
			case 2:
				m.deadline = 0
				w.stop(&m.timer)
			case 3: // when it fires, it stops one and sets another
				o, p, after := timers[rapid.IntRange(0, 7).Draw(t, "o")], timers[rapid.IntRange(0, 7).Draw(t, "p")], span.Draw(t, "after")
				m.then = func(now int64) {
					o.deadline = 0
					w.stop(&o.timer)
					set(p, after, now)
				}
			case 4:
				step := span.Draw(t, "step")
				if wait := w.wait(now); wait >= 0 && rapid.Bool().Draw(t, "asTold") {
					step = min(step, wait)
				}
				now += step
				w.left = rapid.IntRange(1, len(timers)).Draw(t, "left")
				w.advance(now)
				if w.left < 0 {
					t.Fatalf("%d more fired than may", -w.left)
				}
			}
			armed := 0
			for i, m := range timers {
				if m.timer.Deadline() != m.deadline {
					t.Fatalf("timer %d says %d, want %d", i, m.timer.Deadline(), m.deadline)
				}
				if m.deadline != 0 {
					armed++
				}
			}
			if w.armed != armed {
				t.Fatalf("%d armed, want %d", w.armed, armed)
			}
			if wait := w.wait(now); (wait < 0) != (armed == 0) {
				t.Fatalf("wait %d with %d armed", wait, armed)
			}
		}
		finish(t, &w, timers, now)
	})
}

// finish sleeps as long as the wheel tells; what is left fires within a tick, one at a time.
func finish(t *rapid.T, w *wheel, timers []*modelTimer, now int64) {
	for w.armed > 0 {
		wait := w.wait(now)
		for i, m := range timers {
			if wait > 0 && m.deadline != 0 && m.deadline+1<<tickShift < now {
				t.Fatalf("timer %d is due since %d and it is %d", i, m.deadline, now)
			}
		}
		now += wait
		w.left = 1
		w.advance(now)
	}
}

type clumsyTimer struct {
	timer Timer
	fired bool
	panic bool
}

func (c *clumsyTimer) Expire(int64) {
	c.fired = true
	if c.panic {
		panic("clumsy")
	}
}

func TestPanicInATimerLosesNoOther(t *testing.T) {
	t.Parallel()
	var w wheel
	timers := make([]clumsyTimer, 5)
	timers[2].panic = true
	for i := range timers {
		w.set(&timers[i].timer, &timers[i], 1, 0)
	}
	for range 2 {
		func() {
			defer func() { _ = recover() }()
			w.left = len(timers)
			w.advance(1 << 30)
		}()
	}
	for i := range timers {
		if !timers[i].fired {
			t.Errorf("timer %d was lost", i)
		}
	}
	if w.armed != 0 {
		t.Errorf("%d are left", w.armed)
	}
}
