// SPDX-License-Identifier: EUPL-1.2

// Package message holds what one HTTP message is, whatever protocol version
// carried it: the head, its fields, the method, the forms of a request target,
// the grammar tables of RFC 9110 and RFC 3986, and the list of what can be wrong
// on the wire.
//
// The calls you want: Head (filled by http1, and for HTTP/2 and HTTP/3 by
// Assembler), Classify for the FieldID of a name, NormalisePath for the one form
// of a path that is routed and sent.
//
// It deliberately does not parse messages (http1, http2), does not edit them (header),
// and does not know reasons, routes or sockets. It is a leaf: it imports nothing
// of pvgate.
package message
