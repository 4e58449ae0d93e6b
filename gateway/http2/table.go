// SPDX-License-Identifier: EUPL-1.2

package http2

import "math/bits"

// stream is what the machine knows of one stream until it is Done.
type stream struct {
	window int64 // octets that the client takes of the answer; below zero after its SETTINGS have lowered all windows
	left   int64 // octets that Content-Length announced and that did not come yet, -1 = it said nothing
	body   int64 // octets of the body that came
	room   int   // octets that the client may still send
	held   int   // octets given out as Data and not yet Consumed
	owed   int   // octets that it may send again, and has not been told of
	head   int   // size of the request's head
	closed ending
	deaf   bool // what comes of the request is dropped
	inEnd  bool // the request has ended
	outEnd bool // the answer has

	connect bool // an extended CONNECT: what comes is no body
}

// ending says how a stream came to its end, if it did.
type ending uint8

const (
	notEnded ending = iota
	theyReset
	weReset
	bothEnded
)

// table holds the streams by place. It grows with their number and is dropped when the last of many has gone.
type table struct {
	ids   []uint32 // 0 = free
	all   []stream
	taken [MaxStreams / 64]uint64
	live  int
	heads int // size of all heads
}

// find returns the place of a stream, NoStream if it has none.
func (t *table) find(id uint32) Stream {
	for i, x := range t.ids {
		if x == id {
			return Stream(i)
		}
	}
	return NoStream
}

// take gives a place to a stream; there must be one.
func (t *table) take(id uint32) Stream {
	i := 0
	for w, x := range t.taken {
		if ^x != 0 {
			i = w*64 + bits.TrailingZeros64(^x)
			break
		}
	}
	if i == len(t.ids) {
		t.ids, t.all = append(t.ids, 0), append(t.all, stream{})
	}
	t.taken[i/64] |= 1 << (i % 64)
	t.ids[i] = id
	t.live++
	return Stream(i)
}

// keepPlaces is how many places an idle connection keeps.
const keepPlaces = 32

func (t *table) release(st Stream) {
	t.taken[st/64] &^= 1 << (st % 64)
	t.heads -= t.all[st].head
	t.ids[st], t.all[st] = 0, stream{}
	if t.live--; t.live == 0 && len(t.ids) > keepPlaces {
		t.ids, t.all = nil, nil
	}
}

// pastStreams is of how many streams it is known how they ended: those with the highest identifiers.
const pastStreams = 1024

// advance notes that the client has opened a stream, and so closed those below that it has not (RFC 9113, section 5.1.1).
func (s *Server) advance(id uint32) {
	for x := max(s.last+2, id-min(id, 2*pastStreams)+2) | 1; x <= id; x += 2 {
		s.mark(x, notEnded)
	}
	s.last = id
}

func (s *Server) mark(id uint32, how ending) {
	at := id / 2 % pastStreams
	b := &s.past[at/4]
	*b = *b&^(3<<(at%4*2)) | byte(how)<<(at%4*2)
}

// recent reports a stream of which it is known how it ended, if it was opened.
func (s *Server) recent(id uint32) bool {
	return id&1 == 1 && id <= s.last && s.last-id < 2*pastStreams
}

// remember notes how a stream ended, for frames that were on their way, or are none (RFC 9113, section 5.1).
func (s *Server) remember(id uint32, how ending) {
	if s.recent(id) {
		s.mark(id, how)
	}
}

// ended returns how a stream ended that has no place any more; notEnded is longer ago, or never was.
func (s *Server) ended(id uint32) ending {
	if !s.recent(id) {
		return notEnded
	}
	at := id / 2 % pastStreams
	return ending(s.past[at/4] >> (at % 4 * 2) & 3)
}

// idle reports a stream that the client has not opened.
func (s *Server) idle(id uint32) bool { return id > s.last || id&1 == 0 }
