// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"
)

// texts are sorted texts, numbered from 1; number 0 is the empty one. Each says how many bytes it shares with the one
// before it, and then the rest, because addresses of one portal begin alike; every 16th stands whole.
type texts struct {
	heads []uint32 // where every 16th begins in data
	data  []byte
	n     int // how many, with the empty one
}

const perHead = 16

// append appends text n.
func (t *texts) append(dst []byte, n uint32) []byte {
	if n == 0 {
		return dst
	}
	n--
	at, begin := t.heads[n/perHead], len(dst)
	for i := uint32(0); ; i++ {
		shared, next := t.number(at)
		rest, next := t.number(next)
		at = next + rest
		dst = append(dst[:begin+int(shared)], t.data[next:at]...)
		if i == n%perHead {
			return dst
		}
	}
}

// number reads a length, nearly always of one byte.
func (t *texts) number(at uint32) (n, next uint32) {
	if b := t.data[at]; b < 0x80 {
		return uint32(b), at + 1
	}
	long, size := binary.Uvarint(t.data[at:])
	return uint32(long), at + uint32(size)
}

// put appends a text, which must sort after all others; last is the one before it.
func (t *texts) put(last, text []byte) {
	shared := 0
	if t.n%perHead == 0 {
		t.heads = append(t.heads, uint32(len(t.data)))
	} else {
		for shared < min(len(last), len(text)) && last[shared] == text[shared] {
			shared++
		}
	}
	t.data = binary.AppendUvarint(t.data, uint64(shared))
	t.data = binary.AppendUvarint(t.data, uint64(len(text)-shared))
	t.data = append(t.data, text[shared:]...)
	t.n++
}

var errTexts = errors.New("texts are damaged")

// maxText bounds a text of a file that somebody else has made; those of a Builder come from rows that are bounded.
const maxText = 1 << 20

// readTexts checks that what was read is what put writes: every offset, and the order.
func readTexts(heads []uint32, data []byte) (*texts, error) {
	t := &texts{heads: heads, data: data}
	var last, text []byte
	for at := 0; at < len(data); t.n++ {
		head := t.n%perHead == 0
		if head && (t.n/perHead >= len(heads) || heads[t.n/perHead] != uint32(at)) {
			return nil, errTexts
		}
		shared, a := binary.Uvarint(data[at:])
		rest, b := uint64(0), 0
		if a > 0 {
			rest, b = binary.Uvarint(data[at+a:])
		}
		if a <= 0 || b <= 0 || shared > uint64(len(last)) || head && shared > 0 ||
			rest > maxText || rest > uint64(len(data)-at-a-b) || shared+rest > maxText {
			return nil, errTexts
		}
		at += a + b
		text = append(append(text[:0], last[:shared]...), data[at:at+int(rest)]...)
		if bytes.Compare(last, text) >= 0 || !wellKeyed(text) {
			return nil, errTexts
		}
		at += int(rest)
		last, text = text, last
	}
	if len(heads) != (t.n+perHead-1)/perHead || len(data) > 1<<32-1 {
		return nil, errTexts
	}
	t.n++ // the empty one
	return t, nil
}

// ids are texts that are needed as strings, without an allocation: of organisation units and the like.
type ids struct {
	off  []uint32 // id i is text[off[i]:off[i+1]]; 0 is the empty one
	text string
}

func (x *ids) at(n uint32) string { return x.text[x.off[n]:x.off[n+1]] }

// find gives the number of an id.
func (x *ids) find(s string) (uint32, bool) {
	n := len(x.off) - 1
	i, ok := sort.Find(n, func(i int) int { return strings.Compare(s, x.at(uint32(i))) })
	return uint32(i), ok
}

var errIDs = errors.New("ids are damaged")

func readIDs(off []uint32, data []byte) (*ids, error) {
	if len(off) < 2 || off[0] != 0 || off[1] != 0 || uint64(off[len(off)-1]) != uint64(len(data)) || !slices.IsSorted(off) {
		return nil, errIDs
	}
	x := &ids{off: off, text: string(data)}
	for i := uint32(1); int(i)+1 < len(off); i++ {
		if x.at(i-1) >= x.at(i) {
			return nil, errIDs
		}
	}
	return x, nil
}
