// SPDX-License-Identifier: EUPL-1.2

package http1

import "github.com/pvgate/pvgate/gateway/message"

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// AppendRequest appends a request head: the method of h, the target, HTTP/1.1,
// all fields of h, and the empty line. It writes what it is given; whoever sets
// h.Fields and h.Own (package header) answers for the framing fields in them.
func AppendRequest(dst []byte, h *message.Head, target []byte) []byte {
	if len(h.MethodText) > 0 {
		dst = append(dst, h.MethodText...)
	} else {
		dst = append(dst, h.Method.String()...)
	}
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = append(appendFields(dst, h.Fields), h.Own...)
	return append(dst, "\r\n"...)
}

// AppendResponse appends a response head with our own reason phrase: what the
// upstream wrote there has no meaning and is not relayed.
func AppendResponse(dst []byte, status int, fields []message.Field) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10), ' ')
	dst = append(dst, Reason(status)...)
	dst = append(dst, "\r\n"...)
	return append(appendFields(dst, fields), "\r\n"...)
}

// appendFields appends field lines.
func appendFields(dst []byte, fields []message.Field) []byte {
	for i := 0; i < len(fields); {
		lines, next := row(fields, i)
		if next > i {
			dst = append(dst, lines...)
			i = next
			continue
		}
		f := &fields[i]
		dst = append(append(dst, f.Name...), ": "...)
		dst = append(append(dst, f.Value...), "\r\n"...)
		i++
	}
	return dst
}

// row returns the lines of the fields from i on up to next, as many as stand one behind the other in lines that are, octet for
// octet, what would be written: most of those that were received do, and then one copy does for four a field.
func row(fields []message.Field, i int) (lines []byte, next int) {
	text := fields[i].Name[:cap(fields[i].Name)]
	end := 0
	for ; i < len(fields); i++ {
		name, value := fields[i].Name, fields[i].Value
		colon := end + len(name)
		to := colon + len(": ") + len(value)
		if len(name) == 0 || len(value) == 0 || to+len("\r\n") > len(text) || &text[end] != &name[0] || &text[colon+2] != &value[0] ||
			string(text[colon:colon+2]) != ": " || string(text[to:to+2]) != "\r\n" {
			break
		}
		end = to + len("\r\n")
	}
	return text[:end], i
}

// AppendChunk appends one chunk with its framing. Empty data appends nothing: an
// empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkSize(dst, len(data))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendChunkSize appends the line that opens a chunk of n octets, n > 0. The
// caller sends the octets and CRLF after it.
func AppendChunkSize(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for n>>(shift+4) != 0 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return append(dst, "\r\n"...)
}

// Reason returns the reason phrase for a status code (RFC 9110, section 15, and
// the IANA registry), or "" for a code without one.
func Reason(status int) string {
	if status < 100 || status >= 100+len(reasons) {
		return ""
	}
	return reasons[status-100]
}

var reasons = [500]string{
	0: "Continue", 1: "Switching Protocols", 2: "Processing", 3: "Early Hints",

	100: "OK", 101: "Created", 102: "Accepted", 103: "Non-Authoritative Information", 104: "No Content",
	105: "Reset Content", 106: "Partial Content", 107: "Multi-Status", 108: "Already Reported", 126: "IM Used",

	200: "Multiple Choices", 201: "Moved Permanently", 202: "Found", 203: "See Other", 204: "Not Modified",
	205: "Use Proxy", 207: "Temporary Redirect", 208: "Permanent Redirect",

	300: "Bad Request", 301: "Unauthorized", 302: "Payment Required", 303: "Forbidden", 304: "Not Found",
	305: "Method Not Allowed", 306: "Not Acceptable", 307: "Proxy Authentication Required", 308: "Request Timeout",
	309: "Conflict", 310: "Gone", 311: "Length Required", 312: "Precondition Failed", 313: "Content Too Large",
	314: "URI Too Long", 315: "Unsupported Media Type", 316: "Range Not Satisfiable", 317: "Expectation Failed",
	321: "Misdirected Request", 322: "Unprocessable Content", 323: "Locked", 324: "Failed Dependency",
	325: "Too Early", 326: "Upgrade Required", 328: "Precondition Required", 329: "Too Many Requests",
	331: "Request Header Fields Too Large", 351: "Unavailable For Legal Reasons",

	400: "Internal Server Error", 401: "Not Implemented", 402: "Bad Gateway", 403: "Service Unavailable",
	404: "Gateway Timeout", 405: "HTTP Version Not Supported", 406: "Variant Also Negotiates",
	407: "Insufficient Storage", 408: "Loop Detected", 410: "Not Extended", 411: "Network Authentication Required",
}
