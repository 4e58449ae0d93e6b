// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"net"
	"net/url"
	"strings"
)

// minPreloadDays is the least time that browsers' lists ask for, in days.
const minPreloadDays = 365

// checkTLS looks at the keys of TLS that belong together, over all listeners.
func (l *loader) checkTLS() {
	root := &l.cfg.Root
	secure, issued, redirects := false, false, false
	for i := range root.Listen {
		ln := &root.Listen[i]
		redirects = redirects || ln.Redirect.V != ""
		if ln.TLS == nil {
			continue
		}
		secure, issued = true, issued || ln.TLS.ACME.V
		l.checkListenerTLS(ln)
	}
	for i := range root.Listen {
		l.checkRedirect(&root.Listen[i], secure)
		if t := root.Listen[i].TLS; t != nil && t.ACME.V && t.ClientAuth != nil && t.ClientAuth.Mode.V == "require" && !redirects {
			l.fail(t.ACME.Origin, "acme beside client_auth: the CA shows no certificate and cannot come in here; add a listener for port 80 with redirect: https, where it can ask")
		}
	}
	if a := root.ACME; a != nil {
		if !issued {
			l.fail(a.At, "acme does nothing without a listener with tls: {acme: true}; write that there or remove it")
		}
		if !a.AcceptTerms.V {
			l.fail(a.At, "acme needs your agreement to the terms of service of the CA (%s); read them and write accept_terms: true", a.Directory.V)
		}
	}
	if k := root.TicketKeys; k.V != "" && !secure {
		l.fail(k.Origin, "ticket_keys do nothing without a listener with tls; remove them")
	}
}

func (l *loader) checkListenerTLS(ln *Listener) {
	t := ln.TLS
	one := t.Cert.Set() || t.Key.Set()
	switch {
	case one && len(t.Certificates) > 0:
		l.fail(t.At, "cert and key beside certificates are two lists; write all of them under certificates")
	case t.Cert.Set() && !t.Key.Set():
		l.fail(t.At, "key is missing; a certificate needs key: FILE beside cert")
	case t.Key.Set() && !t.Cert.Set():
		l.fail(t.At, "cert is missing; a key needs cert: FILE beside it")
	case !one && len(t.Certificates) == 0 && !t.ACME.V:
		l.fail(t.At, "there is no certificate; write cert: and key:, certificates: or acme: true")
	}
	if t.ACME.V {
		if l.cfg.Root.ACME == nil {
			l.fail(t.ACME.Origin, "acme: true needs the CA; write acme: {cache: FOLDER, accept_terms: true} at the top of pvgate.yaml")
		}
		if len(ln.Issued()) == 0 {
			l.fail(t.ACME.Origin, "acme gets certificates for named hosts only, and this listener has none; write hosts: [gw.example.de]")
		}
	}
	if h := t.HSTS; h != nil && h.Preload.V && (!h.Subdomains.V || h.Days.V < minPreloadDays) {
		l.fail(h.Preload.Origin, "preload is for whole domains for a year at least; write days: %d and subdomains: true beside it, or remove it", minPreloadDays)
	}
}

func (l *loader) checkRedirect(ln *Listener, secure bool) {
	at := ln.Redirect.Origin
	switch {
	case ln.Redirect.V == "":
	case ln.TLS != nil:
		l.fail(at, "redirect: https on a listener with tls leads nowhere else; remove one of them")
	case ln.Default.V != "":
		l.fail(at, "redirect leads everybody away, and default %q would never be asked; remove one of them", ln.Default.V)
	case !secure:
		l.fail(at, "redirect: https needs a listener with tls to lead to; add one")
	}
}

func (l *loader) checkHTTP3(ln *Listener, at Text) {
	switch {
	case ln.TLS == nil:
		l.fail(at.Origin, "h3 is always encrypted; write tls: {cert: …, key: …} on this listener, or remove h3")
	case len(ln.Versions) == 1:
		l.fail(at.Origin, "h3 alone finds no client: browsers come by h1 or h2 and are told of it there; write [h1, h2, h3]")
	case len(ln.Proxy) > 0:
		l.fail(at.Origin, "h3 beside proxy_protocol: there is no PROXY header over UDP; remove one of them")
	}
}

// Protocols are the versions of HTTP that a listener speaks, as in the configuration.
func (l *Listener) Protocols() []string {
	var out []string
	for _, v := range l.Versions {
		out = append(out, v.V)
	}
	switch {
	case len(out) > 0:
		return out
	case l.TLS != nil:
		return []string{"h1", "h2"}
	default:
		return []string{"h1"}
	}
}

// Issued are the hosts of a listener that a CA can give certificates for by ACME: names, not addresses and not whole
// domains.
func (l *Listener) Issued() []string {
	var out []string
	if l.TLS == nil || !l.TLS.ACME.V {
		return nil
	}
	for _, h := range l.Hosts.Names {
		if isPublicName(h.V) {
			out = append(out, h.V)
		}
	}
	return out
}

// Secure reports whether the backend is reached by TLS: all of its endpoints are, or none.
func (b *Backend) Secure() bool {
	return len(b.Endpoints) > 0 && strings.HasPrefix(b.Endpoints[0].V, "https:")
}

// ServerName is the name that the backend's certificate must have.
func (b *Backend) ServerName() string {
	switch {
	case b.TLS != nil && b.TLS.Name.V != "":
		return b.TLS.Name.V
	case b.Host.V != "":
		return hostOf(b.Host.V)
	}
	u, err := url.Parse(b.Endpoints[0].V)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// hostOf is an authority without its port.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.Trim(authority, "[]")
}

func (t *Trust) at() Origin {
	if t == nil {
		return Origin{}
	}
	return t.At
}

// checkTrust looks at what belongs together of TLS to a backend.
func (l *loader) checkTrust(name string, b *Backend) {
	for _, e := range b.Endpoints {
		if e.V != "" && strings.HasPrefix(e.V, "https:") != b.Secure() {
			l.fail(e.Origin, "backend %q is reached with TLS and without; write https for all of its endpoints, or for none", name)
			break
		}
	}
	t := b.TLS
	if t == nil || b.Mode.V != "proxy" {
		return
	}
	switch {
	case len(b.Endpoints) > 0 && !b.Secure():
		l.fail(t.At, "tls of backend %q does nothing without https endpoints; write https://host:port or remove it", name)
	case t.Cert.Set() && !t.Key.Set():
		l.fail(t.At, "key is missing; a certificate needs key: FILE beside cert")
	case t.Key.Set() && !t.Cert.Set():
		l.fail(t.At, "cert is missing; a key needs cert: FILE beside it")
	}
}
