// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Input is everything a [Table] is made of. Compile reads it and keeps none of its slices and maps.
type Input struct {
	Areas     *registry.Areas
	Catalogue *registry.Catalogue // nil = empty

	// Sources is the order of trust (R10): Entry.Source is an index into it. Operators' own entries come first by
	// convention, then the Marktplatz, then the sources as configured. Names appear in Explain.
	Sources []string
	// Marktplatz is the place in Sources of the entries that adoptions make.
	Marktplatz int
	// Lookups are the places in Sources of those that are asked for one key at a time (R15); with any, Resolve may answer
	// Pending.
	Lookups []int

	// Index has the entries of the sources, built with these areas; nil = none. Its sources are known by their names.
	// The table keeps it: snapshots of one registry share it.
	Index *index.Index

	Backends  []Backend        // BackendID i of the table is Backends[i]; implicit backends follow
	Entries   []registry.Entry // the operators'
	Offers    []registry.Offer
	Adoptions []registry.Adoption
	Overrides []Override

	ParentKey map[uint8]bool // by Land number (0 = Bund): may a detail be served by its parent …VVV000? (R8)
	Help      map[uint8]Help // by Land number (0 = Bund)
	SelfHosts []string       // hosts of the gateway itself; "*.gw.example.de" covers what lies below; never a target (R16)
}

// Backend is a portal as far as routing needs to know it.
type Backend struct {
	Name    string
	Hosts   []string // URL hosts that belong to it (R16), in any case, without port
	Proxy   bool     // requests are forwarded; false = the citizen is redirected
	Require []string // placeholders a template needs here, "oe_id" (R11)
	Owner   registry.AreaID
	Origin  registry.Origin
}

// BackendID is the place of a backend in a table: first those of Input.Backends in their order, then the implicit
// redirect backends, which are named by their host and share the metric label "other" (R16).
type BackendID int32

// NoBackend is the BackendID of a decision without a target.
const NoBackend BackendID = -1

// Override is an operator's rule that answers before the walk (R6).
type Override struct {
	Area     registry.AreaID
	AreaKey  string            // as written; "" = the area's own key
	Leistung registry.Leistung // one key, or
	Group    string            // "99GGG", or neither: all
	Sender   string            // "" = all

	From, Until time.Time // From ≤ t < Until; zero From = always been
	Priority    int

	// Exactly one of To, Weights, Gone is set.
	To      string   // a backend's name or an absolute URL
	Weights []Weight // backends, parts summing to 100
	Gone    string   // why there is none any more

	By, Why  string
	Origin   registry.Origin
	ToOrigin registry.Origin // of the target's text, for messages about it; zero = Origin
}

// Weight is one part of a split.
type Weight struct {
	Backend string
	Percent int
}

// Help is what a Land offers where nothing is found. It is never a target (R8).
type Help struct {
	Portal string // URL
	Title  string // "" = the portal's host
	Phone  string // "" = 115
}

// Problem is something that Compile found in its input.
type Problem struct {
	Origin registry.Origin
	Text   string // what is wrong and what to do, without the place
	Fatal  bool   // an operator's fault: the table must not be used. Else a warning.
}

func (p Problem) String() string { return p.Origin.InFile() + ": " + p.Text }

// Query is one question. The zero time is not a time: At must be set.
type Query struct {
	Leistung registry.Leistung
	Area     registry.AreaID // from Areas.Locate at the same time; Bund if missing (R12)
	At       time.Time
	Sender   string // name of the known sender, "" = direct
	Lang     string // "de", "en"; "" = de. Picks among the URLs of one target, never a target (R16)
	// Destination is the id of FIT-Connect's destination, for targets that want one; "" = none, or none is known.
	Destination string
	// Seed places this request in a weight split: part Seed mod 100 of 100. Equal seeds go to equal backends.
	Seed uint64
}

// Verdict is what Resolve found. Its String is the reason code of the HTTP contract.
type Verdict uint8

// The verdicts. Handover is the only one with a target.
const (
	Handover Verdict = iota + 1
	AreaRequired
	Ambiguous
	NotJoined
	Expired
	NotAnApplication
	UnknownLeistung
	NoRoute
	TargetRefused
	Gone
	// Pending is no answer: Decision.Key has to be looked up in the asked area first (R15), see [Table.With].
	Pending
)

// Verdicts is one more than the largest verdict.
const Verdicts = int(Pending) + 1

// Note is what is worth saying beside an answer.
type Note uint8

const (
	NoteNone      Note = iota
	NoteNotJoined      // an EfA service exists and the area has not joined; something else answers (S16)
	NoteSuccessor      // the asked Leistung has ended; Decision.Key replaces it (S49)
	NoteParent         // Decision.Key is the parent of the asked Leistung (S56)
)

// Decision is the answer to a Query: a value, valid as long as its Table.
//
// With Handover, Backend and Kind say where to, and [Table.AppendURL] or [Table.AppendTarget] write the address; Row is
// the winner's. With Ambiguous and TargetRefused, Row is the first of those that won; otherwise NoRow.
type Decision struct {
	Verdict  Verdict
	Kind     registry.Kind
	Note     Note
	Backend  BackendID
	Key      registry.Leistung // that the winning row has: the asked one, its successor or its parent
	Area     registry.AreaID   // of the winning row or override, after R4
	Row      RowID
	Override int32 // index into Input.Overrides if one answered, else -1
	Ended    int64 // Expired: when the last live row ended, Unix seconds

	native uint32 // area of the row, before R4
	url    uint32 // address: see address.go; 0 = the row's
	oe     uint32 // context of the winning target (R11), numbers of ids
	lb     uint32
	od     uint32
}

// RowID is a row of a table: an entry, or what an adoption made of an offer. Not every number is one.
type RowID uint32

// NoRow is the RowID of a decision without a row.
const NoRow RowID = 1<<32 - 1

// Why is why a candidate lost. The list is closed.
type Why uint8

// The causes; where several apply, the first of this order is given: WhyNotYet, WhyExpired, WhyInactive, WhyNotJoined
// or WhyLeft, WhyOverride, WhyOtherKey, WhyPageAfterService, WhyLessLocal, then R10's order.
const (
	WhyNone             Why = iota
	WhyNotYet               // begins later
	WhyExpired              // has ended, or the cover of a closed backend has
	WhyInactive             // aktiv = nein
	WhyNotJoined            // closed backend, no adoption covers the asked area (R9)
	WhyLeft                 // closed backend, the adoption takes the asked area out (R9)
	WhyOverride             // an override answered
	WhyOtherKey             // another key of the list answered (R8)
	WhyPageAfterService     // services go before pages (R8)
	WhyLessLocal            // a deeper area won (R8)
	WhySourceOrder          // R10
	WhyAlias                // came by a dated change; a native row goes before it (R4, R10)
	WhyNotSpecialised       // R10
	WhyRole                 // R10
	WhyPriority             // R10
	WhySameTarget           // leads to the same backend and URL as the winner (R10)
)

// Row describes one row for pages, explain and tests.
type Row struct {
	ID          RowID
	Leistung    registry.Leistung
	Area        registry.AreaID // native
	AreaKey     string          // as written
	Kind        registry.Kind
	Backend     BackendID
	URL         string // literal, or the template's text
	Template    bool
	Title       string
	Lang        string
	Begin, End  time.Time // zero = open
	Inactive    bool
	Role        string
	Specialised bool
	Priority    int
	OE, LB, OD  string
	Source      int
	Origin      registry.Origin
	Refused     string // why its target is refused (R7), "" = it is not
	Offer       string // of the adoption that made it, "" = an entry
}

// Candidate is one of several equal targets (Ambiguous).
type Candidate struct {
	Title   string
	URL     string
	Backend BackendID
	OE      string
	Row     RowID
	Refused string // not to be linked: why (R7)
}

// Loser is a row that did not win and why. Losers come in this order: rows that are not dead (not_yet, expired,
// inactive) before dead ones; among them by key in the order asked; services before pages; rows that could have won
// before not_joined and left ones; then in chain order from the asked area upward; then in R10's order, title, URL.
type Loser struct {
	Row RowID
	Why Why
}
