// SPDX-License-Identifier: EUPL-1.2

// Package links asks the addresses of a registry, politely and slowly, whether anything is there still, and keeps a report
// of those that are stale, by Land and by who keeps the row.
//
// The call to know is [Checker.Run]. It knows the rows by a [Registry], which may change while it runs, and asks each distinct
// address once in a round: what differs from place to place in its own digits alone is one address, of which one place is
// asked. An address that fails is asked again a day later; one that fails several times in a row is stale. A page that
// answers 200 and says that there is nothing is not found out.
//
// It is polite: it says who it is and whom to write to, obeys robots.txt (RFC 9309), Crawl-delay and Retry-After, sends one
// request at a time to a host, leaves it alone in between, and spreads a host's addresses over the round. It is bounded:
// requests per second, checks under way, redirects, octets of any answer, and memory, of which an address takes five octets at
// most. It is careful: each connection, of each redirect too, is held to public addresses, unless the row's source may name
// others.
//
// What it finds never decides where anybody goes (R7): nothing in a table can hold it, and no package of routing sees this one.
//
// A [store] on disk has what an unlucky end must not lose: of each host how far the round is, and what is known of addresses that
// are not simply in order. Only one process has it open. Nothing about a person is in it.
package links
