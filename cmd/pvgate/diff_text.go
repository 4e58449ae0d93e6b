// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// The report of diff: totals first, then by Land, backend and offer, then the biggest flows with examples.

// shownGroups bounds each list of the report without --all.
const shownGroups = 20

// changeMeans says in words what a kind is.
var changeMeans = [routing.ChangeKinds]string{
	routing.Moved:           "another backend answers",
	routing.Renamed:         "the same address, under another backend",
	routing.Readdressed:     "the same backend, another address or page instead of service",
	routing.BecameAmbiguous: "several targets, the citizen has to choose",
	routing.Appeared:        "answered, where nobody answered before",
	routing.Vanished:        "nobody answers any more",
	routing.OtherReason:     "nobody answers, for another reason than before",
}

// printer writes lines in columns and keeps the first error.
type printer struct {
	*tabwriter.Writer
	limit int
	err   error
}

func (p *printer) line(format string, args ...any) {
	if _, err := fmt.Fprintf(p.Writer, format+"\n", args...); err != nil && p.err == nil {
		p.err = err
	}
}

// part begins a part: columns are aligned within one.
func (p *printer) part(title string) {
	if err := p.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	p.line("\n%s", title)
}

// more says how many of n are not shown.
func (p *printer) more(n int) {
	if n > p.limit {
		p.line("  … and %d more; --all shows them", n-p.limit)
	}
}

func (r *diffReport) print(w io.Writer) error {
	p := &printer{Writer: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0), limit: shownGroups}
	if r.all {
		p.limit = 1 << 62
	}
	p.line("old\t%s\tat %s\t%d rows", r.Old.Config, berlinTime(r.Old.At), r.Old.Rows)
	p.line("new\t%s\tat %s\t%d rows", r.New.Config, berlinTime(r.New.At), r.New.Rows)
	p.part(fmt.Sprintf("%d of %d pairs (%d Leistungen × %d Gemeinden) change, in %s with %s",
		r.Changed.Pairs, r.Pairs, r.Leistungen, r.Gemeinden, gemeinden(r.Changed), inhabitants(r.Changed)))
	for _, k := range r.Kinds {
		p.line("  %s\t%s\t%s\t%s\t%s", k.Kind, pairs(k.Pairs), gemeinden(k.Tally), inhabitants(k.Tally), changeMeans[k.Kind])
	}
	r.printLands(p)
	printNames(p, "by backend", r.Backends)
	printNames(p, "by offer", r.Offers)
	r.printHosts(p)
	r.printPlaces(p)
	r.printFlows(p)
	if r.all {
		r.printAll(p)
	}
	if err := p.Flush(); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return p.err
}

// counted is a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func pairs(n int) string { return counted(n, "pair", "pairs") }

func gemeinden(t routing.Tally) string { return counted(t.Gemeinden, "Gemeinde", "Gemeinden") }

func inhabitants(t routing.Tally) string { return counted(t.Inhabitants, "inhabitant", "inhabitants") }

func berlinTime(t time.Time) string { return t.In(registry.Berlin()).Format("2006-01-02 15:04") }

func (r *diffReport) printLands(p *printer) {
	if len(r.Lands) == 0 {
		return
	}
	p.part("by Land")
	for _, l := range r.Lands {
		var kinds []string
		for k := routing.Moved; int(k) < routing.ChangeKinds; k++ {
			if n := l.Kinds[k]; n > 0 {
				kinds = append(kinds, fmt.Sprintf("%d %s", n, k))
			}
		}
		p.line("  %s %s\t%s\t%s\t%s\t%s", l.Land, l.Name, pairs(l.Pairs), gemeinden(l.Tally), inhabitants(l.Tally), strings.Join(kinds, ", "))
	}
}

func printNames(p *printer, title string, list []routing.OfName) {
	if len(list) == 0 {
		return
	}
	p.part(title)
	side := func(word string, t routing.Tally) string {
		if t.Pairs == 0 {
			return "-"
		}
		return fmt.Sprintf("%s %s (%s)", word, pairs(t.Pairs), inhabitants(t))
	}
	for _, x := range list[:min(len(list), p.limit)] {
		p.line("  %s\t%s\t%s", x.Name, side("gains", x.Gained), side("loses", x.Lost))
	}
	p.more(len(list))
}

func (r *diffReport) printHosts(p *printer) {
	if len(r.Hosts) == 0 {
		return
	}
	p.part("hosts")
	for _, h := range r.Hosts[:min(len(r.Hosts), p.limit)] {
		what := "moved"
		if h.Renamed {
			what = "renamed"
		}
		shown := h.Hosts[:min(len(h.Hosts), p.limit)]
		if len(shown) < len(h.Hosts) {
			shown = append(shown[:len(shown):len(shown)], "…")
		}
		p.line("  %s → %s\t%s\t%s at the same address\t%s", h.From, h.To, what, pairs(h.Pairs), strings.Join(shown, " "))
	}
	p.more(len(r.Hosts))
}

func (r *diffReport) printPlaces(p *printer) {
	if len(r.Places) == 0 {
		return
	}
	p.part("Gemeinden with another key")
	for _, x := range r.Places[:min(len(r.Places), p.limit)] {
		p.line("  %s: %s → %s, %s, changes: %s", x.Name, orNone(x.Old), orNone(x.New), inhabitants(routing.Tally{Inhabitants: x.Inhabitants}), pairs(x.Pairs))
		for _, f := range x.Flows[:min(len(x.Flows), p.limit)] {
			p.line("    %s\t%s → %s\t%s", f.Kind, f.From, f.To, pairs(f.Pairs))
		}
		p.more(len(x.Flows))
	}
	p.more(len(r.Places))
}

func orNone(key string) string {
	if key == "" {
		return "none"
	}
	return key
}

func (r *diffReport) printFlows(p *printer) {
	if len(r.Flows) == 0 {
		return
	}
	p.part("from → to, the biggest first")
	for _, f := range r.Flows[:min(len(r.Flows), p.limit)] {
		p.line("  %s  %s → %s: %s, %s, %s", f.Kind, f.From, f.To, pairs(f.Pairs), gemeinden(f.Tally), inhabitants(f.Tally))
		for _, x := range f.Examples {
			p.line("    %s", strings.Join(strings.Fields(x.Leistung.String()+" "+x.Title+" at "+x.Area+" "+x.Name), " "))
			if x.Old != "" && x.Old != x.New {
				p.line("      was %s", x.Old)
			}
			if x.New != "" {
				p.line("      is  %s", x.New)
			}
		}
	}
	p.more(len(r.Flows))
}

// printAll lists every change.
func (r *diffReport) printAll(p *printer) {
	if r.Changed.Pairs == 0 {
		return
	}
	p.part("every change")
	err := r.each(func(c *routing.Change) error {
		key, name := r.place(c.Plots[0])
		more := ""
		if n := len(c.Plots) - 1; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		p.line("  %s  %s  %s → %s  %s %s%s", c.Leistung, c.Kind, c.From, c.To, key, name, more)
		return p.err
	})
	if p.err == nil {
		p.err = err
	}
}

// printJSON writes the report; with --all the changes come one by one, since there may be more than memory holds.
func (r *diffReport) printJSON(w io.Writer) error {
	if !r.all {
		return writeJSON(w, r)
	}
	head, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	b := bufio.NewWriter(w)
	_, _ = b.Write(head[:len(head)-1]) // bufio keeps the first error for Flush
	_, _ = b.WriteString(`,"changes":[`)
	comma := ""
	err = r.each(func(c *routing.Change) error {
		line := diffChange{Kind: c.Kind, Leistung: c.Leistung, From: c.From, To: c.To}
		for _, p := range c.Plots {
			key, _ := r.place(p)
			line.Gemeinden = append(line.Gemeinden, key)
		}
		text, err := json.Marshal(line)
		_, _ = b.WriteString(comma + "\n")
		comma = ","
		_, _ = b.Write(text)
		return err
	})
	_, _ = b.WriteString("]}\n")
	return errors.Join(err, b.Flush())
}
