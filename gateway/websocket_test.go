// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// WebSocket end to end over sockets, both ends by an implementation that is not ours.

func sockets(_ *gateway.Options, s *gateway.Snapshot) {
	s.Backends[0].Tunnels = &exchange.Tunnels{Protocols: [][]byte{[]byte("websocket")}, Idle: 5 * time.Second, Life: time.Minute}
}

// socketEcho is a WebSocket server that sends back each message.
func socketEcho(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(websocket.Server{Handler: func(ws *websocket.Conn) {
		for {
			var b []byte
			if websocket.Message.Receive(ws, &b) != nil || websocket.Message.Send(ws, b) != nil {
				return
			}
		}
	}})
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func dialSocket(t *testing.T, address string, secure ...*tls.Config) *websocket.Conn {
	t.Helper()
	scheme := "ws://"
	if len(secure) > 0 {
		scheme = "wss://"
	}
	c, err := websocket.NewConfig(scheme+address+"/chat", "http://gw.example/")
	if err != nil {
		t.Fatal(err)
	}
	if len(secure) > 0 {
		c.TlsConfig = secure[0]
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, err := c.DialContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	_ = ws.SetDeadline(time.Now().Add(30 * time.Second))
	return ws
}

func TestWebSocketEndToEnd(t *testing.T) {
	t.Parallel()
	s, address := start(t, socketEcho(t), sockets)
	rng := rand.NewChaCha8([32]byte{3})
	var wg sync.WaitGroup
	for range 4 {
		ws := dialSocket(t, address)
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
			sent := make([]byte, size)
			_, _ = rng.Read(sent)
			wg.Go(func() {
				if err := websocket.Message.Send(ws, sent); err != nil {
					t.Error(err)
				}
			})
			var got []byte
			if err := websocket.Message.Receive(ws, &got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d octets came back as %d, %v", size, len(got), err)
			}
			wg.Wait()
		}
		st, err := s.Stats()
		if err != nil || st.Tunnels != 1 || st.Active != 0 {
			t.Errorf("%d tunnels, %d active, %v", st.Tunnels, st.Active, err)
		}
		if n := st.Meter.Backends[0].BytesIn; n < 1<<20 {
			t.Errorf("%d octets metered while the tunnel is open", n)
		}
		ws.Close()
		wantsTunnels(t, s, 0)
	}
}

// One MiB of random octets each way at the same time, in pieces of any size.
func TestWebSocketBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		bothWaysAtOnce(t, func(*gateway.Options, *gateway.Snapshot) {})
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			authority := gatewaytest.NewAuthority(t)
			bothWaysAtOnce(t, func(o *gateway.Options, _ *gateway.Snapshot) {
				o.Listen[0].TLS = authority.Serve(t, "gw.example")
			}, &tls.Config{RootCAs: authority.Pool, ServerName: "gw.example", MaxVersion: version})
		})
	}
}

func bothWaysAtOnce(t *testing.T, edit func(*gateway.Options, *gateway.Snapshot), secure ...*tls.Config) {
	const size = 1 << 20
	stream := func(seed byte) []byte {
		b := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
		return b
	}
	talk := func(ws *websocket.Conn, say, hear byte) error {
		ws.PayloadType = websocket.BinaryFrame
		written := make(chan error, 1)
		go func() {
			rng := rand.New(rand.NewPCG(uint64(say), 1))
			for left := stream(say); len(left) > 0; {
				n := min(1+rng.IntN(100_000), len(left))
				if _, err := ws.Write(left[:n]); err != nil {
					written <- err
					return
				}
				left = left[n:]
			}
			written <- nil
		}()
		got := make([]byte, size)
		if _, err := io.ReadFull(ws, got); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if !bytes.Equal(got, stream(hear)) {
			return errors.New("other octets than were sent")
		}
		return <-written
	}
	server := make(chan error, 1)
	srv := httptest.NewServer(websocket.Handler(func(ws *websocket.Conn) {
		_ = ws.SetDeadline(time.Now().Add(30 * time.Second))
		server <- talk(ws, 1, 2)
		_, _ = ws.Read(make([]byte, 1)) // until the client leaves
	}))
	t.Cleanup(srv.Close)
	s, address := start(t, srv.Listener.Addr().String(), sockets, edit)
	ws := dialSocket(t, address, secure...)
	if err := talk(ws, 2, 1); err != nil {
		t.Fatalf("client: %v", err)
	}
	if err := <-server; err != nil {
		t.Errorf("backend: %v", err)
	}
	ws.Close()
	wantsTunnels(t, s, 0)
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// Each side closes its socket behind its close frame, and is reset by what the other says then; which of them, if any,
	// is heard first is the kernel's affair.
	ends := st.Meter.Tunnels
	if n := ends[exchange.TunnelFinished] + ends[exchange.TunnelClient] + ends[exchange.TunnelBackend]; n != 1 {
		t.Errorf("tunnels ended as %v, want one that its sides ended", ends)
	}
}

func wantsTunnels(t *testing.T, s *gateway.Server, want int) {
	t.Helper()
	eventually(t, func() string {
		if n := stats(t, s).Tunnels; n != want {
			return fmt.Sprintf("%d tunnels, want %d", n, want)
		}
		return ""
	})
}

// A backend that does not know the protocol answers as it likes, and the connection stays HTTP.
func TestWebSocketRefusedByTheBackend(t *testing.T) {
	t.Parallel()
	_, address := start(t, origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no", http.StatusUpgradeRequired)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}), sockets)
	var dial *websocket.DialError
	if _, err := websocket.Dial("ws://"+address+"/chat", "", "http://gw.example/"); !errors.As(err, &dial) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// A tunnel still open when the process ends is broken off at the deadline.
func TestWebSocketAtTheEndOfTheServer(t *testing.T) {
	t.Parallel()
	s, address := start(t, socketEcho(t), sockets)
	ws := dialSocket(t, address)
	if err := websocket.Message.Send(ws, "a"); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := websocket.Message.Receive(ws, &got); err != nil || got != "a" {
		t.Fatalf("%q, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained with %v, want the deadline", err)
	}
	if err := websocket.Message.Receive(ws, &got); err == nil {
		t.Error("the tunnel goes on")
	}
}

// What passes costs no allocation: buffers are the loop's.
func TestTunnelDoesNotAllocate(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, address := start(t, ln.Addr().String(), sockets, func(o *gateway.Options, _ *gateway.Snapshot) { o.Loops = 1 })
	if err := ln.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_ = b.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 64<<10)
	for got := ""; !bytes.HasSuffix([]byte(got), []byte("\r\n\r\n")); {
		n, err := b.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	_, _ = io.WriteString(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	if _, err := c.Read(buf); err != nil {
		t.Fatal(err)
	}
	pass := func(from, to net.Conn, size int) {
		if _, err := from.Write(buf[:size]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, buf[:size]); err != nil {
			t.Fatal(err)
		}
	}
	both := func() {
		pass(c, b, 100)
		pass(b, c, 40_000)
		pass(c, b, 20_000)
		pass(b, c, 1)
	}
	for range 100 {
		both()
	}
	// Not by testing.AllocsPerRun: that leaves one slot for everybody, which the loop keeps for as long as the runtime lets it.
	const times = 500
	inTime(t, func() string { // before somebody else in the process allocates
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			both()
		}
		runtime.ReadMemStats(&after)
		if n := float64(after.Mallocs-before.Mallocs) / times; n > 0.1 { // the runtime's own
			return fmt.Sprintf("%v allocations in four passes, want none", n)
		}
		return ""
	})
}
