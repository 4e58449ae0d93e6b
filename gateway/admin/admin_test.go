// SPDX-License-Identifier: EUPL-1.2

package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pvgate/pvgate/gateway/admin"
)

func handler(reloads *int, ready error) http.Handler {
	return admin.New(admin.Options{
		Metrics: prometheus.NewRegistry(),
		Ready:   func() error { return ready },
		Status:  func(context.Context) (any, error) { return map[string]int{"loops": 2}, nil },
		Explain: func(_ context.Context, q url.Values) (any, error) {
			if q.Get("leistung") == "" {
				return nil, &admin.BadQuery{Err: errors.New("leistung is missing")}
			}
			return map[string]string{"asked": q.Get("leistung")}, nil
		},
		Reload: func(context.Context, string) (any, error) { *reloads++; return map[string]bool{"ok": true}, nil },
	})
}

// CP-04: nothing that a web page can make a browser send is answered.
func TestCP04RequestsOfWebPagesAreRefused(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, method, path, host string
		header                   map[string]string
	}{
		{"rebinding", "GET", "/api/v1/status", "evil.example:9180", nil},
		{"rebinding of a metric", "GET", "/metrics", "evil.example", nil},
		{"foreign origin", "POST", "/api/v1/reload", "127.0.0.1:9180", map[string]string{"Origin": "http://evil.example", "Content-Type": "application/json"}},
		{"opaque origin", "POST", "/api/v1/reload", "localhost", map[string]string{"Origin": "null", "Content-Type": "application/json"}},
		{"plain form", "POST", "/api/v1/reload", "127.0.0.1", map[string]string{"Content-Type": "text/plain"}},
		{"form", "POST", "/api/v1/reload", "127.0.0.1", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		{"no type", "POST", "/api/v1/reload", "127.0.0.1", nil},
		{"side effect by GET", "GET", "/api/v1/reload", "127.0.0.1", nil},
		{"side effect by HEAD", "HEAD", "/api/v1/reload", "127.0.0.1", nil},
		{"fetch from a page", "GET", "/api/v1/status", "127.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site"}},
		{"host that begins well", "GET", "/metrics", "127.0.0.1.evil.example", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reloads := 0
			r := httptest.NewRequest(c.method, c.path, strings.NewReader("{}"))
			r.Host = c.host
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			handler(&reloads, nil).ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || w.Header().Get("PV-Reason") != "admin_refused" || reloads != 0 {
				t.Errorf("got %d %s, %d reloads, want 403 admin_refused, none", w.Code, w.Header().Get("PV-Reason"), reloads)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("a CORS header was sent")
			}
		})
	}
}

func TestOperatorsAreAnswered(t *testing.T) {
	t.Parallel()
	reloads := 0
	cases := []struct {
		method, path, host, contentType string
		ready                           error
		status                          int
		body                            string
	}{
		{"GET", "/livez", "127.0.0.1:9180", "", nil, 200, "ok"},
		{"GET", "/readyz", "[::1]:9180", "", nil, 200, "ok"},
		{"GET", "/readyz", "localhost:9180", "", errors.New("draining"), 503, "draining"},
		{"GET", "/api/v1/status", "localhost", "", nil, 200, `"loops":2`},
		{"GET", "/api/v1/explain?leistung=99050012104000", "localhost", "", nil, 200, "99050012104000"},
		{"GET", "/api/v1/explain", "localhost", "", nil, 400, "leistung is missing"},
		{"POST", "/api/v1/reload", "localhost", "application/json", nil, 200, `"ok":true`},
		{"GET", "/elsewhere", "localhost", "", nil, 404, ""},
	}
	for _, c := range cases {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader("{}"))
		r.Host = c.host
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		w := httptest.NewRecorder()
		handler(&reloads, c.ready).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: got %d %q, want %d %q", c.method, c.path, w.Code, w.Body, c.status, c.body)
		}
	}
	if reloads != 1 {
		t.Errorf("got %d reloads, want 1", reloads)
	}
	var v any
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/api/v1/explain", nil)
	r.Host = "localhost"
	handler(&reloads, nil).ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Errorf("problem is no JSON: %v", err)
	}
}

// CP-06: neither profiles nor the configuration, which may come to hold secrets, can be had here; importing
// net/http/pprof anywhere would register with a mux that this listener does not use.
func TestCP06NoProfilesAndNoConfiguration(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/vars", "/api/v1/config", "/config", "/api/v1/status/config"} {
		r := httptest.NewRequest("GET", path, http.NoBody)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		handler(new(int), nil).ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}
