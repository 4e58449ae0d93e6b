// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/handover"
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
	digest   config.Hash // over the configuration's inputs, just before they were read
}

// resolveTimeout bounds the look-up of an endpoint's name while a configuration is built.
const resolveTimeout = 5 * time.Second

// books keep what is known of backends over all configurations.
type books struct {
	limits    limit.Book
	endpoints endpoint.Book
}

// own is what a process has for itself, over all configurations.
type own struct {
	keys   *handover.Keys // for the handover context, used where the configuration names no file of keys
	issuer *certs.Issuer  // of certificates; nil without acme, and where nothing is served
}

// buildLive builds everything a configuration asks for; nothing of it is in service yet. The error is a config.Errors
// with every fault. The routes are returned even then, for their warnings.
func buildLive(ctx context.Context, cfg *config.Config, books *books, own own) (*live, error) {
	digest, unread := config.Digest(cfg.Inputs())
	rt, err := buildRoutes(ctx, cfg)
	l := &live{cfg: cfg, routes: rt, limits: map[string]limit.Limits{}, digest: digest}
	if err != nil {
		return l, err
	}
	var errs config.Errors
	if unread != nil {
		return l, config.Errors{config.At(config.Origin{Where: config.FromFile, Name: cfg.Path}, "%v", unread)}
	}
	snap := &gateway.Snapshot{ID: digest.String()[:8], Via: pseudonym(cfg), Networks: conn.NetworkPolicy{Most: cfg.Root.Clients.PerNetwork.V}}
	options := surface.Options{Domain: cfg.Root.Domain.V, Table: rt.table}
	for i := range rt.backends {
		b := &rt.backends[i]
		state := books.limits.Backend(b.name)
		l.limits[b.name] = limitsOf(b.conf)
		backend := gatewayBackend(ctx, b, books, &errs)
		snap.Backends = append(snap.Backends, backend)
		if backend.Endpoints != nil {
			l.groups = append(l.groups, backend.Endpoints)
		}
		options.Backends = append(options.Backends, surfaceBackend(b, state))
	}
	for i := range cfg.Root.Listen {
		l := surfaceListener(&cfg.Root.Listen[i], own.issuer)
		options.Listeners = append(options.Listeners, l)
		snap.ProxyPeers = append(snap.ProxyPeers, l.ProxyPeers)
		snap.Networks.Exempt = append(snap.Networks.Exempt, l.ProxyPeers...)
	}
	for i := range cfg.Root.Senders {
		s := surfaceSender(cfg, &cfg.Root.Senders[i], &errs, &rt.warnings)
		options.Senders = append(options.Senders, s)
		snap.Networks.Exempt = append(snap.Networks.Exempt, s.Networks...)
	}
	options.TrustedProxies = networks(cfg.Root.Proxies)
	snap.Networks.Exempt = append(snap.Networks.Exempt, options.TrustedProxies...)
	options.TrustForwarded = cfg.Root.ProxyForm.V == "forwarded"
	options.Keys = contextKeys(cfg, own.keys, rt, &errs)
	warnOfSharedOrigins(cfg, rt)
	if l.edge, err = buildEdge(cfg, own.issuer, time.Now()); err == nil {
		rt.warnings = append(rt.warnings, l.edge.warnings...)
	} else if faults := config.Errors(nil); errors.As(err, &faults) {
		errs = append(errs, faults...)
	}
	options.SecurityTxt = securityTxt(cfg.Root.Security, time.Now(), &errs, &rt.warnings)
	if len(errs) > 0 {
		return l, errs.Sorted()
	}
	if l.surface, err = surface.New(options); err != nil {
		return l, config.Errors{config.At(config.Origin{Where: config.FromFile, Name: cfg.Path}, "%v", err)}
	}
	snap.Resolver = l.surface
	l.snapshot, l.census = snap, rt.table.Census()
	return l, nil
}

// pseudonym names this fleet in Via and Proxy-Status.
func pseudonym(cfg *config.Config) string {
	if cfg.Root.Domain.V == "" {
		return "pvgate"
	}
	return "pvgate-" + cfg.Root.Domain.V
}

func limitsOf(c *config.Backend) limit.Limits {
	l := limit.Limits{InFlight: int64(c.Limits.InFlight.V), Tunnels: int64(c.Tunnels.Max.V)}
	if r := c.Limits.Rate.V; r.Count > 0 {
		l.Rate = limit.Quota{Requests: int64(r.Count), Per: r.Per, Burst: int64(c.Limits.Burst.V)}
	}
	return l
}

func gatewayBackend(ctx context.Context, b *routedBackend, books *books, errs *config.Errors) gateway.Backend {
	t := b.conf.Timeouts
	out := gateway.Backend{
		Name: b.name, Limiter: books.limits.Backend(b.name),
		Timeouts: upstream.Timeouts{Connect: t.Connect.V, FirstByte: t.FirstByte.V, Idle: t.Idle.V, Keep: t.Keep.V},
	}
	if b.conf.Mode.V != "proxy" {
		return out
	}
	out.Tunnels = tunnelsOf(b.conf)
	var endpoints endpoint.Options
	for _, e := range b.conf.Endpoints {
		u, err := url.Parse(e.V)
		if err != nil {
			*errs = append(*errs, config.At(e.Origin, "endpoint %q is not a URL: %v", e.V, err))
			continue
		}
		spec, err := endpointOf(ctx, e.V, u)
		if err != nil {
			*errs = append(*errs, config.At(e.Origin, "endpoint %q: %v; name a host that resolves, or an address", e.V, err))
			continue
		}
		endpoints.Endpoints = append(endpoints.Endpoints, spec)
		out.Authorities = append(out.Authorities, "http://"+strings.ToLower(u.Host))
		if out.Host == "" {
			out.Host = u.Host
		}
	}
	if len(endpoints.Endpoints) > 0 {
		out.Endpoints = books.endpoints.Group(b.name, endpoints)
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

// endpointOf describes an endpoint by its URL, and resolves its name.
func endpointOf(ctx context.Context, text string, u *url.URL) (endpoint.Spec, error) {
	s := endpoint.Spec{URL: text, Host: u.Hostname(), Port: 80}
	if p := u.Port(); p != "" {
		n, err := net.DefaultResolver.LookupPort(ctx, "tcp", p)
		if err != nil {
			return s, err
		}
		s.Port = uint16(n)
	}
	if a, err := netip.ParseAddr(s.Host); err == nil {
		s.Addresses = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), s.Port)}
		return s, nil
	}
	var err error
	s.Addresses, err = addresses(ctx, s.Host, s.Port)
	return s, err
}

// addresses resolves a name: its addresses in the order in which they are tried (RFC 8305, section 4: the families
// alternate, beginning with the one that RFC 6724 prefers).
func addresses(ctx context.Context, name string, port uint16) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	var first, second []netip.AddrPort
	for _, a := range found {
		a = a.Unmap()
		if at := netip.AddrPortFrom(a, port); a.Is4() == found[0].Unmap().Is4() {
			first = append(first, at)
		} else {
			second = append(second, at)
		}
	}
	var out []netip.AddrPort
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%q has no address", name)
	}
	return out, nil
}

func surfaceBackend(b *routedBackend, state *limit.Backend) surface.Backend {
	s := surface.Backend{
		Name: b.name, Proxy: b.conf.Mode.V == "proxy", ByPath: b.conf.Isolation.V == "path", AllowEncodedSlash: b.conf.AllowEncodedSlash.V,
		Limit: state, LimitText: b.conf.Limits.Rate.V.String(),
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
