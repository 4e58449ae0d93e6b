// SPDX-License-Identifier: EUPL-1.2

// Package xzufi reads deliveries of XZuFi 2.1, 2.2 and 2.3, the exchange format of Germany's directories of public
// services: Leistungen, who is competent for them and where, and what leads to the Onlinedienste. [Read] reads one
// message, a file of a delivery, and emits its objects in bounded memory.
//
// The types are the part of the standard from which entries are made; texts for citizens are passed over. A file that is
// not well-formed or not a message is refused whole, an object that makes no sense by itself is put aside. Whether objects
// fit together is not known here: they come in any order, and both ends of a Zustaendigkeit may be in other files.
package xzufi
