// SPDX-License-Identifier: EUPL-1.2

// Package xzufi reads deliveries of XZuFi 2.1, 2.2 and 2.3, the exchange format of Germany's directories of public
// services: Leistungen, who is competent for them and where, and what leads to the Onlinedienste.
//
// The types are the part of the standard from which entries are made; texts for citizens are passed over.
package xzufi
