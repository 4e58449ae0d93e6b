// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pvgate/pvgate/gateway/reason"
)

// Answer is everything an answer of ours may say besides its reason. Absent
// parts are zero. The members of problem documents are never renamed.
type Answer struct {
	Reason reason.Code

	Leistung string // 14 digits
	Title    string // of the Leistung
	Area     *Area
	Backend  *Backend

	RetryAfter int // seconds; at least 1 is sent where one is due

	Help       []Link
	Candidates []Candidate
	Choices    []Choice
	Near       []Near

	Value       string // what was given, cut to 64 characters
	Hint        string
	Where       string // the places that contradict each other
	Allow       string // methods, for the Allow field
	Offer       string
	JoinedCount *int
	Successor   string
	Ended       time.Time
	Until       time.Time
	Since       time.Time
	Instead     string // an address to use meanwhile
	Why         string // an operator's words
	Source      string
	Limit       string
	Whose       string

	// Private keeps an answer out of shared caches although its reason would
	// allow them: it depends on more than the address.
	Private bool
}

// Area is a place in an answer.
type Area struct {
	ARS   string `json:"ars"`
	Name  string `json:"name"`
	Level int    `json:"level"`
}

// Backend is a portal in an answer.
type Backend struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Contact *Contact `json:"contact,omitempty"`
}

// Contact is where a portal's operator can be reached.
type Contact struct {
	Name  string `json:"name,omitempty"`
	URL   string `json:"url,omitempty"`
	Mail  string `json:"mail,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// Link is a title and an address.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url,omitempty"`
}

// Candidate is one of several equal targets.
type Candidate struct {
	Title   string `json:"title"`
	URL     string `json:"url"`
	Backend string `json:"backend"`
}

// Choice is a place that would make the question precise enough.
type Choice struct {
	ARS  string `json:"ars"`
	Name string `json:"name"`
	URL  string `json:"-"` // the same question asked there
}

// Near is what may have been meant: a place or a Leistung.
type Near struct {
	ARS      string `json:"ars,omitempty"`
	Name     string `json:"name,omitempty"`
	Leistung string `json:"leistung,omitempty"`
	Title    string `json:"title,omitempty"`
	URL      string `json:"-"`
}

// maxValue is how many characters of a client's value are repeated to it.
const maxValue = 64

// clean makes a text harmless to show: valid UTF-8, at most limit characters,
// no control or format character (those reorder lines, forge log entries and
// drive terminals).
func clean(s string, limit int) string {
	plain := len(s) <= limit
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7F
	}
	if plain {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			break
		}
		if !harmless(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// maxTitle bounds texts that come from registries and operators.
const maxTitle = 300

// cleaned returns a copy of the answer that is safe to show.
func (a *Answer) cleaned() *Answer {
	c := *a
	c.Value = clean(a.Value, maxValue)
	for _, s := range []*string{
		&c.Title, &c.Hint, &c.Where, &c.Offer, &c.Successor, &c.Why, &c.Source, &c.Limit, &c.Whose, &c.Leistung,
	} {
		*s = clean(*s, maxTitle)
	}
	if c.Reason.RetryLater() {
		c.RetryAfter = max(1, c.RetryAfter)
	}
	if a.Area != nil {
		area := *a.Area
		area.Name = clean(area.Name, maxTitle)
		c.Area = &area
	}
	c.Help = make([]Link, len(a.Help))
	for i, l := range a.Help {
		c.Help[i] = Link{Title: clean(l.Title, maxTitle), URL: l.URL}
	}
	c.Candidates = make([]Candidate, len(a.Candidates))
	for i, k := range a.Candidates {
		k.Title = clean(k.Title, maxTitle)
		c.Candidates[i] = k
	}
	c.Choices = make([]Choice, len(a.Choices))
	for i, k := range a.Choices {
		k.Name = clean(k.Name, maxTitle)
		c.Choices[i] = k
	}
	c.Near = make([]Near, len(a.Near))
	for i, k := range a.Near {
		k.Name, k.Title = clean(k.Name, maxTitle), clean(k.Title, maxTitle)
		c.Near[i] = k
	}
	return &c
}
