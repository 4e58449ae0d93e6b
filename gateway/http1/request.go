// SPDX-License-Identifier: EUPL-1.2

package http1

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

const versionLen = len(" HTTP/1.1\r\n")

// requestLine parses the request line with its CRLF. It returns its length, or 0
// if b ends before the line does or the line is wrong (then c says how).
func requestLine(b []byte, h *message.Head) (n int, c cause) {
	if !strict {
		return lenientRequestLine(b, h)
	}
	m := message.Token.Prefix(b)
	if m == 0 || m > message.MaxMethod || m == len(b) || b[m] != ' ' {
		return 0, causeBadMethod
	}
	h.MethodText, h.Method = b[:m], message.ParseMethod(b[:m])
	target := b[m+1:]
	q, t := message.ScanTarget(target)
	if q < t {
		h.Query, h.HasQuery = target[q+1:t], true
	}
	rest := target[t:]
	if t == 0 || len(rest) < versionLen || string(rest[:8]) != " HTTP/1." || rest[8]-'0' > 1 || rest[9] != '\r' || rest[10] != '\n' {
		return 0, lineCause(b, target, t)
	}
	h.Target, h.Path, h.Minor = target[:t], target[:q], rest[8]-'0'
	return m + 1 + t + versionLen, causeNone
}

// lineCause says what is wrong with a request line whose method is fine and whose
// target is target[:t].
func lineCause(b, target []byte, t int) cause {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return causeNone
	}
	if b[nl-1] != '\r' { // the method before it has one octet at least
		return causeBareLF
	}
	rest := target[t:]
	switch {
	case rest[0] == '\r' && rest[1] == '\n':
		return causeHTTP09
	case bytes.IndexByte(b[:nl-1], '\r') >= 0:
		return causeBareCR
	case t == 0 || rest[0] != ' ':
		return causeBadTarget
	}
	version := rest[1:bytes.IndexByte(rest, '\r')]
	if len(version) == 8 && string(version[:5]) == "HTTP/" && version[5]-'0' <= 9 && version[6] == '.' && version[7]-'0' <= 9 {
		return causeVersion
	}
	return causeBadVersion
}

// requestHead judges a complete request head: what takes more than one line to
// see. It fills what h says about routing and framing.
func requestHead(h *message.Head, l *Limits) cause {
	var host, coding []byte
	var lengths, hosts, codings int
	var keepAlive, hasUpgrade, upgradeNamed, expect bool
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.ID {
		case message.Host:
			host = f.Value
			hosts++
		case message.ContentLength:
			n, ok := message.ParseLength(f.Value)
			if !ok && strict {
				return causeBadLength
			}
			h.ContentLength = n
			lengths++
		case message.TransferEncoding:
			coding = f.Value
			codings++
		case message.Connection:
			connectionOptions(f.Value, &h.Close, &keepAlive, &upgradeNamed)
		case message.Upgrade:
			hasUpgrade = true
		case message.Expect:
			if !message.EqualFold(f.Value, "100-continue") {
				return causeExpectation
			}
			expect = true
		}
	}
	if h.Minor == 0 && !keepAlive {
		h.Close = true
	}
	h.Upgrade = hasUpgrade && upgradeNamed && h.Minor == 1
	if c := framing(h, lengths, codings, coding); c != causeNone {
		return c
	}
	if c := requestTarget(h, host, hosts); c != causeNone {
		return c
	}
	if l.Body > 0 && h.ContentLength > l.Body {
		return causeBodyTooLarge
	}
	// An HTTP/1.0 client that expects is to be ignored (RFC 9110, section 10.1.1).
	h.Expect100 = expect && h.Minor == 1 && h.HasBody()
	return causeNone
}

// connectionOptions reads one Connection value.
func connectionOptions(list []byte, closing, keepAlive, upgrade *bool) {
	for {
		var option []byte
		option, list = message.NextMember(list)
		switch {
		case option == nil:
			return
		case message.EqualFold(option, "close"):
			*closing = true
		case message.EqualFold(option, "keep-alive"):
			*keepAlive = true
		case message.EqualFold(option, "upgrade"):
			*upgrade = true
		}
	}
}

// framing applies the rules both directions share: Content-Length once,
// Transfer-Encoding once, only "chunked", never both, never on HTTP/1.0 (RFC
// 9112, section 6, without its leniencies: each of them is a desync family).
func framing(h *message.Head, lengths, codings int, coding []byte) cause {
	if !strict {
		h.Chunked = codings > 0
		if h.Chunked {
			h.ContentLength = -1
		}
		return causeNone
	}
	switch {
	case lengths > 1:
		return causeDuplicateLength
	case codings == 0:
		return causeNone
	case lengths > 0:
		return causeLengthAndCoding
	case h.Minor == 0:
		return causeCodingOnHTTP10
	case codings > 1:
		return causeBadCoding
	case message.EqualFold(coding, "chunked"):
		h.Chunked = true
		return causeNone
	case codingList(coding):
		return causeUnknownCoding
	default:
		return causeBadCoding
	}
}

// codingList reports whether a Transfer-Encoding value is a well-formed list of
// tokens that does not repeat chunked: worth a 501 instead of a 400.
func codingList(list []byte) bool {
	if len(list) == 0 {
		return false
	}
	chunked := false
	for rest := list; rest != nil; {
		var member []byte
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			member, rest = rest[:i], rest[i+1:]
		} else {
			member, rest = rest, nil
		}
		member = message.TrimOWS(member)
		if len(member) == 0 || !message.Token.All(member) {
			return false
		}
		if message.EqualFold(member, "chunked") {
			if chunked {
				return false
			}
			chunked = true
		}
	}
	return true
}

// The path of an absolute-form target that has none.
var rootPath = []byte("/")

// requestTarget judges the form of the target and Host together (RFC 9112,
// section 3.2).
func requestTarget(h *message.Head, host []byte, hosts int) cause {
	if message.RefusedMethod(h.Method, h.MethodText) && (strict || h.Method != message.Other) {
		return causeMethodRefused
	}
	if strict {
		switch {
		case hosts > 1:
			return causeDuplicateHost
		case hosts == 0 && h.Minor == 1:
			return causeMissingHost
		case hosts == 1 && !message.ValidAuthority(host):
			return causeBadHost
		}
	}
	h.Authority = host
	switch {
	case h.Target[0] == '/':
		return causeNone
	case len(h.Target) == 1 && h.Target[0] == '*':
		if h.Method != message.OPTIONS && strict {
			return causeTargetForm
		}
		h.Asterisk, h.Path = true, nil
		return causeNone
	}
	return absoluteForm(h, hosts)
}

// absoluteForm takes "http://authority/path" apart. The authority must be the one
// Host names: RFC 9112, section 3.2.2, lets the target win, but the next reader
// may let Host win.
func absoluteForm(h *message.Head, hosts int) cause {
	colon := bytes.IndexByte(h.Path, ':')
	if colon <= 0 || len(h.Path) < colon+3 || string(h.Path[colon:colon+3]) != "://" {
		return causeTargetForm
	}
	var port int
	switch scheme := h.Path[:colon]; {
	case message.EqualFold(scheme, "http"):
		port = 80
	case message.EqualFold(scheme, "https"):
		port = 443
	default:
		return causeScheme
	}
	rest := h.Path[colon+3:]
	slash := bytes.IndexByte(rest, '/')
	if slash < 0 {
		slash = len(rest)
	}
	authority := rest[:slash]
	if !message.ValidAuthority(authority) {
		return causeBadHost
	}
	if hosts > 0 && !message.SameAuthority(authority, h.Authority, port) {
		return causeHostMismatch
	}
	h.Authority, h.Path = authority, rest[slash:]
	if len(h.Path) == 0 {
		h.Path = rootPath
		if h.Method == message.OPTIONS && !h.HasQuery {
			// RFC 9112, section 3.2.4: the last proxy turns this into "*".
			h.Asterisk, h.Path = true, nil
		}
	}
	return causeNone
}
