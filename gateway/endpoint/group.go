// SPDX-License-Identifier: EUPL-1.2

package endpoint

import "github.com/pvgate/pvgate/registry"

// Group is the endpoints of a backend in one snapshot. It is immutable and safe for concurrent use; what changes is the
// endpoints' own.
type Group struct {
	members  []*Endpoint
	one      [1]*Endpoint // those of most
	weights  []int
	name     string
	pick     Method
	weight   int                      // of all
	policies []registry.AddressPolicy // in force from Apply on
	_        [16]byte                 // whole cache lines, so that each Group begins one
}

// Name is the backend's.
func (g *Group) Name() string { return g.name }

// Len is how many endpoints there are.
func (g *Group) Len() int { return len(g.members) }

// At returns an endpoint by its place in the configuration.
func (g *Group) At(i int) *Endpoint { return g.members[i] }

// Same reports whether another group has the same endpoints in the same places.
func (g *Group) Same(o *Group) bool {
	if len(g.members) != len(o.members) {
		return false
	}
	for i := range g.members {
		if g.members[i] != o.members[i] {
			return false
		}
	}
	return true
}
