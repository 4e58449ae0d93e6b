// SPDX-License-Identifier: EUPL-1.2

// Package objects keeps the objects of XZuFi deliveries, so that changes, deletions and late ends of links resolve, and
// makes the rows of a registry of them.
//
// A [Store] is a folder with a bbolt file. [Store.Import] takes a delivery: whole, which says of its editorial systems
// what there is, or a change. It is read to its end and compared with what there is before anything is written; what differs
// is noted on disk, and then applied in several transactions, each of which may be the last of this process: the next
// that opens the store goes on. Until it is done the store gives no rows, so a delivery is never seen in half. What is
// delivered again changes nothing.
//
// [Store.Export] gives the rows in an order that depends on the objects alone, and not on how they came. [Read] reads
// them as any other source is read.
//
// Memory is bounded: objects are sorted in files, and what a transaction changes is limited; the pages of the store itself are
// the kernel's.
package objects
