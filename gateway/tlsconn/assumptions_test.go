// SPDX-License-Identifier: EUPL-1.2

package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// What the package takes for granted about crypto/tls, by itself: a temporary error is forgotten after the handshake,
// in every state a connection can be in, and is the end of one that has not been made.

// gated gives its reader what left allows, and then nothing for now.
type gated struct {
	net.Conn
	left int // -1: everything
}

type notYet struct{}

func (notYet) Error() string   { return "not yet" }
func (notYet) Timeout() bool   { return false }
func (notYet) Temporary() bool { return true }

func (g *gated) Read(b []byte) (int, error) {
	if g.left == 0 {
		return 0, notYet{}
	}
	if g.left > 0 && len(b) > g.left {
		b = b[:g.left]
	}
	n, err := g.Conn.Read(b)
	if g.left > 0 {
		g.left -= n
	}
	return n, err
}

// met is a connection after its handshake; keys are what the client logged.
func met(t *testing.T, version uint16) (server *tls.Conn, gate *gated, client *tls.Conn, wire net.Conn, keys string) {
	t.Helper()
	ca := gatewaytest.NewAuthority(t)
	near, far := pair(t)
	t.Cleanup(func() { near.Close(); far.Close() })
	gate = &gated{far, -1}
	var log bytes.Buffer
	server = tls.Server(gate, terms{}.server(t, ca))
	client = tls.Client(near, &tls.Config{
		RootCAs: ca.Pool, ServerName: "a.example", MinVersion: tls.VersionTLS12, MaxVersion: version, KeyLogWriter: &log,
	})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return server, gate, client, near, log.String()
}

func wants(t *testing.T, c *tls.Conn, want string) {
	t.Helper()
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != want {
		t.Errorf("got %q, %v, want %q", b[:n], err, want)
	}
}

func wantsNotYet(t *testing.T, c *tls.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 100)); n != 0 || !errors.Is(err, notYet{}) {
		t.Fatalf("got %d octets, %v", n, err)
	}
}

func TestCryptoTLSForgetsTemporaryErrorsAfterTheHandshake(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, gate, client, _, _ := met(t, version)
			for _, text := range []string{"first", "second"} {
				gate.left = 0
				wantsNotYet(t, server)
				if _, err := client.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				for octets := 0; ; octets++ { // one by one: within the head of a record and within the rest
					gate.left = 1
					b := make([]byte, 100)
					n, err := server.Read(b)
					if err == nil && string(b[:n]) == text && octets > 20 {
						break
					}
					if n != 0 || !errors.Is(err, notYet{}) {
						t.Fatalf("got %q, %v", b[:n], err)
					}
				}
			}
			if _, err := server.Write([]byte("answer")); err != nil {
				t.Fatal(err)
			}
			wants(t, client, "answer")
		})
	}
}

func TestCryptoTLSKeepsTemporaryErrorsOfTheHandshake(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := gatewaytest.NewAuthority(t)
			near, far := pair(t)
			defer near.Close()
			defer far.Close()
			gate := &gated{far, 20}
			go func() {
				_ = tls.Client(near, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: version, RootCAs: ca.Pool, ServerName: "a.example"}).Handshake()
			}()
			server := tls.Server(gate, terms{}.server(t, ca))
			if err := server.Handshake(); !errors.Is(err, notYet{}) {
				t.Fatalf("got %v", err)
			}
			gate.left = -1
			if err := server.Handshake(); !errors.Is(err, notYet{}) {
				t.Errorf("the handshake went on: %v; it need not be a coroutine any more", err)
			}
		})
	}
}

func newUpdater(t *testing.T, keys string) *simsys.Updater {
	t.Helper()
	u, err := simsys.NewUpdater(keys)
	switch {
	case errors.Is(err, simsys.ErrSuite):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return u
}

func TestCryptoTLSForgetsTemporaryErrorsAroundAKeyUpdate(t *testing.T) {
	t.Parallel()
	server, gate, client, wire, keys := met(t, tls.VersionTLS13)
	u := newUpdater(t, keys)
	for range 3 {
		gate.left = 0
		wantsNotYet(t, server)
		update := u.Update()
		if _, err := wire.Write(update); err != nil {
			t.Fatal(err)
		}
		gate.left = len(update) // answers with a KeyUpdate of its own
		wantsNotYet(t, server)
		if _, err := wire.Write(u.Record(23, "question")); err != nil {
			t.Fatal(err)
		}
		gate.left = -1
		wants(t, server, "question")
		if _, err := server.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		wants(t, client, "answer")
	}
}

// Each request for new keys is answered with a record, which costs more than the request. crypto/tls takes a few in a row
// and then ends the connection, so that a flood of them is not for us to count.
func TestRS11CryptoTLSEndsAFloodOfKeyUpdates(t *testing.T) {
	t.Parallel()
	server, _, _, wire, keys := met(t, tls.VersionTLS13)
	u := newUpdater(t, keys)
	for range 100 {
		if _, err := wire.Write(u.Update()); err != nil {
			break // it has ended
		}
	}
	n, err := server.Read(make([]byte, 100))
	if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		t.Fatalf("got %d octets, %v; want the end of the connection", n, err)
	}
	if _, err := server.Write([]byte("answer")); err == nil {
		t.Error("the connection goes on")
	}
}
