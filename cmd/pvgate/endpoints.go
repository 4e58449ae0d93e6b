// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/health"
	"github.com/pvgate/pvgate/gateway/metrics"
)

// pickOf is how a backend's endpoint is chosen.
func pickOf(c *config.Backend) endpoint.Method {
	switch c.Pick.V {
	case "round_robin":
		return endpoint.RoundRobin
	case "weighted":
		return endpoint.Weighted
	default:
		return endpoint.LeastLoad
	}
}

// checkOf is how a backend's endpoints are checked; false: they are not.
func checkOf(c *config.Backend, b *gateway.Backend) (health.Target, bool) {
	if c.Health == nil || b.Endpoints == nil {
		return health.Target{}, false
	}
	t := health.Target{Group: b.Endpoints, Check: health.Check{Path: c.Health.Path.V, Host: b.Host, Every: c.Health.Every.V}}
	if secure := b.TLS; secure != nil {
		t.TLS = func() *tls.Config { return secure.Load().Settings() }
	}
	return t, true
}

// wards are the endpoints of a running gateway as seen beside the requests: what becomes of them is logged, and some are
// checked.
type wards struct {
	checker *health.Checker
	stop    func()
}

func watchEndpoints(book *endpoint.Book, server *gateway.Server, log *slog.Logger) *wards {
	return &wards{checker: health.New(server.Mono), stop: book.Watch(func(e endpoint.Event) {
		level := slog.LevelInfo
		if e.To > endpoint.Returning {
			level = slog.LevelWarn
			server.Forsake(e.Endpoint)
		}
		log.Log(context.Background(), level, "endpoint", "backend", e.Backend, "endpoint", e.Endpoint.URL(),
			"from", e.From.String(), "to", e.To.String(), "why", e.Why, "in_service", e.Serving, "of", e.Of)
	})}
}

// close ends the checks and the watch.
func (w *wards) close() {
	w.checker.Close()
	w.stop()
}

// endpointReport is one endpoint as status shows it.
type endpointReport struct {
	URL      string  `json:"url"`
	State    string  `json:"state"`
	For      float64 `json:"for_seconds,omitempty"` // how long it has been in that state, unless from the beginning
	InFlight int64   `json:"in_flight"`
}

func reportEndpoints(g *endpoint.Group, now int64) (all []endpointReport) {
	if g == nil {
		return nil
	}
	for i := range g.Len() {
		e := g.At(i)
		state, since := e.State()
		r := endpointReport{URL: e.URL(), State: state.String(), InFlight: e.InFlight()}
		if since > 0 {
			r.For = time.Duration(now - since).Seconds()
		}
		all = append(all, r)
	}
	return all
}

// endpoints counts those in service.
func (s *service) endpoints() map[string]metrics.Endpoints {
	l, _, _ := s.now()
	out := map[string]metrics.Endpoints{}
	for _, g := range l.groups {
		out[g.Name()] = metrics.Endpoints{InService: g.Serving(), All: g.Len()}
	}
	return out
}
