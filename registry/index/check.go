// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"errors"
	"math/bits"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// What a Builder makes is right by construction. What a file says is looked at once, number by number.
var (
	errBlocks  = errors.New("its Leistungen are damaged")
	errLines   = errors.New("its bitmaps are damaged")
	errGroups  = errors.New("its groups are damaged")
	errRecords = errors.New("its records are damaged")
	errSource  = errors.New("its sources are damaged")
	errURL     = errors.New("a row has a URL that cannot be a target")
)

func (x *Index) check(sources []byte) error {
	for len(sources) > 0 {
		name, rest, ok := bytes.Cut(sources, []byte{0})
		if !ok {
			return errSource
		}
		x.sources = append(x.sources, string(name))
		sources = rest
	}
	if err := x.checkBlocks(); err != nil {
		return err
	}
	if err := x.checkGroups(); err != nil {
		return err
	}
	if err := x.from.check(&x.Grid); err != nil {
		return err
	}
	if err := x.checkNumbers(); err != nil {
		return err
	}
	return x.checkURLs()
}

// checkBlocks holds that keys ascend, and that lines and groups follow one another without a gap.
func (x *Grid) checkBlocks() error {
	if len(x.blocks) > maxBlocks || len(x.groups) > maxValue || len(x.more) > maxValue || len(x.groups)+len(x.more) > maxValue {
		return errBlocks
	}
	line, group, areas := uint32(0), uint32(0), uint32(x.places.Len())
	for i := range x.blocks {
		b := &x.blocks[i]
		if b.Key.IsZero() || b.Key.Number() >= 1e14 || i > 0 && x.blocks[i-1].Key.Compare(b.Key) >= 0 || b.Mask == 0 ||
			b.Line != line || b.Group != group || uint64(line)+uint64(bits.OnesCount64(b.Mask)) > uint64(len(x.lines)) {
			return errBlocks
		}
		for at := range uint32(maxLines) {
			if b.Mask>>at&1 == 0 {
				continue
			}
			l := &x.lines[line]
			if l[0] != uint64(group) {
				return errLines
			}
			n, last := 0, uint32(0)
			for j, w := range l[1:] {
				n += bits.OnesCount64(w)
				if w != 0 {
					last = uint32(j)*64 + uint32(bits.Len64(w)) - 1
				}
			}
			if n == 0 || at*lineBits+last >= areas || uint64(group)+uint64(n) > uint64(len(x.groups)) {
				return errLines
			}
			group += uint32(n)
			line++
		}
		if b.Groups != group-b.Group {
			return errBlocks
		}
	}
	if int(line) != len(x.lines) || int(group) != len(x.groups) {
		return errBlocks
	}
	return nil
}

// checkGroups holds that every row has a record, and that each row of more is of one group, of two rows at least.
func (x *Index) checkGroups() error {
	next, records := uint32(0), uint32(len(x.records))
	for i := range x.blocks {
		b := &x.blocks[i]
		if b.More != next {
			return errGroups
		}
		for _, v := range x.groups[b.Group : b.Group+b.Groups] {
			if v&severalRows == 0 {
				if v >= records {
					return errGroups
				}
				continue
			}
			if v&^severalRows != next {
				return errGroups
			}
			for first := next; ; next++ {
				if int(next) >= len(x.more) || x.more[next]&^rowFollows >= records {
					return errGroups
				}
				if x.more[next]&rowFollows == 0 {
					if next == first {
						return errGroups
					}
					next++
					break
				}
			}
		}
	}
	if int(next) != len(x.more) {
		return errGroups
	}
	return nil
}

// checkNumbers holds that every number is one of what it is a number of.
func (x *Index) checkNumbers() error {
	n := uint32(x.texts.n)
	ok := len(x.records) > 0 && len(x.traits) > 0 && len(x.contexts) > 0 && len(x.extras) > 0 && len(x.origins) > 0 &&
		len(x.spans) > 0 && x.spans[0] == Always && x.contexts[0] == Context{} && x.extras[0] == Extra{}
	for i := range x.records {
		r := &x.records[i]
		ok = ok && int(r.Traits) < len(x.traits) && r.URL < n && r.Title < n && int(r.Context) < len(x.contexts) &&
			int(r.Extra) < len(x.extras) && int(r.Origin) < len(x.origins)
	}
	for i := range x.traits {
		t := &x.traits[i]
		ok = ok && int(t.Span) < len(x.spans) && t.Hosts < n && t.Flags&^allFlags == 0 &&
			(int(t.Source) < len(x.sources) || i == 0) // the first is nobody's
	}
	for i := range x.contexts {
		c := &x.contexts[i]
		ok = ok && c.OE < x.IDs() && c.LB < x.IDs() && c.OD < x.IDs()
	}
	for i := range x.extras {
		e := &x.extras[i]
		ok = ok && e.AreaKey < n && e.Lang < x.IDs() && e.Role < n && e.Refused < n &&
			uint64(e.OthersAt)+uint64(e.OthersN) <= uint64(len(x.others))
	}
	for _, o := range x.others {
		ok = ok && o.Lang < x.IDs() && o.URL < n
	}
	for _, o := range x.origins {
		ok = ok && o.Source < n && o.File < n
	}
	if !ok {
		return errRecords
	}
	return nil
}

// checkURLs holds that what is not refused can be a target, at the hosts that its traits say, and that what depends on
// its place says so. Many records share an address; the last that was seen is not looked at again.
func (x *Index) checkURLs() error {
	some, err := registry.ParseLeistung("99000000000000")
	if err != nil {
		return err
	}
	var last Record
	var lastTraits Traits
	for i := range x.records[1:] {
		r := &x.records[i+1]
		t := &x.traits[r.Traits]
		if r.URL == last.URL && r.Extra == last.Extra && t.Hosts == lastTraits.Hosts && t.Flags == lastTraits.Flags {
			continue
		}
		last, lastTraits = *r, *t
		raw := x.texts.append(nil, r.URL)
		keyed := !bytes.HasPrefix(raw, []byte{markPlain}) && bytes.ContainsFunc(raw, func(c rune) bool { return c < markEnd })
		if keyed && t.Flags&Keyed == 0 || (t.Flags&Refused != 0) != (x.extras[r.Extra].Refused != 0) {
			return errRecords
		}
		if t.Flags&Refused != 0 {
			continue
		}
		hosts := strings.Fields(x.Text(t.Hosts, some, 0))
		urls := []uint32{r.URL}
		e := &x.extras[r.Extra]
		for _, o := range x.others[e.OthersAt : e.OthersAt+e.OthersN] {
			urls = append(urls, o.URL)
		}
		for i, url := range urls {
			u, err := registry.ParseTarget(x.Text(url, some, 0))
			if err != nil || len(hosts) == 0 || i == 0 && strings.TrimSuffix(u.Host, ".") != hosts[0] || u.HasFrag && t.Flags&Fragment == 0 {
				return errURL
			}
		}
	}
	return nil
}
