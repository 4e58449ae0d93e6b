// SPDX-License-Identifier: EUPL-1.2

package registry

import "errors"

// ErrEmptyValue says that a placeholder in a path or fragment has no value: target_refused.
var ErrEmptyValue = errors.New("a placeholder in path or fragment has no value")

// Values fill a [Template].
type Values struct {
	Leistung    Leistung
	ARS         ARS    // zero = Bund
	Lang        string // "de", "en"; "" = de
	OE, LB, OD  string // opaque ids, e.g. "L100012.OE.9029660"
	Destination string
}

// Template is a URL or path of ours with {placeholders} (CONTRACT 13). The zero value is the empty text. Immutable,
// safe for concurrent use.
type Template struct {
	text string
}

// ParseTemplate reads a template. The error names an unknown placeholder and those that exist.
func ParseTemplate(text string) (Template, error) { panic("not yet") }

// Append appends the filled template. It does not allocate if dst has room. [ErrEmptyValue] is the only error, and dst
// is then returned unchanged.
func (t Template) Append(dst []byte, v *Values) ([]byte, error) { panic("not yet") }

// String is the text as it was written.
func (t Template) String() string { return t.text }

// IsZero says whether the template is empty.
func (t Template) IsZero() bool { return t.text == "" }

// Uses says whether the template has the placeholder, e.g. "oe_id".
func (t Template) Uses(placeholder string) bool { panic("not yet") }

// Static says whether the template has no placeholder at all.
func (t Template) Static() bool { panic("not yet") }
