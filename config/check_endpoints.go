// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"net/url"
	"path"
	"strings"
	"time"
)

// shortestCheck is how close to one another the checks of an endpoint may be.
const shortestCheck = 100 * time.Millisecond

// maxSocketPath is the longest path of a Unix socket, octets (unix(7)).
const maxSocketPath = 107

// anEndpoint is what one looks like.
const anEndpoint = "http://host:port, https://host:port or unix:/path"

// Socket is the path of the Unix socket that the endpoint is, if it is one.
func (e *Endpoint) Socket() (path string, ok bool) { return strings.CutPrefix(e.V, "unix:") }

// checkEndpoint holds what an endpoint may be: scheme, host and port, or the path of a socket, nothing else.
func (l *loader) checkEndpoint(e *Endpoint) {
	if e.V == "" {
		return
	}
	if p, ok := e.Socket(); ok {
		l.checkSocket(e.Text, p)
		return
	}
	u, err := url.Parse(e.V)
	switch {
	case err == nil && strings.Contains(u.Scheme, "unix"):
		l.fail(e.Origin, "endpoint %q has scheme %q; a socket is spoken to without TLS, which protects nothing within a machine: write unix:/path", e.V, u.Scheme)
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		l.fail(e.Origin, "endpoint %q is no address; write %s", e.V, anEndpoint)
	case u.Scheme != "http" && u.Scheme != "https":
		l.fail(e.Origin, "endpoint %q has scheme %q; write %s", e.V, u.Scheme, anEndpoint)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "", u.Path != "" && u.Path != "/":
		l.fail(e.Origin, "endpoint %q says more than scheme, host and port; write %s://%s (paths belong to entries)", e.V, u.Scheme, u.Host)
	case !isAuthority(u.Host) && !isListenHost(u.Host):
		l.fail(e.Origin, "endpoint %q names no host in lower case or no port from 1 to 65535; write http://host:port or https://host:port", e.V)
	}
}

// checkSocket holds what the path of a Unix socket may be. Abstract ones, which begin with @, belong to whoever comes first.
func (l *loader) checkSocket(t Text, p string) {
	switch {
	case strings.HasPrefix(p, "@"):
		l.fail(t.Origin, "endpoint %q is an abstract socket, which anybody on the machine may open; write unix:/path", t.V)
	case !path.IsAbs(p) || path.Clean(p) != p || p == "/":
		l.fail(t.Origin, "endpoint %q is no absolute path without . and .. and //; write unix:/run/portal.sock", t.V)
	case strings.ContainsFunc(p, func(r rune) bool { return !isSocketLetter(r) }):
		l.fail(t.Origin, "endpoint %q has more in its path than letters, digits and / . _ -; name the socket so", t.V)
	case len(p) > maxSocketPath:
		l.fail(t.Origin, "endpoint %q has a path of %d octets, and a socket's has at most %d; move it", t.V, len(p), maxSocketPath)
	}
}

func isSocketLetter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-", r)
}

// checkEndpoints judges what is said of all endpoints of a backend.
func (l *loader) checkEndpoints(name string, v *Backend) {
	sockets := 0
	for i := range v.Endpoints {
		if _, ok := v.Endpoints[i].Socket(); ok {
			sockets++
		}
	}
	if sockets > 0 && sockets == len(v.Endpoints) && !v.Host.Set() {
		l.fail(v.Endpoints[0].Origin, "backend %q is reached by a socket, which names no host; write host: www.example.de beside it", name)
	}
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
