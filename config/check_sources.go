// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"path/filepath"
	"slices"
	"time"
)

// LookedUp says whether the source has no file and is asked for one key at a time (R15).
func (s *Source) LookedUp() bool { return s.Type.V == "pvog" || s.Type.V == "fitconnect" }

// Bulk are the sources that have a file, in their order.
func (c *Config) Bulk() []Source {
	return slices.DeleteFunc(slices.Clone(c.Root.Sources), func(s Source) bool { return s.LookedUp() })
}

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
		if s.LookedUp() {
			l.checkLookup(s)
			continue
		}
		l.checkPlace(s)
		l.checkForm(s)
		if s.Type.V == "bundle" && len(l.cfg.Bulk()) > 1 {
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
		l.fail(s.Keys.Origin, "keys are for type bundle and fitconnect; nothing else is signed")
	}
	if s.Lookup.At.Where != FromDefault {
		l.fail(s.Lookup.At, "lookup is for type pvog and fitconnect; a file is read whole")
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

// checkLookup holds what is said of a source that is looked up in.
func (l *loader) checkLookup(s *Source) {
	for key, o := range map[string]Origin{"path": s.Path.Origin, "every": s.Every.Origin, "separator": s.Separator.Origin, "columns": s.Columns.At} {
		if o.Where != FromDefault {
			l.fail(o, "%s is for a source with a file; of type %s there is none, remove it", key, s.Type.V)
		}
	}
	l.checkObjects(s)
	k := &s.Lookup
	switch {
	case s.Type.V == "fitconnect" && !s.Keys.Set():
		l.fail(s.At, "source %q has no keys; destinations count only with a signature, write keys: FILE of a JWK set", s.Name.V)
	case s.Type.V == "fitconnect" && k.ClientID.Set():
		l.fail(k.ClientID.Origin, "client_id is for type pvog; remove it")
	case s.Type.V == "fitconnect" && k.ClientIDFile.Set():
		l.fail(k.ClientIDFile.Origin, "client_id_file is for type pvog; remove it")
	case s.Type.V == "pvog" && s.Keys.Set():
		l.fail(s.Keys.Origin, "keys are for type bundle and fitconnect; what the Suchdienst says is not signed")
	case k.ClientID.Set() && k.ClientIDFile.Set():
		l.fail(k.ClientIDFile.Origin, "client_id and client_id_file say the same; keep one of them")
	}
	if k.Timeout.V > maxLookup {
		l.fail(k.Timeout.Origin, "timeout %s is more than %s; a citizen waits for it", k.Timeout.V, maxLookup)
	}
}

// maxLookup is the longest timeout of a look-up.
const maxLookup = 30 * time.Second

// maxLinkRate is the most requests in a second that others' servers are asked whether an address answers.
const maxLinkRate = 20

// checkLinks holds what a check of links needs.
func (l *loader) checkLinks() {
	k := l.cfg.Root.LinkCheck
	if k == nil {
		return
	}
	if !l.cfg.Root.Registry.State.Set() {
		l.fail(k.At, "link_check needs a folder for what it finds; write registry: {state: /var/lib/pvgate}")
	}
	if k.Rate.V.PerSecond() > maxLinkRate {
		l.fail(k.Rate.Origin, "rate %s is more than %d/s; others' servers pay for it", k.Rate.V, maxLinkRate)
	}
}
