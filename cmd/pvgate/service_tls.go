// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// cachedWait is how long a start or a reload waits for certificates that ACME's cache has already.
const cachedWait = 2 * time.Second

// ticketLife is how long a random ticket key seals; it opens as long again.
const ticketLife = 24 * time.Hour

// terminal is the TLS of a running gateway with clients: what its listeners use for new handshakes, over all changes.
type terminal struct {
	issuer  *certs.Issuer // nil without acme
	tickets *tlsconn.Tickets
	configs []atomic.Pointer[tlsconn.Config] // by listener; nil where it speaks plaintext

	// As service.live.
	edge   *edge // in service
	failed bool  // the files as they were last seen could not be put in service
}

// start makes the terminal of the first configuration.
func (t *terminal) start(l *live, tickets []tlsconn.Key) error {
	t.tickets = tlsconn.NewTickets()
	if len(tickets) > 0 { // a predecessor's
		if err := t.tickets.Set(tickets...); err != nil {
			return err
		}
	}
	t.configs = make([]atomic.Pointer[tlsconn.Config], len(l.edge.sets))
	return t.put(l.edge)
}

// put uses an edge for every handshake that begins from now on. On an error nothing has changed.
func (t *terminal) put(e *edge) error {
	next := make([]*tlsconn.Config, len(e.sets))
	for i, set := range e.sets {
		if set == nil {
			continue
		}
		c, err := tlsconn.New(tlsconn.Options{TLS: set.TLS(), Tickets: t.tickets, Policy: set.Policy(), Same: set.Same})
		if err != nil {
			return fmt.Errorf("listener %d: %w", i, err)
		}
		next[i] = c
	}
	if len(e.tickets) > 0 {
		keys := make([]tlsconn.Key, len(e.tickets))
		for i, k := range e.tickets {
			keys[i] = tlsconn.Key(k)
		}
		if err := t.tickets.Set(keys...); err != nil {
			return err
		}
	}
	for i, c := range next {
		t.configs[i].Store(c)
	}
	t.edge, t.failed = e, false
	return nil
}

// listener is how the data plane listens.
func (t *terminal) listener(i int, c *config.Listener) gateway.Listener {
	l := gateway.Listener{Address: c.Address.V, Protocols: spoken(c)}
	if c.TLS != nil {
		l.TLS = t.configs[i].Load
	}
	return l
}

// secure reports whether any listener speaks TLS, or a backend.
func (t *terminal) secure() bool {
	if len(t.edge.trusts) > 0 {
		return true
	}
	for _, set := range t.edge.sets {
		if set != nil {
			return true
		}
	}
	return false
}

// state is what metrics show; a certificate that serves two listeners is one.
func (t *terminal) state(s *metrics.State) {
	if !t.secure() {
		return
	}
	s.TLS, s.TLSReloadOK, s.Certificates = true, !t.failed, map[string]time.Time{}
	for _, set := range t.edge.sets {
		if set == nil {
			continue
		}
		for _, e := range set.Expiries() {
			s.Certificates[e.Name] = e.After
		}
	}
	for _, k := range t.edge.trusts {
		if k.Expiry != nil {
			s.Certificates[k.Expiry.Name] = k.Expiry.After
		}
	}
}

// secure uses an edge, as put.
func (s *service) secure(e *edge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.books.trusts.put(e.trusts); err != nil {
		return err
	}
	return s.tls.put(e)
}

// issue gets certificates by ACME for the hosts of a configuration, if it asks for any.
func (s *service) issue(ctx context.Context, cfg *config.Config) {
	if s.tls.issuer == nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, cachedWait)
	defer cancel()
	s.tls.issuer.Serve(wait, issuedHosts(cfg))
}

// renew puts the files of TLS in service as they are now. With a fault in any of them those of before stay.
func (s *service) renew() {
	s.changing.Lock()
	defer s.changing.Unlock()
	if now, err := new(config.Digests).Of(edgeFiles(s.live.cfg)); err == nil && now == s.tls.edge.digest {
		s.noteTLS(false) // a reload has put them in service already, or they are again as they were
		return
	}
	e, err := buildEdge(s.live.cfg, s.tls.issuer, time.Now())
	if err == nil {
		err = s.secure(e)
	}
	if err != nil {
		s.noteTLS(true)
		first := findings(err)[0]
		s.log.Error("certificates refused; the old ones stay in service", "errors", len(findings(err)), "first", first.Text, "at", first.Place)
		return
	}
	for _, w := range e.warnings {
		s.log.Warn("certificates", "at", w.Origin.String(), "what", w.Text)
	}
	s.log.Info("certificates in service", "files", len(edgeFiles(s.live.cfg)))
}

// noteTLS notes whether the files of TLS could not be put in service.
func (s *service) noteTLS(failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tls.failed = failed
}

// watchTLS renews whenever a file of TLS changes, and changes the random ticket key, until ctx ends.
func (s *service) watchTLS(ctx context.Context) {
	files := func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return edgeFiles(s.live.cfg)
	}
	watcher, err := config.NewWatcher(config.WatchOptions{Inputs: files, Loaded: func() config.Hash {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tls.edge.digest
	}})
	if err != nil {
		s.log.Error("changes of certificates are not seen; use SIGHUP or pvgate reload", "error", err.Error())
		return
	}
	s.follow(watcher)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := watcher.Run(ctx, s.renew); err != nil {
			s.log.Error("changes of certificates are not seen any more; use SIGHUP or pvgate reload", "error", err.Error())
		}
	}()
	tick := time.NewTicker(ticketLife)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-ended
			return
		case <-tick.C:
			s.mu.Lock()
			if len(s.tls.edge.tickets) == 0 {
				s.tls.tickets.Rotate()
			}
			s.mu.Unlock()
		}
	}
}
