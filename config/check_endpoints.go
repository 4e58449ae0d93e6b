// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"net/url"
	"time"
)

// shortestCheck is how close to one another the checks of an endpoint may be.
const shortestCheck = 100 * time.Millisecond

// checkEndpoints judges what is said of all endpoints of a backend.
func (l *loader) checkEndpoints(v *Backend) {
	seen := map[string]Origin{}
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if at, twice := seen[e.V]; twice && e.V != "" {
			l.fail(e.Origin, "endpoint %q stands at %s already; give it a weight there instead", e.V, at)
		}
		seen[e.V] = e.Origin
		if e.Weight.Set() && v.Pick.V == "round_robin" {
			l.fail(e.Weight.Origin, "weight does nothing with pick: round_robin; write pick: weighted, or remove it")
		}
	}
	if h := v.Health; h != nil {
		if h.Every.V < shortestCheck {
			l.fail(h.Every.Origin, "every %v is a load rather than a check; write at least %v", h.Every.V, shortestCheck)
		}
		if _, err := url.ParseRequestURI(h.Path.V); h.Path.V != "" && err != nil {
			l.fail(h.Path.Origin, "path %q cannot be asked for; write it as it stands in a request, such as /health", h.Path.V)
		}
	}
}

func firstEndpoint(list []Endpoint) Origin {
	if len(list) == 0 {
		return Origin{}
	}
	return list[0].Origin
}

func healthAt(h *Health) Origin {
	if h == nil {
		return Origin{}
	}
	return h.At
}
