// SPDX-License-Identifier: EUPL-1.2

package lookup

// Destination is the destination that answers name: of those at the deepest area the only one, zero without one and
// where several are equal, as with other context (R11).
func Destination(answers ...*Answer) Context {
	found, deepest, several := Context{}, -1, false
	for _, a := range answers {
		if a == nil {
			continue
		}
		for i := range a.Contexts {
			c := &a.Contexts[i]
			level := int(c.Area.Level())
			switch {
			case c.DestinationID == "" || level < deepest:
			case level > deepest:
				found, deepest, several = *c, level, false
			case c.DestinationID != found.DestinationID:
				several = true
			}
		}
	}
	if several {
		return Context{}
	}
	return found
}
