// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/quicraw"
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
	wantsConnections(t, s, 1)
	ask()
}

// h3/extra/8: an address that a client only claims to have gets three times what has come from there at most (RFC 9000, section
// 8.2.2). Who sends as much as it gets has an answer.
func TestPathProbesAreNotAmplified(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	_, address := start(t, repeat(t), func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Listen = []gateway.Listener{p.Listener(t, "a.example")}
	})
	c, err := quicraw.Dial(t.Context(), quicraw.Options{Server: netip.MustParseAddrPort(address), TLS: &tls.Config{
		ServerName: "a.example", NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	ids := quicraw.AppendNewConnectionID(nil, 1, 0, []byte("another1"))
	if _, err := c.Send(quicraw.OneRTT, quicraw.AppendNewConnectionID(ids, 2, 0, []byte("another2"))); err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	challenge := append(quicraw.AppendFrame(nil, quicraw.FramePathChallenge), "8 octets"...)
	said, before := 0, c.Octets
	for range 60 {
		packet, _, err := c.Seal(quicraw.OneRTT, challenge, 0)
		if err != nil {
			t.Fatal(err)
		}
		said += len(packet)
		if err := c.SendFrom(other, packet); err != nil {
			t.Fatal(err)
		}
		if err := c.ReceiveAt(other, 5*time.Millisecond); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if c.Octets == before { // whoever is to answer has had no time yet
		if err := c.ReceiveAt(other, 10*time.Second); err != nil {
			t.Fatalf("nobody answers a probe: %v", err)
		}
	}
	if came := c.Octets - before; came > 3*said || came == 0 {
		t.Errorf("%d octets came for %d", came, said)
	}
	packet, _, err := c.Seal(quicraw.OneRTT, append(bytes.Clone(challenge), make([]byte, 1200)...), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SendFrom(other, packet); err != nil {
		t.Fatal(err)
	}
	if err := c.ReceiveAt(other, 10*time.Second); err != nil {
		t.Errorf("nobody answers a probe as long as the answer: %v", err)
	}
}
