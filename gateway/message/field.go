// SPDX-License-Identifier: EUPL-1.2

package message

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

	// Who asks, through whom.
	Via
	Forwarded
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedOther // any other X-Forwarded-…
	XRealIP
	XClientIP // X-Client-IP, X-Cluster-Client-IP, True-Client-IP, CF-Connecting-IP, X-Original-…, X-Rewrite-URL and their like
	Traceparent
	Tracestate

	// The gateway's own names: everything that begins with "PV-".
	PVLeistung
	PVARS
	PVLanguage
	PVOther

	// Read by the gateway, otherwise end-to-end.
	Expect
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
	SetCookie
	Location
	ContentLocation
	Refresh
	Origin
	Referer
	UserAgent
	RetryAfter
	AltSvc
	StrictTransportSecurity
	ProxyStatus

	fieldCount
)

// Classify returns the FieldID of a field name, compared without case.
func Classify(name []byte) FieldID { return FieldOther }

// PV reports whether the field is one of the gateway's own PV- names.
func (id FieldID) PV() bool { return id >= PVLeistung && id <= PVOther }
