// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/dns"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/registry"
)

// resolveTimeout bounds the look-up of endpoints' names while a configuration is built. What has no answer by then is
// asked for again once the configuration is in service.
const resolveTimeout = 5 * time.Second

// endpointOf describes an endpoint; u is what it is parsed to, nil of a Unix socket.
func endpointOf(b *config.Backend, e *config.Endpoint) (s endpoint.Spec, u *url.URL, err error) {
	if path, ok := e.Socket(); ok {
		return endpoint.Spec{URL: e.V, Network: endpoint.Unix, Host: path}, nil, nil
	}
	if u, err = url.Parse(e.V); err != nil {
		return s, nil, err
	}
	s = endpoint.Spec{URL: e.V, Host: u.Hostname(), Port: 80, TLS: u.Scheme == "https"}
	if s.TLS {
		s.Port = 443
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return s, nil, err
		}
		s.Port = uint16(n)
	}
	if a, err := netip.ParseAddr(s.Host); err == nil {
		s.Addresses = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), s.Port)}
		return s, u, nil
	}
	for _, allow := range b.Allow {
		s.Policy.Private = s.Policy.Private || allow.V == "private"
		s.Policy.Loopback = s.Policy.Loopback || allow.V == "loopback"
	}
	if s.Host == "localhost" || strings.HasSuffix(s.Host, ".localhost") { // it says so itself (RFC 6761, section 6.3)
		s.Policy.Loopback = true
	}
	return s, u, nil
}

// namedEndpoint is an endpoint whose address is to be asked for, and where it is written.
type namedEndpoint struct {
	endpoint *endpoint.Endpoint
	text     config.Text
	policy   registry.AddressPolicy
}

// resolve asks for the addresses of endpoints that are named. A name without an answer, or with one that may not be
// connected to, costs its endpoint and not the configuration: it is warned of.
func resolve(ctx context.Context, names *dns.Resolver, all []namedEndpoint) (warnings config.Errors) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	endpoints := make([]*endpoint.Endpoint, len(all))
	for i := range all {
		endpoints[i] = all[i].endpoint
	}
	failed := names.Resolve(ctx, endpoints)
	for i := range all {
		n := &all[i]
		if err := failed[n.endpoint]; err != nil {
			warnings = append(warnings, config.At(n.text.Origin, "endpoint %q: %v; it is out of service until the name resolves", n.text.V, err))
			continue
		}
		var kinds []string
		for _, a := range n.endpoint.Addresses() {
			kinds = append(kinds, n.policy.Refuses(a.Addr()))
		}
		if slices.Contains(kinds, "") || len(kinds) == 0 {
			continue
		}
		leave := "to write an address down is leave enough"
		switch kinds[0] {
		case "private", "shared":
			leave = "write allow: [private] at the backend"
		case "loopback":
			leave = "write allow: [loopback] at the backend"
		}
		warnings = append(warnings, config.At(n.text.Origin, "endpoint %q leads to %s, which is a %s address and refused; if that is meant, %s",
			n.text.V, n.endpoint.Addresses()[0].Addr(), kinds[0], leave))
	}
	return warnings
}

// endpointsOf are those of all groups.
func endpointsOf(groups []*endpoint.Group) (all []*endpoint.Endpoint) {
	for _, g := range groups {
		for i := range g.Len() {
			all = append(all, g.At(i))
		}
	}
	return all
}
