// SPDX-License-Identifier: EUPL-1.2

// Package tlsconn ends TLS connections of clients: crypto/tls between a loop's stream and whoever reads plaintext.
//
// The calls to know: [New] makes the configuration of a listener, [NewTickets] what seals its sessions.
//
// It deliberately neither loads nor chooses certificates, and knows no HTTP.
package tlsconn
