// SPDX-License-Identifier: EUPL-1.2

package routing

var verdictWords = [Verdicts]string{
	Handover: "handover", AreaRequired: "area_required", Ambiguous: "ambiguous", NotJoined: "not_joined",
	Expired: "expired", NotAnApplication: "not_an_application", UnknownLeistung: "unknown_leistung",
	NoRoute: "no_route", TargetRefused: "target_refused", Gone: "gone", Pending: "pending",
}

// String is the reason code of the HTTP contract.
func (v Verdict) String() string {
	if int(v) >= Verdicts {
		return ""
	}
	return verdictWords[v]
}

// answers are status and fault of the HTTP contract, for explain: the gateway has them from its own list, which a test
// there compares with the contract.
var answers = [Verdicts]struct {
	status int
	fault  string
}{
	Handover: {303, ""}, AreaRequired: {400, "client"}, Ambiguous: {300, "registry"}, NotJoined: {404, "registry"},
	Expired: {410, "registry"}, NotAnApplication: {404, ""}, UnknownLeistung: {404, "registry"},
	NoRoute: {404, "registry"}, TargetRefused: {502, "registry"}, Gone: {410, "operator"},
	Pending: {503, "registry"}, // registry_unavailable, if nothing more is heard
}

var whyWords = [...]string{
	WhyNone: "", WhyNotYet: "not_yet", WhyExpired: "expired", WhyInactive: "inactive", WhyNotJoined: "not_joined",
	WhyLeft: "left", WhyOverride: "override", WhyOtherKey: "other_key", WhyPageAfterService: "page_after_service",
	WhyLessLocal: "less_local", WhySourceOrder: "source_order", WhyAlias: "alias", WhyNotSpecialised: "not_specialised",
	WhyRole: "role", WhyPriority: "priority", WhySameTarget: "same_target",
}

// String is the word of vectors and explain.
func (w Why) String() string {
	if int(w) >= len(whyWords) {
		return ""
	}
	return whyWords[w]
}

var noteWords = [...]string{NoteNone: "", NoteNotJoined: "not_joined", NoteSuccessor: "successor", NoteParent: "parent"}

// String is the word of logs and of /_pv/route.
func (n Note) String() string {
	if int(n) >= len(noteWords) {
		return ""
	}
	return noteWords[n]
}

var outcomeWords = [...]string{0: "", Won: "won", Lost: "lost", Tied: "tied", Refused: "refused", Withheld: "withheld"}

// String is the word of explain.
func (o Outcome) String() string {
	if int(o) >= len(outcomeWords) {
		return ""
	}
	return outcomeWords[o]
}
