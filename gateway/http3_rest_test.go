// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// resting is more than the time after which nobody waits on the unidirectional streams of a client who has said nothing, and
// noticed the time in which it is seen that he has said something then, on a machine that is busy with other tests: how long
// it is without them, http3's own tests say.
const (
	resting = 700 * time.Millisecond
	noticed = 2 * time.Second
)

// What a client says on its unidirectional streams is one text, wherever it has paused, and judged as it comes.
func TestHTTP3PausesOnUnidirectionalStreams(t *testing.T) {
	t.Parallel()
	s, dial := http3Gateway(t, gatewaytest.NewOrigin(t, nil).Addr)
	settings := h3frame(4, 1, 0)
	get := h3request("GET", "/")
	var floods atomic.Uint64
	for name, c := range map[string]struct {
		begin func(p *peer) *quic.SendStream
		then  func(p *peer, s *quic.SendStream)
		code  wire.Code
	}{
		"a frame in two halves, then a wrong one": {
			func(p *peer) *quic.SendStream { return p.uni(wire.StreamControl, settings[:3]...) },
			func(p *peer, s *quic.SendStream) {
				_, _ = s.Write(settings[3:])
				time.Sleep(resting)
				_, _ = s.Write(h3data("x"))
			}, wire.FrameUnexpected,
		},
		"SETTINGS twice": {(*peer).hello, func(_ *peer, s *quic.SendStream) { _, _ = s.Write(settings) }, wire.FrameUnexpected},
		"it ends":        {(*peer).hello, func(_ *peer, s *quic.SendStream) { _ = s.Close() }, wire.ClosedCriticalStream},
		"it is reset":    {(*peer).hello, func(_ *peer, s *quic.SendStream) { s.CancelWrite(0x100) }, wire.ClosedCriticalStream},
		"another one":    {(*peer).hello, func(p *peer, _ *quic.SendStream) { p.hello() }, wire.StreamCreationError},
		"a flood": {
			(*peer).hello,
			func(_ *peer, s *quic.SendStream) { _, _ = s.Write(bytes.Repeat(h3frame(0x21), 9000)) },
			wire.ExcessiveLoad,
		},
		"behind a request": {
			(*peer).hello,
			func(p *peer, s *quic.SendStream) {
				if status, _ := answers(p.t, p.ask(true, get)); status != "200" {
					p.t.Errorf("got %s, want 200", status)
				}
				time.Sleep(resting)
				_, _ = s.Write(get)
			}, wire.FrameUnexpected,
		},
		"the encoder stream": {
			func(p *peer) *quic.SendStream { p.hello(); return p.uni(wire.StreamEncoder, 0x20) },
			func(_ *peer, s *quic.SendStream) { _, _ = s.Write([]byte{0x3f, 0x45}) }, wire.QPACKEncoderStreamError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func() string {
				p := dial()
				p.t = t
				s := c.begin(p)
				time.Sleep(resting)
				select {
				case <-p.Context().Done():
					t.Fatal("closed already")
				default:
				}
				c.then(p, s)
				begun := time.Now()
				p.refuses(c.code)
				if c.code == wire.ExcessiveLoad {
					floods.Add(1)
				}
				if took := time.Since(begun); took > noticed {
					return fmt.Sprintf("after %v", took)
				}
				return ""
			})
		})
	}
	t.Cleanup(func() {
		if n := stats(t, s).Closed[conn.FrameFlood]; n != floods.Load() || n == 0 {
			t.Errorf("%d counted as floods, want %d", n, floods.Load())
		}
	})
}

// A connection that only waits has one goroutine of ours, which takes its next request.
func TestHTTP3IdleConnectionsHaveOneGoroutine(t *testing.T) {
	t.Parallel()
	// Other tests run beside this one: what it starts carries its name.
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", t.Name())))
	s, dial := http3Gateway(t, gatewaytest.NewOrigin(t, nil).Addr)
	var peers []*peer
	for range 8 {
		p := dial()
		p.hello()
		p.uni(wire.StreamEncoder)
		p.uni(wire.StreamDecoder)
		peers = append(peers, p)
	}
	for range 2 { // at first, and behind a request
		for _, p := range peers {
			if status, _ := answers(t, p.ask(true, h3request("GET", "/"))); status != "200" {
				t.Fatalf("got %s, want 200", status)
			}
		}
		n := 0
		for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
			if n = ofConnections(t); n == len(peers) {
				break
			}
		}
		if n != len(peers) {
			t.Errorf("%d goroutines of %d connections", n, len(peers))
		}
	}
	for _, p := range peers {
		_ = p.CloseWithError(0x100, "")
	}
	for until := time.Now().Add(10 * time.Second); ofConnections(t) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d goroutines of no connection", ofConnections(t))
		}
	}
	if st, err := s.Stats(); err != nil || st.Closed[conn.BrokenProtocol] != 0 {
		t.Errorf("%d have broken the protocol (%v)", st.Closed[conn.BrokenProtocol], err)
	}
}

// ofConnections counts the goroutines of connections of HTTP/3 that carry the test's name.
func ofConnections(t *testing.T) (n int) {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	_, all, _ := strings.Cut(text.String(), "\n")
	for alike := range strings.SplitSeq(all, "\n\n") { // "3 @ 0x…", their labels, and where they are
		ours := strings.Contains(alike, "gateway/http3.(*connection)") || strings.Contains(alike, "gateway/http3.(*reader)")
		if ours && strings.Contains(alike, fmt.Sprintf("%q:%q", "test", t.Name())) {
			var m int
			if _, err := fmt.Sscanf(alike, "%d @", &m); err != nil {
				t.Fatalf("%v: %.60q", err, alike)
			}
			n += m
		}
	}
	return n
}
