// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// demoPortal is one simulated portal.
type demoPortal struct {
	backend string
	name    string        // what it calls itself
	behind  time.Duration // how long it takes to answer
	dead    bool          // nobody listens at its address
	// ask is a request that leads there, for a browser: Leistung and area.
	leistung, area string
	about          string
}

// slowAnswer is how long the slow portal takes; the demo's configuration waits 1 s for it.
const slowAnswer = 5 * time.Second

// demoPortals are the simulated portals, by what stands in demo/routes.d.
func demoPortals() []demoPortal {
	return []demoPortal{
		{backend: "bund", name: "Bund", leistung: "99041008017000", area: "-", about: "Kindergeld, the same everywhere"},
		{backend: "bayern", name: "Freistaat Bayern", leistung: "99041006017000", area: "09", about: "Elterngeld in Bayern"},
		{backend: "berlin", name: "Land Berlin", leistung: "99107023037000", area: "11", about: "Wohngeld in Berlin"},
		{backend: "hamburg", name: "Freie und Hansestadt Hamburg", leistung: "99107023037000", area: "02", about: "Wohngeld in Hamburg"},
		{backend: "hessen", name: "Land Hessen", leistung: "99050012104000", area: "065340004004", about: "Gewerbe anmelden in Biedenkopf, which has nothing of its own"},
		{backend: "marburg", name: "Universitätsstadt Marburg", leistung: "99050012104000", area: "065340014014", about: "Gewerbe anmelden in Marburg, which goes before the Land"},
		{backend: "augsburg", name: "Stadt Augsburg", leistung: "99102013104000", area: "097610000000", about: "Hundesteuer in Augsburg"},
		{backend: "ikfz", name: "i-Kfz, Einer für Alle", leistung: "99036026017000", area: "010010000000", about: "Fahrzeug abmelden in Flensburg, which joined"},
		{backend: "beteiligung", name: "Bürgerbeteiligung Hamburg", leistung: "77020000000001", area: "02", about: "E-Partizipation under a local key of Hamburg"},
		{backend: "slow", name: "The slow portal", behind: slowAnswer, leistung: "99108062012000", area: "-", about: "504 response_timeout: it takes 5 s and has 1 s"},
		{backend: "dead", name: "The dead portal", dead: true, leistung: "99114045017001", area: "-", about: "502 connect_refused: nobody listens there"},
	}
}

// entry is the address that leads to the portal.
func (d *demoPortal) entry(base string) string {
	return base + "/leistung/" + d.leistung + "/" + d.area
}

// portals are the running simulated portals.
type portals struct {
	addresses map[string]string // by backend
	servers   []*http.Server
	served    chan error // one for each server
	reserved  []int      // sockets that hold a port without listening
}

// startPortals starts the simulated portals on free loopback ports. names are the Leistungen by key.
func startPortals(list []demoPortal, names map[string]string, areas *registry.Areas) (*portals, error) {
	p := &portals{addresses: map[string]string{}, served: make(chan error, len(list))}
	for _, d := range list {
		var err error
		if d.dead {
			err = p.reserve(d.backend)
		} else {
			err = p.start(d, &portalPage{names: names, areas: areas})
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("simulated portal %s: %w", d.backend, err), p.Close())
		}
	}
	return p, nil
}

func (p *portals) start(d demoPortal, page *portalPage) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.addresses[d.backend] = ln.Addr().String()
	page.portal = d
	srv := &http.Server{Handler: page, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16}
	p.servers = append(p.servers, srv)
	go func() { p.served <- srv.Serve(ln) }()
	return nil
}

// reserve takes a port and does not listen there: connections are refused, and nobody else gets it.
func (p *portals) reserve(backend string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	p.reserved = append(p.reserved, fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	in4, ok := at.(*syscall.SockaddrInet4)
	if !ok {
		return fmt.Errorf("getsockname: %T is no IPv4 address", at)
	}
	p.addresses[backend] = fmt.Sprintf("127.0.0.1:%d", in4.Port)
	return nil
}

// Close stops the portals and waits until they have stopped.
func (p *portals) Close() error {
	var errs []error
	for _, s := range p.servers {
		errs = append(errs, s.Close())
	}
	for range p.servers {
		if err := <-p.served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	for _, fd := range p.reserved {
		errs = append(errs, syscall.Close(fd))
	}
	p.servers, p.reserved = nil, nil
	return errors.Join(errs...)
}

// portalPage is a simulated portal: it says who it is and what it was asked for.
type portalPage struct {
	portal demoPortal
	names  map[string]string
	areas  *registry.Areas
}

// line is one line of what a portal tells.
type line struct{ Name, Value string }

func (p *portalPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.portal.behind > 0 {
		late := time.NewTimer(p.portal.behind)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done(): // the gateway has given up
			return
		}
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	lines := p.lines(r)
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
		_ = portalHTML().Execute(w, struct { // the client has left if this fails
			Name  string
			Lines []line
		}{p.portal.name, lines})
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s (simulated portal)\n", p.portal.name)
	for _, l := range lines {
		fmt.Fprintf(w, "  %-14s %s\n", l.Name, l.Value)
	}
}

// lines tell what was asked for: by the path that the configuration makes of it, and by the PV- fields.
func (p *portalPage) lines(r *http.Request) []line {
	out := []line{{"request", r.Method + " " + r.URL.RequestURI()}}
	if _, key, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); ok {
		key, _, _ = strings.Cut(key, "/")
		out = append(out, line{"Leistung", strings.TrimSpace(key + " " + p.names[key])})
	}
	if ars := r.URL.Query().Get("ars"); ars != "" {
		out = append(out, line{"area", strings.TrimSpace(ars + " " + p.areaName(ars))})
	}
	if oe := r.URL.Query().Get("oe"); oe != "" {
		out = append(out, line{"OE", oe})
	}
	var told []line
	for name, values := range r.Header {
		if name, ok := strings.CutPrefix(name, "Pv-"); ok {
			if len(name) <= len("ARS") { // ARS and OE, which net/http spells Ars and Oe
				name = strings.ToUpper(name)
			}
			told = append(told, line{"PV-" + name, strings.Join(values, ", ")})
		}
	}
	slices.SortFunc(told, func(a, b line) int { return cmp.Compare(a.Name, b.Name) })
	return append(out, told...)
}

func (p *portalPage) areaName(ars string) string {
	id, err := p.areas.EntryArea(ars)
	if err != nil {
		return ""
	}
	return p.areas.Area(id).Name
}

func portalHTML() *template.Template {
	return template.Must(template.New("portal").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Name}}</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h1 { border-bottom: .3rem solid #00677f; padding-bottom: .5rem }
dt { font-weight: bold } dd { margin: 0 0 .6rem; overflow-wrap: anywhere }
button { font: inherit; padding: .5rem 1rem }
</style>
<h1>{{.Name}}</h1>
<p>This is a simulated portal of <code>pvgate demo</code>. You were led here, because it is responsible for what you asked for.</p>
<dl>{{range .Lines}}
<dt>{{.Name}}</dt><dd>{{.Value}}</dd>{{end}}
</dl>
<form method="post"><button>Send a form here</button></form>
</html>
`))
}
