// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/bench/cert"
)

// serve starts a server that takes connections and says nothing; retry has it ask for proof of addresses.
func serve(t *testing.T, retry bool) netip.AddrPort {
	t.Helper()
	dir := t.TempDir()
	if err := cert.Write(dir, "quic.example"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(dir+"/"+cert.CertFile, dir+"/"+cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket, VerifySourceAddress: func(net.Addr) bool { return retry }}
	l, err := transport.Listen(&tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"raw"}, MinVersion: tls.VersionTLS13}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(l.Close(), transport.Close(), socket.Close()) })
	return socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

func dial(t *testing.T, server netip.AddrPort, change func(*Options)) *Conn {
	t.Helper()
	o := Options{Server: server, TLS: &tls.Config{
		ServerName: "quic.example", NextProtos: []string{"raw"}, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // the test made the certificate
	}}
	if change != nil {
		change(&o)
	}
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

func TestHandshakeWithAndWithoutRetry(t *testing.T) {
	t.Parallel()
	for _, retry := range []bool{false, true} {
		c := dial(t, serve(t, retry), nil)
		if err := c.Handshake(); err != nil {
			t.Fatalf("retry %v: %v", retry, err)
		}
		if (c.Retries == 1) != retry {
			t.Errorf("%d Retry packets came, asked for proof: %v", c.Retries, retry)
		}
		if !c.Alive() {
			t.Errorf("retry %v: the server does not answer after the handshake", retry)
		}
	}
}

// TestReactionsAreToldApart has a server that closes, one that goes on, and packets that it cannot read.
func TestReactionsAreToldApart(t *testing.T) {
	t.Parallel()
	server := serve(t, false)
	c := dial(t, server, nil)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	ask := func(want Reaction, offend func() (uint64, error)) {
		t.Helper()
		if got, err := c.Provoke(OneRTT, offend); got != want || err != nil {
			t.Errorf("%v (%v), want %v", got, err, want)
		}
	}
	ask(Ignored, func() (uint64, error) { return c.Send(OneRTT, AppendFrame(nil, FrameMaxData, 1)) })
	ask(Dropped, func() (uint64, error) {
		packet, number, err := c.Seal(OneRTT, AppendPing(nil), 0)
		if err != nil {
			return 0, err
		}
		packet[len(packet)-1] ^= 1
		return number, c.SendFrom(c.socket, packet)
	})
	ask(Closing, func() (uint64, error) { return c.Send(OneRTT, AppendFrame(nil, FrameHandshakeDone)) })
	if got := c.Closed(); got == nil || got.Code != ProtocolViolation || got.Frame != 0 && got.Frame != FrameHandshakeDone {
		t.Errorf("closed with %+v, want PROTOCOL_VIOLATION", got)
	}
}

// TestKeyUpdateIsFollowed talks until the server changes its keys, which quic-go does early.
func TestKeyUpdateIsFollowed(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, false), nil)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(giveUp)
	for range 400 {
		if !c.Alive() || time.Now().After(end) {
			t.Fatal("the server does not answer any more")
		}
	}
	if c.phase == 0 {
		t.Error("the keys never changed")
	}
}

func TestSilenceOfNobody(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	c := dial(t, socket.LocalAddr().(*net.UDPAddr).AddrPort(), nil)
	if err := c.Greet(); err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(10 * time.Millisecond); err == nil {
		t.Error("something came from a server that says nothing")
	}
}

func TestExpandedNumbers(t *testing.T) {
	t.Parallel()
	// RFC 9000, appendix A.3: 0x9b32 after 0xa82f30ea is 0xa82f9b32.
	if got := expand(0x9b32, 2, 0xa82f30ea+1); got != 0xa82f9b32 {
		t.Errorf("%#x", got)
	}
}

func TestHelloWithoutParameters(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, false), func(o *Options) { o.NoParameters = true })
	err := c.Handshake()
	closed, ok := errors.AsType[*Close](err)
	if !ok || closed.Code != MissingExtension {
		t.Errorf("%v, want missing_extension", err)
	}
}
