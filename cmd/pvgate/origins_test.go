// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// The Leistungen of the two portals.
const (
	leistungOfA = "99050012104000"
	leistungOfB = "99107023037000"
)

// testPortal is a portal that notes what reaches it.
type testPortal struct {
	server *httptest.Server

	mu   sync.Mutex // guards what stands below
	page http.HandlerFunc
	seen []*portalRequest
}

// portalRequest is a request as a portal got it, whole.
type portalRequest struct {
	*http.Request
	body []byte
	err  error // of reading it
}

func newTestPortal(t *testing.T) *testPortal {
	t.Helper()
	p := &testPortal{page: func(http.ResponseWriter, *http.Request) {}}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &portalRequest{Request: r}
		in.body, in.err = io.ReadAll(r.Body)
		p.mu.Lock()
		p.seen = append(p.seen, in)
		page := p.page
		p.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		page(w, r)
	}))
	t.Cleanup(p.server.Close)
	return p
}

// serve sets the page and forgets what was seen.
func (p *testPortal) serve(page http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.page, p.seen = page, nil
}

// requests returns what has reached a path.
func (p *testPortal) requests(path string) (out []*portalRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen {
		if r.URL.Path == path {
			out = append(out, r)
		}
	}
	return out
}

// twoPortals is a gateway behind TLS with the portals a and b behind it.
type twoPortals struct {
	a, b *testPortal
	dir  string
	port string
	base string // of the entry host
}

// newTwoPortals starts all of it; listener is what the listener has beside its certificate.
func newTwoPortals(t *testing.T, isolation string, listener ...string) *twoPortals {
	t.Helper()
	s := &twoPortals{a: newTestPortal(t), b: newTestPortal(t), dir: t.TempDir()}
	if err := writeDemoTLS(s.dir, demoDomain, time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pvgate.yaml": `domain: ` + demoDomain + `
listen: [{address: "127.0.0.1:0", tls: {cert: tls.pem, key: tls.key}` + strings.Join(append([]string{""}, listener...), ", ") + `}]
admin: {address: "127.0.0.1:0"}
senders:
  known: {area: "06", networks: [127.0.0.2]}
`,
		"routes.d/06.yaml": fmt.Sprintf(`area: "06"
backends:
  a: {mode: proxy, endpoints: [%q], isolation: %s}
  b: {mode: proxy, endpoints: [%q], isolation: %s}
entries:
  - {leistung: %q, area: "06", backend: a, path: /start}
  - {leistung: %q, area: "06", backend: b, path: /start}
`, s.a.server.URL, isolation, s.b.server.URL, isolation, leistungOfA, leistungOfB),
	} {
		file := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	gw, err := startProcess(s.dir, nil, "pvgate", "serve", "--config", "pvgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gw.signal("TERM")
		if code, err := gw.wait(); err != nil || code != exitOK {
			t.Errorf("the gateway ended with exit code %d (%v):\n%s", code, err, gw.output())
		}
	})
	at, err := gw.await(regexp.MustCompile(`listening on https://127\.0\.0\.1:([0-9]+) `))
	if err != nil {
		t.Fatal(err)
	}
	s.port, s.base = at[1], "https://"+demoDomain+":"+at[1]
	return s
}

// tlsClient is a browser without pages: it keeps cookies, follows redirects, trusts a CA, and finds every host at the
// loopback. It comes from an address.
func tlsClient(t *testing.T, ca, from string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, Timeout: patience}
}

// A body that is sent to any of the addresses of a portal arrives there whole, and once.
func TestOriginsPOSTArrivesWholeExactlyOnce(t *testing.T) {
	t.Parallel()
	host, path := newTwoPortals(t, "host"), newTwoPortals(t, "path")
	body := make([]byte, 300_000)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(body)
	for _, tt := range []struct {
		name   string
		s      *twoPortals
		from   string
		url    string
		fields map[string]string
		want   string // path and query at the portal
	}{
		{"entry path", host, "127.0.0.1", host.base + "/leistung/" + leistungOfA + "/06/x?y=%2f", nil, "/start/x?y=%2f"},
		{"entry query", host, "127.0.0.1", host.base + "/leistung?y=1&leistung=" + leistungOfA + "&ars=06&z", nil, "/start?y=1&z"},
		{"entry fields", host, "127.0.0.2", host.base + "/leistung?y=1", map[string]string{"PV-Leistung": leistungOfA, "PV-ARS": "06"}, "/start?y=1"},
		{"own host", host, "127.0.0.1", "https://a." + demoDomain + ":" + host.port + "/form?y=%2f&_pv=x", nil, "/form?y=%2f"},
		{"entry path, isolation by path", path, "127.0.0.1", path.base + "/leistung/" + leistungOfA + "/06/x", nil, "/start/x"},
		{"prefix", path, "127.0.0.1", path.base + "/_pv/b/a/form?y=1", nil, "/form?y=1"},
	} {
		for _, chunked := range []bool{false, true} {
			tt.s.a.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "taken") })
			var in io.Reader = bytes.NewReader(body)
			if chunked {
				in = io.MultiReader(in) // whose length nobody knows
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tt.url, in)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range tt.fields {
				req.Header.Set(name, value)
			}
			resp, err := tlsClient(t, filepath.Join(tt.s.dir, demoCA), tt.from).Do(req)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || string(answer) != "taken" || err != nil {
				t.Errorf("%s: %d %q %v", tt.name, resp.StatusCode, answer, err)
			}
			tt.s.a.mu.Lock()
			seen := tt.s.a.seen
			tt.s.a.mu.Unlock()
			if len(seen) != 1 {
				t.Errorf("%s: the portal got %d requests, want one", tt.name, len(seen))
				continue
			}
			if got := seen[0]; got.err != nil || !bytes.Equal(got.body, body) || got.Method != http.MethodPost || got.RequestURI != tt.want {
				t.Errorf("%s (chunked %v): the portal got %s %s with %d bytes (%v), want POST %s with %d", tt.name, chunked, got.Method, got.RequestURI, len(got.body), got.err, tt.want, len(body))
			}
		}
	}
}

// The demo behind TLS: at least 99 of 100 requests at portals' own hosts can be told to belong to a handover.
func TestDemoBehindTLSRequestsAreAttributed(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	all := strings.Join(d.lines, "\n")
	at := regexp.MustCompile(`by TLS at +(https://\S+)/, its CA is (\S+)`).FindStringSubmatch(all)
	operators := regexp.MustCompile(`operators at +(http://[^/]+)/metrics`).FindStringSubmatch(all)
	if at == nil || operators == nil {
		t.Fatalf("the demo does not say where it answers by TLS, and to whom:\n%s", all)
	}
	for _, p := range demoPortals() {
		if p.dead || p.behind > 0 {
			continue
		}
		client := tlsClient(t, at[2], "127.0.0.1") // a citizen
		page, there := visit(t, client, http.MethodGet, p.entry(at[1]))
		if !strings.Contains(page, p.name) || strings.Contains(there, "_pv=") || !strings.HasPrefix(there, "https://"+p.backend+".") {
			t.Errorf("%s: ends at %s with\n%s", p.backend, there, page)
		}
		for i := range 30 {
			method := []string{http.MethodGet, http.MethodPost, http.MethodHead}[i%3]
			page, _ := visit(t, client, method, fmt.Sprintf("%s&schritt=%d", there, i))
			if method != http.MethodHead && !strings.Contains(page, "PV-Leistung    "+p.leistung) {
				t.Errorf("%s: the portal is not told what the citizen came for:\n%s", p.backend, page)
			}
		}
	}
	resp, err := ownClient(t).Get(operators[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^pvgate_context_total\{result="([a-z]+)"\} (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		var n float64
		if _, err := fmt.Sscan(m[2], &n); err != nil {
			t.Fatal(err)
		}
		count[m[1]] = n
	}
	yes, no := count["attributed"], count["unattributed"]
	if yes+no < 250 || yes/(yes+no) < 0.99 || count["forged"]+count["expired"] > 0 {
		t.Errorf("%v: want at least 250 requests, 99 %% of them attributed", count)
	}
	t.Logf("%v attributed, %v unattributed, %v arrived", yes, no, count["arrived"])
}

// visit asks for an address and returns what came and from where.
func visit(t *testing.T, client *http.Client, method, url string) (page, from string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("name=Erika")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp.Request.URL.String()
}
