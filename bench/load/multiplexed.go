// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxWindow is that of a client who never holds a server back (RFC 9113, section 6.9.1).
	maxWindow = 1<<31 - 1
	renewAt   = 1 << 30
	// maxFrame is the largest payload of a frame that a server sends to who asks for none larger (section 4.2).
	maxFrame    = 16 << 10
	frameHeader = 9
)

const (
	// pathAt is where :path stands in the lists.
	pathAt = 1
	// status200 is `:status: 200` in HPACK's static table.
	status200 = 0x80 | 8
)

// multiplex is HTTP/2 on one connection, with as many requests at once as Options.Streams says. Its header blocks are like a
// browser's: what every request has is in the dynamic table after the first, the path never. It is octets in, octets out.
type multiplex struct {
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	block   bytes.Buffer
	alike   bool      // all requests, but for their paths
	common  [2][]byte // of a header block what stands before its path and behind it, once that is always the same
	asked   map[uint32]asked
	lastID  uint32
	taken   uint32 // octets of DATA since the connection's window was renewed
	status  int    // of the header block that is being read
	out     []byte // frames that have not been sealed yet
}

// asked is a request that waits for its answer.
type asked struct {
	sent   time.Duration
	status int
	length int64
}

// lists are the requests' header lists, from their text form. Over HTTP/2 there are requests without a body only.
func lists(requests [][]byte) ([][]hpack.HeaderField, error) {
	all := make([][]hpack.HeaderField, len(requests))
	for i, text := range requests {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return nil, fmt.Errorf("load: request %d: %w", i, err)
		}
		if r.ContentLength != 0 {
			return nil, errors.New("load: over HTTP/2 no request has a body")
		}
		all[i] = []hpack.HeaderField{
			{Name: ":method", Value: r.Method},
			{Name: ":path", Value: r.RequestURI, Sensitive: true}, // kept out of the dynamic table
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: r.Host},
		}
		for _, name := range []string{"User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "X-Correlation-Id", "Cookie"} {
			if v := r.Header.Get(name); v != "" {
				all[i] = append(all[i], hpack.HeaderField{Name: strings.ToLower(name), Value: v})
			}
		}
	}
	return all, nil
}

// alike reports whether all lists are the same but for their paths.
func alike(lists [][]hpack.HeaderField) bool {
	for _, l := range lists[1:] {
		if len(l) != len(lists[0]) {
			return false
		}
		for i, f := range l {
			if i != pathAt && f != lists[0][i] {
				return false
			}
		}
	}
	return true
}

func newMultiplex(alike bool) *multiplex {
	m := &multiplex{alike: alike, asked: map[uint32]asked{}, lastID: 1}
	m.encoder = hpack.NewEncoder(&m.block)
	m.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			m.status, _ = strconv.Atoi(f.Value)
		}
	})
	m.out = append(m.out, http2.ClientPreface...)
	m.frame(http2.FrameSettings, 0, 0, 12)
	m.setting(http2.SettingInitialWindowSize, maxWindow)
	m.setting(http2.SettingEnablePush, 0)
	m.renew(maxWindow - 65535)
	return m
}

// frame begins one whose payload, of length octets, is to be appended.
func (m *multiplex) frame(kind http2.FrameType, flags http2.Flags, id uint32, length int) {
	m.out = binary.BigEndian.AppendUint32(m.out, uint32(length)<<8|uint32(kind))
	m.out = binary.BigEndian.AppendUint32(append(m.out, byte(flags)), id)
}

func (m *multiplex) setting(id http2.SettingID, value uint32) {
	m.out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(m.out, uint16(id)), value)
}

// renew opens the connection's window by n octets.
func (m *multiplex) renew(n uint32) {
	m.frame(http2.FrameWindowUpdate, 0, 0, 4)
	m.out = binary.BigEndian.AppendUint32(m.out, n)
}

// ask sends a request.
func (m *multiplex) ask(list []hpack.HeaderField, now time.Duration) error {
	if err := m.encode(list); err != nil {
		return err
	}
	m.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, m.lastID, m.block.Len())
	m.out = append(m.out, m.block.Bytes()...)
	m.asked[m.lastID] = asked{sent: now}
	m.lastID += 2
	return nil
}

// encode makes a header block. What does not differ from request to request is in the dynamic table after the first, and is always
// the same octets then.
func (m *multiplex) encode(list []hpack.HeaderField) error {
	m.block.Reset()
	m.block.Write(m.common[0])
	if m.common[0] != nil {
		list = list[pathAt : pathAt+1]
	}
	if err := m.fields(list); err != nil {
		return err
	}
	m.block.Write(m.common[1])
	if m.common[0] != nil || !m.alike {
		return nil
	}
	first := bytes.Clone(m.block.Bytes())
	for i, same := range [][]hpack.HeaderField{list[:pathAt], list[pathAt+1:]} {
		m.block.Reset()
		if err := m.fields(same); err != nil {
			return err
		}
		m.common[i] = bytes.Clone(m.block.Bytes())
	}
	m.block.Reset()
	m.block.Write(first)
	return nil
}

func (m *multiplex) fields(list []hpack.HeaderField) error {
	for _, f := range list {
		if err := m.encoder.WriteField(f); err != nil {
			return err
		}
	}
	return nil
}

// next cuts the first frame off b; there is none as long as it has not come whole.
func next(b []byte) (kind http2.FrameType, flags http2.Flags, id uint32, payload, rest []byte, err error) {
	if len(b) < frameHeader {
		return 0, 0, 0, nil, b, nil
	}
	length := int(binary.BigEndian.Uint32(b) >> 8)
	if length > maxFrame {
		return 0, 0, 0, nil, b, fmt.Errorf("a frame of %d octets", length)
	}
	end := frameHeader + length
	if len(b) < end {
		return 0, 0, 0, nil, b, nil
	}
	return http2.FrameType(b[3]), http2.Flags(b[4]), binary.BigEndian.Uint32(b[5:]) & maxWindow, b[frameHeader:end:end], b[end:], nil
}

// take takes a frame. done is the request whose answer it ends.
func (m *multiplex) take(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) (done asked, ended bool, err error) {
	switch kind {
	case http2.FrameHeaders:
		if err := m.head(flags, id, payload); err != nil {
			return done, false, err
		}
	case http2.FrameData:
		if m.taken += uint32(len(payload)); m.taken > renewAt {
			m.renew(m.taken)
			m.taken = 0
		}
		if payload, err = unpadded(flags, payload); err != nil {
			return done, false, err
		}
		if a, ok := m.asked[id]; ok {
			a.length += int64(len(payload))
			m.asked[id] = a
		}
	case http2.FrameSettings:
		if !flags.Has(http2.FlagSettingsAck) {
			m.frame(http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
		}
		return done, false, nil
	case http2.FramePing:
		if !flags.Has(http2.FlagPingAck) {
			m.frame(http2.FramePing, http2.FlagPingAck, 0, len(payload))
			m.out = append(m.out, payload...)
		}
		return done, false, nil
	case http2.FrameRSTStream:
		return done, false, fmt.Errorf("stream %d was reset: %x", id, payload)
	case http2.FrameGoAway:
		return done, false, fmt.Errorf("the server goes away: %x", payload)
	default:
		return done, false, nil
	}
	if !flags.Has(http2.FlagDataEndStream) { // the same of both
		return done, false, nil
	}
	if done, ended = m.asked[id]; !ended {
		return done, false, fmt.Errorf("an answer on stream %d, which nobody asked for", id)
	}
	delete(m.asked, id)
	return done, true, nil
}

// unpadded is what a frame of a kind that may be padded carries (RFC 9113, section 6.1).
func unpadded(flags http2.Flags, payload []byte) ([]byte, error) {
	if !flags.Has(http2.FlagDataPadded) {
		return payload, nil
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, errors.New("a frame of nothing but padding")
	}
	return payload[1 : len(payload)-int(payload[0])], nil
}

// head takes a header block. Of the most frequent one only the first field is of interest, which its first octet is (RFC 7541,
// appendix A).
func (m *multiplex) head(flags http2.Flags, id uint32, block []byte) error {
	if !flags.Has(http2.FlagHeadersEndHeaders) {
		return errors.New("the head of an answer is too large")
	}
	block, err := unpadded(flags, block)
	if err != nil {
		return err
	}
	if flags.Has(http2.FlagHeadersPriority) {
		return errors.New("a server that sets priorities")
	}
	usual := len(block) > 0 && block[0] == status200
	m.decoder.SetEmitEnabled(!usual)
	if usual {
		m.status = http.StatusOK
	}
	if _, err := m.decoder.Write(block); err != nil {
		return err
	}
	if err := m.decoder.Close(); err != nil {
		return err
	}
	if a, ok := m.asked[id]; ok && a.status < 200 {
		a.status = m.status
		m.asked[id] = a
	}
	return nil
}

// What follows is the engine's part.

// talk begins HTTP/2 on a connection.
func (e *engine) talk(id int32) {
	c := &e.clients[id]
	if c.layer.conn.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		e.fail(c, &e.res.Refused, "the server does not speak h2")
		e.hangUp(c)
		return
	}
	c.state, c.sent, c.many = busy, e.now, newMultiplex(e.alike)
	for range e.o.Streams {
		if !e.ask(id) {
			return
		}
	}
	e.speak(id)
}

// ask asks once more on a connection. It reports whether that is still the same.
func (e *engine) ask(id int32) bool {
	c := &e.clients[id]
	if err := c.many.ask(e.lists[e.nextRequest()], e.now); err != nil {
		e.replace(id, &e.res.Invalid, err.Error())
		return false
	}
	e.inFlight++
	return true
}

// speak sends what a connection of HTTP/2 has gathered, as soon as what it sent before has left. It reports whether the connection
// is still the same.
func (e *engine) speak(id int32) bool {
	c := &e.clients[id]
	if c.many == nil || len(c.many.out) == 0 || len(c.pending) > 0 {
		return true
	}
	var err error
	if c.pending, err = c.layer.seal(c.many.out); err != nil {
		e.replace(id, &e.res.Lost, err.Error())
		return false
	}
	c.many.out = c.many.out[:0]
	return e.flush(id)
}

// frames takes octets of a connection of HTTP/2. It reports whether that is still the same.
func (e *engine) frames(id int32, b []byte) bool {
	c := &e.clients[id]
	c.any, c.sent = true, e.tick()
	if e.measuring {
		e.res.BytesIn += uint64(len(b))
	}
	kept := len(c.in) > 0
	if kept {
		c.in = append(c.in, b...)
		b = c.in
	}
	for {
		kind, flags, stream, payload, rest, err := next(b)
		if err != nil {
			e.replace(id, &e.res.Invalid, err.Error())
			return false
		}
		if payload == nil {
			break
		}
		b = rest
		done, ended, err := c.many.take(kind, flags, stream, payload)
		if err != nil {
			e.replace(id, &e.res.Lost, err.Error())
			return false
		}
		if ended && !e.answered(id, &done) {
			return false
		}
	}
	if kept {
		c.in = c.in[:copy(c.in, b)]
	} else {
		c.in = append(c.in[:0], b...)
	}
	return true
}

// answered counts a whole answer and asks for the next.
func (e *engine) answered(id int32, a *asked) bool {
	e.inFlight--
	e.finished++
	if e.measuring {
		e.score(a.status, a.length, a.sent)
	}
	if e.ended || e.o.Count > 0 && e.finished >= e.o.Count {
		return true
	}
	return e.ask(id)
}

// secureMultiplex is how the connections of HTTP/2 are secured.
func secureMultiplex(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	return config
}
