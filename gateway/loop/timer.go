// SPDX-License-Identifier: EUPL-1.2

package loop

import "math/bits"

// Ticks are 2^22 ns ≈ 4.2 ms and the wheel has 4096 of them ≈ 17 s; a later deadline waits in the farthest slot and
// is looked at again there. No timeout of the data plane needs to be finer.
const (
	tickShift  = 22
	wheelSlots = 4096
	words      = wheelSlots / 64
	firing     = -1
)

const _ = uint(64 - words) // so many bits has wheel.some

// Expirer is told that its timer has run out.
type Expirer interface {
	Expire(now int64)
}

// Timer is one deadline on a loop's wheel; the zero value is unarmed. It is lazy: moving a deadline later only stores
// the number, so a busy connection that pushes its deadline at every event pays one store, and the wheel finds out
// when the old slot comes round. Owned by the loop's thread.
type Timer struct {
	deadline   int64
	owner      Expirer
	stream     *Stream // whose timer it is, nil for others
	next, prev *Timer
	slot       int32 // 1 + index while linked, firing while its tick is fired, else 0
}

// Deadline returns the armed deadline in the loop's monotonic nanoseconds, 0 if unarmed.
func (t *Timer) Deadline() int64 { return t.deadline }

// wheel holds the armed timers by the tick of their deadline.
type wheel struct {
	slots [wheelSlots]*Timer
	used  [words]uint64 // bit per slot: holds a timer
	some  uint64        // bit per word of used: is not 0
	tick  int64         // next tick to look at
	armed int
	// firing is the list of the tick being fired; its timers carry the slot number firing.
	firing *Timer
	left   int // how many more may be fired in this turn
	// serving is the stream whose timer is being fired.
	serving *Stream
}

func (w *wheel) set(t *Timer, owner Expirer, deadline, now int64) {
	t.owner, t.deadline = owner, deadline
	if t.slot > 0 {
		// Linked at or before the new deadline: the slot will come round in time.
		if at := w.tickOf(t.slot); at<<tickShift <= deadline {
			return
		}
	}
	if t.slot != 0 {
		w.unlink(t)
	}
	w.link(t, now)
}

// tickOf returns the tick at which a slot comes round next.
func (w *wheel) tickOf(slot int32) int64 {
	d := (int64(slot-1) - w.tick) & (wheelSlots - 1)
	return w.tick + d
}

func (w *wheel) link(t *Timer, now int64) {
	if w.armed == 0 {
		w.tick = max(w.tick, now>>tickShift)
	}
	at := min(max(t.deadline>>tickShift+1, w.tick), w.tick+wheelSlots-1)
	i := at & (wheelSlots - 1)
	t.slot = int32(i) + 1
	t.prev, t.next = nil, w.slots[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.slots[i] = t
	w.used[i/64] |= 1 << (i % 64)
	w.some |= 1 << (i / 64)
	w.armed++
}

func (w *wheel) unlink(t *Timer) {
	head := &w.firing
	if t.slot != firing {
		head = &w.slots[t.slot-1]
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.slot != firing && *head == nil {
		w.empty(int64(t.slot - 1))
	}
	t.next, t.prev, t.slot = nil, nil, 0
	w.armed--
}

// empty notes that a slot holds nothing any more.
func (w *wheel) empty(i int64) {
	if w.used[i/64] &^= 1 << (i % 64); w.used[i/64] == 0 {
		w.some &^= 1 << (i / 64)
	}
}

func (w *wheel) stop(t *Timer) {
	t.deadline = 0
	if t.slot != 0 {
		w.unlink(t)
	}
}

// advance fires what is due at now, as many as may be fired: what is left over goes first the next time. A callback may set or stop
// any timer, those of the same tick included.
func (w *wheel) advance(now int64) {
	last := now >> tickShift
	if last < w.tick && w.firing == nil { // most turns: this tick has been looked at
		return
	}
	w.fire(now) // what was left over
	for w.armed > 0 && w.firing == nil {
		next := w.nextTick()
		if next > last {
			break
		}
		i := next & (wheelSlots - 1)
		w.tick = next + 1
		w.firing, w.slots[i] = w.slots[i], nil
		w.empty(i)
		for t := w.firing; t != nil; t = t.next {
			t.slot = firing
		}
		w.fire(now)
	}
	if w.firing == nil {
		w.tick = max(w.tick, last+1)
	}
}

// fire tells the timers of one tick that are due, and links the others anew.
func (w *wheel) fire(now int64) {
	for t := w.firing; t != nil && w.left > 0; t = w.firing {
		w.unlink(t)
		switch {
		case t.deadline > now:
			w.link(t, now)
		case t.deadline != 0:
			t.deadline = 0
			w.left--
			w.serving = t.stream
			t.owner.Expire(now)
		}
	}
	w.serving = nil
}

// nextTick returns the first tick from the present one whose slot holds a timer; one must.
func (w *wheel) nextTick() int64 {
	start := w.tick & (wheelSlots - 1)
	word, bit := start/64, start%64
	if m := w.used[word] >> bit; m != 0 {
		return w.tick + int64(bits.TrailingZeros64(m))
	}
	k := 1 + int64(bits.TrailingZeros64(bits.RotateLeft64(w.some, -int(word+1)))) // words on
	return w.tick + 64*k - bit + int64(bits.TrailingZeros64(w.used[(word+k)%words]))
}

// wait returns the nanoseconds until the next timer may be due, 0 if one is, negative if none is armed.
func (w *wheel) wait(now int64) int64 {
	switch {
	case w.armed == 0:
		return -1
	case w.firing != nil:
		return 0
	}
	return max(w.nextTick()<<tickShift-now, 0)
}
