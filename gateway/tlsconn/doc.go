// SPDX-License-Identifier: EUPL-1.2

// Package tlsconn is TLS with clients and with backends: crypto/tls between a loop's stream and whoever reads plaintext.
//
// The calls to know: [New] makes the configuration of a listener, [NewTickets] what seals its sessions; [NewClient] makes
// that of a backend, [NewSessions] what keeps its sessions; [NewWorkers] and [NewHost] what the connections of all loops
// and of one loop share, and [Host.Accept] and [Host.Dial] begin a handshake.
//
// crypto/tls waits for bytes; a loop does not. So a handshake runs as a coroutine: whenever it wants more than has come,
// it stands still and the loop goes on reading, and when a whole record is there a worker continues it, off the loops.
// After the handshake the loop calls crypto/tls itself, with whole records only. Both rest on how crypto/tls takes a
// temporary error ("nothing received yet"): during the handshake it would be the end, so none is given; after it, the
// next Read begins anew. Tests hold both.
//
// It deliberately neither loads nor chooses certificates, and knows no HTTP.
package tlsconn
