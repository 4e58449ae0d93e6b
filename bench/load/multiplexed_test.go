// SPDX-License-Identifier: EUPL-1.2

package load_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pvgate/pvgate/bench/load"
)

// startStreams is a server that does with each connection, once it has the client's preface, as serve says.
func startStreams(t *testing.T, serve func(conn net.Conn, in *http2.Framer)) netip.AddrPort {
	t.Helper()
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	config := &tls.Config{Certificates: certificate.TLS.Certificates, NextProtos: []string{http2.NextProtoTLS}}
	certificate.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err == nil {
					serve(conn, http2.NewFramer(conn, conn))
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// answer200 is `:status: 200`, and fields that fill and use the dynamic table.
var answer200 = [][]byte{{0x88, 0x40, 1, 'a', 1, 'b'}, {0x88, 0xbe}}

// answers is each request's answer, as write puts it into frames.
func answers(write func(out *http2.Framer, id uint32, block []byte)) func(net.Conn, *http2.Framer) {
	return func(conn net.Conn, in *http2.Framer) {
		var frames bytes.Buffer
		out := http2.NewFramer(&frames, nil)
		out.AllowIllegalWrites = true
		_ = out.WriteSettings()
		for n := 0; ; {
			f, err := in.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				write(out, h.StreamID, answer200[min(n, 1)])
				n++
			}
			for _, c := range frames.Bytes() { // each a record
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
			}
			frames.Reset()
		}
	}
}

// However the octets come, and whatever stands between them, an answer is what its frames say.
func TestStreamsAreReadFrameByFrame(t *testing.T) {
	t.Parallel()
	var pinged, acked atomic.Int64
	for name, serve := range map[string]func(net.Conn, *http2.Framer){
		"octet by octet": answers(func(out *http2.Framer, id uint32, block []byte) {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
			_ = out.WriteData(id, true, []byte("hello"))
		}),
		"padded, in parts": answers(func(out *http2.Framer, id uint32, block []byte) {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, PadLength: 3})
			_ = out.WriteDataPadded(id, false, []byte("he"), make([]byte, 7))
			_ = out.WriteData(id, false, nil)
			_ = out.WriteDataPadded(id, true, []byte("llo"), []byte{})
		}),
		"after 103, with trailers": answers(func(out *http2.Framer, id uint32, block []byte) {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{8, 3, '1', '0', '3'}, EndHeaders: true})
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
			_ = out.WriteData(id, false, []byte("hello"))
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0, 1, 'x', 1, 'y'}, EndHeaders: true, EndStream: true})
		}),
		"behind a ping": func(conn net.Conn, in *http2.Framer) {
			_ = in.WriteSettings()
			var waiting []uint32
			for {
				f, err := in.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.SettingsFrame:
					if f.IsAck() {
						acked.Add(1)
					}
				case *http2.HeadersFrame:
					waiting = append(waiting, f.StreamID)
					pinged.Add(1)
					_ = in.WritePing(false, [8]byte{byte(f.StreamID), 1, 2, 3, 4, 5, 6, 7})
				case *http2.PingFrame:
					if !f.IsAck() || f.Data[0] != byte(waiting[0]) || f.Data[7] != 7 {
						return
					}
					_ = in.WriteHeaders(http2.HeadersFrameParam{StreamID: waiting[0], BlockFragment: answer200[0][:1], EndHeaders: true})
					_ = in.WriteData(waiting[0], true, []byte("hello"))
					waiting = waiting[1:]
				}
			}
		},
	} {
		res, err := load.Run(context.Background(), load.Options{
			Address: startStreams(t, serve), TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 1, Streams: 3, Count: 20, Timeout: 5 * time.Second,
			WantStatus: 200, WantLength: 5, Requests: [][]byte{get("/a"), get("/b")},
		})
		if err != nil || res.Err() != nil || res.Good < 20 || res.Statuses[2] != res.Good {
			t.Errorf("%s: %d good, %v, %v", name, res.Good, res.Err(), err)
		}
	}
	if pinged.Load() < 20 || acked.Load() != 1 {
		t.Errorf("%d pings, %d settings acknowledged", pinged.Load(), acked.Load())
	}
}

// Whatever breaks a connection is counted for each request that was under way on it.
func TestBrokenStreamsAreCountedEach(t *testing.T) {
	t.Parallel()
	const streams = 3
	for name, write := range map[string]func(out *http2.Framer, id uint32, block []byte){
		"goes away":     func(out *http2.Framer, _ uint32, _ []byte) { _ = out.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"is reset":      func(out *http2.Framer, id uint32, _ []byte) { _ = out.WriteRSTStream(id, http2.ErrCodeCancel) },
		"was not asked": func(out *http2.Framer, id uint32, _ []byte) { _ = out.WriteData(id+100, true, nil) },
		"is too large":  func(out *http2.Framer, id uint32, _ []byte) { _ = out.WriteData(id, true, make([]byte, 16<<10+1)) },
		"is nothing but pads": func(out *http2.Framer, id uint32, _ []byte) {
			_ = out.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, id, []byte{1})
		},
		"has half a head": func(out *http2.Framer, id uint32, block []byte) {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block})
		},
		"is no HPACK": func(out *http2.Framer, id uint32, _ []byte) {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff}, EndHeaders: true})
		},
	} {
		res, err := load.Run(context.Background(), load.Options{
			Address: startStreams(t, answers(write)), TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 1, Streams: streams, Count: 2 * streams,
			WantLength: -1, Timeout: 5 * time.Second, Requests: [][]byte{get("/")},
		})
		if err != nil || res.Good > 0 || res.Failed() != 2*streams || res.Lost+res.Invalid != res.Failed() || res.FirstFailure == "" {
			t.Errorf("%s: %d good, %d failed, first %q, %v", name, res.Good, res.Failed(), res.FirstFailure, err)
		}
	}
}
