// SPDX-License-Identifier: EUPL-1.2

package loop

import "sync/atomic"

// mailbox is a many-writer, one-reader stack of messages: posting never waits for the loop and the loop never waits
// for a poster, which a mutex could not promise.
type mailbox struct {
	head atomic.Pointer[message]
}

type message struct {
	run  func()
	next *message
}

// put reports whether the box was empty, so that only one poster wakes the loop.
func (m *mailbox) put(run func()) bool {
	msg := &message{run: run}
	for {
		old := m.head.Load()
		msg.next = old
		if m.head.CompareAndSwap(old, msg) {
			return old == nil
		}
	}
}

// empty reports whether there is nothing to take.
func (m *mailbox) empty() bool { return m.head.Load() == nil }

// take empties the box and returns the messages in the order of posting.
func (m *mailbox) take() *message {
	if m.empty() {
		return nil
	}
	var ordered *message
	for msg := m.head.Swap(nil); msg != nil; {
		next := msg.next
		msg.next = ordered
		ordered, msg = msg, next
	}
	return ordered
}

// few is how many queued messages a turn runs at least, and how many timers that are due it fires.
const few = 4

// portion is how many of each a turn with n events takes: what waits for a socket waits for a few of them, and a crowd gets a quarter
// of a loop that has no end of events.
func portion(n int) int { return max(few, n/2) }

// crowd is messages of which a thousand may come at once and of which a turn runs only a few.
type crowd struct {
	mailbox mailbox
	letters *message // taken from the mailbox, not yet run
	left    int      // that this turn still may run
}

// next takes a message whose turn it is, or returns nil.
func (c *crowd) next() *message {
	if c.left == 0 {
		return nil
	}
	if c.letters == nil {
		c.letters = c.mailbox.take()
	}
	m := c.letters
	if m != nil {
		c.letters = m.next
		c.left--
	}
	return m
}

func (c *crowd) empty() bool { return c.letters == nil && c.mailbox.empty() }
