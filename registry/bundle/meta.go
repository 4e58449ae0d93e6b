// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxSources bounds the sources of a bundle.
const MaxSources = 256

// Lands is the number of places that entries are counted by: the Bund, 0, and the 16 Länder.
const Lands = 17

// Meta are the facts about a bundle by which it is compared with the one in use.
type Meta struct {
	Sequence uint64        `json:"sequence"` // the version: ascends from one bundle to the next
	Created  time.Time     `json:"created"`  // whole seconds, UTC; given by who builds
	Areas    string        `json:"areas"`    // digest of the Gemeindeverzeichnis that its area ids belong to
	Sources  []SourceFacts `json:"sources"`  // in the order of trust
}

// SourceFacts are the facts about one source. The counts are those of reading it (source.Counts).
type SourceFacts struct {
	Name        string           `json:"name"`
	Digest      string           `json:"digest"`   // SHA-256 of the file as it came, "sha256:…"; "" if unknown
	Modified    time.Time        `json:"modified"` // when it was last changed, whole seconds, UTC; zero = unknown
	Rows        int              `json:"rows"`
	Services    int              `json:"services"`     // entries
	Pages       int              `json:"pages"`        // entries
	Blocked     int              `json:"blocked"`      // of the entries: their target is refused
	Skipped     int              `json:"skipped"`      // rows left out on purpose
	Empty       int              `json:"empty"`        // rows without a target
	Quarantined int              `json:"quarantined"`  // rows with a fault
	UnknownArea int              `json:"unknown_area"` // of these: for an area that does not exist
	Lands       [Lands]LandFacts `json:"lands"`        // the entries by the Land of their area
}

// LandFacts are the entries of one Land.
type LandFacts struct {
	Services int `json:"services"`
	Pages    int `json:"pages"`
}

// Entries is the number of entries of all sources.
func (m *Meta) Entries() int {
	n := 0
	for i := range m.Sources {
		n += m.Sources[i].Entries()
	}
	return n
}

// Entries is the number of the source's entries.
func (s *SourceFacts) Entries() int { return s.Services + s.Pages }

// maxCount bounds every count: what sums of them do stays far from overflow.
const maxCount = 1 << 40

// maxName bounds the name of a source and a digest, in bytes.
const maxName = 100

// check says what cannot be true.
func (m *Meta) check() error {
	switch {
	case m.Created.IsZero():
		return errors.New("created is missing")
	case !whole(m.Created):
		return errors.New("created is not in whole seconds of UTC")
	case len(m.Areas) > maxName || strings.ContainsFunc(m.Areas, unprintable):
		return errors.New("areas is no digest")
	case len(m.Sources) > MaxSources:
		return fmt.Errorf("%d sources, more than %d", len(m.Sources), MaxSources)
	}
	names := make(map[string]bool, len(m.Sources))
	for i := range m.Sources {
		s := &m.Sources[i]
		if s.Name == "" || len(s.Name) > maxName || names[s.Name] || strings.ContainsFunc(s.Name, unprintable) {
			return fmt.Errorf("source %d is called %.100q; want a name of its own", i, s.Name)
		}
		names[s.Name] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("source %q: %w", s.Name, err)
		}
	}
	return nil
}

func (s *SourceFacts) check() error {
	var services, pages int
	counts := []int{s.Rows, s.Services, s.Pages, s.Blocked, s.Skipped, s.Empty, s.Quarantined, s.UnknownArea}
	for _, l := range s.Lands {
		services, pages = services+min(max(l.Services, -1), maxCount), pages+min(max(l.Pages, -1), maxCount)
		counts = append(counts, l.Services, l.Pages)
	}
	for _, n := range counts {
		if n < 0 || n > maxCount {
			return fmt.Errorf("a count of %d", n)
		}
	}
	switch {
	case services != s.Services || pages != s.Pages:
		return fmt.Errorf("%d services and %d pages, but those of the Länder are %d and %d", s.Services, s.Pages, services, pages)
	case s.Blocked > s.Entries():
		return fmt.Errorf("%d of %d entries are blocked", s.Blocked, s.Entries())
	case s.UnknownArea > s.Quarantined:
		return fmt.Errorf("%d of %d quarantined rows are for unknown areas", s.UnknownArea, s.Quarantined)
	case s.Skipped+s.Empty+s.Quarantined > s.Rows:
		return fmt.Errorf("%d rows, but %d gave no entry", s.Rows, s.Skipped+s.Empty+s.Quarantined)
	case s.Entries() > 2*(s.Rows-s.Skipped-s.Empty-s.Quarantined):
		return fmt.Errorf("%d entries of %d rows: a row gives two at most", s.Entries(), s.Rows)
	case !s.Modified.IsZero() && !whole(s.Modified):
		return errors.New("modified is not in whole seconds of UTC")
	}
	if s.Digest != "" {
		if _, err := ParseDigest(s.Digest); err != nil {
			return err
		}
	}
	return nil
}

// unprintable characters have no business in a name that stands in logs and labels.
func unprintable(c rune) bool { return c <= ' ' || c == utf8.RuneError || !unicode.IsPrint(c) }

func whole(t time.Time) bool { return t.Location() == time.UTC && t.Nanosecond() == 0 }

// encode is the one form of meta.
func (m *Meta) encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	one := *m
	if one.Sources == nil {
		one.Sources = []SourceFacts{} // [] and null are the same, and only [] is right
	}
	out, err := json.Marshal(&one)
	if err == nil && len(out) > MaxMeta {
		err = fmt.Errorf("%d bytes, more than %d", len(out), MaxMeta)
	}
	return out, err
}

// decodeMeta reads what encode writes, and nothing else: no other order, no unknown key, no key twice.
func decodeMeta(data []byte) (m Meta, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Meta{}, err
	}
	again, err := m.encode()
	if err != nil {
		return Meta{}, err
	}
	if !bytes.Equal(again, data) {
		return Meta{}, errors.New("it is not in its one form")
	}
	return m, nil
}
