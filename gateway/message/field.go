// SPDX-License-Identifier: EUPL-1.2

package message

import "encoding/binary"

// FieldID names the fields the gateway has an interest in, so that everything
// after the parser compares one byte instead of a name. FieldOther is any other
// name.
type FieldID uint8

// Known field names.
const (
	FieldOther FieldID = iota

	// Alias is a name that a CGI-style backend reads as one of the names below
	// although it is spelled differently: "X_Forwarded_For", "Content.Length",
	// "pv_ars". It is never forwarded and never has the meaning of the real one.
	Alias

	// Framing and routing.
	Host
	ContentLength
	TransferEncoding

	// Hop-by-hop (RFC 9110, section 7.6.1).
	Connection
	KeepAlive
	ProxyConnection
	TE
	Trailer
	Upgrade
	HTTP2Settings
	ProxyAuthenticate
	ProxyAuthorization
	ProxyAuthenticationInfo
	Proxy // no standard field: CGI programs read it as the HTTP_PROXY variable

	// Who asks, through whom.
	Via
	Forwarded
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedOther // any other X-Forwarded-…
	XRealIP
	XClientIP // vendor names for the client's address or the original URL
	Identity  // names that carry a person or certificate somebody verified: X-PVP-…, X-SSL-Client-… and their like
	Traceparent
	Tracestate

	// The gateway's own names: everything that begins with "PV-".
	PVLeistung
	PVARS
	PVLanguage
	PVSignature
	PVOther

	// About this hop, or set by us.
	Expect
	MaxForwards
	EarlyData

	// End-to-end, and of interest to the gateway. From here to the last one; see Passes.
	Date
	Server
	Accept
	AcceptLanguage
	AcceptEncoding
	Authorization
	CacheControl
	ContentType
	ContentEncoding
	Cookie
	Origin
	Referer
	UserAgent
	RetryAfter
	AltSvc
	ProxyStatus

	// By which an answer says something about other addresses than the one that
	// was asked: SetCookie to StrictTransportSecurity, without a gap.
	SetCookie
	SetCookie2
	SiteWide // Clear-Site-Data and others that hold for a whole host or more
	Location
	ContentLocation
	Refresh
	StrictTransportSecurity

	fieldIDs // how many there are
)

// FieldSet is a set of fields by ID.
type FieldSet uint64

const _ = uint(64 - fieldIDs) // a FieldSet has room for all

// FieldsOf returns which fields there are.
func FieldsOf(fields []Field) (s FieldSet) {
	for i := range fields {
		s |= 1 << fields[i].ID
	}
	return s
}

// Has reports whether a field is in the set.
func (s FieldSet) Has(id FieldID) bool { return s>>id&1 != 0 }

// maxKnown is longer than any known name or prefix; longer names are compared by
// their beginning only.
const maxKnown = 32

// Classify returns the FieldID of a field name, compared without case.
func Classify(name []byte) FieldID {
	n, id := ScanName(name)
	if n != len(name) {
		return FieldOther
	}
	return id
}

// ScanName returns how many leading octets of line form a token, and what field
// that names.
func ScanName(line []byte) (n int, id FieldID) {
	n = hyphenated.Prefix(line)
	var buf [maxKnown]byte
	if n == len(line) || line[n] != '_' && line[n] != '.' {
		fold(&buf, line, n)
		return n, classify(&buf, n)
	}
	n += Token.Prefix(line[n:])
	fold(&buf, line, n)
	if id = classify(&buf, n); id == FieldOther {
		id = alias(&buf, n)
	}
	return n, id
}

// underscore is what fold makes of "_", and of nothing else that a token holds.
const underscore = '_' | 0x20

// fold writes the first n octets of line, a token, into buf in lower case, so
// that letters, digits and hyphens can be compared; what it makes of others is
// none of these. buf holds anything behind them.
func fold(buf *[maxKnown]byte, line []byte, n int) {
	const spaces = 0x2020202020202020
	if len(line) < maxKnown {
		for i := range min(n, maxKnown) {
			buf[i] = line[i] | ' '
		}
		return
	}
	octets := binary.LittleEndian // written out: a name is folded for each field line
	octets.PutUint64(buf[:], octets.Uint64(line)|spaces)
	octets.PutUint64(buf[8:], octets.Uint64(line[8:])|spaces)
	octets.PutUint64(buf[16:], octets.Uint64(line[16:])|spaces)
	octets.PutUint64(buf[24:], octets.Uint64(line[24:])|spaces)
}

// classify names the field whose folded name, or its first maxKnown octets,
// stands in buf.
func classify(buf *[maxKnown]byte, n int) FieldID {
	if n <= maxKnown {
		if id := known(buf[:n]); id != FieldOther {
			return id
		}
	}
	return byPrefix(buf[:min(n, maxKnown)])
}

// alias finds the names of others that a backend which maps "-", "_" and "." to
// one character would take for a field the gateway owns: the name in buf has one
// of the latter two.
func alias(buf *[maxKnown]byte, n int) FieldID {
	for i, c := range buf[:min(n, maxKnown)] {
		if c == underscore || c == '.' {
			buf[i] = '-'
		}
	}
	if classify(buf, n) != FieldOther {
		return Alias
	}
	return FieldOther
}

// known is one switch over all names, long because they are many: the compiler
// makes a search by length and content of it, without a hash or an allocation.
func known(name []byte) FieldID {
	switch string(name) { // no conversion takes place
	case "te":
		return TE
	case "via":
		return Via
	case "host":
		return Host
	case "date":
		return Date
	case "proxy":
		return Proxy
	case "accept":
		return Accept
	case "cookie":
		return Cookie
	case "expect":
		return Expect
	case "origin":
		return Origin
	case "pv-ars":
		return PVARS
	case "server":
		return Server
	case "alt-svc":
		return AltSvc
	case "trailer":
		return Trailer
	case "referer":
		return Referer
	case "refresh":
		return Refresh
	case "upgrade":
		return Upgrade
	case "location":
		return Location
	case "forwarded":
		return Forwarded
	case "x-real-ip":
		return XRealIP
	case "connection":
		return Connection
	case "early-data":
		return EarlyData
	case "keep-alive":
		return KeepAlive
	case "set-cookie":
		return SetCookie
	case "set-cookie2":
		return SetCookie2
	case "clear-site-data", "service-worker-allowed", "nel", "report-to", "origin-agent-cluster":
		return SiteWide
	case "tracestate":
		return Tracestate
	case "user-agent":
		return UserAgent
	case "traceparent":
		return Traceparent
	case "pv-language":
		return PVLanguage
	case "pv-leistung":
		return PVLeistung
	case "pv-signature":
		return PVSignature
	case "retry-after":
		return RetryAfter
	case "content-type":
		return ContentType
	case "max-forwards":
		return MaxForwards
	case "proxy-status":
		return ProxyStatus
	case "authorization":
		return Authorization
	case "cache-control":
		return CacheControl
	case "content-length":
		return ContentLength
	case "http2-settings":
		return HTTP2Settings
	case "accept-encoding":
		return AcceptEncoding
	case "accept-language":
		return AcceptLanguage
	case "x-forwarded-for":
		return XForwardedFor
	case "content-encoding":
		return ContentEncoding
	case "content-location":
		return ContentLocation
	case "proxy-connection":
		return ProxyConnection
	case "x-forwarded-host":
		return XForwardedHost
	case "transfer-encoding":
		return TransferEncoding
	case "x-forwarded-proto":
		return XForwardedProto
	case "proxy-authenticate":
		return ProxyAuthenticate
	case "proxy-authorization":
		return ProxyAuthorization
	case "proxy-authentication-info":
		return ProxyAuthenticationInfo
	case "strict-transport-security":
		return StrictTransportSecurity
	case "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-client-ip", "x-cluster-client-ip",
		"x-original-url", "x-original-host", "x-original-for", "x-rewrite-url", "x-envoy-external-address",
		"x-appengine-user-ip", "x-azure-clientip", "client-ip", "x-http-method-override", "x-host":
		return XClientIP
	case "x-client-cert", "x-ssl-cert", "client-cert", "client-cert-chain", "x-client-verify", "x-client-dn", "x-remote-user", "remote-user":
		return Identity
	default:
		return FieldOther
	}
}

func byPrefix(name []byte) FieldID {
	switch {
	case len(name) < len("pv-") || name[0] != 'p' && name[0] != 'x':
		return FieldOther
	case hasPrefix(name, "pv-"):
		return PVOther
	case hasPrefix(name, "x-forwarded-client-cert"):
		return Identity
	case hasPrefix(name, "x-forwarded-"):
		return XForwardedOther
	case hasPrefix(name, "x-pvp-"), hasPrefix(name, "x-authenticate-"), hasPrefix(name, "x-authorize-"), hasPrefix(name, "x-ssl-client-"):
		return Identity
	default:
		return FieldOther
	}
}

func hasPrefix(name []byte, prefix string) bool {
	return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// Passes reports whether the field is end-to-end by its kind: a name that is nobody's business here, or one that the
// gateway reads but does not keep.
func (id FieldID) Passes() bool { return id == FieldOther || id >= Date }

// PV reports whether the field is one of the gateway's own PV- names.
func (id FieldID) PV() bool { return id >= PVLeistung && id <= PVOther }
