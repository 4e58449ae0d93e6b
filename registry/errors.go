// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"fmt"
	"strings"
	"time"
)

// KeyError says that a text is not a Leistungsschlüssel (R1) or not an area key (R2).
// It is about the text alone; whether such a Leistung or area exists is another question.
type KeyError struct {
	What  string // "leistung" or "area"
	Value string // as given, at most 64 bytes
	Hint  string // what would be right; empty if unknown
}

func (e *KeyError) Error() string {
	want := "want 14 digits"
	if e.What == "area" {
		want = "want 2, 3, 5, 9 or 12 digits (ARS), 8 (AGS) or zeros (Bund)"
	}
	if e.Hint != "" {
		want += "; " + e.Hint
	}
	return fmt.Sprintf("%s %q: %s", e.What, e.Value, want)
}

// InvalidArea is the invalid_area of a request: the text has not the shape of an area key, or it has five digits and
// came from a sender that may have meant a postcode (R2).
type InvalidArea struct {
	Value string // as given, at most 64 bytes
	Hint  string // e.g. "leading zero? 010010000000"; empty if none
}

func (e *InvalidArea) Error() string {
	return (&KeyError{What: "area", Value: e.Value, Hint: e.Hint}).Error()
}

// UnknownArea is the unknown_area of a request or a row: the shape is right, but no such area exists at that time.
type UnknownArea struct {
	Value     string    // as given, at most 64 bytes
	Near      []AreaID  // at most 5 areas whose keys or territory come closest, best first
	Hint      string    // for people; empty if none
	AliasDate time.Time // set if the key comes into force on that day (R4)
}

func (e *UnknownArea) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "area %q: no such area", e.Value)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// SplitArea says that the key's territory has become several areas (R4); a request must name one of them.
type SplitArea struct {
	Value   string
	Choices []AreaID // ascending
	On      time.Time
}

func (e *SplitArea) Error() string {
	return fmt.Sprintf("area %q: became %d areas on %s; name one of them", e.Value, len(e.Choices), e.On.Format(time.DateOnly))
}

// clip keeps what a client sent from filling a log or a page.
func clip[S ~string | ~[]byte](s S) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(string(s[:64]), "")
	}
	return strings.ToValidUTF8(string(s), "\uFFFD")
}
