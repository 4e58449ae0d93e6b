// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
)

// memory is what remember writes: how the newest bundle was made, and of which deliveries.
type memory struct {
	Bundle     string                `json:"bundle"`
	Key        string                `json:"key"`
	Deliveries map[string]remembered `json:"deliveries"`
}

// remembered is a delivery of which the file is known by its digest.
type remembered struct {
	Digest   string    `json:"digest"`
	Tag      string    `json:"tag,omitempty"`
	Stat     string    `json:"stat,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

// memoryFile is only an economy: without it, or with another bundle's, the next process fetches and builds once more.
const memoryFile = "registry.json"

func (k *keeper) remember(a *appliedIndex) error {
	m := memory{a.digest.String(), a.key, map[string]remembered{}}
	k.mu.Lock()
	for name, s := range k.sources {
		if d := s.good; d != nil {
			m.Deliveries[name] = remembered{d.digest, d.tag, d.stat, d.modified}
		}
	}
	k.mu.Unlock()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.dir, memoryFile), text, 0o600)
}

// open finds what an earlier process has left, once.
func (k *keeper) open(cfg *config.Config, areas *registry.Areas) error {
	state := cfg.Root.Registry.State
	if state.V == "" || k.folder() != "" {
		return nil
	}
	k.assembling.Lock()
	defer k.assembling.Unlock()
	if k.folder() != "" {
		return nil
	}
	dir := cfg.Resolve(state.V)
	if _, err := os.Stat(dir); !k.serving && errors.Is(err, fs.ErrNotExist) {
		return nil // nobody has served from here yet
	}
	store, err := bundle.OpenStore(filepath.Join(dir, "bundles"), 0)
	if err != nil {
		return config.Errors{config.At(state.Origin, "registry.state: %v", plain(err))}
	}
	k.mu.Lock()
	k.dir, k.store = dir, store
	k.mu.Unlock()
	defer k.sweep()
	var x *index.Index
	b, skipped, err := store.Newest(func(b *bundle.Bundle) (err error) {
		x, err = index.FromSections(areas, b.Section)
		return err
	})
	for _, s := range skipped {
		k.log.Warn("registry.state: a bundle cannot be used", "file", s.File, "what", s.Err.Error())
	}
	if err != nil || b == nil {
		return nil //nolint:nilerr // an empty folder is how everything begins
	}
	k.recall(b, x)
	return nil
}

// recall takes up what an earlier process has applied.
func (k *keeper) recall(b *bundle.Bundle, x *index.Index) {
	var m memory
	text, err := os.ReadFile(filepath.Join(k.dir, memoryFile))
	if err != nil || json.Unmarshal(text, &m) != nil || m.Bundle != b.Digest.String() {
		m = memory{Deliveries: map[string]remembered{}}
		for i := range b.Meta.Sources {
			f := &b.Meta.Sources[i]
			m.Deliveries[f.Name] = remembered{Digest: f.Digest, Modified: f.Modified}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, d := range m.Deliveries {
		file := deliveryFile(k.dir, name, d.Digest)
		if st, err := os.Stat(file); err == nil {
			s := k.keptOf(name)
			s.good, s.success = &delivery{file: file, digest: d.Digest, modified: d.Modified, tag: d.Tag, stat: d.Stat}, st.ModTime()
		}
	}
	k.applied = &appliedIndex{key: m.Key, index: x, digest: b.Digest, meta: b.Meta}
	k.log.Info("registry of the last process", "bundle", b.Digest.String(), "entries", b.Meta.Entries(), "of", b.Meta.Created.Format(time.RFC3339))
}

// sweep removes what processes that were killed have left. What is younger than a day may be somebody's work.
func (k *keeper) sweep() {
	if !k.serving {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	good := map[string]bool{}
	for _, s := range k.sources {
		if s.good != nil {
			good[s.good.file] = true
		}
	}
	for _, pattern := range []string{"building-*", filepath.Join(sourcesDir, "*")} {
		files, _ := filepath.Glob(filepath.Join(k.dir, pattern)) // the patterns are well formed
		for _, f := range files {
			if st, err := os.Stat(f); err == nil && !good[f] && k.now().Sub(st.ModTime()) > 24*time.Hour {
				_ = os.Remove(f)
			}
		}
	}
}
