// SPDX-License-Identifier: EUPL-1.2

// Package quicraw is a client of QUIC version 1 (RFC 9000, RFC 9001) for tests, that says what no sane client would: any
// frame in any packet, broken headers, handshakes with any transport parameters, acknowledgements of its choice.
//
// The calls you want: [Dial], [Conn.Handshake] or [Conn.HandshakeKeys], then [Conn.Send] with frames made by hand or by
// the Append functions, and [Conn.Provoke] or [Conn.AwaitClose] for what the server makes of it.
//
// It deliberately knows no congestion control, sends nothing again but its handshake, checks no certificate, and belongs
// to one goroutine.
package quicraw
