// SPDX-License-Identifier: EUPL-1.2

// Package index holds the compiled rows of all bulk sources: which (Leistung, area) has which rows, and what they say.
//
// An [Index] is immutable and a few slices without pointers: ten million rows cost the garbage collector nothing, and
// they go into a bundle and come out of it as they are ([Index.Sections], [FromSections]). It knows nothing of backends
// and operators; package routing lays those beside it, so that all snapshots of one registry share one index.
//
// [Builder] makes one from entries, in any order: the same entries give the same bytes. What many rows have in common is
// kept once: texts, and all that a row says but where it stands ([Record]). A text that names its own Leistung or area
// by digits is kept with a mark in their place, so that the addresses of ten thousand Gemeinden that differ in their
// keys alone are one.
package index
