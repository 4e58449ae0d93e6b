// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"hash/maphash"
	"math/bits"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Registry is what there is to check. Immutable.
type Registry struct {
	Index *index.Index // nil = there is none
	// Near says of a source of the index whether its rows may name private addresses.
	Near func(source int) bool
	// Fixed are addresses of operators' own rows.
	Fixed []Fixed
}

// Fixed is an address with what its row says of it.
type Fixed struct {
	URL      string
	Owner    string // who keeps the row
	Land     uint8  // 0 Bund, 1 to 16
	Leistung registry.Leistung
	Area     string // its key
	From     registry.Origin
	Near     bool
	// Begin and End are when the row is live; zero = open.
	Begin, End time.Time
}

// maxHosts bounds how many hosts are followed; what further ones have is not checked.
const maxHosts = 1 << 16

// plan is which addresses there are at which hosts. Addresses of the index have the numbers of their texts there. It keeps, of each
// text, a bit, and of each address a row.
type plan struct {
	registry *Registry
	used     []uint64 // by text: whether it is a live row's address
	before   []uint32 // by word of used: how many are in those before it
	rows     []uint32 // by rank among the used ones: a row that has it
	links    int
	hosts    map[string]*site
	left     int // addresses at more hosts than are followed, or at none
}

// site is what a plan has of one host.
type site struct {
	spans []span // of ranks
	fixed []int
	n     uint32
}

// span is first ≤ rank < end.
type span struct{ first, end uint32 }

// newPlan makes a plan of the rows that are live at a time. Of a keyed text it takes a row by seed: another day another one.
func newPlan(r *Registry, now time.Time, seed maphash.Seed) *plan {
	p := &plan{registry: r, hosts: map[string]*site{}}
	if r.Index != nil {
		p.mark(now)
		p.choose(now, seed)
		p.group()
	}
	for i := range r.Fixed {
		u, err := url.Parse(r.Fixed[i].URL)
		if !index.SpanOf(r.Fixed[i].Begin, r.Fixed[i].End).Has(index.Nanos(now)) {
			continue
		}
		s := (*site)(nil)
		if err == nil {
			s = p.site(hostOf(u))
		}
		if p.links++; s == nil {
			p.left++
			continue
		}
		s.fixed = append(s.fixed, i)
		s.n++
	}
	return p
}

// live says which traits are those of rows that can answer at a time.
func live(x *index.Index, now time.Time) []bool {
	all, at := make([]bool, len(x.Traits())), index.Nanos(now)
	for i, t := range x.Traits() {
		all[i] = t.Flags&(index.Inactive|index.Refused) == 0 && x.Spans()[t.Span].Has(at)
	}
	return all
}

// each gives the addresses of all live rows, in all languages.
func each(x *index.Index, now time.Time, give func(text, row, area uint32)) {
	on := live(x, now)
	for b := range uint32(x.Blocks()) {
		for area, group := range x.All(b) {
			for row, end := x.Rows(group); row < end; row++ {
				t := x.TraitsOf(row)
				if !on[t] {
					continue
				}
				give(x.Record(row).URL, row, area)
				if x.Traits()[t].Flags&index.HasOthers != 0 {
					for _, o := range x.Others(row) {
						give(o.URL, row, area)
					}
				}
			}
		}
	}
}

func (p *plan) mark(now time.Time) {
	x := p.registry.Index
	p.used = make([]uint64, x.Texts()/64+1)
	each(x, now, func(text, _, _ uint32) {
		if text != 0 {
			p.used[text/64] |= 1 << (text % 64)
		}
	})
	p.before = make([]uint32, len(p.used))
	n := 0
	for i, w := range p.used {
		p.before[i] = uint32(n)
		n += bits.OnesCount64(w)
	}
	p.links = n
}

// choose takes one row for each address.
func (p *plan) choose(now time.Time, seed maphash.Seed) {
	p.rows = make([]uint32, p.links)
	for i := range p.rows {
		p.rows[i] = index.None
	}
	luck := func(row uint32) uint64 { return maphash.Comparable(seed, row) }
	each(p.registry.Index, now, func(text, row, _ uint32) {
		if text == 0 {
			return
		}
		rank, _ := p.rank(text)
		if was := &p.rows[rank]; *was == index.None || luck(row) < luck(*was) {
			*was = row
		}
	})
}

// group gives each host its addresses: they are neighbours, for texts are sorted.
func (p *plan) group() {
	var authority []byte
	var at *site
	rank := uint32(0)
	for text, keyed := range p.registry.Index.Keyed() {
		if p.used[text/64]>>(text%64)&1 == 0 {
			continue
		}
		if own := authorityOf(keyed); authority == nil || string(own) != string(authority) {
			authority = append(authority[:0], own...)
			at = nil
			if u, err := url.Parse(string(own)); err == nil {
				at = p.site(hostOf(u))
			}
			if at != nil {
				at.spans = append(at.spans, span{rank, rank})
			}
		}
		if rank++; at == nil {
			p.left++
			continue
		}
		at.spans[len(at.spans)-1].end = rank
		at.n++
	}
}

// authorityOf is an address up to its path.
func authorityOf(keyed []byte) []byte {
	const scheme = "://"
	i := strings.Index(string(keyed), scheme)
	if i < 0 {
		return keyed[:0]
	}
	if end := slices.IndexFunc(keyed[i+len(scheme):], func(c byte) bool { return c == '/' || c == '?' || c == '#' || c < ' ' }); end >= 0 {
		return keyed[:i+len(scheme)+end]
	}
	return keyed
}

func (p *plan) site(host string) *site {
	if p.hosts[host] == nil {
		if host == "" || len(p.hosts) >= maxHosts {
			return nil
		}
		p.hosts[host] = &site{}
	}
	return p.hosts[host]
}

// rank is the place of a text among the used ones.
func (p *plan) rank(text uint32) (rank uint32, ok bool) {
	w := p.used[text/64]
	return p.before[text/64] + uint32(bits.OnesCount64(w&(1<<(text%64)-1))), w>>(text%64)&1 != 0
}

// text is the inverse of rank.
func (p *plan) text(rank uint32) uint32 {
	i, found := slices.BinarySearch(p.before, rank)
	if found { // the last of those that are equal is the one with bits
		for i+1 < len(p.before) && p.before[i+1] == rank {
			i++
		}
	} else {
		i--
	}
	w := p.used[i]
	for range rank - p.before[i] {
		w &= w - 1
	}
	return uint32(i*64 + bits.TrailingZeros64(w))
}

// link is an address of a plan.
type link struct {
	key    string // by which it is known over plans: the keyed text, or the address
	sample bool   // it stands for those of several places
	target
}

// at gives the link at a place of a host.
func (p *plan) at(s *site, place uint32) link {
	for _, part := range s.spans {
		if n := part.end - part.first; place >= n {
			place -= n
			continue
		}
		return p.indexed(p.text(part.first + place))
	}
	f := &p.registry.Fixed[s.fixed[place]]
	return link{key: f.URL, target: target{f.URL, f.Near}}
}

func (p *plan) indexed(text uint32) link {
	x := p.registry.Index
	keyed := x.AppendKeyed(nil, text)
	rank, _ := p.rank(text)
	row := p.rows[rank]
	l := link{key: string(keyed), sample: index.Marked(keyed)}
	leistung, area := registry.Leistung{}, uint32(0)
	if l.sample {
		leistung, area = x.Locate(row)
	}
	l.url = x.Text(text, leistung, area)
	l.near = p.registry.Near(int(x.Traits()[x.TraitsOf(row)].Source))
	return l
}

// foundLink is a link with the number of its text in the index, 0 if it is an operator's own.
type foundLink struct {
	link
	text uint32
}

// find gives the link with a key, if it is a live row's still. That of a sample keeps the place it was asked for at.
func (p *plan) find(host, key, url string) (foundLink, bool) {
	if x := p.registry.Index; x != nil {
		if text, ok := x.FindKeyed([]byte(key)); ok && text != 0 {
			if _, used := p.rank(text); used {
				l := p.indexed(text)
				if l.sample && url != "" {
					l.url = url
				}
				return foundLink{l, text}, true
			}
		}
	}
	if s := p.hosts[host]; s != nil {
		for _, i := range s.fixed {
			if f := &p.registry.Fixed[i]; f.URL == key {
				return foundLink{link: link{key: f.URL, target: target{f.URL, f.Near}}}, true
			}
		}
	}
	return foundLink{}, false
}
