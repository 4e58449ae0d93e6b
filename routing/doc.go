// SPDX-License-Identifier: EUPL-1.2

// Package routing decides which backend answers a Leistung in an area at a time: rules R1–R14 and R16, of which
// testdata/vectors states examples that other software can run.
//
// [Compile] turns registry rows, offers, adoptions and overrides into an immutable [Table]; [Table.Resolve] asks it
// (no allocation), [Table.Explain] asks it with every candidate and why it lost, through the same code. The other
// methods of Table fill in what an answer tells: the target's URL, choices, candidates, near keys, help.
//
// The package does no I/O, reads no clock and knows nothing of HTTP, health or limits (R14: nothing changes a target
// after it is chosen). Requests' texts are parsed by package registry before they come here. How the rules are read where
// their short form leaves a choice stands in testdata/vectors/README.md, "Readings".
package routing
