// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pvgate/pvgate/registry"
)

// typed is what sources say of a Leistung, whether it has rows or not.
type typed struct {
	Leistung registry.Leistung
	Types    registry.Types
}

// maxTyped bounds the Leistungen of which types are known: a hundred times the federal catalogue.
const maxTyped = 1 << 20

var (
	errTyped = fmt.Errorf("types of more than %d Leistungen; load fewer sources", maxTyped)
	errTypes = errors.New("its types of Leistungen are damaged")
)

// AddTypes takes what a source says of a Leistung; what several say is known together.
func (b *Builder) AddTypes(l registry.Leistung, t registry.Types) error {
	if l.IsZero() || t == 0 {
		return nil
	}
	if _, there := b.types[l]; !there && len(b.types) == maxTyped {
		return errTyped
	}
	b.types[l] |= t
	return nil
}

// finishTypes lays the types in the order of their Leistungen.
func (b *Builder) finishTypes() []typed {
	list := make([]typed, 0, len(b.types))
	for l, t := range b.types {
		list = append(list, typed{l, t})
	}
	slices.SortFunc(list, func(a, b typed) int { return a.Leistung.Compare(b.Leistung) })
	return list
}

// Types are those that the sources say a Leistung has, zero if none does.
func (x *Index) Types(l registry.Leistung) registry.Types {
	i, ok := slices.BinarySearchFunc(x.types, l, func(t typed, l registry.Leistung) int { return t.Leistung.Compare(l) })
	if !ok {
		return 0
	}
	return x.types[i].Types
}

// checkTypes holds that Leistungen ascend, each with types that there are.
func (x *Index) checkTypes() error {
	if len(x.types) > maxTyped {
		return errTypes
	}
	for i, t := range x.types {
		if !soundKey(t.Leistung) || t.Types == 0 || !t.Types.Known() || i > 0 && x.types[i-1].Leistung.Compare(t.Leistung) >= 0 {
			return errTypes
		}
	}
	return nil
}
