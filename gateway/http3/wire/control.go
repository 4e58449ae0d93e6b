// SPDX-License-Identifier: EUPL-1.2

package wire

import "slices"

// Identifiers of settings (RFC 9114, section 7.2.4.1; RFC 9204, section 5).
const (
	settingTableCapacity    = 0x1
	settingFieldSectionSize = 0x6
	settingBlockedStreams   = 0x7
	settingExtendedConnect  = 0x8
	settingDatagram         = 0x33
)

// The bounds of a control stream.
const (
	maxSettings = 4 << 10 // octets of a SETTINGS frame; the buffer of a control stream must hold as much
	// controlOverhead is what frames of no meaning to us may take, octets; Earn adds to it.
	controlOverhead = 16 << 10
)

// MaxControlFrame is how long a frame that Control looks into may be, with its header, octets.
const MaxControlFrame = maxSettings + 16

// Control reads the client's control stream, behind its type. The zero value is ready. It holds no slice and no buffer.
// Not safe for concurrent use.
type Control struct {
	// Gone is the least push that the client has said goodbye to, and only meaningful with Leaving.
	gone    uint64
	pushes  uint64 // how many we may make, if hasPush
	skip    uint64
	earned  uint64
	excess  uint64
	begun   bool // SETTINGS has come
	leaving bool
	hasPush bool
	code    Code
}

// Earn allows octets more that mean nothing to us: a client that makes requests has priorities to tell (RFC 9218, section
// 7.1).
func (c *Control) Earn(octets int) { c.earned += uint64(octets) }

// Leaving reports that the client has sent GOAWAY.
func (c *Control) Leaving() bool { return c.leaving }

// Feed consumes n octets of in; keep the rest and feed it again with more behind it. A code other than None is an error of
// the connection.
func (c *Control) Feed(in []byte) (n int, code Code) {
	for c.code == None && n < len(in) {
		if c.skip > 0 {
			k := int(min(c.skip, uint64(len(in)-n)))
			c.skip -= uint64(k)
			n += k
			continue
		}
		k := c.frame(in[n:])
		if k == 0 {
			break
		}
		n += k
	}
	return n, c.code
}

// frame reads a frame, of which it returns the length; 0 if it is not all there, or wrong.
func (c *Control) frame(in []byte) (n int) {
	kind, k := Varint(in)
	if k == 0 {
		return 0
	}
	if !c.begun && kind != frameSettings {
		return c.fail(MissingSettings)
	}
	size, m := Varint(in[k:])
	if m == 0 {
		return 0
	}
	head := k + m
	switch {
	case kind == frameSettings && c.begun, kind == frameData, kind == frameHeaders, kind == framePushPromise, fromHTTP2(kind):
		return c.fail(FrameUnexpected)
	case kind != frameSettings && kind != frameGoaway && kind != frameMaxPushID && kind != frameCancelPush:
		// The sizes of frames go up to 2^62: compare without a sum.
		c.excess += uint64(head)
		if most := controlOverhead + c.earned; c.excess > most || size > most-c.excess {
			return c.fail(ExcessiveLoad)
		}
		c.excess += size
		c.skip = size
		return head
	case size > maxSettings:
		return c.fail(ExcessiveLoad)
	case uint64(len(in)-head) < size:
		return 0
	}
	if c.excess += uint64(head); c.begun && c.excess > controlOverhead+c.earned {
		return c.fail(ExcessiveLoad)
	}
	n = head + int(size)
	if kind == frameSettings {
		c.begun = true
		c.code = settings(in[head:n])
		return n
	}
	return c.id(kind, in[head:n], n)
}

// id takes a frame that carries one number.
func (c *Control) id(kind uint64, payload []byte, n int) int {
	id, k := Varint(payload)
	switch {
	case k == 0 || k != len(payload):
		return c.fail(FrameError)
	case kind == frameGoaway:
		if c.leaving && id > c.gone {
			return c.fail(IDError)
		}
		c.leaving, c.gone = true, id
	case kind == frameMaxPushID:
		if c.hasPush && id < c.pushes {
			return c.fail(IDError)
		}
		c.hasPush, c.pushes = true, id
	default:
		return c.fail(IDError) // CANCEL_PUSH of what was never promised (RFC 9114, section 7.2.3)
	}
	return n
}

func (c *Control) fail(code Code) int {
	c.code = code
	return 0
}

// settings judges the payload of SETTINGS. None of what a client may wish for changes what we send.
func settings(b []byte) Code {
	var ids []uint64
	for len(b) > 0 {
		id, k := Varint(b)
		v, m := Varint(b[k:])
		if k == 0 || m == 0 {
			return FrameError
		}
		b = b[k+m:]
		switch {
		case id == 0 || id >= 0x2 && id <= 0x5, slices.Contains(ids, id):
			return SettingsError
		case (id == settingExtendedConnect || id == settingDatagram) && v > 1:
			return SettingsError
		}
		if ids = append(ids, id); len(ids) > maxSettingIDs {
			return ExcessiveLoad
		}
	}
	return None
}

// maxSettingIDs is more than there are.
const maxSettingIDs = 64

// AppendControl appends the beginning of our control stream: its type, and the settings that a client must know.
// fieldSection is how large a field section may be (RFC 9114, section 4.2.2), octets; with webSocket, an extended CONNECT is
// understood (RFC 9220).
func AppendControl(dst []byte, fieldSection int, webSocket bool) []byte {
	var payload [32]byte
	p := AppendVarint(payload[:0], settingTableCapacity)
	p = AppendVarint(p, 0)
	p = AppendVarint(p, settingBlockedStreams)
	p = AppendVarint(p, 0)
	p = AppendVarint(p, settingFieldSectionSize)
	p = AppendVarint(p, uint64(fieldSection))
	if webSocket {
		p = append(AppendVarint(p, settingExtendedConnect), 1)
	}
	dst = append(dst, StreamControl, frameSettings, byte(len(p)))
	return append(dst, p...)
}

// AppendGoaway appends GOAWAY: requests from this stream's number on are not served.
func AppendGoaway(dst []byte, stream uint64) []byte {
	var payload [8]byte
	p := AppendVarint(payload[:0], stream)
	dst = append(dst, frameGoaway, byte(len(p)))
	return append(dst, p...)
}

// Instructions reads the client's QPACK encoder or decoder stream, behind its type. Since there is no dynamic table, the
// only instructions by the book are a capacity of nothing, and cancellations of streams, which concern us not.
type Instructions struct {
	Decoder bool // it is the decoder stream
	excess  int
}

// instructionOverhead is how many octets of instructions that say nothing a client may send, before Earn.
const instructionOverhead = 4 << 10

// Earn is as Control's.
func (i *Instructions) Earn(octets int) { i.excess -= octets }

// Feed is as Control's.
func (i *Instructions) Feed(in []byte) (n int, code Code) {
	for n < len(in) {
		prefix := 5 // of the encoder's Set Dynamic Table Capacity
		if i.Decoder {
			prefix = 6 // of the decoder's Stream Cancellation
		}
		if in[n]>>prefix != 1 {
			return n, i.code()
		}
		v, k, ok := prefixed(in[n:], prefix)
		switch {
		case !ok || !i.Decoder && k > 0 && v > 0:
			return n, i.code()
		case k == 0:
			return n, None
		}
		n += k
		if i.excess += k; i.excess > instructionOverhead {
			return n, ExcessiveLoad
		}
	}
	return n, None
}

// code is what an instruction that refers to a dynamic table breaks: Insert Count Increment and Section Acknowledgment on
// one stream, insertions on the other.
func (i *Instructions) code() Code {
	if i.Decoder {
		return QPACKDecoderStreamError
	}
	return QPACKEncoderStreamError
}
