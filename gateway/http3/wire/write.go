// SPDX-License-Identifier: EUPL-1.2

package wire

import "github.com/pvgate/pvgate/gateway/message"

// AppendResponse appends the HEADERS frame of a response. Fields that only HTTP/1.1 has are left out (RFC 9114, section
// 4.2), names go out in lower case.
func AppendResponse(dst []byte, status int, fields []message.Field) []byte {
	// The length has four octets, whatever it is: it is known only at the end.
	at := len(dst) + 1
	dst = append(dst, frameHeaders, 0, 0, 0, 0, 0, 0)
	dst = appendStatus(dst, status)
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Connection, message.KeepAlive, message.ProxyConnection, message.TransferEncoding, message.Upgrade:
			continue
		default:
			dst = appendField(dst, f)
		}
	}
	n := len(dst) - at - 4
	dst[at], dst[at+1], dst[at+2], dst[at+3] = 2<<6|byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return dst
}

// AppendData appends the header of a DATA frame of n octets, which the caller appends.
func AppendData(dst []byte, n int) []byte { return AppendVarint(append(dst, frameData), uint64(n)) }

// statusName is the index of a line with the name :status.
const statusName = 24

func appendStatus(dst []byte, status int) []byte {
	if i := indexOfStatus(status); i > 0 {
		return appendPrefixed(dst, 0xc0, 6, i)
	}
	dst = appendPrefixed(dst, 0x50, 4, statusName)
	return append(dst, 3, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10))
}

// indexOfStatus returns the index of a line with this status, 0 if there is none.
func indexOfStatus(status int) uint64 {
	switch status {
	case 200:
		return 25
	case 304:
		return 26
	case 404:
		return 27
	case 503:
		return 28
	case 100:
		return 63
	case 204:
		return 64
	case 206:
		return 65
	case 302:
		return 66
	case 400:
		return 67
	case 403:
		return 68
	case 421:
		return 69
	case 500:
		return 71
	default:
		return 0
	}
}

// indexOfName returns the index of a line with the name, 0 if there is none or it is not worth the search.
func indexOfName(id message.FieldID) uint64 {
	switch id {
	case message.ContentLength:
		return 4
	case message.Date:
		return 6
	case message.Location:
		return 12
	case message.SetCookie:
		return 14
	case message.CacheControl:
		return 36
	case message.ContentEncoding:
		return 42
	case message.ContentType:
		return 44
	case message.StrictTransportSecurity:
		return 56
	case message.AltSvc:
		return 83
	case message.Server:
		return 92
	default:
		return 0
	}
}

func appendField(dst []byte, f *message.Field) []byte {
	if i := indexOfName(f.ID); i > 0 {
		dst = appendPrefixed(dst, 0x50, 4, i)
	} else {
		dst = appendPrefixed(dst, 0x20, 3, uint64(len(f.Name)))
		for _, c := range f.Name {
			dst = append(dst, message.Lower(c))
		}
	}
	dst = appendPrefixed(dst, 0, 7, uint64(len(f.Value)))
	return append(dst, f.Value...)
}
