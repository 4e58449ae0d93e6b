// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// A listener with h3 is reached over UDP at its own port, says so to clients of TCP, and the process ends when it is told.
func TestHTTP3IsServedAndAnnounced(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), certstest.Ports(t, 1)[0]
	ca := certstest.NewAuthority(t, "test")
	ca.Issue(t, certstest.Leaf{Hosts: []string{"gw.example.de", "*.gw.example.de"}}).Write(t, dir, "gw")
	text := fmt.Sprintf(`domain: gw.example.de
listen: [{address: "127.0.0.1:%d", tls: {cert: gw.pem, key: gw.key}, protocols: [h1, h3]}]
admin: {address: "127.0.0.1:0"}
`, port)
	if err := os.WriteFile(filepath.Join(dir, "pvgate.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(dir, nil, "pvgate", "serve")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if _, err := p.await(regexp.MustCompile(`snapshot in service`)); err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{ServerName: "gw.example.de", RootCAs: ca.Pool()}
	quic, tcp := &http3.Transport{TLSClientConfig: secure}, &http.Transport{TLSClientConfig: secure}
	defer func() { _ = quic.Close(); tcp.CloseIdleConnections() }()
	for name, c := range map[string]struct {
		transport http.RoundTripper
		alt       string
	}{"HTTP/3": {quic, ""}, "HTTP/1.1": {tcp, fmt.Sprintf(`h3=":%d"; ma=86400`, port)}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("https://127.0.0.1:%d/", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "gw.example.de"
		resp, err := (&http.Client{Transport: c.transport, Timeout: patience}).Do(r)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, p.output())
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Proto, name) || resp.Header.Get("Alt-Svc") != c.alt {
			t.Errorf("%s: got %d by %s, Alt-Svc %q", name, resp.StatusCode, resp.Proto, resp.Header.Get("Alt-Svc"))
		}
	}
	if err := p.signal("TERM"); err != nil {
		t.Fatal(err)
	}
	if code, err := p.wait(); err != nil || code != 0 {
		t.Errorf("serve ends with %d, %v:\n%s", code, err, p.output())
	}
}
