// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"errors"
	"fmt"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
)

// The sections of an index in a bundle.
const (
	tagAreas    = "index.areas" // AreasDigest
	tagSources  = "index.sources"
	tagBlocks   = "index.blocks"
	tagLines    = "index.lines"
	tagGroups   = "index.groups"
	tagMore     = "index.more"
	tagRecords  = "index.records"
	tagTraits   = "index.traits"
	tagContexts = "index.contexts"
	tagExtras   = "index.extras"
	tagOthers   = "index.others"
	tagOrigins  = "index.origins"
	tagSpans    = "index.spans"
	tagHeads    = "index.heads"
	tagTexts    = "index.texts"
	tagIDEnds   = "index.ids"
	tagIDs      = "index.idtexts"
	tagColumns  = "index.columns"
	tagFrom     = "index.from"
	tagTypes    = "index.types" // only if any are known
)

// Sections are the index in a bundle, without copying what is large. Equal entries give equal sections.
func (x *Index) Sections() []bundle.Section {
	var sources []byte
	for _, s := range x.sources {
		sources = append(append(sources, s...), 0)
	}
	out := []bundle.Section{
		{Tag: tagAreas, Data: []byte(x.digest)},
		{Tag: tagSources, Data: sources},
		{Tag: tagBlocks, Data: bundle.Bytes(x.blocks)},
		{Tag: tagLines, Data: bundle.Bytes(x.lines)},
		{Tag: tagGroups, Data: bundle.Bytes(x.groups)},
		{Tag: tagMore, Data: bundle.Bytes(x.more)},
		{Tag: tagRecords, Data: bundle.Bytes(x.records)},
		{Tag: tagTraits, Data: bundle.Bytes(x.traits)},
		{Tag: tagContexts, Data: bundle.Bytes(x.contexts)},
		{Tag: tagExtras, Data: bundle.Bytes(x.extras)},
		{Tag: tagOthers, Data: bundle.Bytes(x.others)},
		{Tag: tagOrigins, Data: bundle.Bytes(x.origins)},
		{Tag: tagSpans, Data: bundle.Bytes(x.spans)},
		{Tag: tagHeads, Data: bundle.Bytes(x.texts.heads)},
		{Tag: tagTexts, Data: x.texts.data},
		{Tag: tagIDEnds, Data: bundle.Bytes(x.ids.off)},
		{Tag: tagIDs, Data: []byte(x.ids.text)},
		{Tag: tagColumns, Data: bundle.Bytes(x.from.lines)},
		{Tag: tagFrom, Data: x.from.data},
	}
	if len(x.types) > 0 {
		out = append(out, bundle.Section{Tag: tagTypes, Data: bundle.Bytes(x.types)})
	}
	return out
}

// ErrAreas says that an index was built with areas of another Gemeindeverzeichnis or other aliases.
var ErrAreas = errors.New("the index was built with another Gemeindeverzeichnis or other aliases; build it with those of this configuration")

// FromSections reads an index that [Index.Sections] wrote and keeps the sections. Everything in them is checked, so that
// no question to the index can fail, whoever has written them; what a row says is checked as far as a decision trusts it.
func FromSections(areas *registry.Areas, section func(tag string) ([]byte, bool)) (*Index, error) {
	r := reader{section: section}
	x := &Index{areas: areas, digest: AreasDigest(areas), texts: &texts{}, ids: &ids{}}
	if string(r.bytes(tagAreas)) != x.digest && r.err == nil {
		return nil, ErrAreas
	}
	if x.places = NewPlaces(areas); x.places == nil {
		return nil, errAreas
	}
	sources := r.bytes(tagSources)
	x.blocks = view[Block](&r, tagBlocks)
	x.lines = view[Line](&r, tagLines)
	x.groups = view[uint32](&r, tagGroups)
	x.more = view[uint32](&r, tagMore)
	x.records = view[Record](&r, tagRecords)
	x.traits = view[Traits](&r, tagTraits)
	x.contexts = view[Context](&r, tagContexts)
	x.extras = view[Extra](&r, tagExtras)
	x.others = view[Other](&r, tagOthers)
	x.origins = view[Origin](&r, tagOrigins)
	x.spans = view[Span](&r, tagSpans)
	x.from = provenance{lines: view[lineColumn](&r, tagColumns), data: r.bytes(tagFrom)}
	heads, text := view[uint32](&r, tagHeads), r.bytes(tagTexts)
	ends, idText := view[uint32](&r, tagIDEnds), r.bytes(tagIDs)
	if _, some := section(tagTypes); some {
		x.types = view[typed](&r, tagTypes)
		if r.err == nil && len(x.types) == 0 {
			r.err = fmt.Errorf("read index: section %s: %w", tagTypes, errTypes)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	var err error
	if x.texts, err = readTexts(heads, text); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if x.ids, err = readIDs(ends, idText); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if err = x.check(sources); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	x.hash()
	x.derive()
	return x, nil
}

// reader collects the first error of many sections.
type reader struct {
	section func(tag string) ([]byte, bool)
	err     error
}

func (r *reader) bytes(tag string) []byte {
	data, ok := r.section(tag)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("read index: section %s is missing", tag)
	}
	return data
}

func view[T any](r *reader, tag string) []T {
	data := r.bytes(tag)
	if r.err != nil {
		return nil
	}
	list, err := bundle.View[T](data)
	if err != nil {
		r.err = fmt.Errorf("read index: section %s: %w", tag, err)
	}
	return list
}
