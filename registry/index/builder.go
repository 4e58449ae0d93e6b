// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Builder makes an [Index] of entries in any order. It takes some 20 bytes for each entry, and each text once. Not safe
// for concurrent use.
type Builder struct {
	areas   *registry.Areas
	places  *Places
	sources []string
	report  Report

	leistungen *set[registry.Leistung]
	chunks     [][]draft // full ones; a slice of all would be copied as it grows
	rows       []draft
	texts      *textSet
	ids        *textSet
	records    *set[Record]
	traits     *set[Traits]
	contexts   *set[Context]
	extras     *set[extra]
	origins    *set[Origin]
	spans      *set[Span]
	types      map[registry.Leistung]registry.Types

	keys       keys
	buf        []byte
	lastOrigin registry.Origin // of which origin is the number
	origin     uint32
}

// draft is a row whose numbers are those of the sets.
type draft struct {
	leistung, pos, record, line uint32
}

const draftsPerChunk = 1 << 16

// extra is an Extra whose others are in one text, so that it can be compared.
type extra struct {
	areaKey, lang, role, refused uint32
	others                       string // pairs of numbers, four bytes each
	priority                     int32
}

// Report is what building found.
type Report struct {
	Rows     int
	Warnings []registry.Fault // about rows that cannot be used or are doubtful, at most MaxWarnings, by origin
}

// MaxWarnings bounds what a registry of millions of rows can say about its doubtful ones.
const MaxWarnings = 10_000

// NewBuilder begins an index of entries of these areas. The place of a source's name is Entry.Source.
func NewBuilder(areas *registry.Areas, sources []string) *Builder {
	b := &Builder{
		areas: areas, places: NewPlaces(areas), sources: slices.Clone(sources),
		leistungen: newSet[registry.Leistung](), texts: newTextSet(), ids: newTextSet(), records: newSet[Record](),
		traits: newSet[Traits](), contexts: newSet[Context](), extras: newSet[extra](), origins: newSet[Origin](),
		spans: newSet[Span](), types: map[registry.Leistung]registry.Types{},
	}
	b.spans.list[0] = Always
	return b
}

// Faults of who calls Add.
var (
	errAreas    = fmt.Errorf("there are more than %d areas; this is a fault of the areas file", MaxAreas)
	errPlace    = errors.New("the entry's area or source is none of this index's; this is a fault of the loader")
	errOperator = errors.New("an entry of a source has a URL, neither backend and path nor a template; this is a fault of the loader")
	errFull     = errors.New("the registry's texts are larger than 4 GiB; load fewer sources")
	errRows     = errors.New("the registry has more than 2 147 483 647 entries; load fewer sources")
)

// Add takes an entry. It keeps nothing of it. One that no index can hold is left out with a warning; the error is a
// fault of the caller or says that there is no more room.
func (b *Builder) Add(e *registry.Entry) error {
	switch {
	case b.places == nil:
		return errAreas
	case int(e.Area) >= b.areas.Len() || e.Source < 0 || e.Source >= len(b.sources):
		return errPlace
	case e.Backend != "" || e.Path != "" || e.Template:
		return errOperator
	case b.texts.full() || b.ids.full():
		return errFull
	case b.report.Rows >= maxValue:
		return errRows
	case !b.sound(e):
		return nil
	}
	b.report.Rows++
	b.keys.set(e.Leistung, b.areas.ARS(e.Area))
	if len(b.rows) == cap(b.rows) {
		if len(b.rows) > 0 {
			b.chunks = append(b.chunks, b.rows)
		}
		b.rows = make([]draft, 0, draftsPerChunk)
	}
	b.rows = append(b.rows, draft{
		leistung: b.leistungen.put(e.Leistung), pos: b.places.list[e.Area].pos(), record: b.record(e), line: uint32(max(e.Origin.Line, 0)),
	})
	return nil
}

// Len is how many entries the builder has taken.
func (b *Builder) Len() int { return b.report.Rows }

// sound says whether an index can hold the entry.
func (b *Builder) sound(e *registry.Entry) bool {
	switch {
	case e.Leistung.IsZero():
		b.warn(e, "the entry names no Leistung; write 14 digits")
	case e.Area == registry.Bund && !e.Leistung.Federal():
		b.warn(e, "leistung %s is a local key and has entries only at a Land or deeper; name an area", e.Leistung)
	case !e.Begin.IsZero() && !e.End.IsZero() && !e.Begin.Before(e.End):
		b.warn(e, "begin %s is not before end %s; correct one of them", date(e.Begin), date(e.End))
	default:
		return true
	}
	return false
}

// date is a time as people write it.
func date(t time.Time) string {
	t = t.In(registry.Berlin())
	if h, m, s := t.Clock(); h == 0 && m == 0 && s == 0 {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}

func (b *Builder) warn(e *registry.Entry, format string, args ...any) {
	if len(b.report.Warnings) < MaxWarnings {
		b.report.Warnings = append(b.report.Warnings, registry.Fault{Origin: e.Origin, Reason: fmt.Sprintf(format, args...)})
	}
}

// record gives the number of what the entry says.
func (b *Builder) record(e *registry.Entry) uint32 {
	t := Traits{Source: uint16(e.Source), Span: b.spans.put(SpanOf(e.Begin, e.End))}
	x := extra{lang: b.id(langOf(e.Lang)), role: b.plain(roleOf(e.Role)), priority: int32(min(max(e.Priority, math.MinInt32), math.MaxInt32))}
	r := Record{Origin: b.originOf(e.Origin), Context: b.contexts.put(Context{b.id(e.OE), b.id(e.LB), b.id(e.OD)})}
	var marked bool
	r.Title, _ = b.text(e.Title, 0)
	r.URL, marked = b.text(e.URL, authorityEnd(e.URL))
	refused := b.target(e, &t, &x)
	x.refused, _ = b.text(refused, 0)
	if e.AreaKey != "" && e.AreaKey != b.areas.ARS(e.Area).String() {
		x.areaKey, _ = b.text(e.AreaKey, 0)
	}
	for _, f := range [...]struct {
		flag Flags
		on   bool
	}{
		{Page, e.Kind == registry.Page},
		{Inactive, e.Inactive},
		{Refused, refused != ""},
		{General, !e.Specialised},
		{OtherRole, x.role != 0},
		{HasContext, r.Context != 0},
		{Priority, e.Priority != 0},
		{HasOthers, x.others != "" || x.lang != 0},
		{Keyed, marked},
	} {
		if f.on {
			t.Flags |= f.flag
		}
	}
	r.Traits, r.Extra = b.traits.put(t), b.extras.put(x)
	return b.records.put(r)
}

func langOf(s string) string {
	if s == "de" {
		return ""
	}
	return s
}

func roleOf(s string) string {
	if s == "01" {
		return ""
	}
	return s
}

// target reads the hosts of the entry's URLs, and gives why they cannot be a target (R7, R16), "" if they can.
func (b *Builder) target(e *registry.Entry, t *Traits, x *extra) (refused string) {
	all := targets{hosts: b.buf[:0]}
	all.add(e.URL)
	for _, o := range e.Others {
		all.add(o.URL)
	}
	b.buf = all.hosts
	t.Hosts = b.texts.put(all.hosts)
	t.Flags |= all.fragment
	for _, o := range e.Others {
		url, _ := b.text(o.URL, authorityEnd(o.URL))
		x.others += string(pair(b.id(langOf(o.Lang)), url))
	}
	b.foreignKeys(e)
	switch {
	case e.Refused != "":
		return e.Refused
	case all.err != nil:
		b.warn(e, "%s cannot be a target: %v", quoted(e.URL), all.err)
		return all.err.Error()
	}
	return ""
}

// targets are what the URLs of a row say together.
type targets struct {
	hosts    []byte // as Traits.Hosts has them
	fragment Flags  // Fragment if one has a fragment
	err      error  // of the first that cannot be a target
}

func (t *targets) add(url string) {
	u, err := registry.ParseTarget(url)
	if err != nil {
		t.err = cmp.Or(t.err, err)
		return
	}
	if u.HasFrag {
		t.fragment = Fragment
	}
	host := strings.TrimSuffix(u.Host, ".")
	if len(t.hosts) == 0 {
		t.hosts = append(t.hosts, host...)
	} else if !slices.Contains(strings.Fields(string(t.hosts)), host) {
		t.hosts = append(append(t.hosts, ' '), host...)
	}
}

// text gives the number of a text in keyed form, without marks before from.
func (b *Builder) text(s string, from int) (n uint32, marked bool) {
	if s == "" {
		return 0, false
	}
	b.buf, marked = b.keys.appendKeyed(b.buf[:0], s, from)
	return b.texts.put(b.buf), marked
}

// plain gives the number of a text that has nothing to do with its row's place.
func (b *Builder) plain(s string) uint32 {
	if s == "" {
		return 0
	}
	b.buf = append(b.buf[:0], s...)
	if firstMark(b.buf) >= 0 {
		b.buf = append(append(b.buf[:0], markPlain), s...)
	}
	return b.texts.put(b.buf)
}

func (b *Builder) id(s string) uint32 {
	if s == "" {
		return 0
	}
	b.buf = append(b.buf[:0], s...)
	return b.ids.put(b.buf)
}

func (b *Builder) originOf(o registry.Origin) uint32 {
	if o.Source != b.lastOrigin.Source || o.File != b.lastOrigin.File {
		b.origin = b.origins.put(Origin{b.plain(o.Source), b.plain(o.File)})
		b.lastOrigin = registry.Origin{Source: o.Source, File: o.File}
	}
	return b.origin
}

// quoted cuts a text for messages to what a line can bear.
func quoted(s string) string {
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return `"` + s + `"`
}
