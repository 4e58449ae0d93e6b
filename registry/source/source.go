// SPDX-License-Identifier: EUPL-1.2

// Package source turns rows of registries into entries. It holds what all sources have in common: the [Options] and
// [Result] of reading one, the reasons to refuse it whole ([Refusal]), and the [Builder] that checks a row (R1, R2, R7)
// and either emits entries or puts the row aside. The readers of single formats are its subpackages; each offers
// Read (a stream, in bounded memory) and Load (a file, collected).
//
// A row fault costs that row and no other. A row with a readable key and area whose target is refused is kept as a
// blocked entry. A source that ends in the middle, has no rows or has not the columns it should have is refused whole:
// half a registry is worse than yesterday's. What the caller then serves is its business, as are the guards that compare
// a source with its last state.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// The bounds of one source, if Options say nothing else.
const (
	DefaultMaxRows = 20_000_000 // twice the largest estimate of all competences in Germany
	MaxFaults      = 1000       // put-aside rows that are reported one by one; all are counted
)

// Options say what is read and how it is judged.
type Options struct {
	Name    string // of the source, for provenance: "pvog-sample"
	Path    string // the file: read by Load, named in messages by both
	Order   int    // place in the order of trust (R10), copied to Entry.Source
	Areas   *registry.Areas
	Policy  registry.URLPolicy
	MaxRows int // more are refused as oversized; 0 = DefaultMaxRows
}

// Emit takes an entry. The entry is valid during the call; its strings may be kept. An error ends the reading.
type Emit func(*registry.Entry) error

// Counts are what became of the rows. Rows = Skipped + Empty + Quarantined + those that gave entries.
type Counts struct {
	Rows        int // without the header
	Services    int // entries emitted
	Pages       int // entries emitted
	Refused     int // of these, entries whose target the URL policy refuses (R7)
	Skipped     int // rows that the keep column leaves out
	Empty       int // rows without any target
	Quarantined int // rows with a fault
	UnknownArea int // of these, rows for an area that does not exist
}

// Report is what reading a source gave beside entries.
type Report struct {
	Counts
	Faults   []registry.Fault // at most MaxFaults of the quarantined rows
	Warnings []registry.Fault // about rows or the file, which were used nevertheless
	// Types are those that the source says Leistungen have, also such without a row; nil = it says nothing of types.
	Types map[registry.Leistung]registry.Types
}

// Result is a source that was read whole.
type Result struct {
	Report
	Entries []registry.Entry
}

// Cause is why a source was refused whole: a closed list, the label of a metric.
type Cause string

// All causes. Which of them reading, fetching, a bundle or the comparison with the last state can find is said there.
const (
	CauseEmpty       Cause = "empty"        // no rows, no bytes
	CauseTruncated   Cause = "truncated"    // ends inside a row, or could not be read to its end
	CauseOversized   Cause = "oversized"    // more rows or bytes than allowed
	CauseShrunk      Cause = "shrunk"       // lost more of its entries than allowed
	CauseShrunkLand  Cause = "shrunk_land"  // lost more of a Land's entries than allowed
	CauseOlder       Cause = "older"        // a version before the one in use
	CauseSignature   Cause = "signature"    // of nobody who is trusted
	CauseChecksum    Cause = "checksum"     // the bytes are not those that were written
	CauseSchema      Cause = "schema"       // not the form it should have: columns, sections, too many bad rows
	CauseConflict    Cause = "conflict"     // offers or entries that contradict one another
	CauseUnknownArea Cause = "unknown_area" // too many rows for areas that do not exist, or another Gemeindeverzeichnis
	CauseURLPolicy   Cause = "url_policy"   // an address that may not be asked, or too many targets that may not be
	CauseUnreachable Cause = "unreachable"  // no answer, or none that is a file
	CauseTimeout     Cause = "timeout"      // too slow
	CauseRateLimited Cause = "rate_limited" // asked too often, says the other side
	CauseBudget      Cause = "budget"       // asked as often as we allow ourselves
)

// Causes is the closed list in the order of documents.
func Causes() []Cause {
	return []Cause{
		CauseEmpty, CauseTruncated, CauseOversized, CauseShrunk, CauseShrunkLand, CauseOlder, CauseSignature, CauseChecksum, CauseSchema,
		CauseConflict, CauseUnknownArea, CauseURLPolicy, CauseUnreachable, CauseTimeout, CauseRateLimited, CauseBudget,
	}
}

// Refusal says why a source cannot be used at all.
type Refusal struct {
	Cause  Cause
	Origin registry.Origin
	Text   string
	Err    error // below it, or nil
	// RetryAfter is when who refused wants to be asked again; 0 = it did not say.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return r.Origin.InFile() + ": " + r.Text }

func (r *Refusal) Unwrap() error { return r.Err }

// Refuse makes a refusal at a line of the source; 0 is the file.
func (o *Options) Refuse(cause Cause, line int, format string, args ...any) *Refusal {
	return &Refusal{Cause: cause, Origin: o.origin(line), Text: fmt.Sprintf(format, args...)}
}

func (o *Options) origin(line int) registry.Origin {
	return registry.Origin{Source: o.Name, File: o.Path, Line: int32(min(line, 1<<31-1))}
}

// Reader reads a stream; every format has one.
type Reader func(ctx context.Context, r io.Reader, emit Emit) (Report, error)

// Load reads the file at path with a format's reader and collects the entries.
func Load(ctx context.Context, path string, read Reader) (res Result, err error) {
	f, err := os.Open(path)
	if err != nil {
		return Result{}, fmt.Errorf("read source: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	res.Report, err = read(ctx, f, func(e *registry.Entry) error {
		res.Entries = append(res.Entries, *e)
		return nil
	})
	return res, err
}
