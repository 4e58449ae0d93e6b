// SPDX-License-Identifier: EUPL-1.2

package http3_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// calm is a loop that no request comes to.
type calm struct{ exchange.Host }

func (calm) Pressure() exchange.Pressure { return exchange.Calm }

// bubble serves HTTP/3 where time passes only when all wait, and a packet takes none: what is measured there is how long
// somebody has waited, however busy the machine is.
func bubble(t *testing.T, f func(t *testing.T, s *http3.Server, dial func() *quic.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, network := gatewaytest.HTTP3(t), new(simnet.PerfectRouter)
		socket := func(port int) *simnet.SimConn {
			return simnet.NewSimConn(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, network)
		}
		s := http3.New(http3.Options{
			Hosts: []*http3.Host{http3.NewHost(nil, calm{})}, Limits: http3.DefaultLimits(), Networks: conn.NewNetworks(),
			Timeouts: conn.Timeouts{Head: time.Hour, Idle: time.Hour}, MaxConnections: 1000,
		})
		const port = 443
		if err := s.Listen(socket(port), 0, false, p.Authority.Serve(t, "a.example")); err != nil {
			t.Fatal(err)
		}
		s.Serve()
		defer s.Close()
		clients := port
		f(t, s, func() *quic.Conn {
			t.Helper()
			clients++
			transport := &quic.Transport{Conn: socket(clients)}
			t.Cleanup(func() { _ = transport.Close() })
			c, err := p.QUIC(t, transport, "127.0.0.1:443", "a.example")
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
	})
}

// uni opens a unidirectional stream and writes to it, unless the connection has ended.
func uni(c *quic.Conn, b ...byte) *quic.SendStream {
	s, err := c.OpenUniStreamSync(c.Context())
	if err == nil {
		_, _ = s.Write(b)
	}
	return s
}

// hello opens the control stream as it should be.
func hello(c *quic.Conn) *quic.SendStream { return uni(c, wire.StreamControl, 4, 2, 1, 0) }

// code is with what the other side has closed a connection.
func code(c *quic.Conn) wire.Code {
	var app *quic.ApplicationError
	if !errors.As(context.Cause(c.Context()), &app) || !app.Remote {
		return wire.None
	}
	return wire.Code(app.ErrorCode)
}

// unknown is how many streams of no type that is known are taken (unknownStreams).
const unknown = 32

// Whoever breaks the protocol is closed within a second, whatever time he has chosen for it; half of it is left to a machine
// that is busy.
func TestOffendersAtRestAreClosedAtOnce(t *testing.T) {
	t.Parallel()
	const soon = 500 * time.Millisecond
	opened := func(each func(s *quic.SendStream)) func(c *quic.Conn, _ *quic.SendStream) {
		return func(c *quic.Conn, _ *quic.SendStream) {
			for range unknown + 1 {
				if s, err := c.OpenUniStreamSync(c.Context()); err == nil {
					each(s)
				}
			}
		}
	}
	for name, o := range map[string]struct {
		offend func(c *quic.Conn, control *quic.SendStream)
		code   wire.Code
	}{
		"a flood": {
			func(_ *quic.Conn, control *quic.SendStream) {
				_, _ = control.Write(bytes.Repeat([]byte{0x21, 0}, 9000))
			},
			wire.ExcessiveLoad,
		},
		"streams of an unknown type":    {opened(func(s *quic.SendStream) { _, _ = s.Write([]byte{0x21}) }), wire.ExcessiveLoad},
		"streams that end without type": {opened(func(s *quic.SendStream) { _ = s.Close() }), wire.ExcessiveLoad},
		"streams reset without type":    {opened(func(s *quic.SendStream) { s.CancelWrite(0x100) }), wire.ExcessiveLoad},
		"DATA":                          {func(_ *quic.Conn, control *quic.SendStream) { _, _ = control.Write([]byte{0, 0}) }, wire.FrameUnexpected},
		"a second control stream":       {func(c *quic.Conn, _ *quic.SendStream) { hello(c) }, wire.StreamCreationError},
		"the end of the first":          {func(_ *quic.Conn, control *quic.SendStream) { _ = control.Close() }, wire.ClosedCriticalStream},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, _ *http3.Server, dial func() *quic.Conn) {
				const clients = 60
				took := make(chan time.Duration)
				for i := range clients {
					c := dial()
					control := hello(c)
					go func() {
						time.Sleep(time.Duration(1+i*21) * time.Millisecond)
						begun := time.Now()
						o.offend(c, control)
						select {
						case <-c.Context().Done():
						case <-time.After(time.Minute):
						}
						if got := code(c); got != o.code {
							t.Errorf("client %d is closed with %v, want %v", i, got, o.code)
						}
						took <- time.Since(begun)
					}()
					time.Sleep(7 * time.Millisecond)
				}
				var most time.Duration
				for range clients {
					most = max(most, <-took)
				}
				if most > soon || most == 0 {
					t.Errorf("closed within %v, want %v", most, soon)
				}
			})
		})
	}
}

// Streams that end before they have a type are tolerated (RFC 9114, section 6.2), as long as they are few.
func TestStreamsWithoutTypeAreTolerated(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *http3.Server, dial func() *quic.Conn) {
		c := dial()
		hello(c)
		for range unknown {
			_ = uni(c).Close()
		}
		time.Sleep(time.Minute)
		if err := context.Cause(c.Context()); err != nil {
			t.Error(err)
		}
		_ = c.CloseWithError(0x100, "")
		for until := time.Now().Add(time.Minute); s.Open() > 0 && time.Now().Before(until); {
			time.Sleep(time.Second)
		}
		if n := s.Closed()[conn.FrameFlood]; n != 0 || s.Open() > 0 {
			t.Errorf("%d closed as a flood, %d open", n, s.Open())
		}
	})
}
