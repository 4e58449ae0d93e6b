// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"go.yaml.in/yaml/v3"
)

// The values that may be written in more than one way read their nodes here.

// decodeNode reads a list of hosts, or the word any.
func (h *Hosts) decodeNode(d *decoder, n *yaml.Node, f *field) {
	h.Origin = d.at(n)
	if n.Kind == yaml.ScalarNode {
		if n.Value != "any" {
			d.fail(n, "%s must be a list of hosts, such as [gw.example.de], or any", f.key)
			return
		}
		h.Any = true
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrongKind(n, f, "a list of hosts, or any")
		return
	}
	if len(n.Content) == 0 {
		d.fail(n, "%s is empty; name at least one, or write any", f.key)
	}
	member := field{key: "host", is: "listenhost"}
	h.Names = make([]Text, len(n.Content))
	for i, c := range n.Content {
		d.text(c, &h.Names[i], &member)
	}
}

// decodeNode reads a list of adoptions, or {csv: FILE}; the file is read by Load.
func (a *Adoptions) decodeNode(d *decoder, n *yaml.Node, f *field) {
	switch n.Kind {
	case yaml.SequenceNode:
		a.List = make([]Adoption, len(n.Content))
		for i, c := range n.Content {
			d.value(c, valueOf(&a.List[i]), f)
		}
	case yaml.MappingNode:
		var form struct {
			CSV Text `key:"csv" need:"yes" is:"path"`
		}
		d.block(n, valueOf(&form), f)
		a.CSV = form.CSV
	default:
		d.wrongKind(n, f, "a list of adoptions, or {csv: FILE}")
	}
}

// decodeNode reads {area: oe_id, …}, or a list of areas.
func (a *AdoptionAreas) decodeNode(d *decoder, n *yaml.Node, f *field) {
	area := field{key: "area", is: "digits"}
	oe := field{key: "oe_id"}
	switch n.Kind {
	case yaml.SequenceNode:
		*a = make(AdoptionAreas, len(n.Content))
		for i, c := range n.Content {
			d.text(c, &(*a)[i].Name, &area)
		}
	case yaml.MappingNode:
		*a = make(AdoptionAreas, len(n.Content)/2)
		for i := range *a {
			k, v := n.Content[2*i], n.Content[2*i+1]
			item := &(*a)[i]
			d.text(k, &item.Name, &area)
			if v.Kind == yaml.ScalarNode && v.Value == "" {
				item.V.Origin = d.at(v) // joined, without an oe_id
				continue
			}
			d.text(v, &item.V, &oe)
		}
	default:
		d.wrongKind(n, f, "a mapping of area: oe_id, or a list of areas")
		return
	}
	if len(n.Content) == 0 {
		d.fail(n, "%s is empty; name at least one", f.key)
	}
}

// decodeNode reads a backend, a URL, or weighted backends.
func (t *To) decodeNode(d *decoder, n *yaml.Node, f *field) {
	t.Origin = d.at(n)
	switch {
	case n.Kind == yaml.ScalarNode:
		d.text(n, &t.Target, f)
	case n.Kind == yaml.MappingNode && !(len(n.Content) == 2 && n.Content[1].Tag == "!!null"):
		names, weights := field{key: "backend"}, field{key: "weight", is: "weight"}
		t.Weights = make(Map[Int], len(n.Content)/2)
		sum := 0
		for i := range t.Weights {
			w := &t.Weights[i]
			d.text(n.Content[2*i], &w.Name, &names)
			d.number(n.Content[2*i+1], &w.V, &weights)
			sum += w.V.V
		}
		if sum != 100 {
			d.fail(n, "weights sum to %d; they must sum to 100", sum)
		}
	default:
		d.wrongKind(n, f, "a backend, a URL, or {backend: weight, …}")
	}
}

// decodeNode reads a URL, or a URL and its weight.
func (e *Endpoint) decodeNode(d *decoder, n *yaml.Node, f *field) {
	if n.Kind != yaml.MappingNode {
		d.text(n, &e.Text, &field{key: f.key, is: "endpoint"})
		return
	}
	var form weighted
	d.block(n, valueOf(&form), f)
	e.Text, e.Weight = form.URL, form.Weight
}

// weighted is the long form of an endpoint.
type weighted struct {
	URL    Text `key:"url" need:"yes" is:"endpoint" help:"http://host:port, https://host:port or unix:/path"`
	Weight Int  `key:"weight" default:"1" is:"weight" help:"its share of the requests, in proportion"`
}

// decodeNode reads one text or a list of them.
func (l *OneList) decodeNode(d *decoder, n *yaml.Node, f *field) {
	if n.Kind != yaml.SequenceNode {
		*l = make(OneList, 1)
		d.text(n, &(*l)[0], f)
		return
	}
	if len(n.Content) == 0 {
		d.fail(n, "%s is empty; name at least one", f.key)
	}
	*l = make(OneList, len(n.Content))
	for i, c := range n.Content {
		d.text(c, &(*l)[i], f)
	}
}
