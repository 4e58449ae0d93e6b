// SPDX-License-Identifier: EUPL-1.2

// Package lookup stands between routing and registries that are asked for one key at a time (R15).
//
// A [Source] asks one registry; its clients are the subpackages. A [Cache] stands before it: [Cache.Get] answers at once
// whatever the source does, [Cache.Want] is for those who can wait. It asks once for a key and its time, as often as the
// source allows, and gives its last answer as long as there is no better one. The package knows no transport and no format.
package lookup

import (
	"context"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Key is what is asked: a Leistung for an area. Comparable.
type Key struct {
	Leistung registry.Leistung
	Area     registry.ARS
}

// Source asks a registry for one key. Safe for concurrent use.
type Source interface {
	// Name is the source's in the configuration.
	Name() string
	// Look asks once, and not again by itself; who needs several requests for it, as of pages, asks [Again] before each but the
	// first. That the registry knows nothing of the key is an empty answer and no error.
	// An error is a *source.Refusal: its Cause says what was wrong, its RetryAfter when the registry wants to be asked again.
	// With the causes empty (nothing of what came can be read), oversized and unknown_area the registry works, and this key is
	// what is wrong; several others in a row are a pause for all keys.
	// The quota is what was told with the answer, or with the error; zero = nothing was. Look returns soon after ctx ends.
	Look(ctx context.Context, k Key) (Answer, Quota, error)
}

// Again is leave for another request of the same look-up: ctx is that of Look, q what was told with the request before. It
// waits for its turn. An error ends the look-up: Look returns it.
func Again(ctx context.Context, q Quota) error {
	if again, ok := ctx.Value(againKey{}).(func(context.Context, Quota) error); ok {
		return again(ctx, q)
	}
	return nil // nobody counts
}

type againKey struct{}

// Answer is what a registry says about a key. Once a source has returned it nobody may change it, nor what it points to:
// all who ask for the key share it.
type Answer struct {
	Entries  []registry.Entry // of the key's Leistung, each at the area that its AreaKey names, else at the key's; Area means nothing
	Contexts []Context
	At       time.Time // when it was given; a source leaves it to the cache
}

// Negative says whether the registry knows nothing of the key.
func (a *Answer) Negative() bool { return len(a.Entries) == 0 && len(a.Contexts) == 0 }

// Context is who is responsible for a key. It adds to what a route says and never is one (R15).
type Context struct {
	DestinationID string // of FIT-Connect
	Authority     string // its name
	Imprint       string // URLs of the authority, which everybody may see
	Privacy       string
	Accessibility string
	OE            string       // id of the organisation unit
	Area          registry.ARS // where it is responsible; the key's if it did not say
	Origin        registry.Origin
}

// Quota is how often a registry says it may be asked (RateLimit-Limit, -Remaining, -Reset).
type Quota struct {
	Limit     int           // calls in a window
	Remaining int           // of them
	Reset     time.Duration // to the end of the window; 0 = no quota was told
}
