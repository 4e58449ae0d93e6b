// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"math"
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// walker answers one question for one area. It lives on the stack; Explain gives it a recorder, Resolve does not.
type walker struct {
	t    *Table
	at   int64
	time time.Time // the same moment, for questions to the areas
	area uint32
	// only restricts the walk to one backend's rows: an override to a backend takes its address from there.
	only  BackendID
	dated bool // a dated change touches the chain (R4): places must be looked up one by one

	keys  [3]registry.Leistung
	nKeys int
	key   registry.Leistung // being walked
	block blocks            // its
	rec   *recorder

	looks   bool              // a key without a service has to be looked up first (R15)
	pending registry.Leistung // one that has

	facts facts
	found inside
}

// inside is what made an answer differ inside the asked area (R12), for explain.
type inside struct {
	area     uint32
	row      uint32 // or none
	override int32  // into Input.Overrides, or -1
	lookup   bool   // only a look-up for a Gemeinde can say (R15)
}

// facts are what R13 chooses from when nothing won.
type facts struct {
	notJoined bool  // a row lost for want of an adoption
	missed    bool  // so did a service
	ended     int64 // the last end of a row or a cover; 0 = none
	anyEnded  bool
	known     bool // the asked key has rows, somewhere
}

// result is what a walk of all keys found.
type result struct {
	best
	key    int  // place in keys
	missed bool // an EfA service would have gone before it, had the area joined (S16)
}

// best collects the candidates of one kind at one place of the chain and applies R10 to them.
type best struct {
	found  bool
	tied   bool    // two different targets of equal rank
	rank   uint64  // R10, lower is better
	row    uint32  // the first of equal rank
	traits *traits // the row's
	native uint32  // area
	area   uint32  // effective
	oe     single
	lb     single
	od     single
}

// single is R11's "exactly one value remains": several once two different ones were seen.
type single struct {
	value   uint32
	several bool
}

func (s *single) add(v uint32) {
	switch {
	case v == 0 || v == s.value:
	case s.value == 0:
		s.value = v
	default:
		s.several = true
	}
}

func (s single) get() uint32 {
	if s.several {
		return 0
	}
	return s.value
}

// ask sets a zero walker to a question.
func (w *walker) ask(t *Table, q *Query, rec *recorder) {
	w.t, w.rec, w.only = t, rec, NoBackend
	w.at, w.time = index.Nanos(q.At), q.At
	w.area, w.dated = uint32(q.Area), t.isDated(uint32(q.Area))
}

// walk goes through the keys of R8: the asked one, its successor only if the asked one has no live row in the chain,
// its parent only where the Land allows it. Each is walked for services, then for pages; the first place with a
// candidate wins. With a recorder it goes on after that, for the losers' sake.
func (w *walker) walk(asked registry.Leistung, r *result) (won bool) {
	live := w.tryKey(asked, r, &won)
	if won && w.rec == nil || w.waits() {
		return won
	}
	w.facts.known = !w.t.find(asked).none()
	if !live {
		if s := w.t.successor(asked); !s.IsZero() && s != asked {
			w.tryKey(s, r, &won)
		}
	}
	if won && w.rec == nil || w.waits() {
		return won
	}
	if p := w.t.parentOf(asked, w.area); !p.IsZero() && p != w.keys[w.nKeys-1] {
		w.tryKey(p, r, &won)
	}
	return won
}

// tryKey walks one more key and keeps what it finds if nothing was found before. It says whether the chain has a live
// row of the key.
func (w *walker) tryKey(key registry.Leistung, r *result, won *bool) (live bool) {
	w.keys[w.nKeys] = key
	w.nKeys++
	there := w.begin(key)
	switch {
	case *won && there:
		var late result // for the recorder only
		_, live = w.walkKey(&late)
		return live
	case *won:
		return false
	case there:
		missed := w.facts.missed
		if *won, live = w.walkKey(r); *won {
			r.key = w.nKeys - 1
			r.missed = r.missed || missed
		}
	}
	if w.looks && (!*won || r.traits.kind() == registry.Page) && !slices.Contains(w.t.found.asked, key) {
		w.pending, *won = key, false
	}
	return live
}

// waits says whether the walk has come to a key that has to be looked up first.
func (w *walker) waits() bool { return !w.pending.IsZero() }

// begin sets the key that is walked; false if nobody has rows of it.
func (w *walker) begin(key registry.Leistung) bool {
	w.key, w.block = key, w.t.find(key)
	return !w.block.none()
}

// successor of a Leistung by the catalogue; zero if none. Local keys have none (R1).
func (t *Table) successor(l registry.Leistung) registry.Leistung {
	if !l.Federal() {
		return registry.Leistung{}
	}
	return t.cat.Successor(l)
}

// parentOf is the parent key if the area's Land allows it, never …000000 (R8); zero if none.
func (t *Table) parentOf(l registry.Leistung, area uint32) registry.Leistung {
	if !t.parentKey[t.places.At(area).Land()] {
		return registry.Leistung{}
	}
	if p := l.Parent(); p.Number()%1e6 != 0 {
		return p
	}
	return registry.Leistung{}
}

// walkKey walks the chain of one key. Both walks of R8 are one pass: the deepest pages are kept until it is certain
// that no service comes.
func (w *walker) walkKey(r *result) (found, live bool) {
	var page best
	service := &r.best
	missedAt := uint32(none) // the deepest area where a service is closed to the asked area
	c := w.start()           // not the loop's own: it would be copied for each turn
	for c.next(w) {
		if service.found && c.area != service.area && w.rec == nil {
			break
		}
		for row := c.first; row < c.end; row++ {
			h := w.t.traitsOf(row)
			why, ended := w.state(row, h)
			if w.rec != nil {
				w.rec.add(w, row, why, ended, &c)
			}
			switch why {
			case WhyNone:
				live = true
				if w.only != NoBackend && h.backend != uint32(w.only) {
					continue
				}
				kind := service
				if h.flags&flagPage != 0 {
					kind = &page
				}
				if !kind.found || kind.area == c.area {
					kind.offer(w, row, h, &c)
				}
			case WhyNotJoined, WhyLeft:
				live = true
				w.facts.notJoined = true
				if h.flags&flagPage == 0 && missedAt == none && (!service.found || service.area == c.area) {
					missedAt = c.area
				}
			case WhyExpired:
				live = live || h.flags&flagInactive == 0 && w.t.spanOf(h).Has(w.at) // its cover has ended, not the row
				w.facts.end(ended)
			}
		}
		if service.found && w.rec == nil && !c.shared(w) {
			break
		}
	}
	if service.found {
		r.missed = missedAt != none && missedAt != service.area
		return true, live
	}
	w.facts.missed = w.facts.missed || missedAt != none
	r.best, r.missed = page, missedAt != none
	return page.found, live
}

func (f *facts) end(at int64) {
	f.ended = max(f.ended, at)
	f.anyEnded = true
}

// offer takes a candidate of the place that is looked at.
func (b *best) offer(w *walker, row uint32, h *traits, c *cursor) {
	rank := w.t.rank(row, h, c.alias)
	switch {
	case !b.found || rank < b.rank:
		*b = best{found: true, rank: rank, row: row, traits: h, native: c.native, area: c.area}
	case rank > b.rank:
		return
	case !w.t.sameTarget(index.At{Row: row, Leistung: w.key, Area: c.native}, b.place(w.key)):
		b.tied = true
		return
	}
	if h.flags&flagContext != 0 {
		oe, lb, od := w.t.contextOf(row)
		b.oe.add(oe)
		b.lb.add(lb)
		b.od.add(od)
	}
}

// place is where the row stands, of a walk for a key.
func (b *best) place(key registry.Leistung) index.At {
	return index.At{Row: b.row, Leistung: key, Area: b.native}
}

// The parts of a rank, highest first: source order, alias, not specialised, other role, priority (R10).
const (
	rankSource  = 48
	rankAlias   = 1 << 47
	rankGeneral = 1 << 46
	rankRole    = 1 << 45
)

// rank is R10's order as one number; the lowest wins.
func (t *Table) rank(row uint32, h *traits, alias bool) uint64 {
	n := uint64(h.source) << rankSource
	if alias {
		n |= rankAlias
	}
	if h.flags&flagGeneral != 0 {
		n |= rankGeneral
	}
	if h.flags&flagOtherRole != 0 {
		n |= rankRole
	}
	priority := int64(0)
	if h.flags&flagPriority != 0 {
		priority = int64(t.priorityOf(row))
	}
	return n + uint64(math.MaxInt32-priority)
}

// state says why a row is no candidate for the walker's area, WhyNone if it is one; with WhyExpired also when it ended
// (R7, R9).
func (w *walker) state(row uint32, h *traits) (why Why, ended int64) {
	if h.valid != 0 {
		switch s := w.t.spanOf(h); {
		case w.at < s.Begin:
			return WhyNotYet, 0
		case w.at >= s.End:
			return WhyExpired, s.End
		}
	}
	switch {
	case h.flags&flagInactive != 0:
		if h.flags&(flagClosed|flagAdopted) == flagClosed {
			if why, ended = w.cover(h.backend); why == WhyExpired {
				return why, ended // an ended cover stands before inactive in the list
			}
		}
		return WhyInactive, 0
	case h.flags&flagClosed == 0:
		return WhyNone, 0
	case h.flags&flagAdopted == 0:
		return w.cover(h.backend)
	case w.excluded(row):
		return WhyLeft, 0
	}
	return WhyNone, 0
}

// cover says whether a live adoption of the walked key opens a closed backend to the walker's area (R9): WhyNone if
// so, else WhyExpired with the end of the last cover, WhyLeft or WhyNotJoined.
func (w *walker) cover(backend uint32) (why Why, ended int64) {
	why = WhyNotJoined
	if !w.t.adopted(w.block) {
		return why, 0
	}
	c := cursor{parts: partPolicy + 1}
	for c.next(w) {
		for row := c.first; row < c.end; row++ {
			h := w.t.traitsOf(row)
			if h.flags&flagAdopted == 0 || h.backend != backend {
				continue
			}
			s, out := w.t.spanOf(h), w.excluded(row)
			switch {
			case w.at < s.Begin:
			case w.at < s.End && !out:
				return WhyNone, 0
			case w.at < s.End && why == WhyNotJoined:
				why = WhyLeft
			case w.at >= s.End && !out:
				why, ended = WhyExpired, max(ended, s.End)
			}
		}
	}
	return why, ended
}

// adopted says whether adoptions made rows of the Leistung of these blocks.
func (t *Table) adopted(b blocks) bool {
	return b[partPolicy] != none && t.policy.blocks[b[partPolicy]].adopted
}

// excluded says whether an adoption's row takes the walker's area out again.
func (w *walker) excluded(row uint32) bool {
	for _, area := range w.t.adoptionOf(row).without {
		if w.in(area) {
			return true
		}
	}
	return false
}

// in says whether a native area is, at the asked time, the walker's area or around it.
func (w *walker) in(native uint32) bool {
	if !w.dated {
		return w.area >= native && w.area < w.t.places.End(native)
	}
	for up := w.area; ; up = w.t.places.At(up).Parent() {
		id := registry.AreaID(up)
		if up == native && !w.t.areas.Retired(id, w.time) {
			return true
		}
		for _, old := range w.t.areas.Formerly(id, w.time) {
			if uint32(old) == native {
				return true
			}
		}
		if up == 0 {
			return false
		}
	}
}

// cursor goes up the chain, group by group of the walked blocks. At one area the policy's comes before the index's.
type cursor struct {
	first, end uint32 // rows of the group
	native     uint32 // area of the group
	area       uint32 // effective: where the group's rows count at the asked time
	alias      bool   // they count there by a dated change (R4)
	started    bool
	parts      int // how many are looked at, from partPolicy on

	part  int          // of the group
	ahead [parts]ahead // the next group of each part; that of the part above has been taken

	// Where a dated change touches the chain:
	place  uint32 // native area that is looked at
	looked bool   // the area's own key has been
	former []registry.AreaID
}

// ahead is a group up the chain, none if there is no further one.
type ahead struct{ group, area uint32 }

func (w *walker) start() cursor {
	if w.block[partFound] == none {
		return cursor{parts: partFound}
	}
	return cursor{parts: parts}
}

// next moves to the next group of the chain; false at the end.
func (c *cursor) next(w *walker) bool {
	if w.dated {
		return c.nextDated(w)
	}
	if !c.started {
		c.started = true
		c.look(w, partPolicy, w.area)
		if c.ahead[partIndex].group = none; c.parts > partIndex {
			c.look(w, partIndex, w.area)
		}
		if c.ahead[partFound].group = none; c.parts > partFound {
			c.look(w, partFound, w.area)
		}
	} else if last := &c.ahead[c.part]; last.area == 0 {
		last.group = none
	} else {
		c.look(w, c.part, w.t.places.At(last.area).Parent())
	}
	own, other := &c.ahead[partPolicy], &c.ahead[partIndex]
	c.part = partIndex
	if own.group != none && (other.group == none || own.area >= other.area) { // deeper areas have larger ids
		c.part = partPolicy
	}
	if f := &c.ahead[partFound]; f.group != none && (c.ahead[c.part].group == none || f.area > c.ahead[c.part].area) {
		c.part = partFound
	}
	return c.take(w, c.ahead[c.part].group, c.ahead[c.part].area)
}

// look finds the deepest group of a part at an area that contains id.
func (c *cursor) look(w *walker, part int, id uint32) {
	a := &c.ahead[part]
	if a.group = none; w.block[part] != none {
		a.group, a.area = w.t.around(part, w.block[part], id)
	}
}

// take makes a group the cursor's; false if there is none.
func (c *cursor) take(w *walker, group, native uint32) bool {
	if group == none {
		return false
	}
	c.first, c.end = w.t.rows(c.part, group)
	c.native = native
	if !w.dated {
		c.area = native
	}
	return true
}

// shared says whether a further group may count at the same area: that of another part, or by a dated change.
func (c *cursor) shared(w *walker) bool {
	if w.dated {
		return true
	}
	for part := c.part + 1; part < c.parts; part++ {
		if a := &c.ahead[part]; a.group != none && a.area == c.area {
			return true
		}
	}
	return false
}

// nextDated looks up each place of the chain by itself: its own key unless that means something else by now, and the
// old keys that mean it.
func (c *cursor) nextDated(w *walker) bool {
	if !c.started {
		c.started, c.part, c.area = true, c.parts, w.area
	}
	for {
		for c.part++; c.part < c.parts; c.part++ {
			if c.take(w, w.t.exact(c.part, w.block[c.part], c.place), c.place) {
				return true
			}
		}
		id := registry.AreaID(c.area)
		switch {
		case !c.looked:
			c.looked, c.former = true, w.t.areas.Formerly(id, w.time)
			if w.t.areas.Retired(id, w.time) {
				continue
			}
			c.place, c.alias, c.part = c.area, false, -1
		case len(c.former) > 0:
			c.place, c.alias, c.part = uint32(c.former[0]), true, -1
			c.former = c.former[1:]
		case c.area == 0:
			return false
		default:
			c.area, c.looked = w.t.places.At(c.area).Parent(), false
		}
	}
}
