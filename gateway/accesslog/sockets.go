// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"maps"
	"math"
	"strings"
	"sync/atomic"
)

// sockets numbers the endpoints that are Unix sockets: a ring holds no text. Numbers are only ever added, and begin with 1.
type sockets struct{ table atomic.Pointer[socketTable] }

// socketTable is immutable.
type socketTable struct {
	numbers map[string]uint16 // by URL
	texts   []string          // by number - 1, as they stand in a line
}

// add numbers those that are new. One at a time may.
func (s *sockets) add(urls []string) {
	next := socketTable{numbers: map[string]uint16{}}
	if old := s.table.Load(); old != nil {
		next = socketTable{maps.Clone(old.numbers), old.texts[:len(old.texts):len(old.texts)]}
	}
	for _, u := range urls {
		if _, known := next.numbers[u]; known || len(next.texts) == math.MaxUint16 {
			continue
		}
		next.texts = append(next.texts, strings.Map(socketLetter, u))
		next.numbers[u] = uint16(len(next.texts))
	}
	s.table.Store(&next)
}

// socketLetter keeps what may stand in a path. It has been checked where it came in; here, no mistake there ends a line.
func socketLetter(r rune) rune {
	if r == '/' || r == ':' || r < 0x80 && oddOctets[r] == 0 {
		return r
	}
	return '_'
}

// number is 0 for one that nobody has told.
func (s *sockets) number(url string) uint16 {
	if t := s.table.Load(); t != nil {
		return t.numbers[url]
	}
	return 0
}

// text is what stands in a line, "" for 0.
func (s *sockets) text(number uint16) string {
	if number == 0 {
		return ""
	}
	return s.table.Load().texts[number-1]
}
