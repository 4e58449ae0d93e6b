// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"maps"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// target finds a draft's address and backend (R16). A target that cannot be used makes an operator's load fail and
// blocks a source's row (R7); false leaves the row out.
func (c *compiler) target(d *draft) bool {
	e := d.e
	d.backend = -1
	if e.Backend != "" {
		id, ok := c.t.byName[e.Backend]
		if !ok {
			c.unknownBackend(e.Origin, e.Backend)
			return false
		}
		d.backend = int32(id)
		if e.URL == "" {
			return c.path(d)
		}
	}
	text := e.URL
	if e.Template {
		var ok bool
		if d.url, ok = c.template(e.Origin, e.URL); !ok {
			return false
		}
		text = sample(e.URL)
	} else {
		d.url = c.strings.put(e.URL)
	}
	cause := c.check(text, &d.backend)
	for _, o := range e.Others {
		if bad := c.check(sample(o.URL), &d.backend); cause == "" {
			cause = bad
		}
	}
	if cause != "" && d.refused == "" {
		c.problem(e.Origin, "%s cannot be a target: %s", quoted(e.URL), cause)
		d.refused = cause
	}
	return true
}

// path makes the address of an entry that names backend and path.
func (c *compiler) path(d *draft) bool {
	e, b := d.e, &c.in.Backends[d.backend]
	if !strings.HasPrefix(e.Path, "/") {
		c.problem(e.Origin, `path %s of backend %q does not begin with "/"; write e.g. "/antrag/{leistung}"`, quoted(e.Path), b.Name)
		return false
	}
	text := e.Path
	if !b.Proxy {
		if len(b.Hosts) == 0 {
			c.problem(e.Origin, "backend %q has no hosts, so a path leads nowhere; give it hosts or write the entry with a url", b.Name)
			return false
		}
		text = "https://" + strings.ToLower(b.Hosts[0]) + e.Path
	} else if strings.ContainsRune(e.Path, '#') {
		c.problem(e.Origin, "path %s has a fragment, which never reaches a proxied backend; use mode: redirect", quoted(e.Path))
		return false
	}
	var ok bool
	d.url, ok = c.template(e.Origin, text)
	return ok
}

// check reads a literal URL and finds its backend if that is not known yet (-1). The cause says why the URL cannot be
// a target of the backend, "" if it can.
func (c *compiler) check(url string, backend *int32) (cause string) {
	if strings.HasPrefix(url, "/") && c.proxied(*backend) {
		return "" // a path of an offer's template
	}
	u, err := registry.ParseTarget(url)
	if err != nil {
		return err.Error()
	}
	if *backend < 0 {
		*backend = c.backendOf(u.Host)
	}
	return c.t.refusal(&u, *backend)
}

// refusal is why a URL cannot be a target of its backend, "" if it can.
func (t *Table) refusal(u *registry.Target, backend int32) (cause string) {
	proxied := backend >= 0 && int(backend) < t.nConf && t.backends[backend].proxy
	switch {
	case t.self(u.Host):
		return "the host is the gateway's own"
	case !proxied:
	case u.HasFrag:
		return "a fragment (#…) never reaches a proxied backend; backend " + t.backends[backend].name + " needs mode: redirect"
	case u.Scheme != "https" && u.Scheme != "http":
		return "a proxied backend speaks http and https only"
	}
	return ""
}

// self says whether a host is one of the gateway's.
func (t *Table) self(host string) bool {
	for _, s := range t.selfHosts {
		if tail, ok := strings.CutPrefix(s, "*"); ok && strings.HasPrefix(tail, ".") && strings.HasSuffix(host, tail) {
			return true
		}
		if s == host {
			return true
		}
	}
	return false
}

func (c *compiler) proxied(backend int32) bool {
	return backend >= 0 && int(backend) < c.t.nConf && c.in.Backends[backend].Proxy
}

// backendOf is the backend that lists a host, else the implicit one of that name (R16).
func (c *compiler) backendOf(host string) int32 {
	host = strings.TrimSuffix(host, ".")
	if id, ok := c.hosts[host]; ok {
		return id
	}
	id := int32(c.t.nConf + len(c.implicits))
	c.hosts[host] = id
	c.implicits = append(c.implicits, host)
	return id
}

func (c *compiler) unknownBackend(at registry.Origin, name string) {
	c.fatal(at, "backend %q is not defined (backends: %s)", name, c.backendNames())
}

// backendNames lists the configured backends for messages, at most 20.
func (c *compiler) backendNames() string {
	names := slices.Sorted(maps.Keys(c.t.byName))
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 20 {
		return strings.Join(names[:20], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// template gives the address of a template's text; one without placeholders is a literal.
func (c *compiler) template(at registry.Origin, text string) (uint32, bool) {
	if url, ok := c.byText[text]; ok {
		return url, true
	}
	t, err := registry.ParseTemplate(text)
	if err != nil {
		c.problem(at, "%v", err)
		return 0, false
	}
	var url uint32
	if t.Static() {
		literal, err := t.Append(nil, &registry.Values{})
		if err != nil {
			c.problem(at, "template %s: %v", quoted(text), err)
			return 0, false
		}
		url = c.strings.put(string(literal))
	} else {
		url = uint32(len(c.t.templates)) | isTemplate
		c.t.templates = append(c.t.templates, template{t: t, strict: strict(t), destination: t.Uses("destination_id")})
	}
	c.byText[text] = url
	return url, true
}

// strict says whether a template can fail for want of a value: it is tried with none.
func strict(t registry.Template) bool {
	_, err := t.Append(nil, &registry.Values{})
	return err != nil
}

// sample fills a template's placeholders with something plain, to see its host and parts.
func sample(text string) string {
	if !strings.ContainsRune(text, '{') {
		return text
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		_, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return b.String()
		}
		b.WriteByte('0')
		text = after
	}
}

// quoted cuts a text for messages to what a line can bear.
func quoted(s string) string {
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return `"` + s + `"`
}
