// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/lookup/fitconnect"
	"github.com/pvgate/pvgate/registry/lookup/pvog"
	"github.com/pvgate/pvgate/registry/source"
)

// plannedLookup is a source that is looked up in, with all that its files say too.
type plannedLookup struct {
	conf     *config.Source
	place    int // in routing.Input.Sources; of contexts it means nothing
	clientID string
	keys     fitconnect.Keys
	policy   registry.URLPolicy
	kept     string // file of answers; "" = they are not kept
	digest   string // of all that changes what is answered or how it is asked
}

// context says whether the source adds to routes and has none.
func (p *plannedLookup) context() bool { return p.conf.Type.V == "fitconnect" }

// planLookup reads the files of a source that is looked up in.
func (b *routesBuilder) planLookup(s *config.Source, place int) {
	p := plannedLookup{conf: s, place: place, clientID: s.Lookup.ClientID.V, policy: registry.URLPolicy{
		AllowHTTP: allows(s, "http"), AllowPrivate: allows(s, "private"), Hosts: texts(s.Hosts), Self: b.in.SelfHosts,
	}}
	var err error
	if f := s.Lookup.ClientIDFile; f.V != "" && !p.context() {
		if p.clientID, err = readClientID(b.cfg.Resolve(f.V)); err != nil {
			b.fail(f.Origin, "client_id_file: %v", plain(err))
		}
	}
	if s.Keys.V != "" && p.context() {
		if p.keys, err = fitconnect.ReadKeys(b.cfg.Resolve(s.Keys.V)); err != nil {
			b.fail(s.Keys.Origin, "keys: %v", plain(err))
		}
	}
	if dir := b.cfg.Root.Registry.State.V; dir != "" {
		p.kept = filepath.Join(b.cfg.Resolve(dir), "lookups", s.Name.V)
	}
	k := &s.Lookup
	settings, err := json.Marshal([]any{
		s.Type.V, s.URL.V, k.Path.V, p.clientID, k.Agent.V, k.TTL.V, k.NegativeTTL.V, k.Calls.V, k.Timeout.V, s.Budget.V, p.keys, p.policy, p.kept,
	})
	if err != nil {
		b.fail(s.At, "%v", err)
		return
	}
	sum := sha256.Sum256(settings)
	p.digest = hex.EncodeToString(sum[:])
	b.out.lookups = append(b.out.lookups, p)
}

// readClientID reads the only line of a file.
func readClientID(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const most = 256
	text, err := io.ReadAll(io.LimitReader(f, most+2))
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || len(text) > most || bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New(path + " is not one line with an id of at most 256 printable characters")
	}
	return string(text), nil
}

// lookUpIn opens what the routes look up in; nothing without a desk.
func (l *live) lookUpIn(desk *lookupDesk, o *surface.Options) (err error) {
	if desk == nil {
		return nil
	}
	if l.lookups, err = desk.take(l.routes.lookups, l.routes.areas); err != nil {
		return err
	}
	for i, open := range l.lookups {
		if p := &l.routes.lookups[i]; p.context() {
			o.Contexts = append(o.Contexts, open.cache)
		} else {
			o.Lookups = append(o.Lookups, surface.Lookup{Source: p.place, Cache: open.cache})
		}
	}
	return nil
}

// inquirer is a client of a service that is looked up in.
type inquirer interface {
	lookup.Source
	UseAreas(*registry.Areas)
}

// openLookup is a source's cache, as long as its settings are the same.
type openLookup struct {
	digest string
	cache  *lookup.Cache
	client inquirer
	http   *http.Client
}

func (p *plannedLookup) open(areas *registry.Areas, log *slog.Logger, now func() time.Time) (*openLookup, error) {
	s, k := p.conf, &p.conf.Lookup
	if p.kept != "" {
		if err := os.MkdirAll(filepath.Dir(p.kept), 0o700); err != nil {
			return nil, fmt.Errorf("source %q: %w", s.Name.V, plain(err))
		}
	}
	l := &openLookup{digest: p.digest, http: fetch.Client(fetch.Policy{
		HTTP: strings.HasPrefix(s.URL.V, "http://"), Address: registry.AddressPolicy{Private: allows(s, "private")}, Stall: k.Timeout.V, Idle: k.Calls.V,
	})}
	base := strings.TrimSuffix(s.URL.V, "/")
	if p.context() {
		l.client = fitconnect.New(fitconnect.Options{
			Name: s.Name.V, Base: base, Routes: k.Path.V, Agent: k.Agent.V, Areas: areas, Keys: p.keys, Policy: p.policy, HTTP: l.http, Now: now,
		})
	} else {
		l.client = pvog.New(pvog.Options{
			Options: source.Options{Name: s.Name.V, Areas: areas, Policy: p.policy}, Base: base, Descriptions: k.Path.V, ClientID: p.clientID,
			Agent: k.Agent.V, HTTP: l.http, Now: now,
		})
	}
	l.cache = lookup.New(lookup.Options{
		Source: l.client, Now: now, Log: log, TTL: k.TTL.V, NegativeTTL: k.NegativeTTL.V, Rate: s.Budget.V.PerSecond(), Burst: s.Budget.V.Count,
		Calls: k.Calls.V, Timeout: k.Timeout.V, File: p.kept, Digest: p.digest,
	})
	return l, nil
}

func (l *openLookup) close() {
	l.cache.Close()
	l.http.CloseIdleConnections()
}

// lookupDesk has the caches of the sources that are looked up in. They outlive reloads that leave their settings as they
// are; others are closed when nobody can wait for them any more.
type lookupDesk struct {
	log    *slog.Logger
	now    func() time.Time // nil = time.Now
	linger time.Duration    // how long requests of an old snapshot may wait; 0 = a minute

	mu      sync.Mutex // guards what stands below
	open    map[string]*openLookup
	leaving map[*openLookup]*time.Timer
	closing sync.WaitGroup
}

// take gives the caches of a plan, in its order. New ones are open from here on; what is not in use after that is closed by
// settle.
func (d *lookupDesk) take(plans []plannedLookup, areas *registry.Areas) ([]*openLookup, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open, d.leaving = map[string]*openLookup{}, map[*openLookup]*time.Timer{}
	}
	all := make([]*openLookup, len(plans))
	for i := range plans {
		p := &plans[i]
		key := p.conf.Name.V + " " + p.digest
		if d.open[key] == nil {
			l, err := p.open(areas, d.log, d.now)
			if err != nil {
				return nil, err
			}
			d.open[key] = l
		}
		all[i] = d.open[key]
	}
	return all, nil
}

// settle is told what is in use now, and by which areas it is to read. All else is closed, in a while.
func (d *lookupDesk) settle(used []*openLookup, areas *registry.Areas) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := map[*openLookup]bool{}
	for _, l := range used {
		keep[l] = true
		l.client.UseAreas(areas)
	}
	for key, l := range d.open {
		if keep[l] {
			continue
		}
		delete(d.open, key)
		d.closing.Add(1)
		d.leaving[l] = time.AfterFunc(cmp.Or(d.linger, time.Minute), func() {
			defer d.closing.Done()
			l.close()
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.leaving, l)
		})
	}
}

// close closes all caches; nobody waits any more.
func (d *lookupDesk) close() {
	d.mu.Lock()
	for l, timer := range d.leaving {
		if timer.Stop() {
			l.close()
			d.closing.Done()
		}
	}
	for _, l := range d.open {
		l.close()
	}
	clear(d.open)
	d.mu.Unlock()
	d.closing.Wait()
}
