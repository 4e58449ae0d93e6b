// SPDX-License-Identifier: EUPL-1.2

// Package http1 is HTTP/1.1 without I/O: bytes in, events out, and the way back.
//
// The calls you want: Server.Feed reads requests from a client, Client.Feed reads
// responses from an upstream, AppendRequest, AppendResponse and AppendChunk
// write. The machines keep no slice of what they were fed and hold no buffer, so
// an idle connection costs two small structs.
//
// It accepts less than others do (RFC 9112 by the letter, and stricter where
// software is known to disagree): everything two parsers could read differently
// is refused, because what one of them calls body the other may call the next
// request. See the table in http1's tests for each rule and its attack.
//
// It deliberately does not touch sockets, clocks or goroutines, does not choose
// status codes, does not remove hop-by-hop fields (package header), and never
// hands received framing on: heads and chunk framing are written anew.
package http1
