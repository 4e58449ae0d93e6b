// SPDX-License-Identifier: EUPL-1.2

package tlsconn

// Sizes of a record in bytes (RFC 8446, section 5.1; RFC 5246, section 6.2.3).
const (
	recordHead    = 5
	maxPlain      = 16 << 10
	maxCiphertext = maxPlain + 2048
	// overhead is the most that a record adds to its plaintext in the suites that are spoken, CBC of 1.2 included.
	overhead = recordHead + 16 + 48 + 16
)

const (
	typeAlert     = 21
	typeHandshake = 22
)

// record returns the length of the first record of b, 0 as long as it is not all there. A record that claims to be too
// long is "all there" with its head, so that crypto/tls refuses it at once.
func record(b []byte) int {
	if len(b) < recordHead {
		return 0
	}
	n := int(b[3])<<8 | int(b[4])
	switch {
	case n > maxCiphertext:
		return recordHead
	case len(b) < recordHead+n:
		return 0
	}
	return recordHead + n
}
