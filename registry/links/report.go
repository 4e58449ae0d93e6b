// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/source"
)

// Report is what is known of the links of a registry.
type Report struct {
	Made    time.Time `json:"made"`
	Links   int       `json:"links"` // distinct addresses of live rows; what differs in its place's digits alone is one
	Hosts   int       `json:"hosts"`
	Checked int       `json:"checked"`        // of Links
	Left    int       `json:"left,omitempty"` // of Links: nobody asks for them, for there are too many hosts
	// Round is how long it takes until every address has been asked once.
	Round   float64        `json:"round_seconds"`
	Blind   bool           `json:"blind,omitempty"` // nobody answers: it may be the network of this machine
	Results map[string]int `json:"results"`         // of the last checks, by [Result]
	Stale   int            `json:"stale"`           // links that have failed often enough
	Lands   map[string]int `json:"stale_lands"`     // the same by Land, 00 the Bund; one that several Länder use is in each
	// Owners are those whose rows have stale or moved links, by Land and name.
	Owners []OwnerReport `json:"owners"`
	// StaleLinks and MovedLinks are the first of them, by Land and owner.
	StaleLinks []LinkReport `json:"stale_links"`
	MovedLinks []LinkReport `json:"moved_links"`
}

// OwnerReport counts what is wrong with the rows of one who keeps some in one Land.
type OwnerReport struct {
	Land  string `json:"land"`
	Owner string `json:"owner"`
	Stale int    `json:"stale"`
	Rows  int    `json:"rows"` // that lead to stale links
	Moved int    `json:"moved"`
}

// LinkReport is a link that somebody should look at.
type LinkReport struct {
	URL      string    `json:"url"`
	Sample   bool      `json:"sample,omitempty"` // it stands for the addresses of several places that differ in their digits alone
	Result   string    `json:"result"`
	Code     int       `json:"status,omitempty"`
	To       string    `json:"to,omitempty"` // where its redirects lead
	Since    time.Time `json:"since,omitzero"`
	Checked  time.Time `json:"checked"`
	Failures int       `json:"failures,omitempty"`
	Rows     int       `json:"rows"`
	Lands    []string  `json:"lands"`
	Owners   []string  `json:"owners"`
	// One of its rows.
	Leistung string `json:"leistung"`
	Area     string `json:"area"`
	From     string `json:"from"`
}

const (
	// maxListed bounds the links that a report names, of each kind, and maxTold those whose rows it counts.
	maxListed  = 5000
	maxTold    = 100_000
	reportFile = "report.json"
	landCount  = 17
)

// told is a link of a report while it is made.
type told struct {
	LinkReport
	stale  bool
	lands  uint32 // bits
	owners map[OwnerReport]int
}

// tell makes the report, and keeps it beside the store.
func (c *Checker) tell() (err error) {
	began := time.Now()
	c.o.Aside(func() {
		var r *Report
		if r, err = c.newReport(began); err == nil {
			err = r.write(filepath.Join(c.o.Dir, reportFile))
			c.report.Store(r)
		}
	})
	c.dirty, c.rested = false, time.Now().Add(max(reportRest*time.Since(began), reportLeast))
	return err
}

// reporter makes a report.
type reporter struct {
	c      *Checker
	texts  map[uint32]*told
	fixed  map[string]*told
	all    []*told
	owners map[uint32]string // by number of the origin
}

func (c *Checker) newReport(now time.Time) (*Report, error) {
	r := &Report{
		Made: now.Truncate(time.Second), Links: c.plan.links, Left: c.plan.left, Hosts: len(c.plan.hosts), Results: map[string]int{}, Lands: map[string]int{},
		Blind: c.silent >= blindChecks && len(c.silence) >= blindHosts, Owners: []OwnerReport{}, StaleLinks: []LinkReport{}, MovedLinks: []LinkReport{},
	}
	round := max(c.o.Every, time.Duration(float64(r.Links)/c.o.Rate*float64(time.Second)))
	for name, s := range c.plan.hosts {
		round = max(round, time.Duration(s.n)*c.o.Pause)
		if st := c.hosts[name].state; st.Rounds > 0 {
			r.Checked += int(s.n)
		} else {
			r.Checked += int(st.Place)
		}
	}
	r.Round = round.Seconds()
	noted := 0
	for result, n := range c.counts {
		if r.Results[Result(result).String()] = n; Result(result) != OK {
			noted += n
		}
	}
	r.Results[OK.String()] = max(0, r.Checked-noted)
	p := &reporter{c: c, texts: map[uint32]*told{}, fixed: map[string]*told{}, owners: map[uint32]string{}}
	if err := c.store.each(func(host, key string, known *record) {
		if known.Result.Fails() && known.Failures >= c.o.Failures {
			r.Stale++
		} else if known.Result != Redirected || !known.Moved {
			return
		}
		p.take(host, key, known)
	}); err != nil {
		return nil, err
	}
	p.rows()
	p.sum(r)
	return r, nil
}

// take notes a link that is to be told.
func (p *reporter) take(host, key string, known *record) {
	l, ok := p.c.plan.find(host, key, known.URL)
	if !ok || len(p.all) >= maxTold {
		return
	}
	t := &told{stale: known.Result != Redirected, owners: map[OwnerReport]int{}, LinkReport: LinkReport{
		URL: l.url, Sample: l.sample, Result: known.Result.String(), Code: known.Code, To: known.To, Since: known.Since, Checked: known.At, Failures: known.Failures,
		Lands: []string{}, Owners: []string{},
	}}
	if p.all = append(p.all, t); l.text != 0 {
		p.texts[l.text] = t
	} else {
		p.fixed[key] = t
	}
}

// rows finds the rows of the links.
func (p *reporter) rows() {
	all := p.c.plan.registry
	for i := range all.Fixed {
		f := &all.Fixed[i]
		if t := p.fixed[f.URL]; t != nil {
			t.row(f.Land, f.Owner, func() (string, string, string) { return f.Leistung.String(), f.Area, f.From.String() })
		}
	}
	x := all.Index
	if x == nil || len(p.texts) == 0 {
		return
	}
	each(x, p.c.planned, func(text, row, area uint32) {
		t := p.texts[text]
		if t == nil {
			return
		}
		t.row(x.Places().At(area).Land(), p.owner(x, row), func() (string, string, string) {
			e := x.Entry(row)
			return e.Leistung.String(), cmp.Or(e.AreaKey, x.Areas().ARS(e.Area).String(), "00"), e.Origin.String()
		})
	})
}

// owner is who keeps a row: its source, and of objects the editorial system that the one with the address is of.
func (p *reporter) owner(x *index.Index, row uint32) string {
	n := x.Record(row).Origin
	if _, known := p.owners[n]; !known {
		e := x.Entry(row)
		p.owners[n] = strings.TrimSpace(x.Sources()[e.Source] + " " + systemOf(e.Origin))
	}
	return p.owners[n]
}

// systemOf is the editorial system of the last object that a row was made of: an Onlinedienst comes after its Leistung.
func systemOf(o registry.Origin) string {
	objects := o.Objects()
	_, id, _ := strings.Cut(objects[strings.LastIndex(objects, ", ")+1:], "/")
	if id == "" {
		return ""
	}
	words := strings.Fields(objects[:len(objects)-len(id)-1])
	return words[len(words)-1]
}

// row adds a row to a link.
func (t *told) row(land uint8, owner string, first func() (leistung, area, from string)) {
	if t.Rows++; t.Rows == 1 {
		t.Leistung, t.Area, t.From = first()
	}
	t.lands |= 1 << land
	t.owners[OwnerReport{Land: landName(int(land)), Owner: owner}]++
}

func landName(n int) string { return fmt.Sprintf("%02d", n) }

// sum fills the report in.
func (p *reporter) sum(r *Report) {
	owners := map[OwnerReport]*OwnerReport{}
	for _, t := range p.all {
		for land := range landCount {
			if t.lands>>land&1 == 0 {
				continue
			}
			t.Lands = append(t.Lands, landName(land))
			if t.stale {
				r.Lands[landName(land)]++
			}
		}
		for who, rows := range t.owners {
			if owners[who] == nil {
				owners[who] = &OwnerReport{Land: who.Land, Owner: who.Owner}
			}
			if o := owners[who]; t.stale {
				o.Stale++
				o.Rows += rows
			} else {
				o.Moved++
			}
			if !slices.Contains(t.Owners, who.Owner) {
				t.Owners = append(t.Owners, who.Owner)
			}
		}
		slices.Sort(t.Owners)
	}
	for _, o := range owners {
		r.Owners = append(r.Owners, *o)
	}
	slices.SortFunc(r.Owners, func(a, b OwnerReport) int { return cmp.Or(cmp.Compare(a.Land, b.Land), cmp.Compare(a.Owner, b.Owner)) })
	slices.SortFunc(p.all, func(a, b *told) int {
		return cmp.Or(slices.Compare(a.Lands, b.Lands), slices.Compare(a.Owners, b.Owners), cmp.Compare(a.URL, b.URL))
	})
	for _, t := range p.all {
		to := &r.MovedLinks
		if t.stale {
			to = &r.StaleLinks
		}
		if len(*to) < maxListed {
			*to = append(*to, t.LinkReport)
		}
	}
}

// write keeps the report for who only looks.
func (r *Report) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return source.Replace(path, text)
}

// ReadReport reads the last report of a folder, also while a process checks.
func ReadReport(dir string) (*Report, error) {
	text, err := os.ReadFile(filepath.Join(dir, reportFile))
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", reportFile, err)
	}
	return r, nil
}
