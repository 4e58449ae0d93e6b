// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2client plays the client's side of HTTP/2, as wrong as a test wants it: it obeys nothing by itself, but acknowledges
// SETTINGS.
type h2client struct {
	t      *testing.T
	end    farEnd
	settle func()
	out    bytes.Buffer
	in     bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	next   uint32
	frames []h2frame // heard, oldest first
}

// h2frame is what was heard.
type h2frame struct {
	kind   http2.FrameType
	stream uint32
	end    bool
	status string
	fields []hpack.HeaderField
	data   string
	code   http2.ErrCode
	last   uint32 // of GOAWAY; the increment of WINDOW_UPDATE
	ack    bool

	connect bool // SETTINGS that offer an extended CONNECT
}

func (f h2frame) String() string {
	return fmt.Sprintf("%v %d end=%v %s %d octets %v %d", f.kind, f.stream, f.end, f.status, len(f.data), f.code, f.last)
}

// newH2 begins HTTP/2 on a connection; the test has to flush.
func newH2(t *testing.T, end farEnd, settle func(), settings ...http2.Setting) *h2client {
	t.Helper()
	c := &h2client{t: t, end: end, settle: settle, next: 1}
	c.framer = http2.NewFramer(&c.out, &c.in)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.hpack = hpack.NewEncoder(&c.block)
	c.out.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings(settings...)
	return c
}

// h2 connects by prior knowledge.
func (st *stage) h2(settings ...http2.Setting) *h2client {
	st.t.Helper()
	c := newH2(st.t, st.net.Dial(simFrom, simFront), st.settle, settings...)
	c.flush()
	return c
}

// newH2Stage is a stage whose listener speaks HTTP/2 only.
func newH2Stage(t *testing.T) *stage {
	t.Helper()
	return newStageWith(t, func(o *Options) { o.Listen = []Listener{{Protocols: spoken2}} })
}

// flush sends what was written, and hears what comes.
func (c *h2client) flush() {
	c.t.Helper()
	for c.out.Len() > 0 {
		n := c.end.Write(c.out.Bytes())
		c.out.Next(n)
		c.settle()
		c.hear()
		if n == 0 {
			c.t.Fatalf("%d octets are not taken", c.out.Len())
		}
	}
	c.settle()
	c.hear()
}

// hear parses what has come.
func (c *h2client) hear() {
	c.t.Helper()
	c.in.Write(c.end.Read())
	for c.in.Len() >= 9 {
		b := c.in.Bytes()
		if length := int(b[0])<<16 | int(b[1])<<8 | int(b[2]); len(b) < 9+length {
			return
		}
		f, err := c.framer.ReadFrame()
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			c.t.Fatalf("the gateway sent what is no frame: %v", err)
		}
		c.note(f)
	}
}

func (c *h2client) note(f http2.Frame) {
	h := h2frame{kind: f.Header().Type, stream: f.Header().StreamID}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		h.end, h.status, h.fields = f.StreamEnded(), f.PseudoValue("status"), f.Fields
	case *http2.DataFrame:
		h.end, h.data = f.StreamEnded(), string(f.Data())
	case *http2.RSTStreamFrame:
		h.code = f.ErrCode
	case *http2.GoAwayFrame:
		h.code, h.last = f.ErrCode, f.LastStreamID
	case *http2.WindowUpdateFrame:
		h.last = f.Increment
	case *http2.SettingsFrame:
		if h.ack = f.IsAck(); !h.ack {
			offers, _ := f.Value(http2.SettingEnableConnectProtocol)
			h.connect = offers == 1
			_ = c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		h.ack = f.IsAck()
	}
	c.frames = append(c.frames, h)
}

// request writes a head; "name: value" lines follow the method and the path. It returns the stream.
func (c *h2client) request(line string, end bool, fields ...string) uint32 {
	c.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	c.block.Reset()
	write := func(name, value string) { _ = c.hpack.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	write(":method", method)
	write(":scheme", "http")
	write(":authority", "a")
	write(":path", path)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		write(name, value)
	}
	id := c.next
	c.next += 2
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
	return id
}

// get asks and hears.
func (c *h2client) get(path string, fields ...string) uint32 {
	c.t.Helper()
	id := c.request("GET "+path, true, fields...)
	c.flush()
	return id
}

// serve lets a backend write while the client hears.
func (c *h2client) serve(b farEnd, s string) {
	c.t.Helper()
	for quiet := 0; len(s) > 0; quiet++ {
		n := b.Write([]byte(s))
		s = s[n:]
		if c.flush(); n > 0 {
			quiet = 0
		}
		if quiet > 10 {
			c.t.Fatalf("%d octets of the backend are not taken", len(s))
		}
	}
	c.flush()
}

func (c *h2client) data(id uint32, b string, end bool) { _ = c.framer.WriteData(id, end, []byte(b)) }

// h2answer is what came on a stream.
type h2answer struct {
	status string
	body   string
	ended  bool
	reset  bool
	code   http2.ErrCode
	fields []hpack.HeaderField
	opened uint32 // by WINDOW_UPDATE
}

func (c *h2client) answer(id uint32) (a h2answer) {
	for _, f := range c.frames {
		if f.stream != id {
			continue
		}
		a.ended = a.ended || f.end
		switch f.kind {
		case http2.FrameHeaders:
			a.status += f.status
			a.fields = append(a.fields, f.fields...)
		case http2.FrameData:
			a.body += f.data
		case http2.FrameRSTStream:
			a.reset, a.code = true, f.code
		case http2.FrameWindowUpdate:
			a.opened += f.last
		}
	}
	return a
}

// wants fails unless a stream was answered whole.
func (c *h2client) wants(id uint32, status, body string) {
	c.t.Helper()
	if a := c.answer(id); a.status != status || a.body != body || !a.ended {
		c.t.Errorf("stream %d: got %s with %d octets %.80q, ended %v, reset %v %v; want %s %.80q, whole", id, a.status, len(a.body), a.body, a.ended, a.reset, a.code, status, body)
	}
}

// wantsReset fails unless a stream was reset for a reason.
func (c *h2client) wantsReset(id uint32, code http2.ErrCode) {
	c.t.Helper()
	if a := c.answer(id); !a.reset || a.code != code {
		c.t.Errorf("stream %d: got %s, reset %v %v; want %v", id, a.status, a.reset, a.code, code)
	}
}

// goAways are those that were heard.
func (c *h2client) goAways() (all []h2frame) {
	for _, f := range c.frames {
		if f.kind == http2.FrameGoAway {
			all = append(all, f)
		}
	}
	return all
}

// wantsEnd fails unless the connection has ended, with GOAWAY for a reason.
func (c *h2client) wantsEnd(code http2.ErrCode) {
	c.t.Helper()
	c.hear()
	all := c.goAways()
	if len(all) == 0 || all[len(all)-1].code != code || !c.end.EOF() {
		c.t.Errorf("got %v, ended %v; want GOAWAY %v and the end", all, c.end.EOF(), code)
	}
}
