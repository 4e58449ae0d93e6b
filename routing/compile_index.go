// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// What the index's rows mean here: whose hosts they lead to, and how far their source is trusted. Rows that agree in
// all of that share their traits, so it is said of some thousands, not of millions.

// hostsOfIndex finds the backends of the index's hosts.
func (c *compiler) hostsOfIndex() {
	for i, t := range c.t.index.Traits() {
		if host, _, _ := strings.Cut(c.hostsOf(t), " "); host != "" && c.t.index.RowsOf(i) > 0 {
			c.backendOf(host)
		}
	}
}

// hostsOf are the hosts of traits: the URL's, then those of further languages.
func (c *compiler) hostsOf(t index.Traits) string {
	return c.t.index.Text(t.Hosts, registry.Leistung{}, uint32(registry.Bund))
}

// traitsOfIndex makes the table's traits of the index's.
func (c *compiler) traitsOfIndex() {
	t := c.t
	sources := c.sourcesOfIndex()
	t.valid = slices.Clone(t.index.Spans())
	for i, s := range t.valid {
		c.spans[s] = uint32(i)
	}
	t.traits = make([]traits, len(t.index.Traits()))
	refused := make([]bool, len(t.traits))
	for i, in := range t.index.Traits() {
		if t.index.RowsOf(i) == 0 {
			continue
		}
		made := traits{valid: in.Span, source: sources[in.Source], flags: flagsOf(in.Flags)}
		list := strings.Fields(c.hostsOf(in))
		if len(list) == 0 {
			made.flags |= flagNoBackend
		} else {
			made.backend = uint32(c.backendOf(list[0]))
			b := &t.backends[made.backend]
			if b.closed {
				made.flags |= flagClosed
			}
			refused[i] = made.flags&flagBlocked == 0 && (b.proxy && in.Flags&index.Fragment != 0 || slices.ContainsFunc(list, t.self))
		}
		if refused[i] {
			made.flags |= flagBlocked
		}
		t.traits[i] = made
		c.traitsID[made] = uint32(i)
	}
	c.warnRefused(refused)
}

// sourcesOfIndex gives the place in the order of trust of the index's sources.
func (c *compiler) sourcesOfIndex() []uint16 {
	names := c.t.index.Sources()
	places, used := make([]uint16, len(names)), make([]bool, len(names))
	for i, t := range c.t.index.Traits() {
		if c.t.index.RowsOf(i) > 0 {
			used[t.Source] = true
		}
	}
	for i, name := range names {
		at := slices.Index(c.in.Sources, name)
		if at < 0 && used[i] {
			c.fatal(registry.Origin{Source: name}, "the index has rows of source %q, which is not configured; build it anew", name)
		}
		places[i] = uint16(max(at, 0))
	}
	return places
}

// flagsOf are the flags that the index knows.
func flagsOf(in index.Flags) (out rowFlags) {
	for _, f := range [...]struct {
		in  index.Flags
		out rowFlags
	}{
		{index.Page, flagPage},
		{index.Inactive, flagInactive},
		{index.Refused, flagBlocked},
		{index.General, flagGeneral},
		{index.OtherRole, flagOtherRole},
		{index.Priority, flagPriority},
		{index.HasContext, flagContext},
		{index.HasOthers, flagOthers},
	} {
		if in&f.in != 0 {
			out |= f.out
		}
	}
	return out
}

// warnRefused names the rows whose target only this configuration refuses.
func (c *compiler) warnRefused(traits []bool) {
	if !slices.Contains(traits, true) {
		return // the rule: nothing is looked through
	}
	for row, e := range c.t.index.Where(func(n uint32) bool { return traits[n] }) {
		if len(c.problems) > maxWarnings {
			return
		}
		c.warning(e.Origin, "%s cannot be a target: %s", quoted(e.URL), c.t.whyRefused(row, &e))
	}
}

// whyRefused is why this configuration refuses the target of an index's row.
func (t *Table) whyRefused(row uint32, e *registry.Entry) string {
	for _, o := range append([]registry.LangURL{{URL: e.URL}}, e.Others...) {
		u, err := registry.ParseTarget(o.URL)
		if err != nil {
			continue // the index says so itself
		}
		if cause := t.refusal(&u, int32(t.traitsOf(row).backendID())); cause != "" {
			return cause
		}
	}
	return ""
}
