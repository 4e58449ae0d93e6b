// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pvgate/pvgate/gateway/conn"
)

// Tunnel is a client's end of a connection, or of a stream, that was asked to change to WebSocket.
type Tunnel struct {
	io.Reader
	io.Writer
	// Status is of the answer: 101 of HTTP/1.1, 200 of the others; then octets pass as they are.
	Status int
	Header http.Header
	// CloseWrite ends what the client says, Reset breaks the tunnel off.
	CloseWrite func() error
	Reset      func()
}

// Tunnel asks for WebSocket; early is what the client says without waiting for the answer. What takes longer than 20 s
// fails.
func (p *Protocol) Tunnel(t testing.TB, to, name string, early ...string) *Tunnel {
	t.Helper()
	if p.HTTP != conn.HTTP1 {
		return p.connect(t, to, name, early)
	}
	c := p.Dial(t, Direct, to, name)
	t.Cleanup(func() { _ = c.Close() })
	_, err := io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: "+name+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+strings.Join(early, ""))
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	a, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Tunnel{
		Reader: in, Writer: c, Status: a.StatusCode, Header: a.Header,
		CloseWrite: c.(interface{ CloseWrite() error }).CloseWrite, Reset: func() { _ = c.Close() },
	}
}

// connect asks by an extended CONNECT.
func (p *Protocol) connect(t testing.TB, to, name string, early []string) *Tunnel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	pipe, say := io.Pipe()
	body := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(strings.Join(early, "")), pipe), pipe}
	t.Cleanup(func() { _ = say.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodConnect, p.Scheme()+"://"+to+"/socket", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = name
	r.Header.Set("Sec-WebSocket-Version", "13")
	var via http.RoundTripper
	if p.HTTP == conn.HTTP3 {
		r.Proto = "websocket"
		via = p.http3(t, name)
	} else {
		r.Header[":protocol"] = []string{"websocket"}
		via = p.http2(t, name)
	}
	a, err := via.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return &Tunnel{
		Reader: a.Body, Writer: say, Status: a.StatusCode, Header: a.Header, CloseWrite: say.Close,
		Reset: func() { cancel(); _ = a.Body.Close() },
	}
}

// http2 is a client that can ask so: net/http cannot.
func (p *Protocol) http2(t testing.TB, name string) http.RoundTripper {
	tr := &http2.Transport{DisableCompression: true, AllowHTTP: p.Authority == nil}
	if p.Authority != nil {
		tr.TLSClientConfig = p.client(name)
	} else {
		tr.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
