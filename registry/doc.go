// SPDX-License-Identifier: EUPL-1.2

// Package registry holds the nouns of the Portalverbund: Leistung, ARS, area, entry, offer, adoption, catalogue,
// template and the dates they are written with. Keys are parsed once, at the edge, by [ParseLeistung] and
// [Areas.Locate] (requests) or [Areas.EntryArea] (rows of a registry or of an operator's file); afterwards they are
// values that can be trusted and compared.
//
// [EmbeddedAreas] is the Gemeindeverzeichnis of 30.11.2021 (© Statistisches Bundesamt (Destatis), 2021), package
// registry/gv100ad reads a newer one, [Areas.WithAliases] lays dated changes over either.
//
// The package does not decide: which entry answers a request is package routing's business. It does no network I/O
// and reads no clock; every question about a time takes the time. Rule numbers (R1, R2, …) in comments are those of
// the resolution rules that routing/testdata/vectors states as examples.
package registry
