// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"net"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// elsewhere is a socket of which everybody on the loopback, which no limit counts, seems to come from one other network.
type elsewhere struct{ net.PacketConn }

func (e elsewhere) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := e.PacketConn.ReadFrom(b)
	if u, ok := from.(*net.UDPAddr); ok {
		from = &net.UDPAddr{IP: net.IPv4(203, 0, 113, 7), Port: u.Port}
	}
	return n, from, err
}

func (e elsewhere) WriteTo(b []byte, to net.Addr) (int, error) {
	return e.PacketConn.WriteTo(b, &net.UDPAddr{IP: net.ParseIP(gatewaytest.Direct), Port: to.(*net.UDPAddr).Port})
}

// RS-01: what one network may take counts its connections over QUIC too, and a place is free again when one has ended.
func TestRS01NetworkLimitOverHTTP3(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	s, _ := start(t, repeat(t), func(o *gateway.Options, s *gateway.Snapshot) {
		o.Listen, o.HoldDatagrams = []gateway.Listener{p.Listener(t, "a.example")}, true
		s.Networks = conn.NetworkPolicy{Most: 2}
	})
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ServeDatagrams(elsewhere{udp}); err != nil {
		t.Fatal(err)
	}
	dial := func() *peer {
		return &peer{p.DialQUIC(t, gatewaytest.Direct, udp.LocalAddr().String(), "a.example"), t}
	}
	ask := func() *peer {
		c := dial()
		c.hello()
		if status, _ := answers(t, c.ask(true, h3request("GET", "/a"))); status != "200" {
			t.Fatalf("got %s", status)
		}
		return c
	}
	first := ask()
	ask()
	dial().refuses(wire.ExcessiveLoad)
	st, err := s.Stats()
	if err != nil || st.Closed[conn.NetworkLimit] != 1 {
		t.Errorf("%d closed for their network, %v", st.Closed[conn.NetworkLimit], err)
	}
	_ = first.CloseWithError(0x100, "")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		st, err := s.Stats()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d connections are open, %v", st.Open, err)
		}
		if st.Open == 1 {
			break
		}
	}
	ask()
}
