// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vector is one example of testdata/vectors; the README there says what each member means.
type vector struct {
	Name       string            `json:"name"`
	Rule       string            `json:"rule"`
	Scenario   int               `json:"scenario"`
	Why        string            `json:"why"`
	Areas      vectorAreas       `json:"areas"`
	Aliases    []vectorAlias     `json:"aliases"`
	Leistungen []vectorLeistung  `json:"leistungen"`
	ParentKey  []string          `json:"parent_key"`
	SelfHosts  []string          `json:"self_hosts"`
	Sources    []string          `json:"sources"`
	Lookups    []string          `json:"lookups"` // of them, those that are asked for one key at a time
	Backends   []vectorBackend   `json:"backends"`
	Entries    []vectorEntry     `json:"entries"`
	Offers     []vectorOffer     `json:"offers"`
	Adoptions  []vectorAdoption  `json:"adoptions"`
	Overrides  []vectorOverride  `json:"overrides"`
	Answers    []vectorAnswer    `json:"answers"` // of look-ups
	State      map[string]string `json:"state"`   // of backends; nothing here may read it (R14)
	Ask        vectorAsk         `json:"ask"`
	Want       vectorWant        `json:"want"`
}

// vectorAreas is "embedded" or a list of its own.
type vectorAreas struct {
	embedded bool
	list     []vectorArea
}

type vectorArea struct {
	ARS  string `json:"ars"`
	Name string `json:"name"`
}

func (a *vectorAreas) UnmarshalJSON(b []byte) error {
	if string(b) == `"embedded"` {
		a.embedded = true
		return nil
	}
	return json.Unmarshal(b, &a.list)
}

type vectorAlias struct {
	From []string `json:"from"`
	To   []string `json:"to"`
	On   string   `json:"on"`
	Name string   `json:"name"`
}

type vectorLeistung struct {
	Key       string   `json:"key"`
	Title     string   `json:"title"`
	Types     []string `json:"types"`
	Successor string   `json:"successor"`
}

type vectorBackend struct {
	Name    string   `json:"name"`
	Hosts   []string `json:"hosts"`
	Mode    string   `json:"mode"`
	Require []string `json:"require"`
}

type vectorEntry struct {
	ID           string      `json:"id"`
	Source       string      `json:"source"` // "" = operator
	File         string      `json:"file"`
	Leistung     string      `json:"leistung"`
	Area         string      `json:"area"`
	Kind         string      `json:"kind"`
	URL          string      `json:"url"`
	URLs         []vectorURL `json:"urls"`
	Backend      string      `json:"backend"`
	Path         string      `json:"path"`
	Title        string      `json:"title"`
	Lang         string      `json:"lang"`
	Begin        string      `json:"begin"`
	End          string      `json:"end"`
	Inactive     bool        `json:"inactive"`
	OnlineStatus string      `json:"online_status"` // of a link check; nothing may read it (R7)
	Role         string      `json:"role"`
	Specialised  bool        `json:"specialised"`
	Priority     int         `json:"priority"`
	OE           string      `json:"oe_id"`
	LB           string      `json:"lb_id"`
	OD           string      `json:"od_id"`
	Refused      string      `json:"refused"`
}

// vectorAnswer is what a look-up source says when it is asked for a Leistung in an area; about all else it knows nothing.
type vectorAnswer struct {
	Source   string        `json:"source"`
	Leistung string        `json:"leistung"`
	Area     string        `json:"area"`
	Fails    bool          `json:"fails"`
	Entries  []vectorEntry `json:"entries"`
}

type vectorURL struct {
	Lang string `json:"lang"`
	URL  string `json:"url"`
}

type vectorOffer struct {
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Backend    string            `json:"backend"`
	Provider   vectorProvider    `json:"provider"`
	Begin      string            `json:"begin"`
	End        string            `json:"end"`
	Successor  string            `json:"successor"`
	Leistungen map[string]string `json:"leistungen"`
}

type vectorProvider struct {
	Area string `json:"area"`
	Name string `json:"name"`
	Via  string `json:"via"`
}

type vectorAdoption struct {
	ID         string          `json:"id"`
	Offer      string          `json:"offer"`
	State      string          `json:"state"`
	Areas      []vectorAdopted `json:"areas"`
	Without    []string        `json:"without"`
	Leistungen []string        `json:"leistungen"`
	Begin      string          `json:"begin"`
	End        string          `json:"end"`
}

type vectorAdopted struct {
	Area string `json:"area"`
	OE   string `json:"oe_id"`
}

type vectorOverride struct {
	ID       string   `json:"id"`
	File     string   `json:"file"`
	Area     string   `json:"area"`
	Leistung string   `json:"leistung"`
	Sender   string   `json:"sender"`
	From     string   `json:"from"`
	Until    string   `json:"until"`
	Priority int      `json:"priority"`
	To       vectorTo `json:"to"`
	Gone     string   `json:"gone"`
	By       string   `json:"by"`
	Why      string   `json:"why"`
}

// vectorTo is a backend, a URL, or weights.
type vectorTo struct {
	one     string
	weights map[string]int
}

func (t *vectorTo) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &t.one)
	}
	return json.Unmarshal(b, &t.weights)
}

type vectorAsk struct {
	Leistung string        `json:"leistung"`
	Area     *string       `json:"area"`
	At       string        `json:"at"`
	Sender   string        `json:"sender"`
	Lang     string        `json:"lang"`
	Named    []vectorNamed `json:"named"`
}

type vectorNamed struct {
	Where    string `json:"where"`
	Leistung string `json:"leistung"`
	Area     string `json:"area"`
	ARS      string `json:"ars"`
	AGS      string `json:"ags"`
}

type vectorWant struct {
	LoadError      string        `json:"load_error"`
	Reason         string        `json:"reason"`
	Backend        *string       `json:"backend"`
	URL            *string       `json:"url"`
	Kind           *string       `json:"kind"`
	Area           *string       `json:"area"`
	Key            *string       `json:"key"`
	OE             *string       `json:"oe_id"`
	Lang           *string       `json:"lang"`
	Note           *string       `json:"note"`
	Hint           string        `json:"hint"`
	Choices        []string      `json:"choices"`
	Candidates     []string      `json:"candidates"`
	Near           []string      `json:"near"`
	SuccessorOffer string        `json:"successor_offer"`
	Losers         []vectorLoser `json:"losers"`
	Asked          []string      `json:"asked"`
}

type vectorLoser struct {
	Entry string `json:"entry"`
	Why   string `json:"why"`
}

// loadVectors reads testdata/vectors. An unknown member is a fault: a misspelt one would test nothing.
func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no vectors: %v", err)
	}
	var all []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		var list []vector
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&list); err != nil {
			tb.Fatalf("%s: %v", f, err)
		}
		all = append(all, list...)
	}
	return all
}
