// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"strings"
	"time"
)

// SecurityTxt is what a security.txt says (RFC 9116): whom to tell about a weakness, and how. Every text is one line;
// who makes it has checked that.
type SecurityTxt struct {
	Contact            []string // in order of preference
	Expires            time.Time
	Encryption         []string
	Acknowledgments    []string
	PreferredLanguages []string
	Canonical          []string
	Policy             []string
	Hiring             []string
}

// Append appends the file. Expires stands in UTC, to the second, as RFC 9116, section 2.5.5, and RFC 3339 have it.
func (s *SecurityTxt) Append(dst []byte) []byte {
	line := func(name string, values ...string) {
		for _, v := range values {
			dst = append(append(append(append(dst, name...), ": "...), v...), '\n')
		}
	}
	line("Contact", s.Contact...)
	line("Expires", s.Expires.UTC().Format(time.RFC3339))
	line("Encryption", s.Encryption...)
	line("Acknowledgments", s.Acknowledgments...)
	if len(s.PreferredLanguages) > 0 {
		line("Preferred-Languages", strings.Join(s.PreferredLanguages, ", "))
	}
	line("Canonical", s.Canonical...)
	line("Policy", s.Policy...)
	line("Hiring", s.Hiring...)
	return dst
}
