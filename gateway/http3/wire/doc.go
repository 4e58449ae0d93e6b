// SPDX-License-Identifier: EUPL-1.2

// Package wire is HTTP/3 without I/O (RFC 9114 and RFC 9204): bytes in, events out, and the way back.
//
// The calls you want: [Request.Feed] reads a client's request stream, [Control.Feed] and [Instructions.Feed] its
// unidirectional streams, [Section] the fields of a HEADERS frame; [AppendResponse] and [AppendData] write.
//
// QPACK is spoken with its static table only: we announce a dynamic table of no octets, so whoever refers to one breaks
// the protocol, and no request ever waits for another stream.
//
// It deliberately knows no stream, clock or goroutine, and judges no field: that is message.Assembler's.
package wire

// Code is an error code of HTTP/3 or QPACK.
type Code uint64

// The codes (RFC 9114, section 8.1; RFC 9204, section 6). None, which is no code, means nothing is wrong.
const (
	None                     Code = 0
	NoError                  Code = 0x100
	InternalError            Code = 0x102
	StreamCreationError      Code = 0x103
	ClosedCriticalStream     Code = 0x104
	FrameUnexpected          Code = 0x105
	FrameError               Code = 0x106
	ExcessiveLoad            Code = 0x107
	IDError                  Code = 0x108
	SettingsError            Code = 0x109
	MissingSettings          Code = 0x10a
	RequestRejected          Code = 0x10b
	RequestCancelled         Code = 0x10c
	RequestIncomplete        Code = 0x10d
	MessageError             Code = 0x10e
	QPACKDecompressionFailed Code = 0x200
	QPACKEncoderStreamError  Code = 0x201
	QPACKDecoderStreamError  Code = 0x202
)

// String returns the word used in logs.
func (c Code) String() string {
	switch c {
	case None:
		return "none"
	case NoError:
		return "no-error"
	case InternalError:
		return "internal-error"
	case StreamCreationError:
		return "stream-creation"
	case ClosedCriticalStream:
		return "closed-critical-stream"
	case FrameUnexpected:
		return "frame-unexpected"
	case FrameError:
		return "frame"
	case ExcessiveLoad:
		return "excessive-load"
	case IDError:
		return "id"
	case SettingsError:
		return "settings"
	case MissingSettings:
		return "missing-settings"
	case RequestRejected:
		return "request-rejected"
	case RequestCancelled:
		return "request-cancelled"
	case RequestIncomplete:
		return "request-incomplete"
	case MessageError:
		return "message"
	case QPACKDecompressionFailed:
		return "qpack-decompression"
	case QPACKEncoderStreamError:
		return "qpack-encoder-stream"
	case QPACKDecoderStreamError:
		return "qpack-decoder-stream"
	default:
		return "unknown"
	}
}

// Types of unidirectional streams (RFC 9114, section 6.2; RFC 9204, section 4.2).
const (
	StreamControl = 0x0
	StreamPush    = 0x1
	StreamEncoder = 0x2
	StreamDecoder = 0x3
)

// Types of frames (RFC 9114, section 7.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoaway      = 0x7
	frameMaxPushID   = 0xd
)

// fromHTTP2 reports whether a frame type is one of HTTP/2 that HTTP/3 has not and nobody may send (RFC 9114, section
// 7.2.8).
func fromHTTP2(frame uint64) bool {
	return frame == 0x2 || frame == 0x6 || frame == 0x8 || frame == 0x9
}

// Varint reads a variable-length integer (RFC 9000, section 16) and returns how long it is, 0 if in ends before it does.
func Varint(in []byte) (v uint64, n int) {
	if len(in) == 0 {
		return 0, 0
	}
	n = 1 << (in[0] >> 6)
	if len(in) < n {
		return 0, 0
	}
	v = uint64(in[0] & 0x3f)
	for _, b := range in[1:n] {
		v = v<<8 | uint64(b)
	}
	return v, n
}

// AppendVarint appends v, which must be below 2^62, as short as it can be.
func AppendVarint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(dst, byte(v))
	case v < 1<<14:
		return append(dst, 1<<6|byte(v>>8), byte(v))
	case v < 1<<30:
		return append(dst, 2<<6|byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	default:
		return append(dst, 3<<6|byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
}
