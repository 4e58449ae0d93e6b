// SPDX-License-Identifier: EUPL-1.2

// Package http3 is HTTP/3 for clients: quic-go moves the octets of streams, everything above them is ours.
//
// The calls to know: [NewHost] for each loop, [New] for all of them together, [Server.Listen] for an address,
// [Server.Serve] to begin, [Server.Drain] and [Server.Close] for the end.
//
// A request lives on two sides. Its stream's goroutine (stream.go) reads the head, and then writes the answer: quic-go's
// Write waits, which a loop must not. If there is a body, a second goroutine reads it (body.go). The exchange lives on a
// loop, the same for all requests of a connection, and sees the stream as its [exchange.Front] (front.go). What the
// goroutines have to say is posted to the loop's mailbox; what the loop has to say waits in the stream's outbox
// (outbox.go). A stream is used for one request and never again, so that a message about it can be late, but never about
// another one.
//
// What a client may have of us while it gives nothing is bounded: an answer waits unwritten up to a read from its backend,
// which is then not read on; a body is read a piece at a time, when its backend has taken the piece before; a client has a
// new stream only when the exchange of an old one is over.
//
// A connection without a request has one goroutine of ours, which waits for the next one. What reads the client's
// unidirectional streams rests when nothing comes there, and is woken when something has come (uni.go). The garbage that a
// wave of handshakes leaves is collected when it is over (settle.go).
//
// It deliberately decides nothing about a request, and knows nothing of QUIC's packets, but how long they are where quic-go
// would reflect them (amplification.go).
package http3
