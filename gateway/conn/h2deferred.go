// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"slices"

	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/message"
)

// turnWasteful bounds how many requests of who wastes our time are begun per turn [for four clients that reset what they ask,
// 128 connections to backends in a turn were 10 ms].
const turnWasteful = 2

// putOff defers a request of a client that has just wasted our time, until what has come behind it has been read: most often it
// is reset by that (CVE-2023-44487, CVE-2025-8671), and then no backend hears of it.
func (s *h2stream) putOff(head *message.Head) {
	own := head.Clone()
	s.head = &own
	s.conn.deferred = append(s.conn.deferred, s)
}

// beginDeferred begins a few of the requests that were put off; Fill asks for another turn for the rest.
func (c *H2) beginDeferred() {
	for range turnWasteful {
		if len(c.deferred) == 0 || c.closing || !c.wants() {
			return
		}
		c.deferred[0].beginLate()
		c.flushRequest()
	}
}

// beginLate begins a request that was put off.
func (s *h2stream) beginLate() {
	c, id, head, ended := s.conn, s.id, s.head, s.bodyDone
	s.unput()
	if s.start(head); ended && c.streams[id] == s {
		s.event(http2.End, nil)
	}
}

// unput takes the stream out of those that are put off.
func (s *h2stream) unput() {
	c := s.conn
	s.head = nil
	at := slices.Index(c.deferred, s)
	c.deferred = slices.Delete(c.deferred, at, at+1)
}

// early takes what comes behind the head of a request that was put off. It reports whether that is all.
func (s *h2stream) early(ev http2.Event) bool {
	c, id := s.conn, s.id
	switch ev {
	case http2.End:
		s.bodyDone = true
		return true
	case http2.Data:
		s.beginLate()
		return c.streams[id] != s // answered
	case http2.Broken:
		method := s.head.Method
		s.unput()
		s.refuse(method)
		return true
	}
	return false // a reset needs no more than any other
}
