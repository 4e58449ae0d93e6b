// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"path/filepath"
	"time"
)

// Interval is how often the source is asked.
func (s *Source) Interval() time.Duration {
	if s.Every.V > 0 {
		return s.Every.V
	}
	return 24 * time.Hour
}

// Allowance is how many requests it gets at most.
func (s *Source) Allowance() PerTime {
	if s.Budget.V.Count > 0 {
		return s.Budget.V
	}
	return PerTime{Count: 60, Per: time.Minute}
}

// checkSources holds what keys of a source belong together.
func (l *loader) checkSources() {
	seen := map[string]Origin{}
	sources := l.cfg.Root.Sources
	for i := range sources {
		s := &sources[i]
		l.define("source", s.Name, seen)
		if first := seen[s.Name.V]; s.Name.V != "" && first != s.Name.Origin {
			l.fail(s.Name.Origin, "source %q is already defined at %s; rename one", s.Name.V, first)
		}
		l.checkPlace(s)
		l.checkForm(s)
		if s.Type.V == "bundle" && len(sources) > 1 {
			l.fail(s.Type.Origin, "a bundle holds all sources and stands alone; build it with the others, or remove them here")
		}
	}
}

// checkPlace holds where a source comes from.
func (l *loader) checkPlace(s *Source) {
	switch {
	case s.Path.Set() && s.URL.Set():
		l.fail(s.URL.Origin, "path and url are two places; keep one of them")
	case !s.Path.Set() && !s.URL.Set():
		l.fail(s.At, "no place to read from; write path: FILE or url: \"https://…\"")
	case s.URL.Set() && !l.cfg.Root.Registry.State.Set():
		l.fail(s.URL.Origin, "url needs a folder for what was fetched; write registry: {state: /var/lib/pvgate}")
	}
	if !s.URL.Set() {
		for key, o := range map[string]Origin{"every": s.Every.Origin, "budget": s.Budget.Origin} {
			if o.Where != FromDefault {
				l.fail(o, "%s is for a source with url; a file is read when it changes", key)
			}
		}
	}
}

// checkForm holds what is said of a source's form.
func (l *loader) checkForm(s *Source) {
	columns := s.Columns.At.Where != FromDefault
	switch {
	case s.Type.V == "datahub" && columns:
		l.fail(s.Columns.At, "columns are for type csv; a datahub export names its own")
	case s.Type.V == "csv" && !s.Columns.URL.Set() && !s.Columns.Page.Set():
		l.fail(s.At, "source %q names no column for a target; write columns: {url: …} or {page: …}", s.Name.V)
	}
	l.checkObjects(s)
	if s.Type.V != "bundle" && s.Keys.Set() {
		l.fail(s.Keys.Origin, "keys are for type bundle; nothing else is signed")
	}
	if s.Type.V != "bundle" {
		return
	}
	for key, o := range map[string]Origin{"separator": s.Separator.Origin, "columns": s.Columns.At, "hosts": first(s.Hosts), "allow": first(s.Allow)} {
		if o.Where != FromDefault {
			l.fail(o, "%s is said where the bundle is built, not where it is read; remove it", key)
		}
	}
}

// checkObjects holds what is said of a source whose objects are kept.
func (l *loader) checkObjects(s *Source) {
	if s.Type.V != "xzufi" {
		if s.Changes.V {
			l.fail(s.Changes.Origin, "changes is for type xzufi; everything else comes whole")
		}
		if s.Token != nil {
			l.fail(s.Token.At, "token is for type xzufi; remove it")
		}
		return
	}
	if s.Separator.Origin.Where != FromDefault || s.Columns.At.Where != FromDefault {
		l.fail(s.At, "separator and columns are for files of rows; an xzufi delivery has none")
	}
	switch {
	case !l.cfg.Root.Registry.State.Set():
		l.fail(s.Type.Origin, "xzufi needs a folder for its objects; write registry: {state: /var/lib/pvgate}")
	case s.Path.Set() && s.Changes.V:
		l.fail(s.Changes.Origin, "changes are asked for at a url; a path is that of a whole delivery")
	case s.Path.Set() && s.Token != nil:
		l.fail(s.Token.At, "a token is for a url; remove it")
	}
}

// InputFile is the file that changes whenever the source's delivery on this machine does, "" if it has none.
func (s *Source) InputFile() string {
	if s.Type.V == "xzufi" && s.Path.V != "" && filepath.Ext(s.Path.V) != ".txt" {
		return filepath.Join(s.Path.V, "index.txt")
	}
	return s.Path.V
}
