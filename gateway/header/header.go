// SPDX-License-Identifier: EUPL-1.2

// Package header decides which fields cross the gateway: what is removed, what
// is set, what is rewritten, in both directions and for every protocol version.
//
// The calls you want: Request.Apply on the way to a backend, Response.Apply on
// the way back. Both edit the head's field list in place and append to it; with
// enough capacity in Head.Fields and Scratch they do not allocate.
//
// The order of the steps is the point (RFC 9110, section 7.6.1, and the CVEs of
// proxies that did it otherwise): first everything goes that the sender had no
// right to say, including what its Connection field names; then our own fields
// are added. So nobody can make the gateway drop a field of its own, and no field
// of ours survives from outside because we had nothing to put in its place.
//
// It is pure and deliberately does not parse or serialise (http1), decide where
// a request goes, or know who is a trusted peer (it is told).
package header

import (
	"strconv"

	"github.com/pvgate/pvgate/gateway/message"
)

// maxNominated bounds the names one message may list in Connection. Each is
// compared with each field.
const maxNominated = 32

// maxVia is how many Via entries make a loop even without our pseudonym.
const maxVia = 10

// nominate marks the fields that Connection names as hop-by-hop, so that the
// following filter drops them. Fields the gateway knows are never dropped this
// way: it decides about them itself, and a client that lists Authorization or
// Content-Type wants to reach the backend without them. It reports false if
// there are too many names to be honest.
func nominate(fields []message.Field) bool {
	names := 0
	for i := range fields {
		if fields[i].ID != message.Connection {
			continue
		}
		for name, rest := message.NextMember(fields[i].Value); name != nil; name, rest = message.NextMember(rest) {
			if wellKnownOption(name) {
				continue
			}
			if names++; names > maxNominated {
				return false
			}
			for k := range fields {
				if fields[k].ID == message.FieldOther && message.EqualFold(fields[k].Name, name) {
					fields[k].ID = message.KeepAlive
				}
			}
		}
	}
	return true
}

func wellKnownOption(name []byte) bool {
	return message.EqualFold(name, "close") || message.EqualFold(name, "keep-alive") ||
		message.EqualFold(name, "upgrade") || message.EqualFold(name, "te")
}

// hopByHop reports fields that end at the gateway in both directions. Framing is
// among them: it is written anew.
func hopByHop(id message.FieldID) bool {
	switch id {
	case message.Connection, message.KeepAlive, message.ProxyConnection, message.TE, message.Trailer,
		message.TransferEncoding, message.ContentLength, message.Upgrade, message.HTTP2Settings,
		message.ProxyAuthenticate, message.ProxyAuthorization, message.ProxyAuthenticationInfo:
		return true
	default:
		return false
	}
}

// add appends a field unless its value is empty. The list travels by value: a
// store through the head costs a write barrier per field.
func add(fields []message.Field, id message.FieldID, name, value []byte) []message.Field {
	if len(value) == 0 {
		return fields
	}
	return append(fields, message.Field{Name: name, Value: value, ID: id})
}

// addFraming sets Content-Length or Transfer-Encoding and returns the fields and
// the scratch buffer.
func addFraming(fields []message.Field, chunked bool, length int64, scratch []byte) (_ []message.Field, _ []byte) {
	switch {
	case chunked:
		fields = add(fields, message.TransferEncoding, nameTransferEncoding, valueChunked)
	case length >= 0:
		from := len(scratch)
		scratch = strconv.AppendInt(scratch, length, 10)
		fields = add(fields, message.ContentLength, nameContentLength, scratch[from:])
	}
	return fields, scratch
}

// addUpgrade sets the two fields that offer a protocol, or agree to it.
func addUpgrade(fields []message.Field, protocol []byte) []message.Field {
	if len(protocol) == 0 {
		return fields
	}
	fields = append(fields, message.Field{Name: nameConnection, Value: valueUpgrade, ID: message.Connection})
	return append(fields, message.Field{Name: nameUpgrade, Value: protocol, ID: message.Upgrade})
}

// addVia appends our entry, for a message of HTTP/major.minor, to the Via list,
// which becomes one line.
func addVia(fields []message.Field, major, minor uint8, list, pseudonym, scratch []byte) (_ []message.Field, _ []byte) {
	if len(pseudonym) == 0 {
		return add(fields, message.Via, nameVia, list), scratch
	}
	from := len(scratch)
	scratch = append(scratch, list...)
	if len(list) > 0 {
		scratch = append(scratch, ", "...)
	}
	scratch = append(scratch, '0'+max(major, 1), '.', '0'+minor, ' ')
	scratch = append(scratch, pseudonym...)
	return add(fields, message.Via, nameVia, scratch[from:]), scratch
}

// Join returns the values of all fields with this ID as one list, and the scratch
// buffer. One line is returned as it is.
func Join(fields []message.Field, id message.FieldID, scratch []byte) (list, _ []byte) {
	from, lines := len(scratch), 0
	for i := range fields {
		f := &fields[i]
		if f.ID != id || len(f.Value) == 0 {
			continue
		}
		switch lines++; lines {
		case 1:
			list = f.Value
		case 2:
			scratch = append(scratch, list...)
			fallthrough
		default:
			scratch = append(scratch, ", "...)
			scratch = append(scratch, f.Value...)
		}
	}
	if lines > 1 {
		list = scratch[from:]
	}
	return list, scratch
}

// Field names and values the gateway writes. Never written to.
var (
	nameHost             = []byte("Host")
	nameContentLength    = []byte("Content-Length")
	nameTransferEncoding = []byte("Transfer-Encoding")
	nameConnection       = []byte("Connection")
	nameUpgrade          = []byte("Upgrade")
	nameExpect           = []byte("Expect")
	nameVia              = []byte("Via")
	nameDate             = []byte("Date")
	nameStrictTransport  = []byte("Strict-Transport-Security")
	nameAltSvc           = []byte("Alt-Svc")
	nameForwarded        = []byte("Forwarded")
	nameXForwardedFor    = []byte("X-Forwarded-For")
	nameXForwardedProto  = []byte("X-Forwarded-Proto")
	nameXForwardedHost   = []byte("X-Forwarded-Host")
	nameTraceparent      = []byte("traceparent")
	namePVLeistung       = []byte("PV-Leistung")
	namePVARS            = []byte("PV-ARS")
	namePVLevel          = []byte("PV-Area-Level")
	namePVSender         = []byte("PV-Sender")
	namePVOE             = []byte("PV-OE")
	namePVLanguage       = []byte("PV-Language")
	namePVTrace          = []byte("PV-Trace")

	valueChunked   = []byte("chunked")
	valueContinue  = []byte("100-continue")
	valueClose     = []byte("close")
	valueUpgrade   = []byte("Upgrade")
	valueKeepAlive = []byte("keep-alive")
)
