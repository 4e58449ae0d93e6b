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
