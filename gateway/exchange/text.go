// SPDX-License-Identifier: EUPL-1.2

package exchange

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
