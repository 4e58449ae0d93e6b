// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// changes are the dated changes of one table (R4). There are few of them, and only areas with a flag are looked up.
type changes struct {
	aliases []Alias  // as given, for a further WithAliases
	moves   []move   // by from
	births  []birth  // by id
	former  []former // by id
}

// move says that an area's key means other areas from on on.
type move struct {
	from AreaID
	to   []AreaID // ascending
	on   int64    // Unix seconds
}

func (m *move) day() time.Time { return time.Unix(m.on, 0).In(Berlin()) }

type birth struct {
	id AreaID
	on int64
}

// former lists the areas whose keys mean id, with the day each of them joined; both ascend by day.
type former struct {
	id  AreaID
	ids []AreaID
	on  []int64
}

// WithAliases gives a new table with dated changes applied (R4), after those a already has. An area that the
// Gemeindeverzeichnis lacks comes into the table with its level, from the alias. Ids of the old table mean nothing in
// the new one.
func (a *Areas) WithAliases(aliases []Alias) (*Areas, error) {
	all := slices.Concat(a.change.aliases, aliases)
	var areas []Area
	for _, x := range a.areas[1:] {
		if !x.Added {
			areas = append(areas, x)
		}
	}
	base := &Areas{index: indexKeys(append([]Area{{}}, renumber(areas)...))}
	added := map[ARS]*Area{}
	for i := range all {
		if err := base.addMissing(areas, &all[i], added); err != nil {
			return nil, fmt.Errorf("apply alias %v: %w", all[i].From, err)
		}
	}
	for _, x := range added {
		areas = append(areas, *x)
	}
	return build(areas, all)
}

// renumber gives areas the ids they have behind the Bund.
func renumber(areas []Area) []Area {
	for i := range areas {
		areas[i].ID = AreaID(i + 1)
	}
	return areas
}

// addMissing puts the areas of an alias that the table lacks into added.
func (a *Areas) addMissing(areas []Area, al *Alias, added map[ARS]*Area) error {
	switch {
	case len(al.From) == 0:
		return errors.New("from is missing")
	case len(al.To) == 0:
		return errors.New("to is missing")
	case al.On.IsZero():
		return errors.New("on is missing: the day from which the new key is right, e.g. 2026-01-01")
	}
	name := al.Name
	look := func(key string) (ARS, error) {
		k, ok := parseKey(key)
		if !ok || k.n == 0 {
			return ARS{}, &KeyError{What: "area", Value: clip(key)}
		}
		if id, ok := a.aliasArea(k); ok {
			if name == "" {
				name = areas[id-1].Name
			}
			return ARS{}, nil
		}
		if k.digits == 8 {
			return ARS{}, fmt.Errorf("area %q: the Gemeindeverzeichnis lacks this AGS; write the ARS (12 digits)", key)
		}
		own := k.ars()
		if g, same := ownGemeinde(own); same && own.level != LevelKreis {
			own = g
		}
		if known := added[own]; known != nil && name == "" {
			name = known.Name
		}
		return own, nil
	}
	var missing []ARS
	for _, key := range slices.Concat(al.From, al.To) {
		own, err := look(key)
		if err != nil {
			return err
		}
		if !own.IsBund() && added[own] == nil {
			missing = append(missing, own)
		}
	}
	for _, own := range missing {
		n := name
		if n == "" {
			n = own.String()
		}
		added[own] = &Area{ARS: own, Name: n, Kind: addedKind(own), Added: true}
	}
	return nil
}

func addedKind(a ARS) string {
	if a.level == LevelGemeinde && a.verband() == 0 {
		return "Kreisfreie Stadt"
	}
	return a.level.String()
}

// aliasArea finds an area by the key of an alias: exactly or padded, but never by its AGS digits alone, which an
// area has in common with what it is renumbered to.
func (a *Areas) aliasArea(k areaKey) (AreaID, bool) {
	id, form, ok := a.resolve(k)
	return id, ok && form != FormRenumbered
}

// applyChanges resolves the aliases to ids.
func (a *Areas) applyChanges(aliases []Alias) error {
	a.change.aliases = aliases
	for i := range aliases {
		if err := a.applyAlias(&aliases[i]); err != nil {
			return fmt.Errorf("apply alias %v: %w", aliases[i].From, err)
		}
	}
	c := &a.change
	slices.SortFunc(c.moves, func(x, y move) int { return cmp.Compare(x.from, y.from) })
	for i := range c.moves {
		m := &c.moves[i]
		if i > 0 && c.moves[i-1].from == m.from {
			return fmt.Errorf("apply alias %s: the key is moved twice, on %s and on %s",
				a.areas[m.from].ARS, c.moves[i-1].day().Format(time.DateOnly), m.day().Format(time.DateOnly))
		}
		a.flags[m.from] |= flagMoved
	}
	if err := a.checkCycles(); err != nil {
		return err
	}
	a.collectFormer()
	return nil
}

func (a *Areas) applyAlias(al *Alias) error {
	m := move{on: al.On.Unix()}
	for _, key := range al.To {
		k, _ := parseKey(key)
		id, ok := a.aliasArea(k)
		if !ok {
			return fmt.Errorf("area %q is not in the table", key)
		}
		m.to = append(m.to, id)
		if a.areas[id].Added {
			a.change.bear(id, m.on)
			a.flags[id] |= flagFuture
		}
	}
	slices.Sort(m.to)
	m.to = slices.Compact(m.to)
	first := len(a.change.moves)
	for _, key := range al.From {
		k, _ := parseKey(key)
		id, ok := a.aliasArea(k)
		if !ok {
			return fmt.Errorf("area %q is not in the table", key)
		}
		if slices.Contains(m.to, id) {
			if len(m.to) == 1 {
				return fmt.Errorf("area %q becomes itself", key)
			}
			return fmt.Errorf("area %q cannot be one of its own successors; leave it out of from", key)
		}
		if named := slices.ContainsFunc(a.change.moves[first:], func(n move) bool { return n.from == id }); named {
			continue // one territory under two of its keys (R3)
		}
		m.from = id
		a.change.moves = append(a.change.moves, m)
	}
	return nil
}

// bear notes the first day of an area that an alias brings.
func (c *changes) bear(id AreaID, on int64) {
	i, found := slices.BinarySearchFunc(c.births, id, func(b birth, id AreaID) int { return cmp.Compare(b.id, id) })
	if found {
		c.births[i].on = min(c.births[i].on, on)
		return
	}
	c.births = slices.Insert(c.births, i, birth{id, on})
}

func (a *Areas) checkCycles() error {
	for i := range a.change.moves {
		start := a.change.moves[i].from
		next := slices.Clone(a.change.moves[i].to)
		for steps := 0; len(next) > 0; steps++ {
			if steps > len(a.change.moves) {
				return fmt.Errorf("apply alias %s: the aliases lead in a circle", a.areas[start].ARS)
			}
			var further []AreaID
			for _, id := range next {
				if m := a.change.moveOf(id); m != nil {
					further = append(further, m.to...)
				}
			}
			slices.Sort(further)
			next = slices.Compact(further)
		}
	}
	return nil
}

// collectFormer turns the moves round: for every area, whose keys mean it, over any number of changes.
func (a *Areas) collectFormer() {
	type joined struct {
		id, old AreaID
		on      int64
	}
	var all []joined
	var walk func(old AreaID, m *move, on int64)
	walk = func(old AreaID, m *move, on int64) {
		on = max(on, m.on)
		for _, id := range m.to {
			all = append(all, joined{id, old, on})
			if next := a.change.moveOf(id); next != nil {
				walk(old, next, on)
			}
		}
	}
	for i := range a.change.moves {
		walk(a.change.moves[i].from, &a.change.moves[i], a.change.moves[i].on)
	}
	slices.SortFunc(all, func(x, y joined) int {
		return cmp.Or(cmp.Compare(x.id, y.id), cmp.Compare(x.on, y.on), cmp.Compare(x.old, y.old))
	})
	for _, j := range all {
		c := &a.change
		if len(c.former) == 0 || c.former[len(c.former)-1].id != j.id {
			c.former = append(c.former, former{id: j.id})
		}
		f := &c.former[len(c.former)-1]
		if !slices.Contains(f.ids, j.old) {
			f.ids, f.on = append(f.ids, j.old), append(f.on, j.on)
		}
		a.flags[j.id] |= flagFormer
	}
}

func (c *changes) moveOf(id AreaID) *move {
	i, found := slices.BinarySearchFunc(c.moves, id, func(m move, id AreaID) int { return cmp.Compare(m.from, id) })
	if !found {
		return nil
	}
	return &c.moves[i]
}

// follow goes where the key leads at a time. If that is several areas, choices lists them.
func (c *changes) follow(id AreaID, at int64) (now AreaID, choices []AreaID) {
	for {
		m := c.moveOf(id)
		if m == nil || at < m.on {
			return id, nil
		}
		if len(m.to) > 1 {
			return id, c.followAll(m, at)
		}
		id = m.to[0]
	}
}

func (c *changes) followAll(m *move, at int64) []AreaID {
	var all []AreaID
	for _, to := range m.to {
		id, more := c.follow(to, at)
		if more == nil {
			more = []AreaID{id}
		}
		all = append(all, more...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// birth is the first day of an area that an alias brought.
func (c *changes) birth(id AreaID) time.Time {
	i, found := slices.BinarySearchFunc(c.births, id, func(b birth, id AreaID) int { return cmp.Compare(b.id, id) })
	if !found {
		return time.Time{}
	}
	return time.Unix(c.births[i].on, 0).In(Berlin())
}

// Formerly lists the old areas whose keys mean id at that time (R4): their rows answer for id, but lose to its own
// (R10). It is nil for nearly every area and does not allocate. The result must not be changed.
func (a *Areas) Formerly(id AreaID, at time.Time) []AreaID {
	if a.flags[id]&flagFormer == 0 {
		return nil
	}
	i, _ := slices.BinarySearchFunc(a.change.former, id, func(f former, id AreaID) int { return cmp.Compare(f.id, id) })
	f, t := &a.change.former[i], at.Unix()
	n := 0
	for n < len(f.on) && f.on[n] <= t {
		n++
	}
	return f.ids[:n:n]
}

// ContainsAt is [Areas.Contains] also by the keys that mean inner, or an area around it, at that time (R4).
func (a *Areas) ContainsAt(outer, inner AreaID, at time.Time) bool {
	if a.Contains(outer, inner) {
		return true
	}
	for up := inner; ; up = a.parent[up] {
		if slices.Contains(a.Formerly(up, at), outer) {
			return true
		}
		if up == Bund {
			return false
		}
	}
}

// Retired says whether the area's own key means something else at that time: rows there answer only through
// [Areas.Formerly].
func (a *Areas) Retired(id AreaID, at time.Time) bool {
	return a.flags[id]&flagMoved != 0 && a.change.moveOf(id).on <= at.Unix()
}

// Future says whether the area comes into being after that time.
func (a *Areas) Future(id AreaID, at time.Time) bool {
	return a.flags[id]&flagFuture != 0 && at.Unix() < a.change.birth(id).Unix()
}

// HasChanges says whether any alias was applied; without one Formerly, Retired and Future need not be asked.
func (a *Areas) HasChanges() bool { return len(a.change.moves) > 0 }

// BecameOn is the day from which the area's key means others, and which; zero and nil if it has not moved.
func (a *Areas) BecameOn(id AreaID) (on time.Time, to []AreaID) {
	if a.flags[id]&flagMoved == 0 {
		return time.Time{}, nil
	}
	m := a.change.moveOf(id)
	return m.day(), slices.Clone(m.to)
}

// Inhabitants are the people who live in an area at that time: of a Gemeinde those that the Gemeindeverzeichnis counts
// and those of the former Gemeinden whose keys mean it by then, of an area above the sum. Where a Gemeinde was divided,
// nobody knows who lives in which part, and they are counted in none.
func (a *Areas) Inhabitants(id AreaID, at time.Time) int {
	if a.areas[id].ARS.level == LevelGemeinde {
		return a.ownInhabitants(id, at)
	}
	n := 0
	for x := id + 1; x < a.end[id]; x++ {
		if a.areas[x].ARS.level == LevelGemeinde && !a.Retired(x, at) && !a.Future(x, at) {
			n += a.ownInhabitants(x, at)
		}
	}
	return n
}

func (a *Areas) ownInhabitants(id AreaID, at time.Time) int {
	n := a.areas[id].Inhabitants
	for _, old := range a.Formerly(id, at) {
		if now, choices := a.change.follow(old, at.Unix()); choices == nil && now == id {
			n += a.areas[old].Inhabitants
		}
	}
	return n
}
