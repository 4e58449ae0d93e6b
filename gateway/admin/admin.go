// SPDX-License-Identifier: EUPL-1.2

// Package admin is the listener for operators and for Prometheus: /metrics, /livez, /readyz and /api/v1/.
//
// The call to know is [New], which returns an http.Handler for a loopback listener. It deliberately knows nothing of
// what it shows: every part is a function it is given.
//
// A browser on the same machine must not be able to use it for somebody else (cross-site request forgery, DNS
// rebinding): the Host must name a loopback address, a request with an Origin is refused, and what changes something
// is POST with Content-Type application/json, which no plain form can send.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what the listener shows and does.
type Options struct {
	Metrics prometheus.Gatherer
	// Ready returns why the server should get no traffic, nil if it should.
	Ready func() error
	// Status returns what GET /api/v1/status shows, as a JSON value.
	Status func(ctx context.Context) (any, error)
	// Explain answers GET /api/v1/explain: the parameters are those of the verb (leistung, ars, ags, area, at,
	// sender, lang). The value is shown as JSON; a *BadQuery error is the asker's.
	Explain func(ctx context.Context, q url.Values) (any, error)
	// Links returns what GET /api/v1/links shows: the report on the registry's addresses.
	Links func(ctx context.Context) (any, error)
	// Reload answers POST /api/v1/reload: the value is shown as JSON, with status 200 or, with an error, 422. accept is the
	// digest of a delivery of the registry that the operator accepts; "" is none.
	Reload func(ctx context.Context, accept string) (any, error)
	// Upgrade answers POST /api/v1/upgrade?wait=60s in the same way, Drain POST /api/v1/drain.
	Upgrade func(ctx context.Context, wait time.Duration) (any, error)
	Drain   func(ctx context.Context) (any, error)
}

// BadQuery is an error in how something was asked.
type BadQuery struct{ Err error }

func (e *BadQuery) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BadQuery) Unwrap() error { return e.Err }

// New returns the handler.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		text(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusInternalServerError)(o.Status(r.Context()))
	})
	mux.HandleFunc("GET /api/v1/links", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusInternalServerError)(o.Links(r.Context()))
	})
	mux.HandleFunc("GET /api/v1/explain", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusInternalServerError)(o.Explain(r.Context(), r.URL.Query()))
	})
	change(mux, "reload", func(r *http.Request) (any, error) { return o.Reload(r.Context(), r.URL.Query().Get("accept")) })
	change(mux, "drain", func(r *http.Request) (any, error) { return o.Drain(r.Context()) })
	change(mux, "upgrade", func(r *http.Request) (any, error) {
		wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil || wait <= 0 || wait > maxWait {
			return nil, &BadQuery{fmt.Errorf("wait is how long a successor has to get ready, such as 60s, at most %v", maxWait)}
		}
		return o.Upgrade(r.Context(), wait)
	})
	return guard(mux)
}

// maxWait bounds how long anybody may wait for a successor.
const maxWait = time.Hour

// change adds what changes something.
func change(mux *http.ServeMux, name string, do func(r *http.Request) (any, error)) {
	mux.HandleFunc("POST /api/v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(w, `Content-Type must be application/json`)
			return
		}
		show(w, http.StatusUnprocessableEntity)(do(r))
	})
	mux.HandleFunc("/api/v1/"+name, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, name+" changes something: use POST with Content-Type application/json")
	})
}

// guard refuses what a page from elsewhere could make a browser send.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		switch {
		case !loopback(r.Host):
			refuse(w, "Host must be localhost or a loopback address")
		case r.Header.Get("Origin") != "" || crossSite(r):
			refuse(w, "requests of web pages are not answered")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
			next.ServeHTTP(w, r)
		}
	})
}

func crossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none" && site != "same-origin"
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func refuse(w http.ResponseWriter, detail string) {
	w.Header().Set("PV-Reason", "admin_refused")
	problem(w, http.StatusForbidden, "admin_refused", detail)
}

func problem(w http.ResponseWriter, status int, reason, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "reason": reason, "detail": detail})
}

func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s))
}

// show answers with a JSON value; with an error the value, if there is one, says more than the error does.
func show(w http.ResponseWriter, failed int) func(v any, err error) {
	return func(v any, err error) {
		status := http.StatusOK
		if err != nil {
			status = failed
			if bad := (*BadQuery)(nil); errors.As(err, &bad) {
				status = http.StatusBadRequest
			}
			if v == nil {
				problem(w, status, "failed", err.Error())
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v)
	}
}
