// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/gateway/overload"
)

// service is a running gateway: the data plane, what is in service on it, and how that came about.
type service struct {
	load     func() (*config.Config, error) // reads the configuration anew
	log      *slog.Logger
	books    *books
	born     *birth
	keys     *handover.Keys // of this process, for a configuration that names none
	registry *keeper
	lookups  *lookupDesk
	sources  chan struct{} // told when there may be other ones to ask
	links    *linkDesk
	server   *gateway.Server
	wards    *wards
	// operators is where the admin listener listens.
	operators *net.TCPListener
	stop      func() // ends the service, as SIGTERM does
	leaving   atomic.Bool
	upgrade   succession
	// accessLog is nil if the configuration has none.
	accessLog *accesslog.Log

	tls terminal

	// changing is held by who puts something new in service, from reading files to the end: one at a time.
	changing sync.Mutex

	// mu guards what stands below. Who asks how the service is waits for it, so nothing is built under it; live, built and
	// tls change under changing too.
	mu       sync.Mutex
	live     *live
	built    time.Time // of live
	reload   reloadResult
	draining bool
	watchers []*config.Watcher // told when there are other files to watch
}

// reloadResult is the outcome of the last reload, as shown by the admin listener.
type reloadResult struct {
	OK       bool      `json:"ok"`
	Time     time.Time `json:"time"`
	Snapshot string    `json:"snapshot"` // in service now
	Changed  bool      `json:"changed"`
	Errors   []finding `json:"errors,omitempty"`
	Warnings []finding `json:"warnings,omitempty"`
}

// newService builds the configuration and starts to serve it. The books are its own from now on.
func newService(ctx context.Context, load func() (*config.Config, error), kept *books, log *slog.Logger, to streams, b *birth) (_ *service, err error) {
	s := &service{load: load, log: log, books: kept, registry: newKeeper(log), lookups: &lookupDesk{log: log}, sources: make(chan struct{}, 1), links: newLinkDesk(log), born: b, stop: func() {}, upgrade: succession{life: ctx, done: make(chan *successor, 1)}}
	s.keys = b.keys.context()
	defer func() {
		if err != nil {
			s.books.names.Close()
			s.lookups.close()
		}
	}()
	l, err := s.build(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.tls.start(l, b.keys.Tickets); err != nil {
		return nil, err
	}
	if l.cfg.Root.ContextKeys.V == "" {
		log.Info("context_keys is not set: a key of this process signs the handover context; other nodes, and this one after a restart, will not know it")
	}
	if err := s.books.limits.Apply(l.limits, 0); err != nil {
		return nil, err
	}
	s.books.endpoints.Apply(l.groups)
	o := gateway.Options{Loops: l.cfg.Root.Loops.V, Panic: func(value any, stack []byte) {
		log.Error("broken invariant; one connection was given up", "panic", fmt.Sprint(value), "stack", string(stack))
	}, Warn: func(text string) { log.Warn("listeners", "what", text) }}
	o.Memory = overload.Budget(config.Octets(l.cfg.Root.Memory.V))
	overload.Collect(o.Memory)
	o.Secret, o.Inherited, o.HoldDatagrams = b.keys.Secret, b.sockets, b.predecessor != nil
	o.Opened = func() (err error) {
		admin := &l.cfg.Root.Admin.Address
		if s.operators, err = b.sockets.Listen(admin.V); err != nil {
			return fmt.Errorf("admin listener: %w; change admin.address or stop who has it", err)
		}
		if err = b.opened(ctx); err != nil {
			err = errors.Join(err, s.operators.Close())
		}
		return err
	}
	if len(l.edge.tickets) > 0 {
		o.Secret = l.edge.tickets[0]
	}
	// quic-go would say in its own words, past the log, what Warn is told.
	if err := os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true"); err != nil {
		return nil, err
	}
	for i := range l.cfg.Root.Listen {
		o.Listen = append(o.Listen, s.tls.listener(i, &l.cfg.Root.Listen[i]))
	}
	if s.accessLog, err = startAccessLog(l.cfg, to, log); err != nil {
		return nil, err
	}
	o.AccessLog = s.accessLog
	if s.server, err = gateway.Start(o, l.snapshot); err != nil {
		return nil, errors.Join(err, s.endAccessLog(ctx))
	}
	s.lookups.settle(l.lookups, l.routes.areas)
	s.books.names.Follow(endpointsOf(l.groups))
	s.wards = watchEndpoints(&s.books.endpoints, s.server, log)
	s.wards.checker.Apply(l.checks)
	s.issue(ctx, l.cfg) // only now can a CA come in and see that the names are ours
	s.took(l, reloadResult{OK: true, Time: time.Now(), Snapshot: l.snapshot.ID, Changed: true, Warnings: findings(l.routes.warnings)})
	// What reading a registry needs is several times what its table keeps. Later the collector gives that back by itself: to
	// be asked for it disturbs those who are served [10 million entries: their p99 beside a swap from 0.8 to 1.2 ms].
	debug.FreeOSMemory()
	return s, nil
}

// build reads the configuration and builds everything of it.
func (s *service) build(ctx context.Context) (*live, error) {
	cfg, err := s.load()
	if err != nil {
		if _, berr := buildRoutes(ctx, cfg, s.registry); berr != nil {
			err = config.Join(err, berr) // all faults at once, not one reload each
		}
		return nil, err
	}
	if s.live == nil {
		if s.tls.issuer, err = newIssuer(cfg, certs.IssuerOptions{Log: s.log}); err != nil {
			return nil, err
		}
	}
	return s.buildOf(ctx, cfg)
}

// buildOf builds everything of a configuration that has been read.
func (s *service) buildOf(ctx context.Context, cfg *config.Config) (*live, error) {
	return buildLive(ctx, cfg, s.books, own{s.registry, s.lookups, s.keys, s.tls.issuer, s.leaving.Load})
}

// took notes what is in service now, and how that came about.
func (s *service) took(l *live, how reloadResult) {
	s.mu.Lock()
	s.live, s.built, s.reload = l, time.Now(), how
	watchers := s.watchers // only ever appended to
	s.mu.Unlock()
	select {
	case s.sources <- struct{}{}:
	default: // it is to look anyway
	}
	s.links.look(l.cfg)
	for _, w := range watchers {
		w.Look()
	}
	for _, w := range l.routes.warnings {
		s.log.Warn("configuration", "at", w.Origin.String(), "what", w.Text)
	}
	s.log.Info("snapshot in service", "snapshot", l.snapshot.ID, "rows", l.routes.table.Rows(), "backends", len(l.routes.backends))
}

// Reload builds the configuration whole and puts it in service, or leaves everything as it was and says why. When it
// returns, the next request sees the change. accept is the digest of a delivery of the registry that may pass the guards
// once; "" is none.
func (s *service) Reload(ctx context.Context, accept string) (r reloadResult, err error) {
	aside(func() { r, err = s.change(ctx, accept) })
	return r, err
}

// change is Reload.
func (s *service) change(ctx context.Context, accept string) (reloadResult, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.tell(s.born.systemd.Reloading())
	defer func() { s.tell(s.born.systemd.Ready("serves snapshot " + s.live.snapshot.ID)) }()
	r := reloadResult{Time: time.Now(), Snapshot: s.live.snapshot.ID}
	var l *live
	var err error
	if accept != "" {
		err = s.registry.Accept(accept)
	}
	if err == nil {
		l, err = s.build(ctx)
	}
	if err == nil {
		err = s.unchangeable(l.cfg)
	}
	if err == nil {
		r.OK, r.Changed, r.Snapshot = true, l.snapshot.ID != s.live.snapshot.ID, l.snapshot.ID
		r.Warnings = findings(l.routes.warnings)
		err = s.put(ctx, l, r)
	}
	if err != nil {
		r = reloadResult{Time: r.Time, Snapshot: s.live.snapshot.ID, Errors: findings(err)}
		s.lookups.settle(s.live.lookups, s.live.routes.areas) // what was opened for it has nobody to ask
		s.mu.Lock()
		s.reload = r
		s.mu.Unlock()
		s.log.Error("reload refused; the old configuration stays in service", "errors", len(r.Errors), "first", r.Errors[0].Text, "at", r.Errors[0].Place)
		return r, fmt.Errorf("reload refused, nothing has changed: %w", err)
	}
	return r, nil
}

// put puts what was built in service.
func (s *service) put(ctx context.Context, l *live, how reloadResult) error {
	if err := s.books.limits.Apply(l.limits, s.server.Mono()); err != nil {
		return err
	}
	if err := s.secure(l.edge); err != nil {
		return err
	}
	s.books.endpoints.Apply(l.groups)
	s.server.Swap(l.snapshot)
	s.lookups.settle(l.lookups, l.routes.areas)
	s.books.names.Follow(endpointsOf(l.groups))
	s.wards.checker.Apply(l.checks)
	s.issue(ctx, l.cfg)
	s.took(l, how)
	return nil
}

// tell logs that systemd could not be told something.
func (s *service) tell(err error) {
	if err != nil {
		s.log.Error("systemd does not hear how this process is", "error", err.Error())
	}
}

// unchangeable says what a reload cannot change.
func (s *service) unchangeable(now *config.Config) error {
	was := s.live.cfg
	var errs config.Errors
	fixed := func(what string, was, now string, at config.Origin) {
		if was != now {
			errs = append(errs, config.At(at, "%s is %q in service and %q here; a reload cannot change it: pvgate upgrade can", what, was, now))
		}
	}
	if len(was.Root.Listen) != len(now.Root.Listen) {
		errs = append(errs, config.At(config.Origin{Where: config.FromFile, Name: now.Path}, "there are %d listeners in service and %d here; a reload cannot change that: pvgate upgrade can",
			len(was.Root.Listen), len(now.Root.Listen)))
	} else {
		for i := range now.Root.Listen {
			w, n := &was.Root.Listen[i], &now.Root.Listen[i]
			fixed("address", w.Address.V, n.Address.V, n.Address.Origin)
			fixed("the scheme", scheme(w), scheme(n), n.At)
			fixed("protocols", strings.Join(w.Protocols(), " "), strings.Join(n.Protocols(), " "), n.At)
			fixed("websocket", strconv.FormatBool(w.WebSocket.V), strconv.FormatBool(n.WebSocket.V), n.WebSocket.Origin)
			fixed("redirect", w.Redirect.V, n.Redirect.V, n.At)
		}
	}
	fixed("access_log.file", was.Root.AccessLog.File.V, now.Root.AccessLog.File.V, now.Root.AccessLog.File.Origin)
	fixed("acme", acmeText(was.Root.ACME), acmeText(now.Root.ACME), config.Origin{Where: config.FromFile, Name: now.Path})
	fixed("admin.address", was.Root.Admin.Address.V, now.Root.Admin.Address.V, now.Root.Admin.Address.Origin)
	fixed("memory", was.Root.Memory.V, now.Root.Memory.V, now.Root.Memory.Origin)
	if was.Root.Loops.V != now.Root.Loops.V {
		errs = append(errs, config.At(now.Root.Loops.Origin, "loops is %d in service and %d here; a reload cannot change it: pvgate upgrade can", was.Root.Loops.V, now.Root.Loops.V))
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// inputs are the files whose change means a reload.
func (s *service) inputs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live.cfg.Inputs()
}

// digest is that over inputs, just before they were read. It waits for a reload that is under way, which may have read the
// change that somebody asks it for.
func (s *service) digest() config.Hash {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.live.digest
}

// follow tells a watcher whenever inputs may be other files than before.
func (s *service) follow(w *config.Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, w)
}

// ready says why the server should get no traffic.
func (s *service) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errors.New("draining")
	}
	if s.live.routes.pending {
		return errors.New("no source of the registry has delivered anything yet")
	}
	return nil
}

// lastUpgrade is the outcome of the last upgrade, nil without one.
func (s *service) lastUpgrade() *upgradeResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upgrade.last
}

// now returns what is in service.
func (s *service) now() (l *live, built time.Time, last reloadResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live, s.built, s.reload
}

// limits reads the limiters in service.
func (s *service) limits() map[string]metrics.Limit {
	l, _, _ := s.now()
	out := map[string]metrics.Limit{}
	for i := range l.snapshot.Backends {
		b := &l.snapshot.Backends[i]
		u := b.Limiter.Usage(s.server.Mono())
		out[b.Name] = metrics.Limit{InFlight: u.InFlight, InFlightLimit: u.InFlightLimit, Queued: u.Queued, QueueLimit: u.QueueLimit, RateRefused: u.RateRefused, BusyRefused: u.BusyRefused}
	}
	return out
}

// state is what the metrics show of configuration and registry.
func (s *service) state() metrics.State {
	l, built, last := s.now()
	st := metrics.State{ConfigHash: l.cfg.Hash.String(), ReloadOK: last.OK, ReloadTime: last.Time, Entries: map[metrics.Bin]int{}}
	st.Sources, st.Links = s.registry.sourcesShown(built), s.links.shown()
	st.Overrides, st.NextExpiry = l.routes.table.OverridesAt(time.Now())
	for i, open := range l.lookups {
		st.Lookups = append(st.Lookups, metrics.Lookup{Name: l.routes.lookups[i].conf.Name.V, Stats: open.cache.Stats()})
	}
	st.Blocked, st.Names = l.census.Blocked, s.books.names.Stats()
	s.mu.Lock()
	st.UpgradesFailed = s.upgrade.failed
	s.tls.state(&st)
	s.mu.Unlock()
	for k, n := range l.census.Entries {
		st.Entries[metrics.Bin{Land: k.Land, Kind: k.Kind.String()}] = n
	}
	return st
}
