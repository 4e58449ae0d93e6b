// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/links"
)

// linkDesk has the checker of links, if one is wanted. Of several processes one checks; another waits until it has ended.
type linkDesk struct {
	log     *slog.Logger
	changed chan struct{} // told when there may be something else to check

	mu      sync.Mutex // guards what stands below
	wanted  bool       // by what is in service
	checker *links.Checker
}

func newLinkDesk(log *slog.Logger) *linkDesk {
	return &linkDesk{log: log, changed: make(chan struct{}, 1)}
}

// look tells that something else is in service. From now on nothing is shown if it wants no links to be checked, whenever the
// checker ends.
func (d *linkDesk) look(cfg *config.Config) {
	d.mu.Lock()
	_, d.wanted = linkSettingsOf(cfg)
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default: // it is to look anyway
	}
}

func (d *linkDesk) set(c *links.Checker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checker = c
}

// now is the checker whose links are shown; nil where they are not checked.
func (d *linkDesk) now() *links.Checker {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted {
		return nil
	}
	return d.checker
}

// linkSettings are how links are checked; as long as they stay the same, so does the checker.
type linkSettings struct {
	dir, agent   string
	every, pause time.Duration
	rate         float64
	failures     int
}

// linkFolder is where a checker keeps what it knows.
func linkFolder(cfg *config.Config) string {
	return filepath.Join(cfg.Resolve(cfg.Root.Registry.State.V), "links")
}

func linkSettingsOf(cfg *config.Config) (s linkSettings, wanted bool) {
	k := cfg.Root.LinkCheck
	if k == nil {
		return s, false
	}
	agent := fmt.Sprintf("%s/%s (+%s)", links.Agent, readVersion().Version, k.Contact.V)
	return linkSettings{linkFolder(cfg), agent, k.Every.V, k.Pause.V, k.Rate.V.PerSecond(), k.Failures.V}, true
}

// checking is a checker that runs.
type checking struct {
	linkSettings
	changed chan struct{}
	ended   chan struct{}
	end     context.CancelFunc
}

// checkLinks checks the links of what is in service, if the configuration wants it, until ctx ends.
func (s *service) checkLinks(ctx context.Context) {
	var running *checking // nil if none does
	stop := func() {
		if running != nil {
			running.end()
			<-running.ended
			running = nil
			s.links.set(nil)
		}
	}
	defer stop()
	for {
		l, _, _ := s.now()
		settings, wanted := linkSettingsOf(l.cfg)
		if running != nil && (!wanted || running.linkSettings != settings || running.over()) {
			stop()
		}
		switch {
		case wanted && running == nil:
			running = s.startChecking(ctx, settings)
		case wanted:
			select {
			case running.changed <- struct{}{}:
			default: // it is to look anyway
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.links.changed:
		}
	}
}

// over says whether a checker could not go on.
func (r *checking) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// startChecking runs a checker until it is ended, or cannot go on.
func (s *service) startChecking(ctx context.Context, k linkSettings) *checking {
	ctx, end := context.WithCancel(ctx)
	r := &checking{k, make(chan struct{}, 1), make(chan struct{}), end}
	var of *live
	var registry *links.Registry
	c := links.New(links.Options{
		Dir: k.dir, Agent: k.agent, Every: k.every, Rate: k.rate, Pause: k.pause, Failures: k.failures, Changed: r.changed, Log: s.log, Aside: aside,
		Registry: func() *links.Registry {
			if l, _, _ := s.now(); l != of {
				of, registry = l, linksOf(l.cfg, l.routes)
			}
			return registry
		},
	})
	s.links.set(c)
	go func() {
		defer close(r.ended)
		if err := c.Run(ctx); ctx.Err() == nil {
			s.log.Error("links are not checked any more; the next reload tries again", "error", err.Error())
		}
	}()
	return r
}

// linksOf is what a configuration has to check: the registry's rows, and those of its files that name an address.
func linksOf(cfg *config.Config, rt *routes) *links.Registry {
	out := &links.Registry{}
	near := map[string]bool{}
	for i := range cfg.Root.Sources {
		s := &cfg.Root.Sources[i]
		near[s.Name.V] = allows(s, "private")
	}
	if rt.applied != nil {
		out.Index = rt.applied.index
		names := out.Index.Sources()
		out.Near = func(source int) bool { return near[names[source]] }
	}
	f := fixedLinks{rt.areas, map[string]string{}, nil}
	for _, file := range cfg.Files {
		f.owners[file.Name] = cmp.Or(file.Owner, file.Name)
	}
	for i := range rt.entries {
		f.entry(&rt.entries[i])
	}
	for i := range rt.offers {
		f.offer(&rt.offers[i], rt.adoptions)
	}
	out.Fixed = f.list
	return out
}

// fixedLinks gathers the addresses of operators' own rows.
type fixedLinks struct {
	areas  *registry.Areas
	owners map[string]string // of files
	list   []links.Fixed
}

func (f *fixedLinks) entry(e *registry.Entry) {
	if e.URL == "" || e.Inactive {
		return
	}
	l := links.Fixed{URL: e.URL, Leistung: e.Leistung, From: e.Origin, Begin: e.Begin, End: e.End}
	if e.Template && !f.fill(&l, e.URL, e.Area, e.OE, e.LB, e.OD) {
		return
	}
	f.add(l, e.Area)
}

// offer takes of each Leistung the address of one area that has joined: it stands for the others'.
func (f *fixedLinks) offer(o *registry.Offer, adoptions []registry.Adoption) {
	at := slices.IndexFunc(adoptions, func(a registry.Adoption) bool {
		return a.Offer == o.Name && a.State == registry.Live && len(a.Areas) > 0
	})
	if o.State != registry.Live || at < 0 {
		return
	}
	joined := &adoptions[at].Areas[0]
	for _, leistung := range slices.SortedFunc(maps.Keys(o.Leistungen), registry.Leistung.Compare) {
		l := links.Fixed{Leistung: leistung, From: o.Origin, Begin: o.Begin, End: o.End}
		if t := o.Leistungen[leistung]; f.fill(&l, t.String(), joined.Area, joined.OE, "", "") {
			f.add(l, joined.Area)
		}
	}
}

// fill writes an address of a template; false if it cannot be written without a citizen.
func (f *fixedLinks) fill(l *links.Fixed, template string, area registry.AreaID, oe, lb, od string) bool {
	t, err := registry.ParseTemplate(template)
	if err != nil {
		return false
	}
	text, err := t.Append(nil, &registry.Values{Leistung: l.Leistung, ARS: f.areas.ARS(area), Lang: "de", OE: oe, LB: lb, OD: od})
	l.URL = string(text)
	return err == nil
}

func (f *fixedLinks) add(l links.Fixed, area registry.AreaID) {
	l.Owner, l.Land = cmp.Or(f.owners[l.From.File], l.From.File), f.areas.LandOf(area)
	l.Area = cmp.Or(f.areas.ARS(area).String(), "00")
	l.Near = true // the operator has written it
	if _, err := registry.ParseTarget(l.URL); err == nil {
		f.list = append(f.list, l)
	}
}

// linkSummary is the part of status about links.
type linkSummary struct {
	// Waiting says that another process checks.
	Waiting bool      `json:"waiting,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	Links   int       `json:"links"`
	Checked int       `json:"checked"`
	Stale   int       `json:"stale"`
	Round   float64   `json:"round_seconds"`
	Blind   bool      `json:"blind,omitempty"`
}

// summary is nil where links are not checked.
func (d *linkDesk) summary() *linkSummary {
	c := d.now()
	if c == nil {
		return nil
	}
	r := c.Report()
	if r == nil {
		return &linkSummary{Waiting: true}
	}
	return &linkSummary{Made: r.Made, Links: r.Links, Checked: r.Checked, Stale: r.Stale, Round: r.Round, Blind: r.Blind}
}

// print shows the part of status in text.
func (r *linkSummary) print(w io.Writer) {
	switch {
	case r == nil:
	case r.Waiting:
		fmt.Fprintln(w, "links        another process checks them, or there is no report yet")
	default:
		fmt.Fprintf(w, "links        %d of %d addresses checked, %d stale; a round takes %v\n", r.Checked, r.Links, r.Stale, time.Duration(r.Round*float64(time.Second)).Round(time.Second))
		if r.Blind {
			fmt.Fprintln(w, "  nobody answers, so nothing is said of anybody: can this machine reach the web?")
		}
	}
}

// errNoLinks says that there is nothing to show.
var errNoLinks = errors.New("links are not checked, or there is no report yet; link_check in pvgate.yaml has them checked")

// answer is what the admin listener shows of links.
func (d *linkDesk) answer(context.Context) (any, error) {
	if c := d.now(); c != nil && c.Report() != nil {
		return c.Report(), nil
	}
	return nil, errNoLinks
}

// shown is what the metrics show of links; nil where they are not checked.
func (d *linkDesk) shown() *metrics.Links {
	c := d.now()
	if c == nil || c.Report() == nil {
		return nil
	}
	r := c.Report()
	return &metrics.Links{Results: r.Results, Stale: r.Lands, Requests: c.Requests()}
}
