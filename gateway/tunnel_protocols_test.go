// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 says so
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http1"
)

// The same tunnel over every protocol, to clients that are not ours.

// accept is what proves to have understood a request for WebSocket.
func accept(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// octetEcho agrees to WebSocket, sends back what it gets, and ends when the client has.
func octetEcho(t *testing.T) string {
	t.Helper()
	return origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		c, in, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept(r)+"\r\n\r\n")
		_, _ = io.Copy(c, in)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
}

// eachSocket is Each with a gateway before a backend that speaks WebSocket.
func eachSocket(t *testing.T, edit func(*gateway.Options, *gateway.Snapshot), body func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel)) {
	t.Helper()
	gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
		p.WebSocket = true
		s, address := start(t, octetEcho(t), over(t, p), sockets, edit)
		body(t, s, func(early ...string) *gatewaytest.Tunnel { return p.Tunnel(t, address, "a.example", early...) })
	})
}

func same(*gateway.Options, *gateway.Snapshot) {}

func wantsOpen(t *testing.T, u *gatewaytest.Tunnel) {
	t.Helper()
	if u.Status != http.StatusSwitchingProtocols && u.Status != http.StatusOK {
		t.Fatalf("got %d %v", u.Status, u.Header)
	}
}

func TestTunnelOverEveryProtocol(t *testing.T) {
	t.Parallel()
	eachSocket(t, same, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
		u := dial()
		wantsOpen(t, u)
		if a := u.Header.Get("Sec-WebSocket-Accept"); (a != "") != (u.Status == http.StatusSwitchingProtocols) {
			t.Errorf("%d with Sec-WebSocket-Accept %q", u.Status, a)
		}
		if st, err := s.Stats(); err != nil || st.Tunnels != 1 || st.Active != 0 {
			t.Errorf("%d tunnels, %d active, %v", st.Tunnels, st.Active, err)
		}
		sent := make([]byte, 1<<20)
		_, _ = rand.NewChaCha8([32]byte{5}).Read(sent)
		go func() {
			for left := sent; len(left) > 0; {
				n := min(1+rand.IntN(70_000), len(left))
				if _, err := u.Write(left[:n]); err != nil {
					return
				}
				left = left[n:]
			}
			_ = u.CloseWrite()
		}()
		got, err := io.ReadAll(u)
		if !bytes.Equal(got, sent) || err != nil {
			t.Errorf("%d of %d octets came back, the same %v, %v", len(got), len(sent), bytes.HasPrefix(sent, got), err)
		}
		wantsTunnels(t, s, 0)
		st, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if b := &st.Meter.Backends[0]; b.BytesIn != 1<<20 || b.BytesOut != 1<<20 || st.Meter.Tunnels[exchange.TunnelFinished] != 1 {
			t.Errorf("metered %d and %d octets, ends %v", b.BytesIn, b.BytesOut, st.Meter.Tunnels)
		}
	})
}

// What passes a tunnel is no body: neither its time nor its size is that of one, and none of it comes before the 101.
func TestTunnelHasNoBodyOverEveryProtocol(t *testing.T) {
	t.Parallel()
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		c, in, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(400 * time.Millisecond))
		if b, err := in.ReadByte(); err == nil {
			t.Errorf("%q came before the 101", b)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept(r)+"\r\n\r\n")
		_, _ = io.Copy(c, c)
	})
	gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
		p.WebSocket = true
		_, address := start(t, back, over(t, p), sockets, func(o *gateway.Options, _ *gateway.Snapshot) {
			o.Limits, o.Timeouts = http1.DefaultLimits(), conn.DefaultTimeouts()
			o.Limits.Body, o.Timeouts.Body = 1000, 200*time.Millisecond
		})
		u := p.Tunnel(t, address, "a.example", "early ")
		wantsOpen(t, u)
		time.Sleep(500 * time.Millisecond)
		late := "early " + strings.Repeat("late ", 1000)
		_, _ = io.WriteString(u, late[len("early "):])
		got := make([]byte, len(late))
		if _, err := io.ReadFull(u, got); err != nil || string(got) != late {
			t.Errorf("got %d octets, the same %v, %v", len(got), string(got) == late, err)
		}
	})
}

// RS-02, UP-03: a tunnel that is silent, and one that has lasted long enough, end on every protocol.
func TestUP03DeadlinesOfTunnelsOverEveryProtocol(t *testing.T) {
	t.Parallel()
	for what, rules := range map[string]exchange.Tunnels{
		"idle": {Idle: 3 * time.Second, Life: time.Hour}, "life": {Idle: time.Hour, Life: 3 * time.Second},
	} {
		rules.Protocols = [][]byte{[]byte("websocket")}
		eachSocket(t, func(_ *gateway.Options, s *gateway.Snapshot) { s.Backends[0].Tunnels = &rules }, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
			u := dial("hello")
			wantsOpen(t, u)
			began := time.Now()
			got, err := io.ReadAll(u)
			if string(got) != "hello" || err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: got %q and %v", what, got, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: ended after %v", what, took)
			}
			wantsTunnels(t, s, 0)
			st, err := s.Stats()
			if err != nil || st.Meter.Tunnels[exchange.TunnelIdle]+st.Meter.Tunnels[exchange.TunnelLife] != 1 {
				t.Errorf("%s: ends %v, %v", what, st.Meter.Tunnels, err)
			}
		})
	}
}

// kernelBuffer is the most that the kernel holds of a connection's octets on one side, with the default if it does not say.
func kernelBuffer(t *testing.T, name string) int {
	t.Helper()
	b, _ := os.ReadFile("/proc/sys/net/ipv4/" + name) // the least, the first, and the most
	fields := strings.Fields(string(b))
	if len(fields) != 3 {
		return 6 << 20
	}
	n, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// jam writes to an echo and reads nothing, until nothing more goes in.
func jam(t *testing.T, s *gateway.Server, u *gatewaytest.Tunnel) {
	t.Helper()
	most := 32<<20 + 3*(kernelBuffer(t, "tcp_rmem")+kernelBuffer(t, "tcp_wmem")) // of three sockets that are read, three that are written
	go func() {
		for range 2 * most >> 16 {
			if _, err := u.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	last := uint64(0)
	for begun := time.Now(); ; {
		time.Sleep(100 * time.Millisecond)
		st, n := stats(t, s), uint64(0)
		if len(st.Meter.Backends) > 0 { // something has come already
			n = st.Meter.Backends[0].BytesIn
		}
		if n == last && n > 0 {
			return
		} else if last = n; n > uint64(most) || time.Since(begun) > 30*time.Second {
			t.Fatalf("%d octets went in and nothing is read", n)
		}
	}
}

// The faster side is held back, whatever carries it: what a backend does not take, the client is not let in with.
func TestTunnelHoldsBackTheClientOverEveryProtocol(t *testing.T) {
	t.Parallel()
	eachSocket(t, same, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
		u := dial()
		wantsOpen(t, u)
		jam(t, s, u)
		u.Reset()
		wantsTunnels(t, s, 0)
	})
}

// A tunnel in which octets wait to be taken is not silent, whatever carries it.
func TestUP03TunnelThatIsJammedIsNotSilentOverEveryProtocol(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Second
	rules := exchange.Tunnels{Protocols: [][]byte{[]byte("websocket")}, Idle: idle, Life: time.Hour}
	eachSocket(t, func(_ *gateway.Options, s *gateway.Snapshot) {
		s.Backends[0].Tunnels, s.Backends[0].Timeouts.Idle = &rules, time.Minute // who takes nothing is left after that
	}, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
		u := dial()
		wantsOpen(t, u)
		jam(t, s, u)
		time.Sleep(3 * idle)
		if st, err := s.Stats(); err != nil || st.Tunnels != 1 {
			t.Errorf("%d tunnels, ends %v, %v", st.Tunnels, st.Meter.Tunnels, err)
		}
		u.Reset()
		wantsTunnels(t, s, 0)
	})
}

func TestTunnelThatItsClientResetsOverEveryProtocol(t *testing.T) {
	t.Parallel()
	eachSocket(t, same, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
		u := dial()
		wantsOpen(t, u)
		_, _ = io.WriteString(u, "hello")
		if _, err := io.ReadFull(u, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		u.Reset()
		wantsTunnels(t, s, 0)
	})
}

// Other answers than an agreement pass as they are, and none of them looks like one.
func TestUP01TunnelThatIsRefusedOverEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusOK} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			back := origin(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, strings.Repeat("no ", 10_000))
			})
			gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
				p.WebSocket = true
				s, address := start(t, back, over(t, p), sockets)
				want := status
				if status == http.StatusOK && p.HTTP != conn.HTTP1 {
					want = http.StatusBadGateway
				}
				if u := p.Tunnel(t, address, "a.example"); u.Status != want {
					t.Errorf("got %d, want %d", u.Status, want)
				}
				wantsTunnels(t, s, 0)
			})
		})
	}
}

// Tunnels that are left at a drain's deadline are broken off, over every protocol.
func TestUP03DrainDeadlineEndsTunnelsOverEveryProtocol(t *testing.T) {
	t.Parallel()
	eachSocket(t, same, func(t *testing.T, s *gateway.Server, dial func(early ...string) *gatewaytest.Tunnel) {
		u := dial()
		wantsOpen(t, u)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := s.Drain(ctx); err == nil {
			t.Error("drained, with a tunnel open")
		}
		if got, err := io.ReadAll(u); err == nil || len(got) > 0 {
			t.Errorf("got %q and %v", got, err)
		}
	})
}
