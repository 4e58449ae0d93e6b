// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/guard"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/source"
)

// assemble builds what candidates and good deliveries give together, and applies it. Each verdict on a candidate puts
// the good delivery in its place; there are at most as many rounds as candidates. Where nothing is kept, a verdict refuses
// all, once the others have been looked at too.
func (k *keeper) assemble(ctx context.Context, cfg *config.Config, areas *registry.Areas, self []string, candidates map[string]*delivery, verdicts []verdict) (*taken, error) {
	var findings config.Errors
	for {
		for _, v := range blamed(verdicts, candidates) {
			if d := candidates[v.source]; d != nil {
				v.offer = d
			}
			delete(candidates, v.source)
			findings = append(findings, k.finding(cfg, v))
			k.refuse(v)
		}
		lost := len(findings) > 0 && !k.keeps()
		now, plan := k.current(), k.plan(cfg, areas, self, candidates)
		switch {
		case lost && len(candidates) == 0:
			return nil, findings
		case now != nil && (now.key == plan.key || !k.enough(cfg, plan, now)):
			return &taken{now, findings}, nil
		case len(plan.Sources) == 0: // nobody has delivered anything yet
			return &taken{nil, findings}, nil
		}
		a, next, err := k.make(ctx, cfg, areas, plan)
		switch {
		case err != nil:
			return nil, err
		case lost && len(next) == 0:
			return nil, findings
		case len(next) == 0:
			k.apply(a, candidates)
			return &taken{a, findings}, nil
		case !slices.ContainsFunc(next, func(v verdict) bool { return v.source == "" && len(candidates) > 0 || candidates[v.source] != nil }):
			return k.stuck(cfg, next, findings)
		}
		verdicts = next
	}
}

// blamed are verdicts with a source, one for each: what is wrong with all together is everybody's fault who is new.
func blamed(verdicts []verdict, candidates map[string]*delivery) (out []verdict) {
	add := func(v verdict) {
		i := slices.IndexFunc(out, func(o verdict) bool { return o.source == v.source })
		if i < 0 {
			out = append(out, v)
			return
		}
		out[i].final = out[i].final || v.final
		if out[i].more++; out[i].more < mostTold {
			out[i].text += "; " + v.text
		}
	}
	for _, v := range verdicts {
		if v.source != "" {
			add(v)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(candidates)) {
			v.source = name
			add(v)
		}
	}
	for i := range out {
		if n := out[i].more - mostTold + 1; n > 0 {
			out[i].text += fmt.Sprintf("; and %d more", n)
		}
	}
	return out
}

// mostTold bounds what is told of one delivery.
const mostTold = 4

// enough reports whether a plan has a delivery of every source that the applied index has; the folder may have lost some.
func (k *keeper) enough(cfg *config.Config, plan *keyedPlan, now *appliedIndex) bool {
	for i := range now.meta.Sources {
		name := now.meta.Sources[i].Name
		if _, wanted := findSource(cfg, name); wanted && !slices.ContainsFunc(plan.Sources, func(s plannedSource) bool { return s.Name == name }) {
			return false
		}
	}
	return len(plan.Sources) > 0
}

func findSource(cfg *config.Config, name string) (*config.Source, bool) {
	bulk := cfg.Bulk()
	for i := range bulk {
		if s := &bulk[i]; s.Name.V == name {
			return s, true
		}
	}
	return nil, false
}

// stuck is for verdicts on what was good: the configuration reads it otherwise now.
func (k *keeper) stuck(cfg *config.Config, verdicts []verdict, findings config.Errors) (*taken, error) {
	for _, v := range blamed(verdicts, nil) {
		findings = append(findings, k.finding(cfg, v))
		k.refuse(v)
	}
	return nil, findings
}

// finding says a verdict at its place in the configuration.
func (k *keeper) finding(cfg *config.Config, v verdict) *config.Error {
	at := config.Origin{Where: config.FromFile, Name: cfg.Path}
	if s, ok := findSource(cfg, v.source); ok {
		if at = s.Path.Origin; !s.Path.Set() {
			at = s.URL.Origin
		}
	}
	text := fmt.Sprintf("source %q is refused (%s): %s", v.source, v.cause, v.text)
	if !v.final && v.offer != nil && k.serving {
		text += "; to accept it once: pvgate reload --accept " + v.offer.digest
	}
	return config.At(at, "%s", text)
}

// make builds a plan and judges what has come out.
func (k *keeper) make(ctx context.Context, cfg *config.Config, areas *registry.Areas, plan *keyedPlan) (*appliedIndex, []verdict, error) {
	if k.judged.key == plan.key {
		return nil, k.judged.verdicts, nil
	}
	a, verdicts, err := k.judge(ctx, cfg, areas, plan)
	if len(verdicts) > 0 {
		k.judged.key, k.judged.verdicts = plan.key, verdicts
	}
	return a, verdicts, err
}

func (k *keeper) judge(ctx context.Context, cfg *config.Config, areas *registry.Areas, plan *keyedPlan) (*appliedIndex, []verdict, error) {
	b, report, verdicts, err := k.read(ctx, cfg, plan)
	if err != nil || len(verdicts) > 0 {
		return nil, verdicts, err
	}
	limits := guard.Limits{Shrink: config.Share(cfg.Root.Registry.Shrink.V)}
	for _, r := range guard.Check(k.before(cfg), &b.Meta, limits) {
		v := verdict{source: r.Source, cause: r.Cause, text: r.Text, final: r.Final}
		if plan.bundle() { // it is delivered as one
			if v.source = plan.Sources[0].Name; r.Source != "" {
				v.text = r.Source + ": " + r.Text
			}
		}
		if v.final || !k.mayPass(plan, v.source) {
			verdicts = append(verdicts, v)
		}
	}
	if len(verdicts) > 0 {
		return nil, verdicts, nil
	}
	x, refused := indexOf(b, areas)
	if refused != nil {
		return nil, []verdict{{source: plan.blame(), cause: refused.Cause, text: refused.Text, final: true}}, nil
	}
	if k.store != nil && k.serving {
		if err := k.store.Put(b); err != nil {
			return nil, nil, fmt.Errorf("registry.state: %w", err)
		}
	}
	return &appliedIndex{key: plan.key, index: x, digest: b.Digest, meta: b.Meta, report: report}, nil, nil
}

// indexOf reads the rows of a bundle, and holds that they are what its facts say.
func indexOf(b *bundle.Bundle, areas *registry.Areas) (*index.Index, *source.Refusal) {
	if b.Meta.Areas != index.AreasDigest(areas) {
		return nil, &source.Refusal{Cause: source.CauseUnknownArea, Text: "it was built with another Gemeindeverzeichnis (areas.file, areas.aliases); build it with this one"}
	}
	x, err := index.FromSections(areas, b.Section)
	if err != nil {
		return nil, &source.Refusal{Cause: source.CauseSchema, Text: err.Error()}
	}
	if err := x.Confirm(&b.Meta); err != nil {
		return nil, &source.Refusal{Cause: source.CauseConflict, Text: err.Error()}
	}
	return x, nil
}

// read makes the bundle of a plan, or reads the one that a source has delivered.
func (k *keeper) read(ctx context.Context, cfg *config.Config, plan *keyedPlan) (*bundle.Bundle, *buildReport, []verdict, error) {
	if s := &cfg.Bulk()[0]; plan.bundle() {
		good := k.known(s.Name.V)
		b, err := readBundle(cfg, s, plan.Sources[0].File, good != nil && good.digest == plan.Sources[0].Digest, k.now())
		if r := (*source.Refusal)(nil); errors.As(err, &r) {
			return nil, nil, []verdict{{source: s.Name.V, cause: r.Cause, text: r.Error(), final: true}}, nil
		}
		return b, nil, nil, err
	}
	f, err := os.CreateTemp(k.into(), "building-*.pvb") // "" is the system's folder for such files
	if err != nil {
		return nil, nil, nil, fmt.Errorf("build the registry: %w", err)
	}
	to := f.Name()
	defer func() { _ = os.Remove(to) }()
	_ = f.Close() // only its name is wanted
	report, err := k.build(ctx, &plan.registryPlan, to)
	var verdicts []verdict
	if report != nil {
		for _, s := range report.Sources {
			if s.Cause != "" {
				verdicts = append(verdicts, verdict{source: s.Facts.Name, cause: s.Cause, text: s.Text, final: true})
			}
		}
	}
	if len(verdicts) > 0 {
		return nil, report, verdicts, nil
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("build the registry: %w", err)
	}
	b, err := bundle.ReadFile(to, 0)
	return b, report, nil, err
}

// apply puts an index in the place of the one before.
func (k *keeper) apply(a *appliedIndex, candidates map[string]*delivery) {
	k.mu.Lock()
	k.applied = a
	old := map[string]*delivery{}
	for name, d := range candidates {
		s := k.keptOf(name)
		old[name], s.good, s.success, s.last = s.good, d, k.now(), nil
		delete(k.accepted, d.digest)
	}
	k.mu.Unlock()
	k.log.Info("registry applied", "bundle", a.digest.String(), "entries", a.meta.Entries(), "sources", slices.Sorted(maps.Keys(candidates)))
	if k.into() == "" {
		return
	}
	for name, d := range old {
		if d != nil && d.file != candidates[name].file {
			_ = os.Remove(d.file) // nothing is made of it any more
		}
	}
	if err := k.remember(a); err != nil {
		k.log.Warn("registry.state: the next process will build once more", "error", err.Error())
	}
}

// plan says what is to be built: of each source the candidate, or else what was good.
func (k *keeper) plan(cfg *config.Config, areas *registry.Areas, self []string, candidates map[string]*delivery) *keyedPlan {
	p := &keyedPlan{registryPlan: planOf(cfg, self)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.Sequence, p.Created = 1, k.now(); k.applied != nil {
		p.Sequence = k.applied.meta.Sequence + 1
	}
	p.Sources = slices.DeleteFunc(p.Sources, func(s plannedSource) bool { return candidates[s.Name] == nil && k.keptOf(s.Name).good == nil })
	keyed := registryPlan{Self: self}
	for i := range p.Sources {
		s := &p.Sources[i]
		d := candidates[s.Name]
		if d == nil {
			d = k.keptOf(s.Name).good
		}
		s.File, s.Digest, s.Modified = d.file, d.digest, d.modified
		named := *s
		named.File = "" // its digest says which file it is, its name where it stands
		keyed.Sources = append(keyed.Sources, named)
	}
	text, err := json.Marshal([]any{index.AreasDigest(areas), keyed})
	if err != nil {
		panic("a plan of texts and numbers cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(text)
	p.key = hex.EncodeToString(sum[:])
	return p
}

// keyedPlan is a plan with the name of all that its index depends on.
type keyedPlan struct {
	registryPlan
	key string
}

// bundle reports whether there is nothing to build: the one source is a bundle.
func (p *keyedPlan) bundle() bool { return len(p.Sources) == 1 && p.Sources[0].Type == "bundle" }

// blame is the one source of a plan, "" if there are several.
func (p *keyedPlan) blame() string {
	if len(p.Sources) == 1 {
		return p.Sources[0].Name
	}
	return ""
}
