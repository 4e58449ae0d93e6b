// SPDX-License-Identifier: EUPL-1.2

package routing_test

import "testing"

// The mistakes that a resolver of these rules is likely to make. The vectors must notice each of them, and so must the
// generated questions: else a resolver with that mistake would pass.
const (
	mutantNone mutant = iota
	mutantPageHidesService
	mutantEndInclusive
	mutantAdoptionsByText
	mutantClosedIsOpen
	mutantSourceAcrossAreas
	mutantAliasBeatsNative
	mutantUpwardTwice
	mutantInsideIgnored
	mutantBlockedSkipped
	mutantDepthBeforePriority
	mutantParentBeforeSuccessor
	mutantRoleIgnored
	mutantRequireIgnored
	mutantWithoutIgnored
	mutantExclusionIgnored
	mutantLosersUnsorted
	mutantLookupAtAsked
	mutantPageStopsLookup
	mutantClosedStopsLookup
	mutantBlockedIsNoService
	mutantFailureIsEmpty
	mutantAskedKeyOnly
	mutantCoarseWithoutLookups
)

var mutants = []struct {
	name   string
	mutant mutant
}{
	{"a page of the Gemeinde hides a service of the Land", mutantPageHidesService},
	{"an end is inclusive", mutantEndInclusive},
	{"territories are compared by text in adoptions", mutantAdoptionsByText},
	{"a closed backend is open to all", mutantClosedIsOpen},
	{"source order works across areas", mutantSourceAcrossAreas},
	{"a moved row beats a native one", mutantAliasBeatsNative},
	{"a detail goes up to the Leistungsobjekt", mutantUpwardTwice},
	{"what lies inside a coarse area is not looked at", mutantInsideIgnored},
	{"a blocked row is skipped", mutantBlockedSkipped},
	{"overrides rank by depth before priority", mutantDepthBeforePriority},
	{"the parent is asked before the successor", mutantParentBeforeSuccessor},
	{"roles are not looked at", mutantRoleIgnored},
	{"a template is filled without what its backend requires", mutantRequireIgnored},
	{"without is not looked at", mutantWithoutIgnored},
	{"an exclusion inside is not looked at", mutantExclusionIgnored},
	{"losers come in any order", mutantLosersUnsorted},
	{"what a look-up finds counts at the asked area", mutantLookupAtAsked},
	{"nothing is looked up where there is a page", mutantPageStopsLookup},
	{"nothing is looked up where a service is closed to the area", mutantClosedStopsLookup},
	{"a blocked service is looked up", mutantBlockedIsNoService},
	{"a look-up that fails has found nothing", mutantFailureIsEmpty},
	{"successor and parent are not looked up", mutantAskedKeyOnly},
	{"a coarse area is answered without look-ups", mutantCoarseWithoutLookups},
}

func TestVectorsCatchMutants(t *testing.T) {
	t.Parallel()
	vectors := loadVectors(t)
	directories := make([]*oDirectory, len(vectors))
	for i := range vectors {
		directories[i] = directory(&vectors[i])
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			caught := 0
			for i, v := range vectors {
				if v.Want.LoadError == "" && len(disagreements(&v, oracleVerdict(&v, directories[i], m.mutant))) > 0 {
					caught++
				}
			}
			if caught == 0 {
				t.Error("no vector notices this mistake")
			}
			t.Logf("%d vectors notice", caught)
		})
	}
}
