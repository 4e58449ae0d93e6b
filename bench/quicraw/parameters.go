// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"encoding/binary"
	"errors"
)

// Ids of transport parameters (RFC 9000, section 18.2).
const (
	OriginalDestinationID = 0x00
	StatelessResetToken   = 0x02
	MaxUDPPayloadSize     = 0x03
	AckDelayExponent      = 0x0a
	MaxAckDelay           = 0x0b
	PreferredAddress      = 0x0d
	InitialSourceID       = 0x0f
	RetrySourceID         = 0x10
)

// Parameter is a transport parameter.
type Parameter struct {
	ID    uint64
	Value []byte
}

// Number is a parameter whose value is a number.
func Number(id, value uint64) Parameter { return Parameter{id, AppendVarint(nil, value)} }

// window is what a server may send, octets.
const window = 64 << 20

// ordinary is the parameters of a client without faults.
func ordinary(source []byte) []Parameter {
	return []Parameter{
		Number(0x01, 30_000), // max_idle_timeout, ms
		Number(0x04, window), Number(0x05, window), Number(0x06, window), Number(0x07, window),
		Number(0x08, 100), Number(0x09, 100), Number(0x0e, 4), // streams, connection ids
		{InitialSourceID, source},
	}
}

func encode(parameters []Parameter) (b []byte) {
	for _, p := range parameters {
		b = AppendFrame(b, p.ID, uint64(len(p.Value))) // which has the same form
		b = append(b, p.Value...)
	}
	return b
}

// transportParameters is the extension's number (RFC 9001, section 8.2).
const transportParameters = 0x39

var errHello = errors.New("that is no ClientHello")

// withoutExtension returns a ClientHello message (RFC 8446, section 4.1.2) without one of its extensions.
func withoutExtension(hello []byte, extension uint16) ([]byte, error) {
	at := 4 + 2 + 32 // header, version, random
	for _, width := range []int{1, 2, 1} {
		if len(hello) < at+width {
			return nil, errHello
		}
		n := int(hello[at])
		if width == 2 {
			n = n<<8 | int(hello[at+1])
		}
		at += width + n
	}
	if len(hello) < at+2 {
		return nil, errHello
	}
	out := append([]byte(nil), hello[:at+2]...)
	for rest := hello[at+2:]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, errHello
		}
		n := 4 + int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < n {
			return nil, errHello
		}
		if binary.BigEndian.Uint16(rest) != extension {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
	out[1] = byte((len(out) - 4) >> 16)
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)-4))
	return out, nil
}
