// SPDX-License-Identifier: EUPL-1.2

package http2

import "github.com/pvgate/pvgate/gateway/message"

// Answers are encoded without a dynamic table of ours: nothing is to be remembered per connection, nothing searched per
// field, and what answers repeat is short.

// sizeZero is the update that sets the dynamic table's size to 0.
const sizeZero = 0x20

// appendStatus appends :status.
func appendStatus(dst []byte, status int) []byte {
	switch status { // RFC 7541, appendix A
	case 200:
		return append(dst, 0x80|8)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	return append(dst, 8, 3, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10))
}

// appendField appends a field, its name in lower case, as a literal without indexing; cookies as one that nobody on the
// way may index either (RFC 7541, section 7.1.3).
func appendField(dst []byte, f *message.Field) []byte {
	kind := byte(0)
	if f.ID == message.SetCookie {
		kind = 0x10
	}
	if i := staticName(f); i > 0 {
		dst = appendInteger(dst, kind, 4, i)
	} else {
		dst = appendInteger(append(dst, kind), 0, 7, len(f.Name))
		for _, c := range f.Name {
			dst = append(dst, message.Lower(c))
		}
	}
	return append(appendInteger(dst, 0, 7, len(f.Value)), f.Value...)
}

// appendInteger appends an integer with a prefix of so many bits, in an octet of which the others are given.
func appendInteger(dst []byte, octet byte, prefix uint, v int) []byte {
	top := 1<<prefix - 1
	if v < top {
		return append(dst, octet|byte(v))
	}
	dst = append(dst, octet|byte(top))
	for v -= top; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// staticName returns the index of a static entry with the field's name, 0 if there is none or it is rare in answers.
func staticName(f *message.Field) int {
	switch f.ID {
	case message.ContentLength:
		return 28
	case message.ContentType:
		return 31
	case message.Date:
		return 33
	case message.CacheControl:
		return 24
	case message.ContentEncoding:
		return 26
	case message.ContentLocation:
		return 29
	case message.Location:
		return 46
	case message.Refresh:
		return 52
	case message.RetryAfter:
		return 53
	case message.Server:
		return 54
	case message.SetCookie:
		return 55
	case message.StrictTransportSecurity:
		return 56
	case message.Via:
		return 60
	case message.FieldOther:
		return otherStaticName(f.Name)
	default:
		return 0
	}
}

func otherStaticName(name []byte) int {
	var lower [27]byte // the longest of those below
	if len(name) > len(lower) {
		return 0
	}
	for i, c := range name {
		lower[i] = message.Lower(c)
	}
	switch string(lower[:len(name)]) { // no conversion takes place
	case "age":
		return 21
	case "vary":
		return 59
	case "etag":
		return 34
	case "link":
		return 45
	case "allow":
		return 22
	case "expires":
		return 36
	case "accept-ranges":
		return 18
	case "content-range":
		return 30
	case "last-modified":
		return 44
	case "content-language":
		return 27
	case "www-authenticate":
		return 61
	case "content-disposition":
		return 25
	case "access-control-allow-origin":
		return 20
	default:
		return 0
	}
}

// ofConnection reports a field that HTTP/2 does not know (RFC 9113, section 8.2.2).
func ofConnection(id message.FieldID) bool {
	switch id {
	case message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding, message.Upgrade:
		return true
	default:
		return false
	}
}
