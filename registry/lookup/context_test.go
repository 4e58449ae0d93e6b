// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"testing"

	"github.com/pvgate/pvgate/registry"
)

func TestTheDeepestAreaHasTheOnlyDestination(t *testing.T) {
	t.Parallel()
	at := func(area, id string) Context {
		a, err := registry.ParseARS(area)
		if err != nil {
			t.Fatal(err)
		}
		return Context{DestinationID: id, Area: a}
	}
	one := func(all ...Context) *Answer { return &Answer{Contexts: all} }
	for name, c := range map[string]struct {
		answers []*Answer
		want    string
	}{
		"nobody":                      {nil, ""},
		"no answer":                   {[]*Answer{nil, one()}, ""},
		"one":                         {[]*Answer{one(at("06", "a"))}, "a"},
		"of the Bund":                 {[]*Answer{one(at("00", "a"))}, "a"},
		"the deepest":                 {[]*Answer{one(at("06", "a"), at("06534", "b"), at("00", "c"))}, "b"},
		"of two sources":              {[]*Answer{one(at("06", "a")), one(at("06534", "b"))}, "b"},
		"the same of two":             {[]*Answer{one(at("06", "a")), one(at("06", "a"))}, "a"},
		"two":                         {[]*Answer{one(at("06", "a"), at("06", "b"))}, ""},
		"two, and one that is deeper": {[]*Answer{one(at("06", "a"), at("06", "b"), at("06534", "c"))}, "c"},
		"one, and one without an id":  {[]*Answer{one(at("06", "a"), at("06534", ""))}, "a"},
	} {
		if got := Destination(c.answers...).DestinationID; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
