// SPDX-License-Identifier: EUPL-1.2

package reason

import "github.com/pvgate/pvgate/routing"

// OfVerdict returns the reason for what the registry's rules found. The zero
// verdict, which no decision has, is Internal.
func OfVerdict(v routing.Verdict) Code {
	switch v {
	case routing.Handover:
		return Handover
	case routing.AreaRequired:
		return AreaRequired
	case routing.Ambiguous:
		return Ambiguous
	case routing.NotJoined:
		return NotJoined
	case routing.Expired:
		return Expired
	case routing.NotAnApplication:
		return NotAnApplication
	case routing.UnknownLeistung:
		return UnknownLeistung
	case routing.NoRoute:
		return NoRoute
	case routing.TargetRefused:
		return TargetRefused
	case routing.Gone:
		return Gone
	case routing.Pending: // what had to be looked up was not found out
		return RegistryUnavailable
	default:
		return Internal
	}
}
