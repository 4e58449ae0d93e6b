// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Asked is what Explain prints of the question beyond the Query.
type Asked struct {
	Place registry.Place // from Areas.Locate: how the area was named
	Given string         // the area's text as asked, "01053032"; "" = its own key
	Now   bool           // At is the present moment, not one that was named: printed as "now"
	Live  *Live          // nil = offline: reproducible output
	// Authority is who runs the destination of Query.Destination; nil = none was looked up. It never chose anything (R15).
	Authority *Authority
}

// Authority is who runs a destination, as FIT-Connect says it.
type Authority struct {
	Destination   string `json:"destination"`
	Name          string `json:"name,omitempty"`
	Imprint       string `json:"imprint,omitempty"`
	Privacy       string `json:"privacy,omitempty"`
	Accessibility string `json:"accessibility,omitempty"`
	Area          string `json:"area"` // where it is responsible
	From          string `json:"from"` // the source
}

// Live is the state of the running gateway, for the "now" line of explain. It never chose anything.
type Live struct {
	Maintenance bool
	Limits      []LiveLimit
	Snapshot    string    // short digest
	Since       time.Time // of the snapshot
}

// LiveLimit is one limit of the winning backend and how much of it is used.
type LiveLimit struct {
	Kind  string  `json:"kind"` // "rate", "in_flight"
	Limit string  `json:"limit"`
	Used  float64 `json:"used"` // share, 0 to 1
}

// Outcome is what became of a candidate.
type Outcome uint8

// The outcomes.
const (
	Won Outcome = iota + 1
	Lost
	Tied
	Refused  // won, but its target is refused (R7)
	Withheld // would win, but the answer differs inside the asked area (R12), or something has to be looked up first (R15)
)

// Considered is one candidate of an Explanation.
type Considered struct {
	N       int
	Outcome Outcome
	Why     Why // if Lost
	Row     Row
	Area    registry.AreaID // at the asked time, after R4
	Ended   time.Time       // if Why is WhyExpired
	Offer   string          // behind a row to a closed backend, if Why is about one
	Title   string          // of the row, else the catalogue's, else the backend's name
}

// Explanation is a decision with everything that led to it, in the order of the HTTP contract's examples. It keeps
// its table alive. Write it with WriteText or as JSON.
type Explanation struct {
	Query      Query
	Asked      Asked
	Decision   Decision
	URL        string              // of a Handover
	Keys       []registry.Leistung // tried, in order (R8)
	Chain      []registry.AreaID   // the asked area first, the Bund last
	Overrides  int                 // how many the table has
	Matched    []int32             // which of them match, best first: indices into Input.Overrides
	Candidates []Considered        // winners first

	// Aside lists, if not joined, adoptions of the same Leistung elsewhere, one area of each.
	Aside []Considered
	// NearAdoptions lists, if not joined, areas of the asked Land that did join, as their adoptions name them.
	NearAdoptions []string
	Offer         string // if not joined
	Joined        int    // areas with a live adoption of it

	t      *Table
	inside *inside // what differs inside the asked area (R12)
}

// Exit is the exit code of `pvgate explain`: 0 a target, 1 none.
func (e *Explanation) Exit() int {
	if e.Decision.Verdict == Handover {
		return 0
	}
	return 1
}
