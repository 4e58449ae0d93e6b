// SPDX-License-Identifier: EUPL-1.2

// Package gatewaytest runs a whole data plane for tests: server, surface, compiled routing table and metrics on
// loopback sockets, with scripted origins behind it.
//
// The calls you want: [Standard] for a small Portalverbund with known answers, or [Start] with options of your own;
// then [Gateway.Ask] for one request and [Gateway.Samples] for the metrics. Clients are told apart by their address:
// [Direct] is nobody's, [Known] the known sender's.
//
// It deliberately knows no configuration files (cmd/pvgate is tested with those) and judges nothing.
package gatewaytest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/gateway/upstream"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// The addresses that clients come from.
const (
	Direct = "127.0.0.1"
	Known  = "127.0.0.2"
)

// Portal is the origin of the known sender's pages.
const Portal = "https://portal.hessen.example"

// Domain is the entry host of every gateway here.
const Domain = "gw.example.de"

// Backend is a portal.
type Backend struct {
	surface.Backend
	// Hosts of its URLs, in the registry.
	Hosts []string
	// Address is where it listens; "" for a redirect backend.
	Address string
	// Host is sent to it; "" = Address.
	Host   string
	Limits limit.Limits
}

// Options describe a gateway.
type Options struct {
	Backends  []Backend
	Entries   []registry.Entry
	Overrides []routing.Override
	// Default is the listener's default backend, and with one any host is answered.
	Default string
	State   metrics.State
	// Protocol is what the gateway speaks; nil for HTTP/1.1 without TLS.
	Protocol *Protocol
	// Loops is 2 without a word.
	Loops  int
	Limits func(*gateway.Options)
	// Surface changes what clients see, before it is built.
	Surface func(*surface.Options)
	// Snapshot changes what is put in service.
	Snapshot func(*gateway.Snapshot)
}

// Gateway is a running one.
type Gateway struct {
	Server  *gateway.Server
	Table   *routing.Table
	Metrics prometheus.Gatherer
	Addr    string

	protocol *Protocol
}

// Start runs a gateway until the test ends.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	in := routing.Input{
		Areas: areas, Sources: []string{"files", "marktplatz"}, Marktplatz: 1, Entries: o.Entries, Overrides: o.Overrides,
		SelfHosts: []string{Domain, "*." + Domain}, Help: map[uint8]routing.Help{6: {Portal: "https://verwaltungsportal.hessen.de"}},
	}
	g := &Gateway{protocol: o.Protocol}
	if g.protocol == nil {
		g.protocol = new(Protocol)
	}
	snap := &gateway.Snapshot{ID: "test", Via: "pvgate-" + Domain}
	keys, err := handover.NewKeys([handover.KeySize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	faces := surface.Options{
		Domain:    Domain,
		Keys:      keys,
		Listeners: []surface.Listener{{Any: o.Default != "", Default: o.Default, TLS: g.protocol.Authority != nil}},
		Senders:   []surface.Sender{{Name: "hessen", Networks: []netip.Prefix{netip.MustParsePrefix(Known + "/32")}, Origins: []string{Portal}}},
	}
	var book limit.Book
	limits := map[string]limit.Limits{}
	for _, b := range o.Backends {
		in.Backends = append(in.Backends, routing.Backend{Name: b.Name, Proxy: b.Proxy, Hosts: b.Hosts})
		state := book.Backend(b.Name)
		limits[b.Name] = b.Limits
		b.Limit = state
		faces.Backends = append(faces.Backends, b.Backend)
		snap.Backends = append(snap.Backends, b.gateway(state))
	}
	table, problems := routing.Compile(in)
	for _, p := range problems {
		if p.Fatal {
			t.Fatal(p)
		}
	}
	faces.Table = table
	faces.Limits = gateway.DefaultOptions().Limits.Heads()
	if o.Surface != nil {
		o.Surface(&faces)
	}
	face, err := surface.New(faces)
	if err != nil {
		t.Fatal(err)
	}
	snap.Resolver = face
	if o.Snapshot != nil {
		o.Snapshot(snap)
	}
	if err := book.Apply(limits, 0); err != nil {
		t.Fatal(err)
	}
	g.Table = table
	g.serve(t, &o, snap)
	return g
}

// Fixed returns the endpoints of a backend that have these addresses.
func Fixed(endpoints ...[]netip.AddrPort) *endpoint.Group {
	var o endpoint.Options
	for _, a := range endpoints {
		o.Endpoints = append(o.Endpoints, endpoint.Spec{URL: fmt.Sprint(a), Addresses: a})
	}
	return new(endpoint.Book).Group("", o)
}

func (b *Backend) gateway(state *limit.Backend) gateway.Backend {
	out := gateway.Backend{Name: b.Name, Host: b.Host, Limiter: state}
	out.Timeouts = upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 5 * time.Second, Idle: 5 * time.Second, Keep: 4 * time.Second}
	if b.Address == "" {
		return out
	}
	if out.Host == "" {
		out.Host = b.Address
	}
	out.Endpoints = Fixed([]netip.AddrPort{netip.MustParseAddrPort(b.Address)})
	out.Authorities = []string{"http://" + b.Address, "http://" + out.Host, "https://" + out.Host}
	return out
}

func (g *Gateway) serve(t testing.TB, o *Options, snap *gateway.Snapshot) {
	t.Helper()
	options := gateway.Options{Loops: o.Loops, Listen: []gateway.Listener{g.protocol.Listener(t, Domain, "*."+Domain)}, Poison: true}
	if options.Loops == 0 {
		options.Loops = 2
	}
	if o.Limits != nil {
		o.Limits(&options)
	}
	server, err := gateway.Start(options, snap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Drain(ctx) // what a test leaves open is broken off
	})
	g.Server, g.Addr = server, server.Addresses()[0].String()
	state := o.State
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(metrics.Inputs{
		Stats: server.Stats, State: func() metrics.State { return state }, Now: time.Now,
		Limits: func() map[string]metrics.Limit {
			all := map[string]metrics.Limit{}
			for i := range snap.Backends {
				u := snap.Backends[i].Limiter.Usage(server.Mono())
				all[snap.Backends[i].Name] = metrics.Limit{
					InFlight: u.InFlight, InFlightLimit: u.InFlightLimit, Queued: u.Queued, QueueLimit: u.QueueLimit, RateRefused: u.RateRefused, BusyRefused: u.BusyRefused,
				}
			}
			return all
		},
	}))
	g.Metrics = registry
}

// Exposition is what Prometheus would read.
func (g *Gateway) Exposition(t testing.TB) []byte {
	t.Helper()
	families, err := g.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// Samples are the metrics by series, as in `pvgate_reasons_total{land="06",reason="handover"}`.
func (g *Gateway) Samples(t testing.TB) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(string(g.Exposition(t))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		samples[line[:i]] = v
	}
	return samples
}

// Answer is an answer of the gateway.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Doc    map[string]any // of a JSON body
	Err    error          // of reading the body: an answer that was broken off
}

// Reason is the answer's PV-Reason.
func (a *Answer) Reason() string { return a.Header.Get("PV-Reason") }

// Ask sends "METHOD target" with further field lines to a host, from [Direct].
func (g *Gateway) Ask(t testing.TB, host, line string, fields ...string) *Answer {
	t.Helper()
	return g.AskFrom(t, Direct, host, line, fields...)
}

// AskFrom is Ask from another address. A field line "\r\nBODY" ends the head and begins the body.
func (g *Gateway) AskFrom(t testing.TB, from, host, line string, fields ...string) *Answer {
	t.Helper()
	raw := line + " HTTP/1.1\r\nHost: " + host + "\r\n"
	body := ""
	for _, f := range fields {
		if b, ok := strings.CutPrefix(f, "\r\n"); ok {
			body = b
			continue
		}
		raw += f + "\r\n"
	}
	return g.Raw(t, from, raw+"\r\n"+body)
}

// Raw sends bytes on a connection of their own and reads one answer.
func (g *Gateway) Raw(t testing.TB, from, raw string) *Answer {
	t.Helper()
	c := g.protocol.Dial(t, from, g.Addr, Domain)
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatalf("%.80q: %v", raw, err)
	}
	method, _, _ := strings.Cut(raw, " ")
	return read(t, c, method)
}

// Bytes sends bytes and returns everything that comes back until the gateway closes: the request should ask for that.
func (g *Gateway) Bytes(t testing.TB, raw string) string {
	t.Helper()
	c := g.protocol.Dial(t, Direct, g.Addr, Domain)
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatalf("%.80q: %v", raw, err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%.80q: %v after %q", raw, err, all)
	}
	return string(all)
}

func read(t testing.TB, from io.Reader, method string) *Answer {
	t.Helper()
	in, asked := bufio.NewReader(from), &http.Request{Method: method}
	resp, err := http.ReadResponse(in, asked)
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(in, asked)
	}
	if err != nil {
		t.Fatalf("%s: no answer: %v", method, err)
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	b, err := io.ReadAll(resp.Body)
	a.Body, a.Err = string(b), err
	if strings.HasSuffix(resp.Header.Get("Content-Type"), "json") && len(b) > 0 {
		if err := json.Unmarshal(b, &a.Doc); err != nil {
			t.Errorf("%v in %s", err, b)
		}
	}
	return a
}
