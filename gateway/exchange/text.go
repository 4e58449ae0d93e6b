// SPDX-License-Identifier: EUPL-1.2

package exchange

import "encoding/binary"

// Fields and values of our own answers.
var (
	schemeHTTP      = []byte("http")
	schemeHTTPS     = []byte("https")
	fieldDate       = []byte("Date")
	fieldLength     = []byte("Content-Length")
	fieldStrict     = []byte("Strict-Transport-Security")
	fieldSetCookie  = []byte("Set-Cookie")
	fieldAltSvc     = []byte("Alt-Svc")
	fieldConnection = []byte("Connection")
	valueClose      = []byte("close")
	valueKeepAlive  = []byte("keep-alive")
)

// decimal writes n into buf and returns the digits.
func decimal(buf *[20]byte, n int) []byte {
	i := len(buf)
	for {
		i--
		buf[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return buf[i:]
		}
	}
}

// hex writes the lower-case hexadecimal digits of src, whole groups of four octets, to dst.
func hex(dst, src []byte) {
	for ; len(src) >= 4; dst, src = dst[8:], src[4:] {
		binary.BigEndian.PutUint64(dst, digits(binary.BigEndian.Uint32(src)))
	}
}

// digits returns the eight hexadecimal digits of n, the first one on top.
func digits(n uint32) uint64 {
	const ones = 0x0101010101010101
	d := uint64(n)
	d = (d | d<<16) & 0x0000ffff0000ffff
	d = (d | d<<8) & 0x00ff00ff00ff00ff
	d = (d | d<<4) & (0x0f * ones)
	letters := (d + 6*ones) >> 4 & ones // 1 where a digit is above 9
	return d + '0'*ones + letters*('a'-'0'-10)
}
