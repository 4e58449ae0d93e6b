// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/source"
)

// keeper keeps the registry: of each source the last good delivery, and the index that was made of all of them. What is
// new is built beside what is applied, judged by package guard, and takes its place or is refused; a refused delivery
// leaves its source as it was and keeps no other source from being renewed.
//
// With a folder (registry.state) deliveries and the bundle outlive the process: a bundle is put there whole (bundle.Store)
// before it is applied, and names by their digests the deliveries it was made of, so that whenever the process is killed,
// the next one finds a bundle and everything to make the next one of.
//
// Without one the sources are files that are read where they lie, and one that cannot be used refuses the load.
type keeper struct {
	log   *slog.Logger
	build builder
	fetch fetcher
	now   func() time.Time
	// serving says that this process may write to the folder, and fetch: check and explain do not.
	serving bool

	// assembling is held by who builds, judges and applies.
	assembling sync.Mutex

	mu       sync.Mutex // guards what stands below
	dir      string     // "" = none
	store    *bundle.Store
	applied  *appliedIndex // nil as long as there is none
	sources  map[string]*kept
	accepted map[string]bool // digests of deliveries that an operator accepts once
	// judged are the verdicts on the last plan that was refused, which need not be found again.
	judged struct {
		key      string
		verdicts []verdict
	}
}

// builder makes a bundle of a plan at a path. The report is there also with an error, if the sources were read.
type builder func(ctx context.Context, plan *registryPlan, to string) (*buildReport, error)

// fetcher brings a source's file to a folder, "" where it may lie where it is. One of those that are known is returned
// where nothing else has come.
type fetcher func(ctx context.Context, cfg *config.Config, s *config.Source, into string, known ...*delivery) (*delivery, error)

// delivery is a file that a source has given.
type delivery struct {
	file     string
	digest   string    // of its bytes, as a bundle's facts have it
	modified time.Time // as its sender says; zero = it does not say, or it is the operator's own file
	tag      string    // with which a server is asked whether there is another one
	stat     string    // of the operator's own file, or of objects: as long as it is the same, so is the file
	held     error     // objects that are not applied because of this; then there is no file
	accepted bool      // by an operator
}

// kept is what is known of one source.
type kept struct {
	good    *delivery // what the applied index was made of
	success time.Time // when it was last known that this is the newest there is, or which one is
	refused map[source.Cause]int
	last    *declined
	next    func() time.Time // when it is asked again; nil if it is not
}

// declined is a delivery that is not applied, or one that did not come.
type declined struct {
	delivery *delivery // nil if it did not come
	cause    source.Cause
	text     string
	final    bool // no accepting helps
	at       time.Time
}

// appliedIndex is an index with what it was made of. Immutable.
type appliedIndex struct {
	key    string // of its plan
	index  *index.Index
	digest bundle.Digest
	meta   bundle.Meta
	report *buildReport // of its rows; nil if it was found on disk
}

// snapshot names what is made of the files of a digest and this registry.
func (a *appliedIndex) snapshot(files config.Hash) string {
	sum := sha256.Sum256(append(files[:], a.digest[:]...))
	return hex.EncodeToString(sum[:4])
}

// taken is what a configuration gets.
type taken struct {
	*appliedIndex // nil: there is no table
	// findings are about deliveries that were refused.
	findings config.Errors
}

// newKeeper keeps the registry of a process that serves.
func newKeeper(log *slog.Logger) *keeper {
	return &keeper{log: log, build: buildInChild, fetch: newCourier(importInChild).fetch, now: time.Now, serving: true, sources: map[string]*kept{}, accepted: map[string]bool{}}
}

// onlooker shows what a process that serves would have of a configuration: from the same deliveries, in the same way, but
// it fetches nothing and leaves nothing behind.
func onlooker() *keeper {
	return &keeper{log: slog.New(slog.DiscardHandler), build: buildBundle, fetch: newCourier(importHere(nil)).fetch, now: time.Now, sources: map[string]*kept{}, accepted: map[string]bool{}}
}

// Accept lets the delivery of this digest pass the guards, once.
func (k *keeper) Accept(digest string) error {
	if _, err := bundle.ParseDigest(digest); err != nil {
		return fmt.Errorf("accept %q: %w", digest, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, s := range k.sources {
		if s.last == nil || s.last.delivery == nil || s.last.delivery.digest != digest {
			continue
		}
		if s.last.final {
			return fmt.Errorf("accept %s: the delivery of source %q cannot be used: %s", digest, name, s.last.text)
		}
		k.accepted[digest], k.judged.key = true, ""
		return nil
	}
	return fmt.Errorf("accept %s: no refused delivery has this digest; pvgate status shows them", digest)
}

// Take returns the index for a configuration: the applied one, if nothing has changed that it depends on. The error
// refuses the configuration.
func (k *keeper) Take(ctx context.Context, cfg *config.Config, areas *registry.Areas, self []string) (*taken, error) {
	if err := k.open(cfg, areas); err != nil {
		return nil, err
	}
	candidates := map[string]*delivery{}
	var refusals []verdict
	bulk := cfg.Bulk()
	for i := range bulk {
		s := &bulk[i]
		d, err := k.look(ctx, cfg, s)
		if err != nil {
			refusals = append(refusals, k.missing(s.Name.V, err))
		} else if d != nil {
			candidates[s.Name.V] = d
		}
	}
	if now := k.current(); now != nil && len(candidates)+len(refusals) == 0 && now.key == k.plan(cfg, areas, self, nil).key {
		return &taken{now, nil}, nil // a reload does not wait for what another source is about to become
	}
	k.assembling.Lock()
	defer k.assembling.Unlock()
	return k.assemble(ctx, cfg, areas, self, candidates, refusals)
}

// Ask fetches one source and applies what has come, if it may. changed says that there is another index than before.
func (k *keeper) Ask(ctx context.Context, cfg *config.Config, s *config.Source, areas *registry.Areas, self []string) (changed bool, err error) {
	if err := k.open(cfg, areas); err != nil {
		return false, err
	}
	known := k.known(s.Name.V)
	d, err := k.fetch(ctx, cfg, s, k.into(), known, k.refusedOf(s.Name.V))
	k.assembling.Lock()
	defer k.assembling.Unlock()
	if err != nil {
		k.refuse(k.missing(s.Name.V, err))
		return false, err
	}
	if known != nil && d.digest == known.digest {
		k.succeed(s.Name.V, d)
		return false, nil
	}
	before := k.current()
	t, err := k.assemble(ctx, cfg, areas, self, map[string]*delivery{s.Name.V: d}, nil)
	if err == nil && len(t.findings) > 0 {
		err = t.findings
	}
	return t != nil && t.appliedIndex != before, err
}

// look finds what a source has to offer at a reload: the file of one with a path, if it is another one, and the refused
// delivery of one with a URL that somebody has accepted.
func (k *keeper) look(ctx context.Context, cfg *config.Config, s *config.Source) (*delivery, error) {
	k.mu.Lock()
	good, last := k.keptOf(s.Name.V).good, k.keptOf(s.Name.V).last
	accepted := last != nil && last.delivery != nil && k.accepted[last.delivery.digest]
	k.mu.Unlock()
	var seen *delivery
	if last != nil {
		seen = last.delivery
	}
	switch {
	case s.Type.V == "xzufi" && !k.serving: // who only looks applies nothing
		return nil, nil
	case accepted && seen.held != nil:
		return k.acceptObjects(ctx, cfg, s, good, seen)
	case s.URL.Set() && accepted:
		return seen, nil
	case s.URL.Set():
		return nil, nil
	}
	d, err := k.fetch(ctx, cfg, s, k.into(), good, seen)
	if err != nil || good == nil || d.digest != good.digest {
		return d, err
	}
	k.succeed(s.Name.V, d)
	return nil, nil
}

// acceptObjects applies objects that were held back. What follows from them is accepted with them.
func (k *keeper) acceptObjects(ctx context.Context, cfg *config.Config, s *config.Source, good, held *delivery) (*delivery, error) {
	now := *held
	now.accepted = true
	d, err := k.fetch(ctx, cfg, s, k.into(), good, &now)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.accepted, held.digest)
	if err == nil {
		k.accepted[d.digest] = true
	}
	return d, err
}

// verdict is why a source, or all of them (""), cannot be renewed.
type verdict struct {
	source string
	cause  source.Cause
	text   string
	final  bool
	offer  *delivery
	more   int // verdicts on the same delivery
}

// missing is the verdict on a delivery that did not come.
func (k *keeper) missing(name string, err error) verdict {
	v := verdict{source: name, cause: source.CauseUnreachable, text: plain(err).Error(), final: true}
	if r := (*source.Refusal)(nil); errors.As(err, &r) {
		v.cause, v.text = r.Cause, r.Error()
	}
	if h := (*heldBack)(nil); errors.As(err, &h) {
		v.offer, v.final = h.delivery, false
	}
	return v
}

// refuse notes a verdict.
func (k *keeper) refuse(v verdict) {
	k.mu.Lock()
	s := k.keptOf(v.source)
	if s.refused == nil {
		s.refused = map[source.Cause]int{}
	}
	s.refused[v.cause]++
	if s.last != nil && s.last.delivery != nil && (v.offer == nil || v.offer.file != s.last.delivery.file) && k.dir != "" && k.serving {
		_ = os.Remove(s.last.delivery.file)
	}
	s.last = &declined{v.offer, v.cause, v.text, v.final, k.now()}
	k.mu.Unlock()
	attributes := []any{"source", v.source, "cause", string(v.cause), "what", v.text}
	if v.offer != nil {
		attributes = append(attributes, "digest", v.offer.digest)
	}
	k.log.Warn("registry refused", attributes...)
}

// mayPass reports whether an operator has accepted what a refusal is about.
func (k *keeper) mayPass(plan *keyedPlan, name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range plan.Sources {
		if s := &plan.Sources[i]; k.accepted[s.Digest] && (name == "" || name == s.Name) {
			return true
		}
	}
	return false
}

// before are the facts of what is applied, without sources that the configuration has dropped.
func (k *keeper) before(cfg *config.Config) *bundle.Meta {
	a := k.current()
	if a == nil {
		return nil
	}
	m := a.meta
	m.Sources = slices.DeleteFunc(slices.Clone(m.Sources), func(f bundle.SourceFacts) bool {
		return !slices.ContainsFunc(cfg.Bulk(), func(s config.Source) bool { return s.Name.V == f.Name || s.Type.V == "bundle" })
	})
	if len(m.Sources) < len(a.meta.Sources) {
		m.Sequence = 0
	}
	return &m
}

// succeed notes that a source has been asked and has nothing new.
func (k *keeper) succeed(name string, d *delivery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.keptOf(name)
	s.good, s.success, s.last = d, k.now(), nil
	if k.dir != "" && k.serving { // what lies there is ours
		_ = os.Chtimes(d.file, time.Time{}, s.success) // so that the next process knows it
	}
}

func (k *keeper) current() *appliedIndex {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applied
}

// known is the newest delivery of a source that has been judged.
func (k *keeper) known(name string) *delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keptOf(name).good
}

// refusedOf is the delivery of a source that was refused last, nil if there is none.
func (k *keeper) refusedOf(name string) *delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := k.keptOf(name).last; last != nil {
		return last.delivery
	}
	return nil
}

// keeps reports whether a source that cannot be renewed stays as it was.
func (k *keeper) keeps() bool { return k.folder() != "" }

// into is where this process may write, "" if nowhere.
func (k *keeper) into() string {
	if !k.serving {
		return ""
	}
	return k.folder()
}

func (k *keeper) folder() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dir
}

// keptOf is called with mu held.
func (k *keeper) keptOf(name string) *kept {
	s := k.sources[name]
	if s == nil {
		s = &kept{}
		k.sources[name] = s
	}
	return s
}
