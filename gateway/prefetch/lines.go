// SPDX-License-Identifier: EUPL-1.2

//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines asks for the cache lines that n octets from p on lie in, at least one.
//
//go:noescape
func lines(p unsafe.Pointer, n uintptr)
