// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// told reads the gateway's control stream and says what stands there, frame by frame.
func (p *peer) told() <-chan string {
	frames := make(chan string, 16)
	go func() {
		defer close(frames)
		s, err := p.AcceptUniStream(p.Context())
		if err != nil {
			return
		}
		var all []byte
		var buf [256]byte
		for first := true; ; {
			n, err := s.Read(buf[:])
			all = append(all, buf[:n]...)
			for len(all) > 0 {
				if first {
					all, first = all[1:], false // its type
					continue
				}
				kind, k := wire.Varint(all)
				size, m := wire.Varint(all[k:])
				if k == 0 || m == 0 || uint64(len(all)) < uint64(k+m)+size {
					break
				}
				v, _ := wire.Varint(all[k+m:])
				frames <- fmt.Sprintf("%#x %d", kind, v)
				all = all[uint64(k+m)+size:]
			}
			if err != nil {
				return
			}
		}
	}()
	return frames
}

// H2-12: a drain says goodbye twice, serves what was asked, and nothing that is asked later.
func TestH212DrainOverHTTP3(t *testing.T) {
	t.Parallel()
	inTime(t, func() string { return drainOverHTTP3(t) })
}

func drainOverHTTP3(t *testing.T) (late string) {
	begun, release := make(chan struct{}), make(chan struct{})
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-release
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	})
	s, dial := http3Gateway(t, back)
	p := dial()
	p.hello()
	frames := p.told()
	slow := p.ask(true, h3request("GET", "/slow"))
	<-begun
	if got := <-frames; got != "0x4 1" {
		t.Errorf("got %s, want SETTINGS", got)
	}
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- s.Drain(ctx)
	}()
	if got := <-frames; got != fmt.Sprintf("0x7 %d", uint64(1)<<62-4) {
		t.Errorf("got %s, want GOAWAY for all", got)
	}
	next := p.ask(true, h3request("GET", "/next"))
	switch got := <-frames; got {
	case "0x7 8":
		if status, body := answers(t, next); status != "200" || len(body) != 100_000 {
			t.Errorf("a request that was on its way: got %s and %d octets", status, len(body))
		}
	case "0x7 4":
		resets(t, next, wire.RequestRejected)
		late = "a request that was on its way came after the second GOAWAY"
	default:
		t.Errorf("got %s, want GOAWAY from stream 8 on", got)
	}
	resets(t, p.ask(true, h3request("GET", "/late")), wire.RequestRejected)
	close(release)
	if all, err := whole(slow); cutOff(err) {
		late = "the connection has ended before the answer was read"
	} else if status, body := answer(all); err != nil || status != "200" || len(body) != 100_000 {
		t.Errorf("the request in flight: got %s and %d octets, %v", status, len(body), err)
	}
	p.refuses(wire.NoError)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	return late
}

// What is left at the end of a drain is answered, or broken off so that nobody takes it for whole.
func TestDrainEndsOverHTTP3(t *testing.T) {
	t.Parallel()
	inTime(t, func() string { return drainEndsOverHTTP3(t) })
}

func drainEndsOverHTTP3(t *testing.T) (late string) {
	begun := make(chan struct{}, 2)
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
	})
	s, dial := http3Gateway(t, back)
	p := dial()
	p.hello()
	none, half := p.ask(true, h3request("GET", "/none")), p.ask(true, h3request("GET", "/half"))
	<-begun
	<-begun
	if _, err := io.ReadFull(half, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(ctx) }()
	all, err := whole(none)
	rest, broken := whole(half)
	if err := <-drained; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if cutOff(err) || cutOff(broken) {
		return "the connection has ended before the answers were read"
	}
	if status, body := answer(all); err != nil || status != "503" || string(body) != "draining" {
		t.Errorf("got %s %q and %v, want 503 draining", status, body, err)
	}
	wantsReset(t, rest, broken, wire.InternalError)
	return ""
}

// Clients of TCP are told of HTTP/3, and when it is not worth while any more.
func TestAltSvc(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h3="elsewhere.example:443"`)
		if r.URL.Path == "/slow" {
			close(begun)
			<-release
		}
	})
	p := gatewaytest.HTTP3(t)
	s, address := start(t, back, over(t, p))
	tcp := p.TCP().Client(t, "a.example")
	alt := func(c *http.Client, path string) string {
		resp, err := c.Get("https://" + address + path)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		return strings.Join(resp.Header.Values("Alt-Svc"), "\n")
	}
	want := fmt.Sprintf(`h3=":%d"; ma=86400`, netip.MustParseAddrPort(address).Port())
	for _, path := range []string{"/", "/own"} {
		if got := alt(tcp, path); got != want {
			t.Errorf("%s over TCP: got %q, want %q", path, got, want)
		}
		if got := alt(p.Client(t, "a.example"), path); got != "" {
			t.Errorf("%s over QUIC: got %q", path, got)
		}
	}
	slow, drained := make(chan string, 1), make(chan error, 1)
	go func() { slow <- alt(tcp, "/slow") }()
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() { drained <- s.Drain(ctx) }()
	eventually(t, func() string {
		if s.Draining() {
			return ""
		}
		return "nothing drains"
	})
	close(release)
	if got := <-slow; got != "clear" {
		t.Errorf("while draining: got %q, want clear", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// relay passes datagrams between one client and the server it points to.
func relay(t *testing.T, to *atomic.Pointer[net.UDPAddr]) string {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var client atomic.Pointer[net.UDPAddr]
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			dst := to.Load()
			if from.Port == dst.Port {
				dst = client.Load()
			} else {
				client.CompareAndSwap(nil, from)
				if from.Port != client.Load().Port {
					continue // of a server that is no more
				}
			}
			_, _ = front.WriteToUDP(b[:n], dst)
		}
	}()
	t.Cleanup(func() { _ = front.Close(); <-done })
	return front.LocalAddr().String()
}

// A process that follows another with the same keys tells the other's clients at once that their connections are no more.
func TestStatelessResetSurvivesARestart(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	back := repeat(t)
	secret := func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Secret = [32]byte{1}
		o.Timeouts = gateway.DefaultOptions().Timeouts
	}
	_, first := start(t, back, over(t, p), secret)
	_, second := start(t, back, over(t, p), secret)
	var to atomic.Pointer[net.UDPAddr]
	to.Store(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(first)))
	c := &peer{p.DialQUIC(t, gatewaytest.Direct, relay(t, &to), "a.example"), t}
	c.hello()
	if status, _ := answers(t, c.ask(true, h3request("GET", "/"))); status != "200" {
		t.Fatalf("got %s", status)
	}
	to.Store(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(second)))
	deadline := time.After(10 * time.Second)
	for {
		s, err := c.OpenStream()
		if err == nil {
			_, _ = s.Write(h3request("GET", "/"+strings.Repeat("x", 100)))
		}
		select {
		case <-c.Context().Done():
			var reset *quic.StatelessResetError
			if err := context.Cause(c.Context()); !errors.As(err, &reset) {
				t.Errorf("got %v, want a stateless reset", err)
			}
			return
		case <-deadline:
			t.Fatal("no reset")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// There are no more connections than places, and the metrics say why one was closed.
func TestPlacesOverHTTP3(t *testing.T) {
	t.Parallel()
	s, dial := http3Gateway(t, repeat(t), func(o *gateway.Options, _ *gateway.Snapshot) { o.MaxConnections = 8 })
	for range 2 {
		p := dial()
		p.hello()
		if status, _ := answers(t, p.ask(true, h3request("GET", "/"))); status != "200" {
			t.Errorf("got %s", status)
		}
	}
	dial().refuses(wire.ExcessiveLoad)
	if st := wantsConnections(t, s, 2); st.Closed[conn.Crowded] != 1 || st.Most != 10 {
		t.Errorf("got %d closed and %d places, want 1, 10", st.Closed[conn.Crowded], st.Most)
	}
}

// wantsConnections waits until so many connections are open: a client hears of its end before the gateway has forgotten it.
func wantsConnections(t *testing.T, s *gateway.Server, want int) (st *gateway.Stats) {
	t.Helper()
	eventually(t, func() string {
		st = stats(t, s)
		if st.Open == want {
			return ""
		}
		return fmt.Sprintf("%d connections are open, want %d", st.Open, want)
	})
	return st
}

// h3/extra/11: above a number of handshakes clients prove their address, and never get more than thrice what they send.
func TestRetryUnderLoadOverHTTP3(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	_, address := start(t, repeat(t), over(t, p))
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
	listen := func(hears bool) (*deaf, *quic.Transport) {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(gatewaytest.Direct)})
		if err != nil {
			t.Fatal(err)
		}
		d := &deaf{UDPConn: udp, hears: hears}
		tr := &quic.Transport{Conn: d}
		t.Cleanup(func() { _, _ = tr.Close(), udp.Close() })
		return d, tr
	}
	_, many := listen(false)
	cheap := p.Resuming("a.example")
	cheap.CurvePreferences = []tls.CurveID{tls.X25519}
	ctx, cancel := context.WithCancel(t.Context())
	var dials sync.WaitGroup
	for range 150 { // whose answers nobody takes
		dials.Go(func() {
			for ctx.Err() == nil { // the gateway gives each up after a while
				_, _ = many.Dial(ctx, to, cheap, nil)
			}
		})
	}
	t.Cleanup(func() { cancel(); dials.Wait() })
	watch, tr := listen(true)
	for deadline := time.Now().Add(time.Minute); !watch.retried.Load(); {
		c, err := p.QUIC(t, tr, address, "a.example")
		if err != nil {
			t.Fatal(err)
		}
		pe := &peer{c, t}
		pe.hello()
		if status, _ := answers(t, pe.ask(true, h3request("GET", "/"))); status != "200" {
			t.Errorf("got %s", status)
		}
		_ = c.CloseWithError(0x100, "") // or there were no place for the next before long
		if time.Now().After(deadline) {
			t.Fatal("no Retry")
		}
	}
}

// deaf is a socket that takes nothing, or notes what it takes. It is no net.UDPConn to others, so that they read one
// datagram at a time.
type deaf struct {
	UDPConn *net.UDPConn
	hears   bool
	retried atomic.Bool
}

func (d *deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.UDPConn.ReadFrom(b)
		if err == nil && !d.hears {
			continue
		}
		if n > 0 && b[0]&0xf0 == 0xf0 {
			d.retried.Store(true)
		}
		return n, from, err
	}
}

func (d *deaf) WriteTo(b []byte, to net.Addr) (int, error) { return d.UDPConn.WriteTo(b, to) }
func (d *deaf) Close() error                               { return d.UDPConn.Close() }
func (d *deaf) LocalAddr() net.Addr                        { return d.UDPConn.LocalAddr() }
func (d *deaf) SetDeadline(t time.Time) error              { return d.UDPConn.SetDeadline(t) }
func (d *deaf) SetReadDeadline(t time.Time) error          { return d.UDPConn.SetReadDeadline(t) }
func (d *deaf) SetWriteDeadline(t time.Time) error         { return d.UDPConn.SetWriteDeadline(t) }
