// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// maxSessions is of how many endpoints TLS sessions are kept for resumption: about 10 KB each.
const maxSessions = 1024

// trusts are what connections to backends are secured with, by what configurations say of it. What a handle holds changes
// with the files; the handle outlives snapshots, and with it connections do. Guarded by service.changing.
type trusts struct {
	sessions *tlsconn.Sessions
	by       map[string]*atomic.Pointer[tlsconn.Client]
}

func newTrusts() trusts {
	return trusts{sessions: tlsconn.NewSessions(maxSessions), by: map[string]*atomic.Pointer[tlsconn.Client]{}}
}

// trust is TLS to one backend: what the configuration says of it, and the contents of the files of one moment.
type trust struct {
	key string
	*certs.Trust
}

// client is a generation of it.
func (k *trusts) client(t *trust) (*tlsconn.Client, error) {
	return tlsconn.NewClient(tlsconn.ClientOptions{TLS: t.TLS, Policy: t.Policy, Sessions: k.sessions})
}

// of returns the handle of a trust. A new one holds it already, and nobody else has it.
func (k *trusts) of(t *trust) (*atomic.Pointer[tlsconn.Client], error) {
	if h, ok := k.by[t.key]; ok {
		return h, nil
	}
	c, err := k.client(t)
	if err != nil {
		return nil, err
	}
	h := new(atomic.Pointer[tlsconn.Client])
	h.Store(c)
	k.by[t.key] = h
	return h, nil
}

// put makes the handles hold what the files say now, where that is something else. Handles that nothing names go.
func (k *trusts) put(all map[string]*trust) error {
	next := map[string]*atomic.Pointer[tlsconn.Client]{}
	for _, t := range all {
		h, err := k.of(t)
		if err != nil {
			return err
		}
		if h.Load().Policy() != t.Policy {
			c, err := k.client(t)
			if err != nil {
				return err
			}
			h.Store(c)
		}
		next[t.key] = h
	}
	k.by = next
	return nil
}

// secureBackends gives each backend that is reached by TLS its handle.
func (k *trusts) secureBackends(snap *gateway.Snapshot, all map[string]*trust) error {
	for i := range snap.Backends {
		b := &snap.Backends[i]
		if t := all[b.Name]; t != nil {
			var err error
			if b.TLS, err = k.of(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// trusts reads the files of TLS to backends.
func (b *edgeBuilder) trusts(now time.Time) {
	b.out.trusts = map[string]*trust{}
	for _, f := range b.cfg.Files {
		for i := range f.Blocks.Backends {
			name, c := f.Blocks.Backends[i].Name.V, &f.Blocks.Backends[i].V
			if c.Mode.V != "proxy" || !c.Secure() {
				continue
			}
			if set := b.trust(c, now); set != nil {
				said := []string{name, c.ServerName()}
				if t := c.TLS; t != nil {
					said = append(said, t.CA.V, t.Cert.V, t.Key.V)
				}
				b.out.trusts[name] = &trust{strings.Join(said, "\x00"), set}
			}
		}
	}
}

func (b *edgeBuilder) trust(c *config.Backend, now time.Time) *certs.Trust {
	o := certs.TrustOptions{Name: c.ServerName(), Now: now}
	at := c.At
	if t := c.TLS; t != nil {
		at = t.At
		if t.CA.V != "" {
			o.Authorities = b.file(t.CA)
		}
		if t.Cert.V != "" {
			o.Certificate = &certs.Files{Cert: b.file(t.Cert), Key: b.file(t.Key), Name: t.Cert.V}
		}
	}
	set, warnings, err := certs.LoadTrust(o)
	for _, w := range warnings {
		b.out.warnings = append(b.out.warnings, b.tell(w, at))
	}
	var faults certs.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			b.errs = append(b.errs, b.tell(f, at))
		}
	}
	return set
}

// trustFiles are the files of TLS to backends.
func trustFiles(cfg *config.Config) (all []config.Text) {
	for _, f := range cfg.Files {
		for i := range f.Blocks.Backends {
			if t := f.Blocks.Backends[i].V.TLS; t != nil {
				all = append(all, t.CA, t.Cert, t.Key)
			}
		}
	}
	return all
}
