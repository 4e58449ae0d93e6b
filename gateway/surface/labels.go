// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"hash/maphash"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/prefetch"
)

// label is the name of a backend with a host of its own, with its length behind it.
type label [maxLabel + 1]byte

// labels finds backends by their host labels. With thousands of backends each step waits for the memory: an entry of the table
// is so small that many are in one cache line, and the name is compared where the backend's own is, which is read next
// anyway. Clients choose what is looked up, but cannot know what meets in the table.
type labels struct {
	seed  maphash.Seed
	slots []slot // a power of two of them, at most half of them taken
}

// slot is an entry: what the table's index does not say of the hash, and the place of the backend plus one, 0 for none.
type slot struct {
	tag   uint32
	place uint32
}

// newLabels returns a table for so many names.
func newLabels(names int) labels {
	n := 1
	for n < 2*names {
		n *= 2
	}
	return labels{seed: maphash.MakeSeed(), slots: make([]slot, n)}
}

// labelOf returns a host label in lower case; ok is false if it is none, or too long to be a backend's.
func labelOf[T string | []byte](name T) (l label, ok bool) {
	if len(name) == 0 || len(name) > maxLabel {
		return l, false
	}
	for i := range len(name) {
		l[i] = message.Lower(name[i])
	}
	l[maxLabel] = byte(len(name))
	return l, true
}

// find returns the place among backends whose label it is; if there is none, the slot at which it would be entered, and its
// tag.
func (t *labels) find(l *label, among []backend) (place, at int, tag uint32) {
	at, tag = t.home(l)
	for ; t.slots[at].place > 0; at = (at + 1) & (len(t.slots) - 1) {
		if s := t.slots[at]; s.tag == tag && among[s.place-1].label == *l {
			return int(s.place - 1), at, tag
		}
	}
	return -1, at, tag
}

// home is where a label stands that meets no other, and its tag.
func (t *labels) home(l *label) (at int, tag uint32) {
	hash := maphash.Bytes(t.seed, l[:l[maxLabel]])
	return int(hash) & (len(t.slots) - 1), uint32(hash >> 32)
}

// likely guesses the place of a label, -1 if it stands nowhere near its home. There is no branch in it that would have to wait
// for the table: the processor goes on with what follows.
func (t *labels) likely(l *label) int {
	at, tag := t.home(l)
	place := 0
	for i := range 4 {
		if s := t.slots[(at+i)&(len(t.slots)-1)]; s.tag == tag {
			place = int(s.place)
		}
	}
	return place - 1
}

// Likely implements [exchange.Resolver].
func (s *Surface) Likely(authority []byte) int {
	host, _, _ := message.SplitAuthority(authority)
	name, below := s.belowDomain(host)
	if !below {
		return -1
	}
	l, fits := labelOf(name)
	if !fits {
		return -1
	}
	place := s.labels.likely(&l)
	if uint(place) < uint(len(s.backends)) {
		prefetch.First(&s.backends[place], touched)
	}
	return place
}

// label finds the backend of a host label. It most likely is the one at a place.
func (s *Surface) label(name []byte, likely int) (backend int, ok bool) {
	l, fits := labelOf(name)
	if !fits {
		return 0, false
	}
	if uint(likely) < uint(len(s.backends)) && s.backends[likely].label == l {
		return likely, true
	}
	place, _, _ := s.labels.find(&l, s.backends)
	return place, place >= 0
}

// enter enters the label of the backend that follows those there are; it reports false if one of them has it.
func (s *Surface) enter(l *label) bool {
	place, at, tag := s.labels.find(l, s.backends)
	if place >= 0 {
		return false
	}
	s.labels.slots[at] = slot{tag, uint32(len(s.backends)) + 1}
	return true
}
