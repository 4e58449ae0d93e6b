// SPDX-License-Identifier: EUPL-1.2

// Package http2 is the server's side of an HTTP/2 connection without I/O: bytes in, events out, and the way back.
//
// The calls you want: Server.Feed reads what a client sends, AppendHead and AppendData write an answer within the windows,
// Consumed opens the client's window again, Done gives a stream's place back. Everything that the machine has to say
// itself (acknowledgements, windows, resets, GOAWAY) is in front of whatever is appended next, or comes by AppendControl.
//
// It is strict (RFC 9113 by the letter; heads by message.Assembler) and bounds everything: streams, header blocks, the
// memory of decoded fields, the compression table, frames that carry nothing. Who wastes our time is told to be calm and
// closed; see Cause for the list.
//
// It deliberately does not touch sockets, clocks or goroutines, does not choose status codes, does not say which stream is
// served first, and knows no server push, no priorities and no trailers of answers. Trailers of requests are checked and
// dropped.
package http2
