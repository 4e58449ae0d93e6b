// SPDX-License-Identifier: EUPL-1.2

package message

// Method is the request method (RFC 9110, section 9). Other is every token that
// is none of the named ones; its text is in Head.MethodText. The zero value is
// Other.
type Method uint8

// Methods the gateway tells apart.
const (
	Other Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	OPTIONS
	PATCH
	CONNECT
	TRACE

	methodCount
)

var methodNames = [methodCount]string{"OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"}

// String returns the method's token, or "OTHER": the text of an unknown method
// comes from the client and is no log or metric label.
func (m Method) String() string {
	if m >= methodCount {
		return methodNames[Other]
	}
	return methodNames[m]
}

// Idempotent reports whether repeating the request is harmless by the method's
// definition (RFC 9110, section 9.2.2).
func (m Method) Idempotent() bool {
	switch m {
	case GET, HEAD, PUT, DELETE, OPTIONS, TRACE:
		return true
	default:
		return false
	}
}

// ParseMethod classifies a method token; methods are case-sensitive (RFC 9110,
// section 9.1).
func ParseMethod(token []byte) Method {
	switch string(token) { // compiled to comparisons, no conversion
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "OPTIONS":
		return OPTIONS
	case "PATCH":
		return PATCH
	case "CONNECT":
		return CONNECT
	case "TRACE":
		return TRACE
	default:
		return Other
	}
}

// MaxMethod is longer than any registered method (UPDATEREDIRECTREF has 17).
const MaxMethod = 24

// RefusedMethod reports whether a method is refused in every protocol version before anything is decided: CONNECT and
// TRACE, and the methods of RTSP (RFC 7826, section 13) and ICY, for who sends those takes us for another kind of server,
// and backends that speak both would too.
func RefusedMethod(m Method, text []byte) bool {
	switch m {
	case CONNECT, TRACE:
		return true
	case Other:
		return foreign(text)
	default:
		return false
	}
}

func foreign(method []byte) bool {
	switch string(method) { // compiled to comparisons, no conversion
	case "ANNOUNCE", "DESCRIBE", "GET_PARAMETER", "PAUSE", "PLAY", "PLAY_NOTIFY", "RECORD", "REDIRECT", "SETUP",
		"SET_PARAMETER", "SOURCE", "TEARDOWN":
		return true
	default:
		return false
	}
}
