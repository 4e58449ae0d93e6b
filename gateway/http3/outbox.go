// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"sync"
	"sync/atomic"

	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// ending is what comes behind the octets of a chunk.
type ending uint8

const (
	goesOn   ending = iota
	finishes        // there is no more, but of the request there may be
	ends            // the answer is whole
	resets          // it is broken off
)

// chunk is a piece of an answer.
type chunk struct {
	next *chunk
	b    []byte
	end  ending
	code wire.Code // of an end that is none of an answer
}

// Sizes of chunks, octets.
const (
	smallChunk = 4 << 10
	largeChunk = 80 << 10 // a whole read from a backend and what frames it
)

// chunks keeps free chunks. Safe for concurrent use.
type chunks struct{ small, large sync.Pool }

func newChunks() *chunks {
	return &chunks{
		small: sync.Pool{New: func() any { return &chunk{b: make([]byte, 0, smallChunk)} }},
		large: sync.Pool{New: func() any { return &chunk{b: make([]byte, 0, largeChunk)} }},
	}
}

// get returns an empty chunk with room for n octets, if n is not more than largeChunk.
func (p *chunks) get(n int) *chunk {
	if n <= smallChunk {
		return p.small.Get().(*chunk)
	}
	return p.large.Get().(*chunk)
}

func (p *chunks) put(c *chunk) {
	c.next, c.b, c.end, c.code = nil, c.b[:0], goesOn, wire.None
	switch cap(c.b) {
	case smallChunk:
		p.small.Put(c)
	case largeChunk:
		p.large.Put(c)
	}
}

// outbox is what a loop has written for a stream's goroutine. The loop never waits for it: one puts, one takes, and the
// wake-up is kept until it is looked for.
type outbox struct {
	head    atomic.Pointer[chunk]
	wake    chan struct{} // holds one
	waiting atomic.Int64  // octets put and not written yet
	stuck   atomic.Bool   // the loop wants to know when there are few again
}

// few is how many octets may wait before the backend is paused. What is read then is what 64 KiB have room for beside them.
const few = 8 << 10

func (o *outbox) put(c *chunk) {
	o.waiting.Add(int64(len(c.b)))
	for {
		old := o.head.Load()
		c.next = old
		if o.head.CompareAndSwap(old, c) {
			break
		}
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns what there is, the first put first.
func (o *outbox) take() *chunk {
	var ordered *chunk
	for c := o.head.Swap(nil); c != nil; {
		c.next, ordered, c = ordered, c, c.next
	}
	return ordered
}

// pending returns the octets that wait if they are not few; wrote will then say when they are.
func (o *outbox) pending() int {
	if n := o.waiting.Load(); n <= few {
		return 0
	}
	o.stuck.Store(true)
	if n := o.waiting.Load(); n > few || !o.stuck.CompareAndSwap(true, false) {
		return int(max(n, 1))
	}
	return 0 // written meanwhile, and nobody will say so
}

// wrote takes n octets off and reports whether the loop waits to hear that there are few now.
func (o *outbox) wrote(n int) bool {
	return o.waiting.Add(-int64(n)) <= few && o.stuck.CompareAndSwap(true, false)
}
