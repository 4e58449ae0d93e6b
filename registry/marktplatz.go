// SPDX-License-Identifier: EUPL-1.2

package registry

import "slices"

// State is how far an offer has come on the Marktplatz, or its reuse by an area. Only what is live on both sides makes
// routes, and only a live offer closes its backend (R9).
type State uint8

// The states, from the last: what says nothing is live.
const (
	Live       State = iota
	Contracted       // there is a contract, and no service yet
	Interested       // an Interessenbekundung: somebody wants it
)

var stateWords = [...]string{Live: "live", Contracted: "contracted", Interested: "interessenbekundung"}

// String is the word of files and answers.
func (s State) String() string { return stateWords[s] }

// ParseState reads a word; "" is [Live].
func ParseState(word string) (State, bool) {
	for s, w := range stateWords {
		if w == word {
			return State(s), true
		}
	}
	return Live, word == ""
}

// Adopts says whether the adoption takes a Leistung of its offer.
func (a *Adoption) Adopts(l Leistung) bool {
	return len(a.Leistungen) == 0 || slices.Contains(a.Leistungen, l)
}
