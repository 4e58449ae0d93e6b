// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"iter"
	"sort"
)

// Texts is how many texts there are. Their numbers are the order of their keyed forms, from the empty one, 0, on.
func (x *Index) Texts() uint32 { return uint32(x.texts.n) }

// Keyed gives all texts but the empty one in keyed form, in their order. A text is valid during the call.
func (x *Index) Keyed() iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		var text []byte
		at := uint32(0)
		for n := uint32(1); n < x.Texts(); n++ {
			if text, at = x.texts.next(text, at); !yield(n, text) {
				return
			}
		}
	}
}

// AppendKeyed appends a text in keyed form.
func (x *Index) AppendKeyed(dst []byte, text uint32) []byte { return x.texts.append(dst, text) }

// FindKeyed gives the number of the text that has a keyed form.
func (x *Index) FindKeyed(keyed []byte) (text uint32, ok bool) {
	if len(keyed) == 0 {
		return 0, true
	}
	// The first head after the text; it stands in the 16 before.
	head := sort.Search(len(x.texts.heads), func(i int) bool {
		whole, _ := x.texts.next(nil, x.texts.heads[i])
		return bytes.Compare(whole, keyed) > 0
	})
	if head == 0 {
		return 0, false
	}
	var t []byte
	at := x.texts.heads[head-1]
	for n := uint32(head-1)*perHead + 1; n < x.Texts() && n <= uint32(head)*perHead; n++ {
		t, at = x.texts.next(t, at)
		if c := bytes.Compare(t, keyed); c >= 0 {
			return n, c == 0
		}
	}
	return 0, false
}

// next reads the text at a place, of which last is the one before, and where the one after it is.
func (t *texts) next(last []byte, at uint32) (text []byte, end uint32) {
	shared, at := t.number(at)
	rest, at := t.number(at)
	return append(last[:shared], t.data[at:at+rest]...), at + rest
}

// Marked says whether a keyed text differs from place to place.
func Marked(keyed []byte) bool {
	return len(keyed) > 0 && keyed[0] != markPlain && firstMark(keyed) >= 0
}
