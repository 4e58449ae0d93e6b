// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"encoding/binary"
	"fmt"
)

// Types of frames (RFC 9000, section 19).
const (
	framePadding         = 0x00
	framePing            = 0x01
	frameAck             = 0x02
	frameAckECN          = 0x03
	FrameResetStream     = 0x04
	FrameStopSending     = 0x05
	FrameCrypto          = 0x06
	FrameNewToken        = 0x07
	FrameStream          = 0x08 // and the seven above it: 1 = FIN, 2 = length, 4 = offset
	FrameMaxData         = 0x10
	FrameMaxStreamData   = 0x11
	FrameMaxStreams      = 0x12
	FrameStreamsBlocked  = 0x16
	FrameNewConnectionID = 0x18
	FrameRetireID        = 0x19
	FramePathChallenge   = 0x1a
	FramePathResponse    = 0x1b
	frameClose           = 0x1c
	frameCloseByApp      = 0x1d
	FrameHandshakeDone   = 0x1e
)

// AppendVarint appends a number as QUIC writes it (RFC 9000, section 16).
func AppendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(v)|1<<14)
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|2<<30)
	default:
		return binary.BigEndian.AppendUint64(b, v|3<<62)
	}
}

// varint reads a number; n is 0 if b does not hold all of it.
func varint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	if n = 1 << (b[0] >> 6); len(b) < n {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, o := range b[1:n] {
		v = v<<8 | uint64(o)
	}
	return v, n
}

// AppendFrame appends a frame of a type and numbers.
func AppendFrame(b []byte, kind uint64, values ...uint64) []byte {
	b = AppendVarint(b, kind)
	for _, v := range values {
		b = AppendVarint(b, v)
	}
	return b
}

// AppendCrypto appends a CRYPTO frame.
func AppendCrypto(b []byte, offset uint64, data []byte) []byte {
	return append(AppendFrame(b, FrameCrypto, offset, uint64(len(data))), data...)
}

// AppendStream appends a STREAM frame with an offset and a length.
func AppendStream(b []byte, id, offset uint64, data []byte, fin bool) []byte {
	kind := uint64(FrameStream | 2 | 4)
	if fin {
		kind |= 1
	}
	return append(AppendFrame(b, kind, id, offset, uint64(len(data))), data...)
}

// AppendAck appends an ACK frame that acknowledges one packet.
func AppendAck(b []byte, number uint64) []byte { return AppendFrame(b, frameAck, number, 0, 0, 0) }

// AppendPing appends a PING frame.
func AppendPing(b []byte) []byte { return append(b, framePing) }

// AppendNewConnectionID appends a NEW_CONNECTION_ID frame. Its stateless reset token is made of the sequence number.
func AppendNewConnectionID(b []byte, sequence, retirePriorTo uint64, id []byte) []byte {
	b = append(AppendFrame(b, FrameNewConnectionID, sequence, retirePriorTo), byte(len(id)))
	b = append(b, id...)
	b = binary.BigEndian.AppendUint64(b, ^sequence)
	return binary.BigEndian.AppendUint64(b, sequence)
}

// Frame is a frame that came.
type Frame struct {
	Kind   uint64
	Values [4]uint64 // its numbers in their order, without the length of Data
	Data   []byte
	ranges []numbers // of an ACK frame
}

// numbers is packet numbers from low to high.
type numbers struct{ low, high uint64 }

// shapes is how many numbers frames of a type begin with, and whether data with its length in front follows.
var shapes = map[uint64]struct {
	numbers int
	data    bool
}{
	framePadding: {}, framePing: {}, FrameResetStream: {numbers: 3}, FrameStopSending: {numbers: 2},
	FrameCrypto: {1, true}, FrameNewToken: {0, true}, FrameMaxData: {numbers: 1}, FrameMaxStreamData: {numbers: 2},
	FrameMaxStreams: {numbers: 1}, 0x13: {numbers: 1}, 0x14: {numbers: 1}, 0x15: {numbers: 2}, FrameStreamsBlocked: {numbers: 1},
	0x17: {numbers: 1}, FrameRetireID: {numbers: 1}, frameClose: {2, true}, frameCloseByApp: {1, true}, FrameHandshakeDone: {},
}

// parseFrame reads the first frame of b and returns how long it is. Data is part of b.
func parseFrame(b []byte) (f Frame, n int, err error) {
	fail := func() (Frame, int, error) { return Frame{}, 0, fmt.Errorf("frame of type %#x is broken", f.Kind) }
	next := func() (v uint64, ok bool) {
		v, k := varint(b[n:])
		n += k
		return v, k > 0
	}
	take := func(k uint64) bool {
		if k > uint64(len(b)-n) {
			return false
		}
		f.Data = b[n:][:k]
		n += int(k)
		return true
	}
	var ok bool
	if f.Kind, ok = next(); !ok {
		return fail()
	}
	switch shape, known := shapes[f.Kind]; {
	case known:
		for i := range shape.numbers {
			if f.Values[i], ok = next(); !ok {
				return fail()
			}
		}
		if shape.data {
			if k, ok := next(); !ok || !take(k) {
				return fail()
			}
		}
	case f.Kind == frameAck || f.Kind == frameAckECN:
		ok = f.parseAck(next)
	case f.Kind&^7 == FrameStream:
		ok = f.parseStream(next, take, func() uint64 { return uint64(len(b) - n) })
	case f.Kind == FrameNewConnectionID:
		f.Values[0], _ = next()
		f.Values[1], _ = next()
		ok = take(1) && take(uint64(f.Data[0])+16)
	case f.Kind == FramePathChallenge || f.Kind == FramePathResponse:
		ok = take(8)
	default:
		ok = false
	}
	if !ok {
		return fail()
	}
	return f, n, nil
}

func (f *Frame) parseStream(next func() (uint64, bool), take func(uint64) bool, rest func() uint64) (ok bool) {
	if f.Values[0], ok = next(); ok && f.Kind&4 != 0 {
		f.Values[1], ok = next()
	}
	if !ok {
		return false
	}
	length := rest()
	if f.Kind&2 != 0 {
		if length, ok = next(); !ok {
			return false
		}
	}
	return take(length)
}

func (f *Frame) parseAck(next func() (uint64, bool)) bool {
	for i := range f.Values { // largest, delay, ranges, first range
		var ok bool
		if f.Values[i], ok = next(); !ok {
			return false
		}
	}
	high, length := f.Values[0], f.Values[3]
	for i := uint64(0); ; i++ {
		if length > high {
			return false
		}
		f.ranges = append(f.ranges, numbers{high - length, high})
		if i == f.Values[2] {
			break
		}
		gap, _ := next()
		more, ok := next()
		if !ok || high-length < gap+2 {
			return false
		}
		high, length = high-length-gap-2, more
	}
	for range 3 * (f.Kind - frameAck) {
		if _, ok := next(); !ok {
			return false
		}
	}
	return true
}

// elicits reports whether the packet of a frame wants to be acknowledged (RFC 9002, section 2).
func (f *Frame) elicits() bool {
	switch f.Kind {
	case framePadding, frameAck, frameAckECN, frameClose, frameCloseByApp:
		return false
	default:
		return true
	}
}
