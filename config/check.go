// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// names are the things that are known by a name over all files.
type names struct {
	backends map[string]Origin
	modes    map[string]string
	byPath   []Text // proxied backends below the entry host
	offers   map[string]Origin
	senders  map[string]Origin
}

// check looks at what one value cannot tell: names over all files, keys that
// belong together, hosts that belong to two.
func (l *loader) check() {
	n := names{
		backends: map[string]Origin{}, modes: map[string]string{},
		offers: map[string]Origin{}, senders: map[string]Origin{},
	}
	for _, f := range l.cfg.Files {
		for i := range f.Blocks.Backends {
			b := &f.Blocks.Backends[i]
			l.define("backend", b.Name, n.backends)
			n.modes[b.Name.V] = b.V.Mode.V
			if b.V.Mode.V == "proxy" && b.V.Isolation.V == "path" {
				n.byPath = append(n.byPath, b.Name)
			}
			if slices.Contains(l.opts.Reasons, b.Name.V) {
				l.fail(b.Name.Origin, "backend %q is named like a reason; choose another name, so that want: %s is clear", b.Name.V, b.Name.V)
			}
			if b.Name.V == "other" {
				l.fail(b.Name.Origin, "backend \"other\" is named like the metrics' label for all targets of no configured backend; choose another name")
			}
		}
		for i := range f.Blocks.Offers {
			l.define("offer", f.Blocks.Offers[i].Name, n.offers)
		}
	}
	l.checkSenders(&n)
	l.checkListeners(&n)
	l.checkTLS()
	l.checkSources()
	l.checkLinks()
	hosts := map[string]Origin{}
	for _, f := range l.cfg.Files {
		for i := range f.Blocks.Backends {
			l.checkBackend(&f.Blocks.Backends[i], hosts)
		}
		l.checkEntries(f, &n)
		l.checkOffers(f, &n)
		l.checkOverrides(f, &n)
		l.checkTests(f, &n)
	}
}

// define notes a name and reports a second definition.
func (l *loader) define(noun string, name Text, known map[string]Origin) {
	if name.V == "" {
		return // reported
	}
	if first, twice := known[name.V]; twice {
		if first.Name == name.Origin.Name {
			return // a key given twice in one mapping: reported with the file
		}
		l.fail(name.Origin, "%s %q is already defined at %s; names are unique over all files, rename one%s", noun, name.V, first, l.cfg.Owners(name.Origin.Name, first.Name))
		return
	}
	known[name.V] = name.Origin
}

// refer reports a name that nothing defines.
func (l *loader) refer(noun string, name Text, known map[string]Origin) bool {
	if name.V == "" {
		return false // absent or reported
	}
	if _, ok := known[name.V]; ok {
		return true
	}
	l.fail(name.Origin, "%s", Undefined(noun, name.V, slices.Collect(maps.Keys(known))))
	return false
}

func (l *loader) checkSenders(n *names) {
	seen, certificates := map[netip.Prefix]Text{}, map[string]Text{}
	for i := range l.cfg.Root.Senders {
		s := &l.cfg.Root.Senders[i]
		l.define("sender", s.Name, n.senders)
		if len(s.V.Networks) == 0 && len(s.V.Certs) == 0 && s.V.HMAC == nil {
			l.fail(s.V.At, "sender %q has nothing to be known by; write networks: [192.0.2.0/24], certificates: [dns:NAME], or hmac: {keys: FILE}", s.Name.V)
		}
		l.checkCertificates(s, certificates)
		for _, t := range s.V.Networks {
			p, err := Network(t.V)
			if err != nil {
				continue // reported
			}
			if other, twice := seen[p]; twice {
				l.fail(t.Origin, "network %s already belongs to sender %q at %s; a request has one sender", t.V, other.V, other.Origin)
				continue
			}
			seen[p] = Text{V: s.Name.V, Origin: t.Origin}
			l.checkSenderNetwork(s.Name.V, t, p)
		}
	}
	if f := l.cfg.Root.ProxyForm; f.Set() && len(l.cfg.Root.Proxies) == 0 {
		l.fail(f.Origin, "trusted_fields without trusted_proxies trusts nobody; name the proxies' networks or remove it")
	}
}

// checkCertificates holds that a certificate proves one sender, and that somebody asks for it.
func (l *loader) checkCertificates(s *Named[Sender], seen map[string]Text) {
	for _, c := range s.V.Certs {
		if c.V == "" {
			continue // reported
		}
		if other, twice := seen[c.V]; twice {
			l.fail(c.Origin, "certificate %q already belongs to sender %q at %s; a request has one sender", c.V, other.V, other.Origin)
			continue
		}
		seen[c.V] = Text{V: s.Name.V, Origin: c.Origin}
	}
	asks := func(ln Listener) bool { return ln.TLS != nil && ln.TLS.ClientAuth != nil }
	if len(s.V.Certs) > 0 && !slices.ContainsFunc(l.cfg.Root.Listen, asks) {
		l.fail(s.V.Certs[0].Origin, "no listener asks for client certificates; write tls: {client_auth: {ca: FILE}} at one")
	}
}

// checkSenderNetwork holds that a sender's network is not all proxies': their addresses prove nobody.
func (l *loader) checkSenderNetwork(sender string, t Text, p netip.Prefix) {
	for _, proxy := range l.cfg.Root.Proxies {
		if q, err := Network(proxy.V); err == nil && q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			l.fail(t.Origin, "network %s of sender %q lies in trusted_proxies (%s at %s), whose addresses prove no sender; name the sender's own addresses", t.V, sender, proxy.V, proxy.Origin)
		}
	}
}

func (l *loader) checkListeners(n *names) {
	seen := map[string]Origin{}
	for i := range l.cfg.Root.Listen {
		ln := &l.cfg.Root.Listen[i]
		if a := ln.Address; a.V != "" && !strings.HasSuffix(a.V, ":0") {
			if first, twice := seen[a.V]; twice {
				l.fail(a.Origin, "address %q is already listened on at %s; remove one", a.V, first)
			}
			seen[a.V] = a.Origin
		}
		if ln.Senders.V == "required" && len(l.cfg.Root.Senders) == 0 {
			l.fail(ln.Senders.Origin, "senders: required without any sender answers nobody; define senders or remove it")
		}
		if l.refer("backend", ln.Default, n.backends) && n.modes[ln.Default.V] == "redirect" {
			l.fail(ln.Default.Origin, "default %q is in redirect mode and has no answer to a bare path; write mode: proxy there", ln.Default.V)
		}
		for k, v := range ln.Versions {
			if slices.ContainsFunc(ln.Versions[:k], func(o Text) bool { return v.V != "" && o.V == v.V }) {
				l.fail(v.Origin, "protocols names %s twice; remove one", v.V)
			}
			if v.V == "h3" {
				l.checkHTTP3(ln, v)
			}
		}
		if v := ln.Protocols(); ln.WebSocket.V && !slices.Contains(v, "h2") && !slices.Contains(v, "h3") {
			l.fail(ln.WebSocket.Origin, "websocket: true is for h2 and h3, and this listener speaks neither; with h1 every backend that allows it has WebSocket: remove it")
		}
		for _, b := range n.byPath {
			if ln.Default.V != "" && ln.Default.V != b.V {
				l.fail(ln.Default.Origin, "default %q answers at the entry host, and its cookies would reach backend %q, which shares that host (isolation: path); give one of them a host of its own", ln.Default.V, b.V)
				break
			}
		}
	}
	if a := l.cfg.Root.Admin.Address; a.V != "" && !strings.HasSuffix(a.V, ":0") {
		if first, twice := seen[a.V]; twice {
			l.fail(a.Origin, "admin address %q is already listened on at %s; choose another port", a.V, first)
		}
	}
}

func (l *loader) checkBackend(b *Named[Backend], hosts map[string]Origin) {
	name, v := b.Name.V, &b.V
	for _, h := range v.Hosts {
		if h.V == "" {
			continue
		}
		if d := l.cfg.Root.Domain.V; h.V == d || strings.HasSuffix(h.V, "."+d) {
			l.fail(h.Origin, "host %q is the gateway's own (domain %s); a backend cannot have it", h.V, d)
		}
		if first, twice := hosts[h.V]; twice {
			l.fail(h.Origin, "host %q already belongs to a backend at %s; a host belongs to one backend%s", h.V, first, l.cfg.Owners(h.Origin.Name, first.Name))
			continue
		}
		hosts[h.V] = h.Origin
	}
	for i := range v.Endpoints {
		l.checkEndpoint(&v.Endpoints[i])
	}
	l.checkTrust(name, v)
	l.checkEndpoints(name, v)
	if v.Limits.Burst.Set() && !v.Limits.Rate.Set() {
		l.fail(v.Limits.Burst.Origin, "burst without rate limits nothing; write rate: 50/s beside it")
	}
	l.checkQueue(&v.Limits)
	for _, u := range v.Upgrade {
		if u.V == "none" && len(v.Upgrade) > 1 {
			l.fail(u.Origin, "upgrade says none and more; write [none], or the protocols alone")
		}
	}
	switch v.Mode.V {
	case "proxy":
		if len(v.Endpoints) == 0 {
			l.fail(v.At, "backend %q is in proxy mode without endpoints; write endpoints: [http://host:port]", name)
		}
	case "redirect":
		if len(v.Hosts) == 0 {
			l.fail(v.At, "backend %q has no hosts; a redirect backend is known by the hosts of its URLs, write hosts: [www.example.de]", name)
		}
		for key, o := range map[string]Origin{
			"endpoints": firstEndpoint(v.Endpoints), "pick": v.Pick.Origin, "health": healthAt(v.Health), "allow": first(v.Allow), "host": v.Host.Origin,
			"headers": v.Headers.At, "isolation": v.Isolation.Origin, "timeouts": v.Timeouts.At, "upgrade": first(v.Upgrade), "tunnels": v.Tunnels.At,
			"tls": v.TLS.at(),
		} {
			if o.Where != FromDefault {
				l.fail(o, "%s of backend %q does nothing in redirect mode; write mode: proxy or remove it", key, name)
			}
		}
	}
}

// checkQueue sees that a queue has something to wait for, and an end of waiting, and an adaptive limit one to stay below.
func (l *loader) checkQueue(v *Limits) {
	if v.Adaptive.V && !v.InFlight.Set() {
		l.fail(v.Adaptive.Origin, "adaptive without in_flight has nothing to stay below; write in_flight: 300 beside it")
	}
	switch {
	case v.Queue.V > 0 && !v.InFlight.Set():
		l.fail(v.Queue.Origin, "queue without in_flight waits for nothing; write in_flight: 300 beside it")
	case v.Queue.V > 0 && v.Wait.V == 0:
		l.fail(v.Queue.Origin, "queue without wait has no end; write wait: 2s beside it")
	case v.Queue.V == 0 && v.Wait.V > 0:
		l.fail(v.Wait.Origin, "wait without queue lets nobody wait; write queue: 200 beside it")
	}
}

// first is the place of a list's first member.
func first(list []Text) Origin {
	if len(list) == 0 {
		return Origin{}
	}
	return list[0].Origin
}

func (l *loader) checkEntries(f *RouteFile, n *names) {
	for i := range f.Blocks.Entries {
		e := &f.Blocks.Entries[i]
		l.refer("backend", e.Backend, n.backends)
		switch {
		case e.URL.Set() && (e.Backend.Set() || e.Path.Set()):
			l.fail(e.At, "url and backend with path are two targets; keep one of them")
		case !e.URL.Set() && !e.Backend.Set() && !e.Path.Set():
			l.fail(e.At, "no target; write url: \"https://…\", or backend: and path:")
		case e.Backend.Set() && !e.Path.Set():
			l.fail(e.At, "path is missing; a target by backend: needs path: /…")
		case e.Path.Set() && !e.Backend.Set():
			l.fail(e.At, "backend is missing; a target by path: needs backend: NAME")
		}
	}
}

func (l *loader) checkOffers(f *RouteFile, n *names) {
	for i := range f.Blocks.Offers {
		o := &f.Blocks.Offers[i]
		l.refer("backend", o.V.Backend, n.backends)
		if l.refer("offer", o.V.Successor, n.offers) && o.V.Successor.V == o.Name.V {
			l.fail(o.V.Successor.Origin, "offer %q cannot follow itself; name another or remove successor", o.Name.V)
		}
		if p := &o.V.Provider; p.Via.V != "" && strings.EqualFold(p.Via.V, p.Name.V) {
			l.fail(p.Via.Origin, "via %q is the provider itself; it names with whom others contract instead of the provider: remove it", p.Via.V)
		}
	}
	for i := range f.Blocks.Adoptions.List {
		l.refer("offer", f.Blocks.Adoptions.List[i].Offer, n.offers)
	}
}

func (l *loader) checkOverrides(f *RouteFile, n *names) {
	for i := range f.Blocks.Overrides {
		o := &f.Blocks.Overrides[i]
		to := o.To.Origin.Where != FromDefault
		switch {
		case to && o.Gone.Set():
			l.fail(o.At, "to and gone contradict each other; keep one of them")
		case !to && !o.Gone.Set():
			l.fail(o.At, "an override needs to: (backend, URL or weights) or gone: (text)")
		}
		if o.To.Target.V != "" && !o.To.IsURL() {
			l.refer("backend", o.To.Target, n.backends)
		}
		for j := range o.To.Weights {
			l.refer("backend", o.To.Weights[j].Name, n.backends)
		}
		if o.Sender.V != "direct" {
			l.refer("sender", o.Sender, n.senders)
		}
		if o.Priority.V != 0 && !f.IsRoot() {
			l.fail(o.Priority.Origin, "priority is for root files (area \"00\" and %s); this file's area is %s, remove it", l.cfg.Files[0].Name, f.Area.V)
		}
	}
}

func (l *loader) checkTests(f *RouteFile, n *names) {
	for i := range f.Blocks.Tests {
		t := &f.Blocks.Tests[i]
		if t.Sender.V != "direct" {
			l.refer("sender", t.Sender, n.senders)
		}
		// A host is an implicit backend (a URL's host that no backend lists).
		if t.Want.V == "" || strings.Contains(t.Want.V, ".") || slices.Contains(l.opts.Reasons, t.Want.V) {
			continue
		}
		if _, ok := n.backends[t.Want.V]; ok || l.opts.Reasons == nil {
			continue
		}
		all := append(slices.Collect(maps.Keys(n.backends)), l.opts.Reasons...)
		hint := "write a backend's name, a host, or a reason such as no_route"
		if near, ok := Nearest(t.Want.V, slices.Sorted(slices.Values(all))); ok {
			hint = "did you mean " + strconv.Quote(near) + "?"
		}
		l.fail(t.Want.Origin, "want %q is neither a backend nor a reason; %s", t.Want.V, hint)
	}
}
