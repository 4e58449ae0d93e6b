// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/keyring"
)

// edge is what TLS needs besides the configuration: the contents of certificates, keys and authorities, of one moment.
type edge struct {
	sets    []*certs.Set      // by listener; nil where it speaks plaintext
	trusts  map[string]*trust // by backend; none where it is reached without TLS
	tickets []keyring.Key
	digest  config.Hash // over the files, just before they were read
	// warnings are about what works but should be looked at.
	warnings config.Errors
}

// buildEdge reads every file that TLS names. The error is a config.Errors with every fault; then there is no edge at
// all, for with a part of it somebody would get in who must not, or find nobody. Without an issuer nothing is got by
// ACME, which is enough to judge a configuration.
func buildEdge(cfg *config.Config, issuer *certs.Issuer, now time.Time) (*edge, error) {
	b := edgeBuilder{cfg: cfg, out: &edge{}, at: map[string]config.Text{}}
	var err error
	if b.out.digest, err = new(config.Digests).Of(edgeFiles(cfg)); err != nil {
		b.out.digest = config.Hash{} // what cannot be read is told below
	}
	for i := range cfg.Root.Listen {
		b.out.sets = append(b.out.sets, b.listener(&cfg.Root.Listen[i], issuer, now))
	}
	b.trusts(now)
	if k := cfg.Root.TicketKeys; k.V != "" {
		file := b.file(k)
		keys, err := keyring.Read(file)
		if err != nil {
			b.errs = append(b.errs, config.At(k.Origin, "ticket_keys %s: %v", k.V, err))
		} else if keyring.Exposed(file) {
			b.out.warnings = append(b.out.warnings, config.At(k.Origin, "ticket_keys %s: everybody on this machine may read them; chmod 600 or 640", k.V))
		}
		b.out.tickets = keys
	}
	if len(b.errs) > 0 {
		return nil, b.errs.Sorted()
	}
	return b.out, nil
}

type edgeBuilder struct {
	cfg  *config.Config
	out  *edge
	at   map[string]config.Text // who names a file
	errs config.Errors
}

// file returns a path as it can be opened, and notes who names it.
func (b *edgeBuilder) file(t config.Text) string {
	name := b.cfg.Resolve(t.V)
	if _, twice := b.at[name]; !twice {
		b.at[name] = t
	}
	return name
}

func (b *edgeBuilder) listener(c *config.Listener, issuer *certs.Issuer, now time.Time) *certs.Set {
	t := c.TLS
	if t == nil {
		return nil
	}
	o := certs.Options{Now: now, Issuer: issuer, Issued: c.Issued(), Protocols: alpn(c)}
	if t.Profile.V == "bsi" {
		o.Profile = certs.BSI
	}
	pairs := t.Certificates
	if t.Cert.V != "" {
		pairs = []config.Certificate{{Cert: t.Cert, Key: t.Key}}
	}
	for _, p := range pairs {
		o.Certificates = append(o.Certificates, certs.Files{Cert: b.file(p.Cert), Key: b.file(p.Key), Name: p.Cert.V})
	}
	for _, h := range c.Hosts.Names {
		o.Hosts = append(o.Hosts, h.V)
	}
	if a := t.ClientAuth; a != nil {
		o.Authorities = b.file(a.CA)
		if o.ClientAuth = certs.Require; a.Mode.V == "request" {
			o.ClientAuth = certs.Request
		}
	}
	set, warnings, err := certs.Load(o)
	for _, w := range warnings {
		b.out.warnings = append(b.out.warnings, b.tell(w, t.At))
	}
	var faults certs.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			b.errs = append(b.errs, b.tell(f, t.At))
		}
	}
	return set
}

// tell says a fault with the place that names its file.
func (b *edgeBuilder) tell(f certs.Fault, at config.Origin) *config.Error {
	if by, ok := b.at[f.File]; ok {
		return config.At(by.Origin, "%s: %s", by.V, f.Text)
	}
	return config.At(at, "%s", f.Text)
}

// newIssuer makes the issuer that a configuration asks for; nil if it asks for none.
func newIssuer(cfg *config.Config, o certs.IssuerOptions) (*certs.Issuer, error) {
	a := cfg.Root.ACME
	if a == nil {
		return nil, nil
	}
	o.Directory, o.Mail, o.Cache, o.Authorities = a.Directory.V, a.Mail.V, cfg.Resolve(a.Cache.V), cfg.Resolve(a.CA.V)
	for i := range cfg.Root.Listen {
		o.HTTP01 = o.HTTP01 || cfg.Root.Listen[i].Redirect.V != ""
	}
	issuer, err := certs.NewIssuer(o)
	var faults certs.Faults
	if errors.As(err, &faults) {
		at := a.Cache
		if faults[0].File != o.Cache {
			at = a.CA
		}
		return nil, config.Errors{config.At(at.Origin, "%s: %s", at.V, faults[0].Text)}
	}
	return issuer, err
}

// issuedHosts are the names that all listeners want certificates for by ACME.
func issuedHosts(cfg *config.Config) []string {
	var all []string
	for i := range cfg.Root.Listen {
		all = append(all, cfg.Root.Listen[i].Issued()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// edgeFiles are the files of TLS, whose change means new certificates but no new configuration.
func edgeFiles(cfg *config.Config) []string {
	all := trustFiles(cfg)
	for i := range cfg.Root.Listen {
		t := cfg.Root.Listen[i].TLS
		if t == nil {
			continue
		}
		all = append(all, t.Cert, t.Key)
		for _, p := range t.Certificates {
			all = append(all, p.Cert, p.Key)
		}
		if t.ClientAuth != nil {
			all = append(all, t.ClientAuth.CA)
		}
	}
	var files []string
	for _, t := range append(all, cfg.Root.TicketKeys) {
		if t.V != "" {
			files = append(files, cfg.Resolve(t.V))
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// strictTransport is the value of Strict-Transport-Security (RFC 6797, section 6.1), "" for none.
func strictTransport(t *config.TLS) string {
	if t == nil || t.HSTS == nil {
		return ""
	}
	value := "max-age=" + strconv.Itoa(t.HSTS.Days.V*24*60*60)
	if t.HSTS.Subdomains.V {
		value += "; includeSubDomains"
	}
	if t.HSTS.Preload.V {
		value += "; preload"
	}
	return value
}

// acmeText is an acme block in one line, to compare and to show.
func acmeText(a *config.ACME) string {
	if a == nil {
		return ""
	}
	return strings.TrimSpace(strings.Join([]string{a.Directory.V, a.Mail.V, a.Cache.V, a.CA.V}, " "))
}

// alpn names what a listener speaks over TLS (RFC 9113, section 3.2), the better first.
func alpn(c *config.Listener) (names []string) {
	speaks := spoken(c)
	if speaks&conn.HTTP2 != 0 {
		names = append(names, "h2")
	}
	if speaks&conn.HTTP1 != 0 {
		names = append(names, "http/1.1")
	}
	return names
}

// spoken are the versions of HTTP that a listener speaks.
func spoken(c *config.Listener) (p conn.Protocols) {
	for _, name := range c.Protocols() {
		switch name {
		case "h1":
			p |= conn.HTTP1
		case "h2":
			p |= conn.HTTP2
		case "h3":
			p |= conn.HTTP3
		}
	}
	if c.WebSocket.V {
		p |= conn.WebSocket
	}
	return p
}

// scheme is how a listener is reached.
func scheme(c *config.Listener) string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}
