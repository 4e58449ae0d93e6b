// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
)

// Level is an encryption level: which keys protect a packet, and with them its type.
type Level = tls.QUICEncryptionLevel

// The levels.
const (
	Initial   = tls.QUICEncryptionLevelInitial
	Early     = tls.QUICEncryptionLevelEarly
	Handshake = tls.QUICEncryptionLevelHandshake
	OneRTT    = tls.QUICEncryptionLevelApplication
	levels    = 4
)

const (
	version1    = 1
	longHeader  = 0x80
	fixedBit    = 0x40
	keyPhaseBit = 0x04
	idLength    = 8 // of our connection ids
	numberSize  = 4 // of the packet numbers that we write
	minDatagram = 1200
	typeRetry   = 3
)

// longTypes is the type in a long header (RFC 9000, section 17.2).
var longTypes = [levels]byte{Initial: 0, Early: 1, Handshake: 2}

// space is the packet number space of a level (section 12.3): early data has that of the application's.
func space(l Level) Level {
	if l == Early {
		return OneRTT
	}
	return l
}

// Flaw is what is wrong with a packet that Seal makes.
type Flaw byte

// ReservedBits sets the reserved bits of the first octet (RFC 9000, section 17).
const ReservedBits Flaw = 1

var errNoKeys = errors.New("there are no keys of that level")

// Seal makes a packet of frames and returns its number.
func (c *Conn) Seal(l Level, frames []byte, flaw Flaw) (packet []byte, number uint64, err error) {
	keys := c.write[l]
	if keys == nil {
		return nil, 0, errNoKeys
	}
	number = c.next[space(l)]
	c.next[space(l)]++
	var header []byte
	if l == OneRTT {
		header = append(header, fixedBit|byte(flaw)*0x18|c.phase|(numberSize-1))
		header = append(header, c.to...)
	} else {
		header = append(header, longHeader|fixedBit|longTypes[l]<<4|byte(flaw)*0x0c|(numberSize-1))
		header = binary.BigEndian.AppendUint32(header, version1)
		header = append(append(header, byte(len(c.to))), c.to...)
		header = append(append(header, byte(len(c.source))), c.source...)
		if l == Initial {
			header = append(AppendVarint(header, uint64(len(c.token))), c.token...)
			// A datagram with it is filled up (section 14.1): length and number are six octets more.
			if short := minDatagram - len(header) - 2 - numberSize - len(frames) - tagLength; short > 0 {
				frames = append(bytes.Clone(frames), make([]byte, short)...)
			}
		}
		header = binary.BigEndian.AppendUint16(header, uint16(1<<14|(numberSize+len(frames)+tagLength)))
	}
	header = binary.BigEndian.AppendUint32(header, uint32(number))
	return keys.seal(header, numberSize, number, frames), number, nil
}

// IsRetry reports whether a datagram is a Retry packet.
func IsRetry(datagram []byte) bool {
	return len(datagram) > 0 && datagram[0]&longHeader != 0 && datagram[0]>>4&3 == typeRetry
}

// Take reads a datagram that came. What cannot be opened is left out, as RFC 9001 wants it.
func (c *Conn) Take(datagram []byte) error {
	c.Octets += len(datagram)
	c.Largest = max(c.Largest, len(datagram))
	for len(datagram) > 0 {
		l, at, n, err := c.header(datagram)
		if err != nil {
			return err
		}
		if at > 0 {
			if err := c.takePacket(l, datagram[:n], at); err != nil {
				return err
			}
		}
		datagram = datagram[n:]
	}
	return nil
}

var errHeader = errors.New("a packet has a broken header")

// header reads what is not protected: the level, where the packet number is, and how long the packet is. The former is 0
// for a packet without one.
func (c *Conn) header(b []byte) (l Level, at, n int, err error) {
	if b[0]&longHeader == 0 {
		return OneRTT, 1 + idLength, len(b), nil
	}
	if len(b) < 7 {
		return 0, 0, 0, errHeader
	}
	if binary.BigEndian.Uint32(b[1:]) != version1 {
		return 0, 0, 0, fmt.Errorf("a packet of version %#x", b[1:5])
	}
	at = 6 + int(b[5])
	if len(b) <= at || len(b) < at+1+int(b[at]) {
		return 0, 0, 0, errHeader
	}
	from := b[at+1 : at+1+int(b[at])]
	at += 1 + len(from)
	kind := b[0] >> 4 & 3
	if kind == typeRetry {
		return 0, 0, len(b), c.retry(b, from, at)
	}
	if kind == longTypes[Initial] {
		tokens, k := varint(b[at:])
		at += k + int(tokens)
	}
	if at > len(b) {
		return 0, 0, 0, errHeader
	}
	length, k := varint(b[at:])
	if at += k; k == 0 || length > uint64(len(b)-at) {
		return 0, 0, 0, errHeader
	}
	l = Handshake
	if kind == longTypes[Initial] {
		l = Initial
	}
	if !c.answered {
		c.answered, c.to = true, bytes.Clone(from) // section 7.2
	}
	return l, at, at + int(length), nil
}

// retry begins again with the server's token.
func (c *Conn) retry(packet, from []byte, at int) error {
	if len(packet) < at+tagLength || c.answered || c.token != nil {
		return nil // at most one, and none after anything else (section 17.2.5.2)
	}
	end := len(packet) - tagLength
	tag, err := retryTag(c.to, packet[:end])
	if err != nil {
		return err
	}
	if !bytes.Equal(tag[:], packet[end:]) {
		return errors.New("a Retry has a wrong integrity tag")
	}
	c.Retries++
	c.token, c.to = bytes.Clone(packet[at:end]), bytes.Clone(from)
	c.sent = [levels]int{}
	return c.initialKeys()
}

// takePacket opens a packet and handles its frames.
func (c *Conn) takePacket(l Level, packet []byte, at int) error {
	keys := c.read[l]
	if keys == nil {
		return nil
	}
	short, length, err := keys.reveal(packet, at)
	if err != nil {
		return nil //nolint:nilerr // such packets are to be ignored
	}
	number := expand(short, length, c.expected[l])
	header, sealed := packet[:at+length], packet[at+length:]
	if l == OneRTT && packet[0]&keyPhaseBit != c.phase {
		if keys, err = keys.next(); err != nil {
			return err
		}
	}
	payload, err := keys.open(header, sealed, number)
	if err != nil {
		return nil //nolint:nilerr // such packets are to be ignored
	}
	if keys != c.read[l] { // a key update: ours follow (RFC 9001, section 6.2)
		c.read[l], c.phase = keys, c.phase^keyPhaseBit
		if c.write[l], err = c.write[l].next(); err != nil {
			return err
		}
	}
	c.expected[l] = max(c.expected[l], number+1)
	return c.takeFrames(l, number, payload)
}

// expand makes a packet number whole (RFC 9000, appendix A.3).
func expand(short uint64, length int, expected uint64) uint64 {
	size := uint64(1) << (8 * length)
	number := expected&^(size-1) | short
	switch {
	case number+size/2 <= expected:
		return number + size
	case number > expected+size/2 && number >= size:
		return number - size
	default:
		return number
	}
}

func (c *Conn) takeFrames(l Level, number uint64, payload []byte) error {
	owes := false
	for len(payload) > 0 {
		f, n, err := parseFrame(payload)
		if err != nil {
			return err
		}
		payload = payload[n:]
		owes = owes || f.elicits()
		if c.Heard != nil && f.Kind != framePadding {
			c.Heard(l, number, &f)
		}
		if err := c.takeFrame(l, &f); err != nil {
			return err
		}
	}
	if owes {
		c.owed[l] = append(c.owed[l], number)
	}
	return nil
}

func (c *Conn) takeFrame(l Level, f *Frame) error {
	switch f.Kind {
	case frameAck, frameAckECN:
		c.acked[l] = f.ranges
	case FrameCrypto:
		return c.takeCrypto(l, f.Values[0], f.Data)
	case FrameHandshakeDone:
		c.confirmed = true
	case frameClose, frameCloseByApp:
		if c.closed == nil {
			c.closed = &Close{Code: Code(f.Values[0]), Application: f.Kind == frameCloseByApp, Reason: string(f.Data)}
			if f.Kind == frameClose {
				c.closed.Frame = f.Values[1]
			}
		}
	}
	return nil
}
