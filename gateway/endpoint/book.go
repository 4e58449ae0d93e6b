// SPDX-License-Identifier: EUPL-1.2

package endpoint

import "sync"

// Book keeps the state of all endpoints over reloads, by backend and URL. The zero value is ready. Safe for concurrent
// use, but not for the request path: a snapshot holds the groups it got.
type Book struct {
	mu       sync.Mutex // guards backends
	backends map[string]map[string]*Endpoint
}

// Options is a backend's endpoints as a configuration describes them.
type Options struct {
	Endpoints []Spec
}

// Group returns a backend's endpoints for a snapshot that is being built. Those that are in service already are the same
// ones; new ones are forgotten again unless the snapshot is put in service.
func (k *Book) Group(name string, o Options) *Group {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := &Group{name: name}
	for i := range o.Endpoints {
		s := &o.Endpoints[i]
		policy := s.Policy
		policy.Literal = policy.Literal || s.Addresses != nil
		e := k.backends[name][s.URL]
		if e == nil {
			e = &Endpoint{url: s.URL, network: s.Network, host: s.Host, port: s.Port, tls: s.TLS}
			e.policy.Store(&policy)
		}
		if s.Addresses != nil {
			e.SetAddresses(s.Addresses)
		}
		g.members = append(g.members, e)
		g.weights = append(g.weights, max(s.Weight, 1))
		g.policies = append(g.policies, policy)
	}
	return g
}

// Apply keeps what the groups of a new snapshot name, right before the snapshot is put in service, and forgets all
// others. Requests still running elsewhere keep their pointer.
func (k *Book) Apply(groups []*Group) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.backends = make(map[string]map[string]*Endpoint, len(groups))
	for _, g := range groups {
		own := make(map[string]*Endpoint, len(g.members))
		for i, e := range g.members {
			own[e.url] = e
			e.policy.Store(&g.policies[i])
		}
		k.backends[g.name] = own
	}
}
