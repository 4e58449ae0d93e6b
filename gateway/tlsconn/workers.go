// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Workers are the slots in which handshakes compute: a fixed number of goroutines, shared by all loops. A handshake
// that waits for its client holds none; it is a coroutine that stands still, and any worker goes on with it.
type Workers struct {
	panic func(any, []byte)
	wake  chan struct{}
	done  chan struct{}
	ended sync.WaitGroup

	ending sync.Once

	posted atomic.Pointer[Conn] // a stack: posting never waits for a worker

	// mu guards what only workers touch, and Close.
	mu     sync.Mutex
	begun  queue // have answered their client once and hold memory: they go first
	fresh  queue
	live   map[*Conn]struct{} // coroutines that have not ended
	closed bool
}

// NewWorkers starts n workers; with 0 there are none, and Work does it. panics are told to panic, and end the process
// if it is nil.
func NewWorkers(n int, panic func(value any, stack []byte)) *Workers {
	w := &Workers{panic: panic, wake: make(chan struct{}, max(n, 1)), done: make(chan struct{}), live: map[*Conn]struct{}{}}
	for range n {
		w.ended.Go(w.run)
	}
	return w
}

// Close ends the workers and every handshake that has begun. Handshakes that are handed over later are never done: the
// loops must have stopped. A second call does nothing.
func (w *Workers) Close() {
	w.ending.Do(func() { close(w.done) })
	w.ended.Wait()
	w.mu.Lock()
	left := w.live
	w.live, w.closed = nil, true
	w.mu.Unlock()
	for c := range left {
		c.stop()
	}
}

// Work does one piece of work and reports false if there was none. For tests that have no workers.
func (w *Workers) Work() bool {
	c := w.take()
	if c == nil {
		return false
	}
	w.serve(c)
	return true
}

func (w *Workers) run() {
	for {
		select {
		case <-w.done:
			return
		default:
		}
		if w.Work() {
			runtime.Gosched() // whoever else shares the cores
			continue
		}
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
	}
}

// put hands a connection to the workers. It never waits.
func (w *Workers) put(c *Conn) {
	for {
		old := w.posted.Load()
		c.job = old
		if w.posted.CompareAndSwap(old, c) {
			break
		}
	}
	select {
	case w.wake <- struct{}{}:
	default: // as many are awake, or will be, as there are
	}
}

// take returns the next connection to work at.
func (w *Workers) take() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ordered *Conn
	for c := w.posted.Swap(nil); c != nil; {
		next := c.job
		c.job, ordered, c = ordered, c, next
	}
	for c := ordered; c != nil; {
		next := c.job
		if c.next != nil {
			w.begun.push(c)
		} else {
			w.fresh.push(c)
		}
		c = next
	}
	if c := w.begun.pop(); c != nil {
		return c
	}
	return w.fresh.pop()
}

// serve goes on with a handshake until it waits for its client or is over, and gives it back to its loop.
func (w *Workers) serve(c *Conn) {
	defer w.rescue(c)
	if c.abandoned {
		if c.stop != nil {
			c.stop()
			w.track(c, false)
		}
		return
	}
	if c.next == nil {
		c.begin()
		w.track(c, true)
	}
	if _, more := c.next(); !more {
		c.over = true
		w.track(c, false)
	}
	c.stream.Loop().Post(c.back)
}

// rescue survives a panic in a handshake: it has failed, and everybody else goes on.
func (w *Workers) rescue(c *Conn) {
	if w.panic == nil {
		return
	}
	if value := recover(); value != nil {
		w.panic(value, debug.Stack())
		w.track(c, false)
		c.over, c.err = true, errPanic
		c.stream.Loop().Post(c.back)
	}
}

func (w *Workers) track(c *Conn, alive bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if alive && !w.closed {
		w.live[c] = struct{}{}
	} else {
		delete(w.live, c)
	}
}

// queue is a list in the order of arrival.
type queue struct{ first, last *Conn }

func (q *queue) push(c *Conn) {
	c.job = nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.job = c
	}
	q.last = c
}

func (q *queue) pop() *Conn {
	c := q.first
	if c == nil {
		return nil
	}
	if q.first = c.job; q.first == nil {
		q.last = nil
	}
	c.job = nil
	return c
}
