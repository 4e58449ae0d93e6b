// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault in a configuration: where, and what with what to do.
type Error struct {
	Origin Origin
	Text   string // "what; what to do"
}

// Error returns "file:line:col: what; what to do".
func (e *Error) Error() string { return e.Origin.String() + ": " + e.Text }

// At makes an error for a place.
func At(o Origin, format string, args ...any) *Error {
	return &Error{Origin: o, Text: fmt.Sprintf(format, args...)}
}

// Errors is every fault that was found, sorted by place.
type Errors []*Error

// maxReported bounds what one report prints; a file with more faults than this
// is not repaired line by line.
const maxReported = 500

// Error returns one line for each fault.
func (e Errors) Error() string {
	var b strings.Builder
	for i, err := range e {
		if i == maxReported {
			fmt.Fprintf(&b, "\n… and %d more errors", len(e)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap lets errors.Is and errors.As see every member.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// Sorted returns the errors by place, exact repetitions removed.
func (e Errors) Sorted() Errors {
	out := slices.Clone(e)
	slices.SortStableFunc(out, func(a, b *Error) int { return a.Origin.compare(b.Origin) })
	return slices.CompactFunc(out, func(a, b *Error) bool { return *a == *b })
}

// orNil returns nil for an empty list, so that callers can compare with nil.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e.Sorted()
}

// Join returns the faults of several errors as one sorted list. An error that
// is not an [Errors] keeps its text without a place.
func Join(errs ...error) error {
	var all Errors
	for _, err := range errs {
		if err == nil {
			continue
		}
		var list Errors
		var one *Error
		switch {
		case errors.As(err, &list):
			all = append(all, list...)
		case errors.As(err, &one):
			all = append(all, one)
		default:
			all = append(all, &Error{Origin: Origin{Where: FromFile, Name: "pvgate"}, Text: err.Error()})
		}
	}
	return all.orNil()
}
