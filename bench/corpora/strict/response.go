// SPDX-License-Identifier: EUPL-1.2

package strict

import "strings"

// NextResponse reads one response, 1xx included, from the start of b; method is that of the request it answers. A body
// without a length of its own takes the rest of b and is Complete: only the end of the connection ends it.
func NextResponse(b []byte, method string) (res Response, n int, status Status, fault Fault) {
	r := reader{b: b}
	res.Length = -1
	line, ok := r.line("status line")
	if !ok || !r.statusLine(string(line), &res) {
		return res, 0, r.status, r.fault
	}
	if !r.fields(&res.Fields, "header") || !r.framing(&res.Message) {
		return res, 0, r.status, r.fault
	}
	res.Head = true
	switch {
	case method == "HEAD", res.Code < 200, res.Code == 204, res.Code == 304:
		if res.Code < 200 || res.Code == 204 {
			if res.Chunked || res.Length >= 0 && res.Code < 200 {
				r.bad("body framing on a status without body")
				return res, 0, r.status, r.fault
			}
		}
	case res.Chunked:
		if !r.chunks(&res.Message) {
			return res, 0, r.status, r.fault
		}
	case res.Length >= 0:
		if !r.body(&res.Message) {
			return res, 0, r.status, r.fault
		}
	default:
		res.UntilClose, res.Close = true, true
		res.Body = r.b[r.at:]
		r.at = len(r.b)
	}
	return res, r.at, Complete, Fault{}
}

// statusLine is version SP three digits SP [ reason ] (RFC 9112 4); the space before no reason may be missing, as in many
// an origin's answers.
func (r *reader) statusLine(line string, res *Response) bool {
	version, rest, _ := strings.Cut(line, " ")
	switch version {
	case "HTTP/1.1":
		res.Minor = 1
	case "HTTP/1.0":
		res.Minor = 0
	default:
		return r.bad("version")
	}
	if len(rest) == 3 {
		rest += " "
	}
	if len(rest) < 4 || !isDigit(rest[0]) || !isDigit(rest[1]) || !isDigit(rest[2]) || rest[3] != ' ' || rest[0] == '0' {
		return r.bad("status code")
	}
	res.Code = int(rest[0]-'0')*100 + int(rest[1]-'0')*10 + int(rest[2]-'0')
	res.Reason = rest[4:]
	for i := range len(res.Reason) {
		if c := res.Reason[i]; c == 0x7f || c < 0x20 && c != '\t' {
			return r.bad("control in the reason")
		}
	}
	return true
}
