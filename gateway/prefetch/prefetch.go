// SPDX-License-Identifier: EUPL-1.2

// Package prefetch asks the memory ahead of time for what a request is about to touch. With thousands of backends nothing of
// one is in the processor's caches: each step along a chain of pointers waits for the memory, unless all that is known to
// come is on its way at once, while something else is done [bench/rig many].
//
// The calls are [All], [First] and [Bytes]. They return at once, and neither read nor fault: any pointer is good, nil too. Where the
// processor has no such instruction they do nothing.
package prefetch

import "unsafe"

// All asks for what p points to.
func All[T any](p *T) { lines(unsafe.Pointer(p), unsafe.Sizeof(*p)) }

// First asks for the first n octets of what p points to.
func First[T any](p *T, n uintptr) { lines(unsafe.Pointer(p), n) }

// Bytes asks for what b holds.
func Bytes(b []byte) { lines(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))) }
