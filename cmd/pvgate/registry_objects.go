// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	transport "github.com/pvgate/pvgate/registry/delivery"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

// objectsDir is where the stores of objects lie in the folder of the state, one for each source of type xzufi.
const objectsDir = "objects"

// objectsFolder is the folder of a source's store.
func objectsFolder(cfg *config.Config, name string) string {
	return filepath.Join(cfg.Resolve(cfg.Root.Registry.State.V), objectsDir, name)
}

// objectsImport is one question to a source of type xzufi: what it has is brought and applied to the source's store.
type objectsImport struct {
	cfg    *config.Config
	s      *config.Source
	run    importer
	accept string // digest of changes that may delete whatever they delete; "" = none
	from   transport.Options
}

// importOf prepares a question. What comes lies in a folder of the source's own, which nobody else uses before end.
func (c *courier) importOf(ctx context.Context, cfg *config.Config, s *config.Source, into string) (o *objectsImport, end func(), err error) {
	dir := filepath.Join(into, incomingDir, s.Name.V)
	release, err := claim(ctx, dir)
	if err != nil {
		return nil, func() {}, err
	}
	o = &objectsImport{cfg: cfg, s: s, run: c.imports}
	o.from = transport.Options{Source: s.Name.V, Place: cfg.Resolve(s.Path.V), Dir: filepath.Join(dir, "files")}
	if !s.URL.Set() {
		return o, release, nil
	}
	client := fetch.Client(fetch.Policy{
		HTTP: strings.HasPrefix(s.URL.V, "http://"), Address: registry.AddressPolicy{Private: allows(s, "private")}, Before: c.spend(s),
	})
	o.from.Place, o.from.Client = s.URL.V, client
	if t := s.Token; t != nil {
		token := transport.Token{URL: t.URL.V, Client: t.Client.V, SecretFile: cfg.Resolve(t.Secret.V)}
		o.from.Client = token.Authorised(client)
	}
	end = func() {
		client.CloseIdleConnections()
		release()
	}
	return o, end, os.MkdirAll(o.from.Dir, 0o700)
}

// fetchObjects delivers the rows of a source's objects, after what has come is applied. One of the known deliveries is returned
// where nothing else has come.
func (c *courier) fetchObjects(ctx context.Context, cfg *config.Config, s *config.Source, into string, known ...*delivery) (*delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, min(fetchTime, max(s.Interval(), time.Hour)))
	defer cancel()
	o, end, err := c.importOf(ctx, cfg, s, into)
	defer end()
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if d != nil && d.accepted {
			o.accept = d.digest
		}
	}
	stamp, err := o.bring(ctx, known)
	if held := (*objects.Shrunk)(nil); errors.As(err, &held) {
		return nil, &heldBack{held, &delivery{digest: held.Digest, stat: stamp.String(), held: held}}
	}
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if d != nil && d.file != "" && stampOf(d).serial == stamp.serial {
			same := *d
			same.stat = stamp.String()
			return &same, nil
		}
	}
	rows := filepath.Join(into, incomingDir, s.Name.V, "rows")
	if _, err = o.apply(ctx, nil, rows); err != nil {
		return nil, err
	}
	d := &delivery{stat: stamp.String()}
	if d.digest, err = digestFile(ctx, rows); err != nil {
		return nil, err
	}
	return d, d.put(rows, into, s.Name.V)
}

// heldBack is a delivery that deletes too much. It is here, and an operator may accept it.
type heldBack struct {
	*objects.Shrunk
	delivery *delivery
}

func (h *heldBack) Unwrap() error { return h.Shrunk }

// stamp says which delivery was applied last, and what the store had then.
type stamp struct {
	version string // "" = nobody knows
	serial  uint64
}

func (s stamp) String() string { return s.version + " " + strconv.FormatUint(s.serial, 10) }

func stampOf(d *delivery) stamp {
	version, serial, _ := strings.Cut(d.stat, " ")
	n, _ := strconv.ParseUint(serial, 10, 64)
	return stamp{version, n}
}

// bring applies what the source has, unless it is applied already.
func (o *objectsImport) bring(ctx context.Context, known []*delivery) (stamp, error) {
	if o.s.Changes.V {
		return o.changes(ctx)
	}
	w, err := transport.Index(ctx, &o.from)
	if err != nil {
		return stamp{}, err
	}
	now := stamp{w.Version, o.state().Serial}
	for _, d := range known {
		if d == nil || w.Version == "" || d.stat != now.String() || d.accepted {
			continue
		}
		if d.held != nil {
			return now, d.held
		}
		return now, nil
	}
	part := importPart{Full: true}
	if fetch.IsURL(o.from.Place) {
		for _, f := range w.Files {
			part.Files = append(part.Files, importFile{f.Name, f.Path})
		}
	} else {
		part.Place = o.from.Place
	}
	report, err := o.apply(ctx, []importPart{part}, "")
	if report != nil {
		now.serial = report.State.Serial
	}
	return now, err
}

// pagesAtOnce are applied by one process.
const pagesAtOnce = 50

// changes applies what has changed, page by page, until there is no more.
func (o *objectsImport) changes(ctx context.Context) (stamp, error) {
	at := o.state().Cursor
	seen := map[string]bool{}
	for complete := false; ; {
		var parts []importPart
		for n := 0; n < pagesAtOnce && !complete; n++ {
			page, done, err := transport.Changes(ctx, &o.from, at)
			if err != nil {
				return stamp{}, err
			}
			part := importPart{Cursor: page.Cursor}
			for _, f := range page.Files {
				path, err := o.keepPage(f, n)
				if err != nil {
					return stamp{}, err
				}
				part.Files = append(part.Files, importFile{f.Name, path})
			}
			parts, at, complete = append(parts, part), page.Cursor, done
			if seen[at.URL] && !complete {
				return stamp{}, &source.Refusal{Cause: source.CauseSchema, Origin: registry.Origin{Source: o.s.Name.V, File: fetch.Shown(at.URL)}, Text: "its pages lead round in circles"}
			}
			seen[at.URL] = true
		}
		report, err := o.apply(ctx, parts, "")
		if err != nil || complete {
			return stamp{"changes", serialOf(report)}, err
		}
	}
}

func serialOf(r *importReport) uint64 {
	if r == nil {
		return 0
	}
	return r.State.Serial
}

// keepPage writes a page to where the process that imports finds it.
func (o *objectsImport) keepPage(f objects.File, n int) (path string, err error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	path = filepath.Join(o.from.Dir, fmt.Sprintf("page-%d.xml", n))
	w, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(w, r)
	return path, errors.Join(err, w.Close())
}

// state is what the source's store knows; nothing if there is none.
func (o *objectsImport) state() objects.State {
	state, err := objects.ReadState(objectsFolder(o.cfg, o.s.Name.V))
	if err != nil {
		return objects.State{} // then all is asked for
	}
	return state
}

// apply carries out an import. A refusal comes with the report.
func (o *objectsImport) apply(ctx context.Context, parts []importPart, rows string) (*importReport, error) {
	report, err := o.run(ctx, &importPlan{
		Source: o.s.Name.V, Store: objectsFolder(o.cfg, o.s.Name.V), Parts: parts, Rows: rows,
		Shrink: config.Share(o.cfg.Root.Registry.Shrink.V), Accept: o.accept,
	})
	if err == nil && report.Refused != nil {
		err = report.Refused.err()
	}
	return report, err
}
