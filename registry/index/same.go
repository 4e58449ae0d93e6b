// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"

	"github.com/pvgate/pvgate/registry"
)

// At is a row and where it stands.
type At struct {
	Row      uint32
	Leistung registry.Leistung
	Area     uint32 // native
}

// SameURL says whether two rows have the same URL, byte for byte. It does not allocate for URLs of up to 1 KiB.
func (x *Index) SameURL(a, b At) bool {
	r, s := x.Record(a.Row), x.Record(b.Row)
	keyed := (x.traits[r.Traits].Flags | x.traits[s.Traits].Flags) & Keyed
	if keyed == 0 || r.URL == s.URL && a.Area == b.Area && a.Leistung == b.Leistung {
		return r.URL == s.URL
	}
	return x.sameText(a, b)
}

func (x *Index) sameText(a, b At) bool {
	r, s := x.Record(a.Row), x.Record(b.Row)
	var one, other [1024]byte
	return bytes.Equal(x.AppendText(one[:0], r.URL, a.Leistung, a.Area), x.AppendText(other[:0], s.URL, b.Leistung, b.Area))
}

// HasURL says whether a row's URL is a text. It does not allocate for URLs of up to 1 KiB.
func (x *Index) HasURL(a At, url string) bool {
	var b [1024]byte
	return string(x.AppendText(b[:0], x.Record(a.Row).URL, a.Leistung, a.Area)) == url
}
