// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"time"

	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/prefetch"
)

// What comes from the backend.

const (
	// turnBytes and turnReads bound what one connection may read per turn of the loop.
	turnBytes = 64 << 10
	turnReads = 16
	// maxQueued is how much may wait for a backend that goes on sending: reading TLS makes output too. It is more than a
	// turn writes of a body, for a backend that takes none of it may have answered.
	maxQueued = 4 * turnBytes
)

// Answering reports that something of a response has been received.
func (c *Conn) Answering() bool { return c.answers }

// Cause is the rule that a failed answer broke, "" if it broke none.
func (c *Conn) Cause() string { return c.machine.Cause() }

// Readable reads the response. An idle connection has nothing to say: whatever it sends, it is closed.
func (c *Conn) Readable() {
	if c.parting { // the backend has said all; what counts is whether it takes the rest
		if c.stream.Lost() {
			c.discard()
		}
		return
	}
	if c.user == nil {
		_, st := c.wire.Read(c.loop.ReadBuffer())
		if st == loop.Again { // it had been resumed for the end of its last answer, or TLS spoke for itself
			return
		}
		if st == loop.Data {
			c.pool.cache.stats.Surplus++
		}
		c.discard()
		return
	}
	// Much has been done for others since the request; the kernel's part of the read is time enough.
	prefetch.All(c)
	c.user.UpstreamExpect()
	buf := c.loop.ReadBuffer()
	got := 0
	for range turnReads {
		if c.paused || c.secure != nil && c.stream.Pending() >= maxQueued {
			return
		}
		k := 0
		n, st, moved := c.move()
		if !moved {
			k = copy(buf, c.in)
			n, st = c.wire.Read(buf[k:min(len(buf), k+c.readSize())])
		}
		switch st {
		case loop.Again:
			return
		case loop.EOF:
			c.eof()
			return
		case loop.Failed:
			c.lost()
			return
		}
		c.answers = true
		c.giveBack(&c.kept)
		if c.headSeen { // before, a dripping head must not stretch the time for it
			c.since = c.loop.Now()
		}
		if moved {
			c.machine.Skip(int64(n))
			c.user.UpstreamMoved(n)
			got, n = got+n/loop.MovedPerRead, 0
		}
		got += n
		if !c.feed(buf[:k+n]) {
			return
		}
		if !c.wire.Ready() {
			return
		}
		if got >= turnBytes {
			break
		}
	}
	c.stream.Again()
}

// feed hands a batch to the user; it reports whether there is a user that wants more.
func (c *Conn) feed(b []byte) bool {
	h := &c.pool.cache.head
	for {
		n, ev, data := c.machine.Feed(b, h)
		b = b[n:]
		switch ev {
		case http1.More:
			c.retain(b)
			c.user.UpstreamFlush()
			return c.user != nil && !c.paused
		case http1.Interim:
			c.user.UpstreamInterim(h.Status)
		case http1.HeadDone:
			c.judge(h.Status)
			c.headSeen, c.tunnel, c.since = true, h.Status == 101, c.loop.Now()
			c.hint(h)
			if c.tunnel {
				c.leave() // for hours it is no request
			}
			c.user.UpstreamHead(h)
		case http1.Data:
			c.user.UpstreamData(data)
		case http1.End:
			if len(b) > 0 { // the machine says that it is not reusable
				c.pool.cache.stats.Surplus++
			}
			c.end()
			return false
		case http1.Failed:
			f := c.machine.Fault()
			if c.headSeen {
				c.user.UpstreamFlush()
				f = message.FaultIncomplete
			}
			c.fail(f)
			return false
		}
		if c.user == nil {
			return false
		}
	}
}

// end finishes the response.
func (c *Conn) end() {
	c.ended = true
	c.giveBack(&c.in)
	c.user.UpstreamEnd()
	if c.user != nil {
		c.user.UpstreamFlush()
	}
}

// retain keeps the bytes of an incomplete head (or chunk line) for the next read; the machine bounds them.
func (c *Conn) retain(b []byte) {
	if len(b) == 0 {
		c.giveBack(&c.in)
		return
	}
	if cap(c.in) < len(b) {
		c.giveBack(&c.in)
		c.in = c.loop.Buffer(len(b))
	}
	c.in = append(c.in[:0], b...)
}

// hint reads Keep-Alive: timeout=N, so that a connection is not used when the backend is about to close it.
func (c *Conn) hint(h *message.Head) {
	v := h.Get(message.KeepAlive)
	const name = "timeout="
	for i := 0; i+len(name) < len(v); i++ {
		if string(v[i:i+len(name)]) != name {
			continue
		}
		n := int64(0)
		for _, d := range v[i+len(name):] {
			if d < '0' || d > '9' || n > 1e6 {
				break
			}
			n = 10*n + int64(d-'0')
		}
		c.keep = min(c.keep, (n-1)*int64(time.Second))
		return
	}
}

func (c *Conn) eof() {
	switch {
	case c.ended && c.tunnel: // and said so before
	case c.ended:
		c.discard()
	case c.machine.EOF() == http1.End && (c.tunnel || c.secure == nil || !c.secure.tls.Cut()):
		c.end()
	default:
		c.lost()
	}
}

// Pause stops reading.
func (c *Conn) Pause() { c.paused = true }

// Paused reports that nothing is read.
func (c *Conn) Paused() bool { return c.paused }

// Resume goes on reading in the loop's next turn.
func (c *Conn) Resume() {
	if c.paused {
		c.paused = false
		c.since = c.loop.Now()
		c.stream.Again()
	}
}
