// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/dns"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/health"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/gateway/upstream"
	"github.com/pvgate/pvgate/routing"
)

// live is a configuration turned into parts that can be put in service: everything that check looks at and that
// serve and reload use is built here.
type live struct {
	cfg      *config.Config
	routes   *routes
	surface  *surface.Surface
	snapshot *gateway.Snapshot
	edge     *edge
	limits   map[string]limit.Limits
	census   routing.Census
	groups   []*endpoint.Group
	checks   []health.Target
	digest   config.Hash   // over the configuration's inputs, just before they were read
	lookups  []*openLookup // as routes.lookups; none where nothing is served
}

// books keep what is known of backends over all configurations.
type books struct {
	limits    limit.Book
	endpoints endpoint.Book
	names     *dns.Resolver // of endpoints
	trusts    trusts
	digests   config.Digests // of files
}

// newBooks returns empty books; their resolver is to be closed.
func newBooks(log *slog.Logger) *books {
	return &books{names: dns.New(dns.Options{Log: log}), trusts: newTrusts()}
}

// own is what a process has for itself, over all configurations.
type own struct {
	registry *keeper        // of its sources
	lookups  *lookupDesk    // nil where nothing is served: then nothing is looked up
	keys     *handover.Keys // for the handover context, used where the configuration names no file of keys
	issuer   *certs.Issuer  // of certificates; nil without acme, and where nothing is served
	// leaving says that the process ends soon; nil where nothing is served.
	leaving func() bool
}

// buildLive builds everything a configuration asks for; nothing of it is in service yet. The error is a config.Errors
// with every fault. The routes are returned even then, for their warnings.
func buildLive(ctx context.Context, cfg *config.Config, books *books, own own) (*live, error) {
	digest, unread := books.digests.Of(cfg.Inputs())
	rt, err := buildRoutes(ctx, cfg, own.registry)
	l := &live{cfg: cfg, routes: rt, limits: map[string]limit.Limits{}, digest: digest}
	if err != nil {
		return l, err
	}
	var errs config.Errors
	if unread != nil {
		return l, config.Errors{config.At(config.Origin{Where: config.FromFile, Name: cfg.Path}, "%v", unread)}
	}
	snap := &gateway.Snapshot{ID: digest.String()[:8], Via: pseudonym(cfg), Networks: conn.NetworkPolicy{Most: cfg.Root.Clients.PerNetwork.V}}
	snap.Parking = gateway.Parking{Most: cfg.Root.Lookups.Parked.V, Wait: cfg.Root.Lookups.Wait.V}
	options := surface.Options{Domain: cfg.Root.Domain.V, Table: rt.table, Leaving: own.leaving, Limits: gateway.DefaultOptions().Limits.Heads()}
	if rt.pending {
		options.Table = nil // whoever is not in the files may be in the registry
	}
	if rt.applied != nil {
		snap.ID = rt.applied.snapshot(digest)
	}
	var names []namedEndpoint
	for i := range rt.backends {
		b := &rt.backends[i]
		state := books.limits.Backend(b.name)
		l.limits[b.name] = limitsOf(b.conf)
		backend := gatewayBackend(b, books, &names, &errs)
		snap.Backends = append(snap.Backends, backend)
		if backend.Endpoints != nil {
			l.groups = append(l.groups, backend.Endpoints)
		}
		if t, ok := checkOf(b.conf, &backend); ok {
			l.checks = append(l.checks, t)
		}
		options.Backends = append(options.Backends, surfaceBackend(b, state))
	}
	rt.warnings = append(rt.warnings, resolve(ctx, books.names, names)...)
	letIn(cfg, own.issuer, snap, &options, &errs, &rt.warnings)
	options.Keys = contextKeys(cfg, own.keys, rt, &errs)
	warnOfSharedOrigins(cfg, rt)
	if l.edge, err = buildEdge(cfg, own.issuer, time.Now()); err == nil {
		rt.warnings = append(rt.warnings, l.edge.warnings...)
		err = books.trusts.secureBackends(snap, l.edge.trusts)
	}
	if faults := config.Errors(nil); errors.As(err, &faults) {
		errs = append(errs, faults...)
	} else if err != nil {
		return l, err
	}
	options.SecurityTxt = securityTxt(cfg.Root.Security, time.Now(), &errs, &rt.warnings)
	if len(errs) > 0 {
		return l, errs.Sorted()
	}
	if err = l.lookUpIn(own.lookups, &options); err != nil {
		return l, config.Errors{config.At(config.Origin{Where: config.FromFile, Name: cfg.Path}, "%v", err)}
	}
	if l.surface, err = surface.New(options); err != nil {
		return l, config.Errors{config.At(config.Origin{Where: config.FromFile, Name: cfg.Path}, "%v", err)}
	}
	snap.Resolver = l.surface
	l.snapshot, l.census = snap, rt.table.Census()
	return l, nil
}

// letIn adds those from whom requests come: listeners, senders and trusted proxies. What stands for many clients is exempt from
// the bound on one network.
func letIn(cfg *config.Config, issuer *certs.Issuer, snap *gateway.Snapshot, options *surface.Options, errs, warnings *config.Errors) {
	for i := range cfg.Root.Listen {
		l := surfaceListener(&cfg.Root.Listen[i], issuer)
		options.Listeners = append(options.Listeners, l)
		snap.ProxyPeers = append(snap.ProxyPeers, l.ProxyPeers)
		snap.Networks.Exempt = append(snap.Networks.Exempt, l.ProxyPeers...)
	}
	for i := range cfg.Root.Senders {
		s := surfaceSender(cfg, &cfg.Root.Senders[i], errs, warnings)
		options.Senders = append(options.Senders, s)
		snap.Networks.Exempt = append(snap.Networks.Exempt, s.Networks...)
	}
	options.TrustedProxies = networks(cfg.Root.Proxies)
	snap.Networks.Exempt = append(snap.Networks.Exempt, options.TrustedProxies...)
	options.TrustForwarded = cfg.Root.ProxyForm.V == "forwarded"
}

// pseudonym names this fleet in Via and Proxy-Status.
func pseudonym(cfg *config.Config) string {
	if cfg.Root.Domain.V == "" {
		return "pvgate"
	}
	return "pvgate-" + cfg.Root.Domain.V
}

func limitsOf(c *config.Backend) limit.Limits {
	l := limit.Limits{
		InFlight: int64(c.Limits.InFlight.V), Tunnels: int64(c.Tunnels.Max.V), Queue: int64(c.Limits.Queue.V), Patience: c.Limits.Wait.V,
		Adaptive: c.Limits.Adaptive.V, Shadow: c.Limits.Shadow.V,
	}
	if r := c.Limits.Rate.V; r.Count > 0 {
		l.Rate = limit.Quota{Requests: int64(r.Count), Per: r.Per, Burst: int64(c.Limits.Burst.V)}
	}
	return l
}

func gatewayBackend(b *routedBackend, books *books, names *[]namedEndpoint, errs *config.Errors) gateway.Backend {
	t := b.conf.Timeouts
	out := gateway.Backend{
		Name: b.name, Limiter: books.limits.Backend(b.name),
		Timeouts: upstream.Timeouts{Connect: t.Connect.V, FirstByte: t.FirstByte.V, Idle: t.Idle.V, Keep: t.Keep.V},
	}
	if b.conf.Mode.V != "proxy" {
		return out
	}
	out.Tunnels = tunnelsOf(b.conf)
	endpoints := endpoint.Options{Pick: pickOf(b.conf)}
	var texts []config.Text
	for _, e := range b.conf.Endpoints {
		spec, u, err := endpointOf(b.conf, &e)
		if err != nil {
			*errs = append(*errs, config.At(e.Origin, "endpoint %q: %v", e.V, err))
			continue
		}
		spec.Weight = e.Weight.V
		endpoints.Endpoints = append(endpoints.Endpoints, spec)
		texts = append(texts, e.Text)
		if u == nil {
			continue
		}
		out.Authorities = append(out.Authorities, u.Scheme+"://"+strings.ToLower(u.Host))
		if out.Host == "" {
			out.Host = u.Host
		}
	}
	if len(endpoints.Endpoints) > 0 {
		out.Endpoints = books.endpoints.Group(b.name, endpoints)
	}
	for i, s := range endpoints.Endpoints {
		if s.Network == endpoint.TCP && s.Addresses == nil {
			*names = append(*names, namedEndpoint{out.Endpoints.At(i), texts[i], s.Policy})
		}
	}
	out.RequestEdit = headerEdit(&b.conf.Headers.Request, errs)
	out.ResponseEdit = headerEdit(&b.conf.Headers.Response, errs)
	if b.conf.Host.V != "" {
		out.Host = b.conf.Host.V
	}
	for _, s := range []string{"http://", "https://"} {
		if a := s + strings.ToLower(out.Host); !slices.Contains(out.Authorities, a) {
			out.Authorities = append(out.Authorities, a)
		}
	}
	return out
}

// tunnelsOf says which changes of protocol a backend allows; nil for none.
func tunnelsOf(c *config.Backend) *exchange.Tunnels {
	t := &exchange.Tunnels{Idle: c.Tunnels.Idle.V, Life: c.Tunnels.Life.V}
	for _, u := range c.Upgrade {
		if u.V == "none" {
			return nil
		}
		t.Protocols = append(t.Protocols, []byte(u.V))
	}
	if len(c.Upgrade) == 0 {
		t.Protocols = [][]byte{[]byte("websocket")}
	}
	return t
}

func surfaceBackend(b *routedBackend, state *limit.Backend) surface.Backend {
	s := surface.Backend{
		Name: b.name, Proxy: b.conf.Mode.V == "proxy", ByPath: b.conf.Isolation.V == "path", AllowEncodedSlash: b.conf.AllowEncodedSlash.V,
		Limit: state, LimitText: b.conf.Limits.Rate.V.String(),
	}
	if b.conf.Pick.V == "sticky" {
		for _, e := range b.conf.Endpoints {
			s.Sticky = append(s.Sticky, e.V)
		}
	}
	if c := b.conf.Contact; c.Name.V != "" || c.URL.V != "" || c.Mail.V != "" || c.Phone.V != "" {
		s.Contact = &pages.Contact{Name: c.Name.V, URL: c.URL.V, Mail: c.Mail.V, Phone: c.Phone.V}
		s.Title = c.Name.V
	}
	return s
}

func surfaceListener(c *config.Listener, issuer *certs.Issuer) surface.Listener {
	l := surface.Listener{
		Any: c.Hosts.Any, Default: c.Default.V, TLS: c.TLS != nil, Redirect: c.Redirect.V != "", StrictTransport: strictTransport(c.TLS),
		Senders: c.Senders.V == "required", ProxyPeers: networks(c.Proxy),
	}
	if issuer != nil && l.Redirect {
		l.Challenge = issuer.Challenge
	}
	for _, h := range c.Hosts.Names {
		l.Hosts = append(l.Hosts, h.V)
	}
	if _, port, err := net.SplitHostPort(c.Address.V); err == nil {
		if n, err := net.LookupPort("tcp", port); err == nil {
			l.Port = n
		}
	}
	return l
}
