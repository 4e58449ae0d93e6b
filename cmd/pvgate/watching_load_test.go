// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// watchedConfig has of everything one: a portal with limits and a queue, one that is dead, a registry with a stale link, a source that is looked up in, an override, TLS,
// and a listener for known senders only.
const watchedConfig = `domain: gw.localhost
listen:
  - {address: "127.0.0.1:0"}
  - {address: "127.0.0.1:0", senders: required}
  - {address: "127.0.0.1:0", tls: {cert: gw.pem, key: gw.key}}
admin: {address: "127.0.0.1:0"}
drain: {delay: 20s}
registry: {state: state}
link_check: {contact: "mailto:links@gw.localhost", every: 1s, rate: 20/s, pause: 1s, failures: 1}
senders: {bund: {area: "00", networks: [127.0.0.9]}}
sources:
  - {name: registry, type: csv, path: registry.csv, allow: [http, private], columns: {leistung: leistung, area: ars, url: url}}
  - {name: pvog, type: pvog, url: "http://SUCHDIENST/api"}
backends:
  portal: {mode: proxy, endpoints: ["http://PORTAL"], limits: {rate: 50/s, in_flight: 1, queue: 20, wait: 2s}}
  dead: {mode: proxy, endpoints: ["http://127.0.0.1:1"]}
  named: {mode: proxy, endpoints: ["http://localhost:1"]}
overrides:
  - {area: "06", leistung: "99102013104000", gone: Satzung aufgehoben, until: 2099-12-31, by: a.lang, why: R-12}
`

// watch starts a gateway, sends it requests until the test ends, and starts a Prometheus that reads it.
func watch(t *testing.T) *watched {
	t.Helper()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(10 * time.Millisecond)
		_, _ = io.WriteString(w, "an answer")
	}))
	t.Cleanup(portal.Close)
	knowsNothing := &scripted.Service{}
	suchdienst := httptest.NewServer(knowsNothing)
	t.Cleanup(func() { knowsNothing.Close(); suchdienst.Close() })
	dir := t.TempDir()
	text := strings.NewReplacer("PORTAL", portal.Listener.Addr().String(), "SUCHDIENST", suchdienst.Listener.Addr().String()).Replace(watchedConfig)
	for name, content := range map[string]string{defaultConfig: text, "registry.csv": "leistung;ars;url\n" +
		"99050012104000;065340014014;https://www.marburg.example/gewerbe\n99050012104000;097610000000;http://127.0.0.1:1/stale\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certstest.NewAuthority(t, "watched").Issue(t, certstest.Leaf{Hosts: []string{"gw.localhost"}}).Write(t, dir, "gw")
	w := &watched{t: t, client: ownClient(t)}
	var err error
	if w.gateway, err = startProcess(dir, nil, "pvgate", "serve"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.gateway.kill() })
	for _, pattern := range []string{`listening on http://(\S+) \(listener 0`, `listening on http://(\S+) \(listener 1`, `listening on https://(\S+) \(listener 2`, `admin on http://(\S+)`} {
		match, err := w.gateway.await(regexp.MustCompile(pattern))
		if err != nil {
			t.Fatal(err)
		}
		w.addresses = append(w.addresses, match[1])
	}
	w.admin = w.addresses[3]
	w.load()
	w.prometheus = startPrometheus(t, w.admin)
	return w
}

// load sends requests of every kind until the test ends.
func (w *watched) load() {
	ctx, stop := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	w.t.Cleanup(func() { stop(); wg.Wait() })
	send := func(every time.Duration, scheme string, listener int, host, path string) {
		t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "gw.localhost"}, DisableKeepAlives: scheme == "https"}
		c := &http.Client{Transport: t, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		wg.Go(func() {
			defer t.CloseIdleConnections()
			for ; ctx.Err() == nil; time.Sleep(every) {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s://%s%s", scheme, w.addresses[listener], path), strings.NewReader("form"))
				if err != nil {
					return
				}
				if path[1] != 'a' { // what is not for a portal is read only
					r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0
				}
				if r.Host = host; host == "" {
					r.Host = "gw.localhost"
				}
				res, err := c.Do(r)
				if err != nil {
					continue // the gateway may be leaving
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	for range 6 { // more than the portal takes
		send(time.Millisecond, "http", 0, "portal.gw.localhost", "/akte")
	}
	const slow = 50 * time.Millisecond
	send(slow, "http", 0, "dead.gw.localhost", "/akte")                 // fault: backend
	send(slow, "http", 0, "", "/leistung/99050012104000/065340014014")  // none
	send(slow, "http", 0, "", "/leistung/99050012104000/010010000000")  // registry
	send(slow, "http", 0, "", "/leistung/99102013104000/065340014014")  // operator
	send(slow, "http", 0, "", "/nowhere")                               // client
	send(slow, "http", 1, "", "/leistung/99050012104000/065340014014")  // sender
	send(slow, "http", 0, "", "/_pv/health")                            // gateway, when it leaves
	send(slow, "https", 2, "", "/leistung/99050012104000/065340014014") // over TLS
}
