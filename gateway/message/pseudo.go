// SPDX-License-Identifier: EUPL-1.2

package message

// HeadLimits bounds a request head of HTTP/2 or HTTP/3. It may be shared and must not change while it is used.
type HeadLimits struct {
	Line   int   // method, target and what a request line of HTTP/1.1 has around them, octets
	Head   int   // sum over all fields of name, value and 32 octets (RFC 9113, section 6.5.2)
	Fields int   // fields but for the pseudo-fields, each Cookie crumb and Host included
	Body   int64 // octets that Content-Length may announce; 0 = unlimited

	// WebSocket takes an extended CONNECT for it (RFC 8441, RFC 9220), as the client has been told by a setting.
	WebSocket bool
}

// fieldOverhead is what each field costs beyond its octets (RFC 9113, section 6.5.2; RFC 9114, section 4.2.2).
const fieldOverhead = 32

// pseudo is a set of the pseudo-fields of a request.
type pseudo uint8

const (
	pseudoMethod pseudo = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol

	pseudoRequest = pseudoMethod | pseudoScheme | pseudoPath
	pseudoConnect = pseudoMethod | pseudoAuthority
	// RFC 8441, section 4
	pseudoExtended = pseudoRequest | pseudoAuthority | pseudoProtocol
)

// Assembler makes a request head of the ordered field lines of HTTP/2 and HTTP/3, and is the one place for what RFC 9113,
// section 8, and RFC 9114, section 4, ask of them. What it makes is what http1 makes of the same request, a Host field in
// front included; it is as strict. An extended CONNECT for WebSocket becomes the GET with an Upgrade that it stands for.
//
// Call Begin, Field or Known for each line in order, then End. The zero value is ready. It keeps storage for cookies, so
// that a warm one does not allocate. Not safe for concurrent use.
type Assembler struct {
	h       *Head // nil in a trailer section
	limits  *HeadLimits
	cause   HeadCause
	seen    pseudo
	regular bool // pseudo-fields are over
	expect  bool
	hosts   bool // a Host field was there
	scheme  []byte
	host    []byte
	// protocol is that of an extended CONNECT.
	protocol []byte
	size     int // as HeadLimits.Head
	fields   int
	cookie   int    // where the Cookie field stands, -1 = none
	cookies  []byte // storage of the joined crumbs
	crumbs   int
}

// Begin starts a request head of HTTP/major in h. All names and values of it must stay valid as long as h is used.
func (a *Assembler) Begin(h *Head, major uint8, l *HeadLimits) {
	*a = Assembler{h: h, limits: l, cookie: -1, cookies: a.cookies[:0]}
	h.Reset()
	h.Major = major
}

// BeginTrailers starts a trailer section. Its fields are checked and otherwise dropped: none of them can mean what it
// says for a head that has been sent on.
func (a *Assembler) BeginTrailers(l *HeadLimits) {
	*a = Assembler{limits: l, cookie: -1, cookies: a.cookies[:0]}
}

// Failed reports that the outcome is certain: further lines need not be told.
func (a *Assembler) Failed() bool { return a.cause != HeadFine }

// Size is the sum over all fields taken so far, as HeadLimits.Head.
func (a *Assembler) Size() int { return a.size }

// Field takes the next line.
func (a *Assembler) Field(name, value []byte) {
	if a.cause != HeadFine {
		return
	}
	id, cause := LowerName(name)
	if cause != HeadFine {
		a.cause = cause
		return
	}
	a.Known(name, value, id)
}

// LowerName returns the ID of a name of a field line of HTTP/2 or HTTP/3, FieldOther for a pseudo-field, and whether it
// can be one.
func LowerName(name []byte) (FieldID, HeadCause) {
	if len(name) > 0 && name[0] == ':' {
		return FieldOther, HeadFine
	}
	n, id := ScanName(name)
	if n != len(name) || n == 0 {
		return FieldOther, HeadBadName
	}
	for _, c := range name {
		if c-'A' < 26 {
			return FieldOther, HeadUpperCase
		}
	}
	return id, HeadFine
}

// Known is Field for a name that LowerName has found fine.
func (a *Assembler) Known(name, value []byte, id FieldID) {
	if a.cause != HeadFine {
		return
	}
	if a.size += len(name) + len(value) + fieldOverhead; a.size > a.limits.Head {
		a.cause = HeadTooLarge
		return
	}
	if Value.Prefix(value) != len(value) {
		a.cause = HeadBadValue
		return
	}
	if n := len(value); n > 0 && (blank(value[0]) || blank(value[n-1])) {
		a.cause = HeadBadValue // RFC 9113, section 8.2.1
		return
	}
	if name[0] == ':' {
		a.cause = a.pseudo(name, value)
		return
	}
	if !a.regular {
		a.endPseudo()
	}
	if a.fields++; a.fields > a.limits.Fields {
		a.cause = HeadTooManyFields
		return
	}
	a.field(name, value, id)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func (a *Assembler) pseudo(name, value []byte) HeadCause {
	if a.regular || a.h == nil {
		return HeadPseudoOrder
	}
	var p pseudo
	switch string(name) { // compiled to comparisons, no conversion
	case ":method":
		p = pseudoMethod
		a.h.MethodText, a.h.Method = value, ParseMethod(value)
	case ":scheme":
		p = pseudoScheme
		a.scheme = value
	case ":authority":
		p = pseudoAuthority
		a.h.Authority = value
	case ":path":
		p = pseudoPath
		a.h.Target = value
	case ":protocol":
		if !a.limits.WebSocket {
			return HeadPseudoUnknown // nobody was told that we know it (RFC 8441, section 3)
		}
		p = pseudoProtocol
		a.protocol = value
	default:
		return HeadPseudoUnknown
	}
	if a.seen&p != 0 {
		return HeadPseudoTwice
	}
	a.seen |= p
	return HeadFine
}

// endPseudo puts a Host field first, as HTTP/1.1 has it.
func (a *Assembler) endPseudo() {
	a.regular = true
	if a.seen&pseudoAuthority != 0 {
		a.h.Fields = append(a.h.Fields, Field{Name: nameHost, Value: a.h.Authority, ID: Host})
		a.fields++
	}
}

var nameHost = []byte("host")

// field takes a line of which name and value are well-formed.
func (a *Assembler) field(name, value []byte, id FieldID) {
	switch id {
	case Connection, ProxyConnection, KeepAlive, TransferEncoding, Upgrade:
		a.cause = HeadConnection
		return
	case TE:
		if !EqualFold(value, "trailers") {
			a.cause = HeadConnection
			return
		}
	}
	h := a.h
	if h == nil {
		return
	}
	switch id {
	case Host:
		if a.hosts {
			a.cause = HeadDuplicateHost
			return
		}
		a.hosts, a.host = true, value
		if a.seen&pseudoAuthority != 0 {
			return // stands in front already, and must be the same
		}
	case ContentLength:
		n, ok := ParseLength(value)
		switch {
		case !ok:
			a.cause = HeadBadLength
		case h.ContentLength >= 0:
			a.cause = HeadDuplicateLength
		}
		h.ContentLength = n
	case Expect:
		if !EqualFold(value, "100-continue") {
			a.cause = HeadExpectation
		}
		a.expect = true
	case Cookie:
		if a.cookie >= 0 {
			a.crumb(value)
			return
		}
		a.cookie = len(h.Fields)
	}
	h.Fields = append(h.Fields, Field{Name: name, Value: value, ID: id})
}

// crumb adds a Cookie line to the first one: to whom it is sent on it must be one (RFC 9113, section 8.2.3).
func (a *Assembler) crumb(value []byte) {
	if a.crumbs++; a.crumbs == 1 {
		a.cookies = append(a.cookies, a.h.Fields[a.cookie].Value...)
	}
	if len(a.cookies) > 0 && len(value) > 0 {
		a.cookies = append(a.cookies, "; "...)
	}
	a.cookies = append(a.cookies, value...)
}

// End judges the head as a whole and completes it; ended says that the request ends with it. A body of unknown length
// is Chunked. Whatever the outcome, h.Method is the method as far as it was understood.
func (a *Assembler) End(ended bool) HeadCause {
	if a.cause == HeadFine && a.h != nil {
		if !a.regular {
			a.endPseudo()
		}
		a.cause = a.judge(ended)
	}
	return a.cause
}

func (a *Assembler) judge(ended bool) HeadCause {
	h := a.h
	if c := a.complete(); c != HeadFine {
		return c
	}
	if a.cookie >= 0 && a.crumbs > 0 {
		h.Fields[a.cookie].Value = a.cookies[:len(a.cookies):len(a.cookies)]
	}
	switch {
	case h.Connect: // what follows is no content (RFC 9110, section 9.3.6)
		return HeadFine
	case !ended:
		h.Chunked = h.ContentLength < 0
	case h.ContentLength > 0:
		return HeadLengthMismatch
	case h.ContentLength < 0 && (h.Method == POST || h.Method == PUT || h.Method == PATCH):
		h.ContentLength = 0 // what ends a message here is not said in HTTP/1.1 without it, and backends ask for it
	}
	if a.limits.Body > 0 && h.ContentLength > a.limits.Body {
		return HeadBodyTooLarge
	}
	h.Expect100 = a.expect && h.HasBody()
	return HeadFine
}

// complete judges the pseudo-fields together (RFC 9113, sections 8.3.1 and 8.5).
func (a *Assembler) complete() HeadCause {
	h := a.h
	if len(h.MethodText) > MaxMethod || len(h.MethodText) == 0 && a.seen&pseudoMethod != 0 || !Token.All(h.MethodText) {
		return HeadBadMethod
	}
	needs := pseudoRequest
	switch {
	case a.seen&pseudoProtocol != 0:
		if needs = pseudoExtended; h.Method != CONNECT {
			return HeadPseudoUnknown
		}
	case h.Method == CONNECT:
		needs = pseudoConnect
		if a.seen&^needs != 0 {
			return HeadTargetForm
		}
	}
	if a.seen&needs != needs {
		return HeadPseudoMissing
	}
	if c := a.authority(); c != HeadFine {
		return c
	}
	if a.seen&pseudoProtocol != 0 {
		if c := a.extended(); c != HeadFine {
			return c
		}
	}
	if RefusedMethod(h.Method, h.MethodText) {
		return HeadMethodRefused
	}
	return a.target()
}

// extended makes the request of HTTP/1.1 that an extended CONNECT stands for (RFC 8441, section 5).
func (a *Assembler) extended() HeadCause {
	h := a.h
	switch {
	case string(a.protocol) != "websocket":
		return HeadMethodRefused
	case h.ContentLength >= 0:
		return HeadBadLength
	}
	h.Method, h.MethodText, h.Upgrade, h.Connect = GET, methodGet, true, true
	h.Fields = append(h.Fields, Field{Name: nameUpgrade, Value: a.protocol, ID: Upgrade})
	return HeadFine
}

var (
	methodGet   = []byte("GET")
	nameUpgrade = []byte("upgrade")
)

// authority judges :scheme, :authority and Host together.
func (a *Assembler) authority() HeadCause {
	h := a.h
	port := 443
	switch {
	case a.seen&pseudoScheme == 0: // a CONNECT
	case EqualFold(a.scheme, "https"):
	case EqualFold(a.scheme, "http"):
		port = 80
	default:
		return HeadScheme
	}
	switch {
	case a.seen&pseudoAuthority == 0 && !a.hosts:
		return HeadMissingHost
	case a.hosts && !ValidAuthority(a.host):
		return HeadBadHost
	case a.seen&pseudoAuthority == 0:
		h.Authority = a.host
	case !ValidAuthority(h.Authority):
		return HeadBadHost
	case a.hosts && !SameAuthority(h.Authority, a.host, port):
		return HeadHostMismatch
	}
	return HeadFine
}

func (a *Assembler) target() HeadCause {
	h := a.h
	t := h.Target
	if len(h.MethodText)+len(t)+len("  HTTP/1.1") > a.limits.Line {
		return HeadLineTooLong
	}
	path, n := ScanTarget(t)
	switch {
	case n != len(t) || n == 0:
		return HeadBadTarget
	case t[0] == '/':
		h.Path = t[:path]
		if path < n {
			h.Query, h.HasQuery = t[path+1:], true
		}
	case n == 1 && t[0] == '*' && h.Method == OPTIONS:
		h.Asterisk = true
	default:
		return HeadTargetForm
	}
	return HeadFine
}

// ScanTarget returns how many leading octets of b form a request target, and how many of those stand before its "?".
func ScanTarget(b []byte) (path, n int) {
	path = PathChar.Prefix(b)
	if path < len(b) && b[path] == '?' {
		return path, path + 1 + QueryChar.Prefix(b[path+1:])
	}
	return path, path
}
