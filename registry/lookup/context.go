// SPDX-License-Identifier: EUPL-1.2

package lookup

// Destination is the id of the destination that answers name: of those at the deepest area the only one, "" without one and
// where several are equal, as with other context (R11).
func Destination(answers ...*Answer) string {
	found, deepest, several := "", -1, false
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
				found, deepest, several = c.DestinationID, level, false
			case c.DestinationID != found:
				several = true
			}
		}
	}
	if several {
		return ""
	}
	return found
}
