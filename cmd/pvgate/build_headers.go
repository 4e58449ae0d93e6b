// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/header"
)

// headerEdit is what an operator changes in one direction, nil for nothing. Each name that is refused is an error.
func headerEdit(c *config.HeaderEdit, errs *config.Errors) *header.Edit {
	var set [][2]string
	var remove []string
	faults := len(*errs)
	for i := range c.Set {
		f := &c.Set[i]
		if err := header.MaySet(f.Name.V, f.V.V); err != nil {
			*errs = append(*errs, config.At(f.Name.Origin, "set: %q %v", f.Name.V, err))
		}
		set = append(set, [2]string{f.Name.V, f.V.V})
	}
	for _, name := range c.Remove {
		if err := header.MayRemove(name.V); err != nil {
			*errs = append(*errs, config.At(name.Origin, "remove: %q %v", name.V, err))
		}
		remove = append(remove, name.V)
	}
	if len(*errs) > faults || len(set)+len(remove) == 0 {
		return nil
	}
	e, err := header.NewEdit(set, remove)
	if err != nil {
		*errs = append(*errs, config.At(c.At, "%v", err))
	}
	return e
}
