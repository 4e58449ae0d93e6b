// SPDX-License-Identifier: EUPL-1.2

package strict

import (
	"bytes"
	"strings"
)

// NextRequest reads one request from the start of b. n is its length when it is Complete.
func NextRequest(b []byte, level Level) (req Request, n int, status Status, fault Fault) {
	r := reader{b: b, level: level}
	req.Length = -1
	if !r.emptyLines() {
		return req, 0, r.status, r.fault
	}
	line, ok := r.line("request line")
	if !ok {
		req.Method = r.beginning()
	}
	if !ok || !r.requestLine(line, &req) {
		return req, 0, r.status, r.fault
	}
	if !r.fields(&req.Fields, "header") || !r.requestFields(&req) {
		return req, 0, r.status, r.fault
	}
	req.Head = true
	switch {
	case req.Method == "CONNECT":
		// What follows is no message; only the head is judged.
	case req.Chunked:
		if !r.chunks(&req.Message) {
			return req, 0, r.status, r.fault
		}
	case req.Length > 0:
		if !r.body(&req.Message) {
			return req, 0, r.status, r.fault
		}
	}
	return req, r.at, Complete, Fault{}
}

// emptyLines skips the empty lines that a client may send before a request (RFC 9112 2.2); a gateway writes none.
func (r *reader) emptyLines() bool {
	for r.at < len(r.b) && (r.b[r.at] == '\r' || r.b[r.at] == '\n') {
		if r.level == Forwarded {
			return r.bad("empty line before the request")
		}
		if r.b[r.at] == '\n' {
			return r.bad("bare LF before the request")
		}
		if r.at+1 == len(r.b) {
			return r.more()
		}
		if r.b[r.at+1] != '\n' {
			return r.bad("bare CR before the request")
		}
		r.at += 2
	}
	if r.at == len(r.b) {
		return r.more()
	}
	return true
}

// beginning judges an unfinished request line, for no method begins with what is not a token, and returns the method.
func (r *reader) beginning() string {
	rest := r.b[r.at:]
	n := tokenLength(string(rest))
	if r.status == Incomplete && n < len(rest) && (n == 0 || rest[n] != ' ' && rest[n] != '\r') {
		r.bad("method is no token")
	}
	return string(rest[:n])
}

// requestLine is method SP target SP version, one space each (RFC 9112 3).
func (r *reader) requestLine(line []byte, req *Request) bool {
	parts := strings.Split(string(line), " ")
	req.Method = parts[0]
	if len(parts) != 3 {
		return r.bad("request line is not three words")
	}
	req.Target = parts[1]
	if !isToken(req.Method) {
		return r.bad("method is no token")
	}
	switch version := parts[2]; {
	case version == "HTTP/1.1":
		req.Minor = 1
	case version == "HTTP/1.0" && r.level == Sent:
		req.Minor = 0
	case len(version) == 8 && strings.HasPrefix(version, "HTTP/1.") && isDigit(version[7]) && r.level == Sent:
		req.Minor = 1 // a higher minor version is answered as 1.1 (RFC 9110 2.5)
	default:
		return r.bad("version")
	}
	return r.target(req.Method, req.Target)
}

// target checks the four forms (RFC 9112 3.2).
func (r *reader) target(method, target string) bool {
	if target == "" {
		return r.bad("empty target")
	}
	for i := range len(target) {
		if c := target[i]; c < 0x21 || c == 0x7f {
			return r.bad("control in the target")
		}
	}
	if p, _, _ := strings.Cut(target, "?"); strings.Contains(p, "%00") {
		return r.bad("encoded NUL in the path")
	}
	switch {
	case method == "CONNECT":
		if r.level == Forwarded {
			return r.bad("CONNECT forwarded")
		}
		if host, port, ok := splitPort(target); !ok || port == "" || !isHost(host) {
			return r.bad("CONNECT wants host:port")
		}
		return true
	case target[0] == '/':
		if r.level == Forwarded && strings.IndexByte(target, '#') >= 0 {
			return r.bad("fragment forwarded")
		}
		return true
	case target == "*":
		if method != "OPTIONS" {
			return r.bad("asterisk form for another method than OPTIONS")
		}
		return true
	case r.level == Forwarded:
		return r.bad("target is not in origin form")
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || (!equalFold(scheme, "http") && !equalFold(scheme, "https")) {
		return r.bad("target form")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if host, _, ok := splitPort(authority); !ok || !isHost(host) {
		return r.bad("authority of the absolute form")
	}
	return true
}

// requestFields checks Host, framing and Connection, and fills what follows from them.
func (r *reader) requestFields(req *Request) bool {
	switch hosts := req.Count("host"); {
	case hosts > 1:
		return r.bad("Host twice")
	case hosts == 0 && req.Minor > 0:
		return r.bad("no Host")
	case hosts == 1:
		if host, _, ok := splitPort(req.Get("host")); !ok || !isHost(host) {
			return r.bad("invalid Host")
		}
	}
	if !r.framing(&req.Message) {
		return false
	}
	if req.Chunked && req.Minor == 0 {
		return r.bad("Transfer-Encoding in HTTP/1.0")
	}
	if r.level == Forwarded {
		for _, f := range req.Fields {
			switch strings.ToLower(f.Name) {
			case "keep-alive", "proxy-connection", "te", "trailer", "http2-settings", "proxy-authorization":
				return r.bad("hop-by-hop field " + f.Name + " forwarded")
			case "upgrade":
				// An offer of the gateway's own: one, of WebSocket, with a request that nothing can hide behind.
				if f.Value != "websocket" || req.Count("upgrade") != 1 || req.Get("connection") != "Upgrade" ||
					req.Method != "GET" || req.Minor != 1 || req.Count("content-length")+req.Count("transfer-encoding") > 0 {
					return r.bad("Upgrade forwarded")
				}
			}
		}
	}
	return true
}

// framing reads Content-Length, Transfer-Encoding (RFC 9112 6) and Connection (RFC 9110 7.6.1).
func (r *reader) framing(m *Message) bool {
	if m.Count("transfer-encoding") > 0 {
		if m.Count("content-length") > 0 {
			return r.bad("Transfer-Encoding beside Content-Length")
		}
		if m.Count("transfer-encoding") > 1 || !equalFold(m.Get("transfer-encoding"), "chunked") {
			return r.bad("transfer coding is not chunked alone")
		}
		m.Chunked = true
	}
	if m.Count("content-length") > 1 {
		return r.bad("Content-Length twice")
	}
	if m.Count("content-length") == 1 {
		n, ok := parseDecimal(m.Get("content-length"))
		if !ok {
			return r.bad("Content-Length is no number")
		}
		m.Length = n
	}
	keep, shut := false, false
	for _, f := range m.Fields {
		if !equalFold(f.Name, "connection") {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			option = strings.Trim(option, " \t")
			keep = keep || equalFold(option, "keep-alive")
			shut = shut || equalFold(option, "close")
		}
	}
	m.Close = shut || (m.Minor == 0 && !keep)
	return true
}

// reader walks over one message. Its check functions return false when reading cannot go on, with status and fault set.
type reader struct {
	b      []byte
	at     int
	level  Level
	status Status
	fault  Fault
}

func (r *reader) bad(cause string) bool {
	r.status, r.fault = Bad, Fault{cause, r.at}
	return false
}

func (r *reader) more() bool {
	r.status = Incomplete
	return false
}

// line takes the bytes up to CRLF; any other CR or LF is Bad, and so is one in what has come of an unfinished line.
func (r *reader) line(where string) ([]byte, bool) {
	rest := r.b[r.at:]
	i := bytes.IndexAny(rest, "\r\n")
	if nul := bytes.IndexByte(rest, 0); nul >= 0 && (i < 0 || nul < i) {
		return nil, r.bad("NUL in " + where)
	}
	switch {
	case i < 0 || i == len(rest)-1 && rest[i] == '\r':
		return nil, r.more()
	case rest[i] == '\n':
		return nil, r.bad("bare LF in " + where)
	case rest[i+1] != '\n':
		return nil, r.bad("bare CR in " + where)
	}
	r.at += i + 2
	return rest[:i], true
}

// fields reads field lines up to the empty one (RFC 9112 5).
func (r *reader) fields(to *[]Field, where string) bool {
	for {
		if r.at < len(r.b) && (r.b[r.at] == ' ' || r.b[r.at] == '\t') {
			return r.bad("line folding in " + where)
		}
		line, ok := r.line(where)
		if !ok {
			return false
		}
		if len(line) == 0 {
			return true
		}
		name, raw, ok := strings.Cut(string(line), ":")
		if !ok || !isToken(name) {
			return r.bad("field name in " + where)
		}
		value := strings.Trim(raw, " \t")
		for i := range len(value) {
			if c := value[i]; c == 0x7f || c < 0x20 && c != '\t' {
				return r.bad("control in a field value")
			}
		}
		if r.level == Forwarded && raw != " "+value && (raw != "" || value != "") {
			return r.bad("field line is not in the one spelling")
		}
		*to = append(*to, Field{name, value})
	}
}

func (r *reader) body(m *Message) bool {
	have := int64(len(r.b) - r.at)
	if have < m.Length {
		m.Body = r.b[r.at:]
		return r.more()
	}
	m.Body = r.b[r.at : r.at+int(m.Length)]
	r.at += int(m.Length)
	return true
}

// chunks reads a chunked body and its trailers (RFC 9112 7.1).
func (r *reader) chunks(m *Message) bool {
	for {
		line, ok := r.line("chunk size")
		if !ok {
			return false
		}
		digits := 0
		for digits < len(line) && isHex(line[digits]) {
			digits++
		}
		size, ok := parseHex(line[:digits])
		if !ok {
			return r.bad("chunk size")
		}
		if !r.extensions(string(line[digits:])) {
			return false
		}
		if r.level == Forwarded && digits > 1 && line[0] == '0' {
			return r.bad("chunk size is not in the one spelling")
		}
		if size == 0 {
			break
		}
		if int64(len(r.b)-r.at) < size {
			m.Body = append(m.Body, r.b[r.at:]...)
			return r.more()
		}
		m.Body = append(m.Body, r.b[r.at:r.at+int(size)]...)
		r.at += int(size)
		switch rest := r.b[r.at:]; {
		case len(rest) > 0 && rest[0] != '\r', len(rest) > 1 && rest[1] != '\n':
			return r.bad("no CRLF after the chunk")
		case len(rest) < 2:
			return r.more()
		}
		r.at += 2
	}
	var trailers []Field
	if !r.fields(&trailers, "trailer") {
		return false
	}
	if r.level == Forwarded && len(trailers) > 0 {
		return r.bad("trailers forwarded")
	}
	return true
}

// extensions checks *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112 7.1.1).
func (r *reader) extensions(s string) bool {
	if s != "" && r.level == Forwarded {
		return r.bad("chunk extension forwarded")
	}
	for s != "" {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] != ';' {
			return r.bad("chunk extension")
		}
		s = strings.TrimLeft(s[1:], " \t")
		name := tokenLength(s)
		if name == 0 {
			return r.bad("chunk extension name")
		}
		s = s[name:]
		value := strings.TrimLeft(s, " \t")
		if value == "" || value[0] != '=' {
			continue
		}
		value = strings.TrimLeft(value[1:], " \t")
		n := tokenLength(value)
		if n == 0 {
			n = quotedLength(value)
		}
		if n == 0 {
			return r.bad("chunk extension value")
		}
		s = value[n:]
	}
	return true
}
