// SPDX-License-Identifier: EUPL-1.2

// Package header decides which fields cross the gateway: what is removed, what
// is set, what is rewritten, in both directions and for every protocol version.
//
// The calls you want: Request.Apply on the way to a backend, Response.Apply on
// the way back. Both edit the head's field list in place, and write the gateway's
// own fields as lines of HTTP/1.1; with enough capacity in Head.Fields and Scratch
// they do not allocate.
//
// The order of the steps is the point (RFC 9110, section 7.6.1, and the CVEs of
// proxies that did it otherwise): first everything goes that the sender had no
// right to say, including what its Connection field names; then our own fields
// are added. So nobody can make the gateway drop a field of its own, and no field
// of ours survives from outside because we had nothing to put in its place.
//
// It is pure and deliberately does not parse or serialise heads (http1), decide where
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

// hopByHop are the fields that end at the gateway in both directions. Framing is
// among them: it is written anew.
const hopByHop message.FieldSet = 1<<message.Connection | 1<<message.KeepAlive | 1<<message.ProxyConnection | 1<<message.TE |
	1<<message.Trailer | 1<<message.TransferEncoding | 1<<message.ContentLength | 1<<message.Upgrade | 1<<message.HTTP2Settings |
	1<<message.ProxyAuthenticate | 1<<message.ProxyAuthorization | 1<<message.ProxyAuthenticationInfo

// appendField appends a field of ours, as it goes over the wire, unless its value is empty. name is one of those below.
func appendField(lines []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return lines
	}
	lines = append(lines, name...)
	lines = append(lines, value...)
	return append(lines, "\r\n"...)
}

// appendFraming appends Content-Length or Transfer-Encoding.
func appendFraming(lines []byte, chunked bool, length int64) []byte {
	switch {
	case chunked:
		return append(lines, nameTransferEncoding+"chunked\r\n"...)
	case length >= 0:
		lines = append(lines, nameContentLength...)
		lines = strconv.AppendInt(lines, length, 10)
		return append(lines, "\r\n"...)
	}
	return lines
}

// appendVia appends our entry, for a message of HTTP/major.minor, to the Via list,
// which becomes one line.
func appendVia(lines []byte, major, minor uint8, list, pseudonym []byte) []byte {
	if len(pseudonym) == 0 {
		return appendField(lines, nameVia, list)
	}
	lines = appendList(append(lines, nameVia...), list)
	lines = append(lines, '0'+max(major, 1), '.', '0'+minor, ' ')
	lines = append(lines, pseudonym...)
	return append(lines, "\r\n"...)
}

// appendList appends the members there are of a list that goes on.
func appendList(value, members []byte) []byte {
	if len(members) == 0 {
		return value
	}
	return append(append(value, members...), ", "...)
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

// nameHost is never written to.
var nameHost = []byte("Host")

// The names of the other fields that the gateway writes, with what stands behind a name.
const (
	nameContentLength    = "Content-Length: "
	nameTransferEncoding = "Transfer-Encoding: "
	nameConnection       = "Connection: "
	nameUpgrade          = "Upgrade: "
	nameExpect           = "Expect: "
	nameVia              = "Via: "
	nameDate             = "Date: "
	nameStrictTransport  = "Strict-Transport-Security: "
	nameAltSvc           = "Alt-Svc: "
	nameForwarded        = "Forwarded: "
	nameXForwardedFor    = "X-Forwarded-For: "
	nameXForwardedProto  = "X-Forwarded-Proto: "
	nameXForwardedHost   = "X-Forwarded-Host: "
	nameTraceparent      = "traceparent: "
	namePVLeistung       = "PV-Leistung: "
	namePVARS            = "PV-ARS: "
	namePVLevel          = "PV-Area-Level: "
	namePVSender         = "PV-Sender: "
	namePVOE             = "PV-OE: "
	namePVLanguage       = "PV-Language: "
	namePVTrace          = "PV-Trace: "
)

// Values the gateway writes. Never written to.
var (
	valueClose     = []byte("close")
	valueUpgrade   = []byte("Upgrade")
	valueKeepAlive = []byte("keep-alive")
)
