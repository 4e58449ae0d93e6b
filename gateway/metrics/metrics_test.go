// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/dns"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

// crowd is the worst that labels can come to: every counter of every label value in use.
type crowd struct {
	backends, loops, sources, certificates int
}

func (c crowd) stats() *gateway.Stats {
	st := &gateway.Stats{Open: 3, Active: 1, Uptime: time.Minute, Loops: make([]loop.Stats, c.loops), TLS: tlsconn.Stats{Done: 7, Resumed: 3, Waiting: 2}}
	m := &st.Meter
	for p := range m.Codes {
		for i := range m.Codes[p] {
			m.Codes[p][i] = 1
		}
		m.Overhead[p].Counts[0] = 1
	}
	for r := range m.Reasons {
		for l := range m.Reasons[r] {
			m.Reasons[r][l] = 1
		}
	}
	m.Queued.Counts[0] = 1
	m.Removed = [4]uint64{1, 1, 1, 1}
	full := meter.Backend{BytesIn: 1, BytesOut: 1}
	for i := range full.Requests {
		full.Requests[i] = 1
	}
	full.Failures = slices.Repeat([]uint64{1}, reason.Count)
	full.Seconds.Counts[0] = 1
	m.Other = full
	for i := range c.backends {
		m.Backends = append(m.Backends, full)
		st.Names = append(st.Names, fmt.Sprintf("backend-%d", i))
	}
	return st
}

// linkResults is how many results a check of an address can have.
const linkResults = 13

// lookups is how many sources are looked up in.
const lookups = 2

// causes is the contract's closed list of why a delivery of a registry is refused.
const causes = "empty truncated oversized shrunk shrunk_land older signature checksum schema conflict unknown_area url_policy unreachable timeout rate_limited budget"

func (c crowd) state() metrics.State {
	now := time.Unix(1_800_000_000, 0)
	st := metrics.State{ConfigHash: "0123abcd", ReloadOK: true, ReloadTime: now, Entries: map[metrics.Bin]int{}, NextExpiry: now, TLS: true, Certificates: map[string]time.Time{}}
	for i := range c.certificates {
		st.Certificates[fmt.Sprintf("%d.pem", i)] = now
	}
	for i := range c.sources {
		s := metrics.Source{Name: fmt.Sprintf("source-%d", i), Success: now, Interval: time.Hour, Refused: map[string]int{}}
		for _, cause := range strings.Fields(causes) {
			s.Refused[cause] = 1
		}
		st.Sources = append(st.Sources, s)
	}
	for i := range lookups {
		l := metrics.Lookup{Name: fmt.Sprintf("lookup-%d", i), Stats: lookup.Stats{StaleAge: time.Hour, Causes: map[source.Cause]uint64{}}}
		for _, r := range lookup.Results() {
			l.Stats.Counts[r] = 1
		}
		l.Stats.Calls.Counts[0] = 1
		for _, cause := range strings.Fields(causes) {
			l.Stats.Causes[source.Cause(cause)] = 1
		}
		st.Lookups = append(st.Lookups, l)
	}
	st.Links = &metrics.Links{Results: map[string]int{}, Stale: map[string]int{}, Requests: 1}
	for i := range linkResults {
		st.Links.Results[fmt.Sprint("result-", i)] = 1
	}
	for land := range meter.Lands - 1 { // an address is in one
		st.Links.Stale[metrics.Land(land)] = 1
	}
	for land := range meter.Lands {
		for _, kind := range []string{"service", "page"} {
			st.Entries[metrics.Bin{Land: uint8(land), Kind: kind}] = 1
		}
	}
	return st
}

func (c crowd) gatherer() prometheus.Gatherer {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.New(metrics.Inputs{
		Stats: func() (*gateway.Stats, error) { return c.stats(), nil },
		State: c.state, Now: func() time.Time { return time.Unix(1_800_000_060, 0) },
		Limits: func() map[string]metrics.Limit {
			all := map[string]metrics.Limit{}
			for i := range c.backends {
				all[fmt.Sprintf("backend-%d", i)] = metrics.Limit{InFlight: 1, InFlightLimit: 2, Queued: 1, QueueLimit: 2, RateRefused: 3, BusyRefused: 4}
			}
			return all
		},
		Endpoints: func() map[string]metrics.Endpoints {
			all := map[string]metrics.Endpoints{}
			for i := range c.backends {
				all[fmt.Sprintf("backend-%d", i)] = metrics.Endpoints{InService: 1, All: 2}
			}
			return all
		},
	}))
	return reg
}

func exposition(t testing.TB, g prometheus.Gatherer) []byte {
	t.Helper()
	families, err := g.Gather()
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

// series are the names with labels of all samples.
func series(text []byte) []string {
	var all []string
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			all = append(all, line[:i])
		}
	}
	return all
}

func TestMetricsPassPromlint(t *testing.T) {
	t.Parallel()
	text := exposition(t, crowd{3, 2, 2, 1}.gatherer())
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// ceiling is how many series there can be: the closed sets multiplied as the metrics multiply them. It is the contract's
// stated formula:
//
//	(backends+1) × (classes + failures + seconds + directions) + backends × (limits + endpoints) + reasons × lands + codes + …
func (c crowd) ceiling() int {
	byBackend := 0
	for _, r := range reason.All() {
		if metrics.BackendsOwn(r) {
			byBackend++ // failures
		}
	}
	histogram := func(bounds []float64) int { return len(bounds) + 1 + 2 } // the open bucket, sum, count
	byBackend += meter.Classes + histogram(meter.BackendBuckets()) + len([]string{"in", "out"})
	const limits = 4    // in flight, its limit, who waits, limited by the backend's own
	const endpoints = 3 // whether one is in service, how many are, how many are not
	codes := 1          // other
	for code := range 600 {
		if http.StatusText(code) != "" {
			codes++
		}
	}
	codes++ // 499 has no registered text
	byProtocol := codes + histogram(meter.OverheadBuckets())
	fixed := int(exchange.Protocols)*byProtocol + reason.Count*meter.Lands + parserReasons + len(meter.Meter{}.Removed) + int(exchange.Accounts) - 1 + histogram(meter.QueueBuckets())
	const (
		byLoop   = 10
		bySource = 4
		others   = 1 + 2 + 4 + int(conn.Causes) + 6 + 4 + 2 + int(dns.Results) + 4 + 2*meter.Lands + 3 + 4 + 4 // log, memory, connections, closed ones, ended tunnels, upstreams, retries, names, entries, blocked and overrides, config and upgrades, TLS
	)
	byLookup := len(lookup.Results()) + histogram(lookup.Buckets()) + 1 + len(strings.Fields(causes))
	const parked = 5                                    // how many wait for look-ups, may, could not, could not for their network, have in vain
	const linkCheck = linkResults + meter.Lands - 1 + 1 // and the requests
	fixed += lookups*byLookup + parked + linkCheck
	return (c.backends+1)*byBackend + c.backends*(limits+endpoints) + fixed + c.loops*byLoop + c.sources*(bySource+len(strings.Fields(causes))) + c.certificates + others
}

const parserReasons = 10

// The budget of the contract: 500 backends, every label value in use, on a machine of 64 cores.
func TestSeriesStayInTheirBudget(t *testing.T) {
	t.Parallel()
	c := crowd{backends: 500, loops: 64, sources: 8, certificates: 16}
	got, most := len(series(exposition(t, c.gatherer()))), c.ceiling()
	if most > 25_000 {
		t.Errorf("the formula allows %d series for %d backends, the budget is 25000", most, c.backends)
	}
	if got != most {
		t.Errorf("%d series, the formula says %d: it forgets a metric or counts what does not exist", got, most)
	}
}

// Two large sets never meet: a backend's series know only the reasons somebody has to act on, and no Land.
func TestBackendsMeetOnlyReasonsOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range series(exposition(t, crowd{2, 1, 1, 1}.gatherer())) {
		name, labels, _ := strings.Cut(s, "{")
		if strings.Contains(labels, "backend=") && strings.Contains(labels, "land=") {
			t.Errorf("%s has backend and land", s)
		}
		if !strings.Contains(labels, "backend=") || !strings.Contains(labels, "reason=") {
			continue
		}
		if name != "pvgate_backend_failures_total" {
			t.Errorf("%s has backend and reason", s)
		}
		_, code, _ := strings.Cut(labels, `reason="`)
		code, _, _ = strings.Cut(code, `"`)
		seen[code] = true
	}
	for _, r := range reason.All() {
		want := r.Fault() == reason.FaultBackend || r == reason.Maintenance || r == reason.LoopDetected
		if seen[r.String()] != want {
			t.Errorf("reason %v of fault %v by backend: %v, want %v", r, r.Fault(), seen[r.String()], want)
		}
	}
}

// No label is made of what a request says.
func TestLabelsAreOfTheClosedSet(t *testing.T) {
	t.Parallel()
	known := []string{
		"proto", "code", "reason", "land", "kind", "backend", "class", "direction", "whose", "source", "cause", "hash", "state", "loop", "le", "result", "name",
	}
	lands := map[string]bool{}
	for _, s := range series(exposition(t, crowd{2, 1, 1, 1}.gatherer())) {
		_, labels, _ := strings.Cut(s, "{")
		for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			name, value, ok := strings.Cut(label, "=")
			if ok && !slices.Contains(known, name) {
				t.Errorf("label %s in %s", name, s)
			}
			if name == "land" {
				lands[value] = true
			}
		}
	}
	if len(lands) != 18 || !lands[`"00"`] || !lands[`"16"`] || !lands[`"none"`] {
		t.Errorf("lands %v, want 00 to 16 and none", lands)
	}
}

// A server that has stopped still tells about configuration and registry.
func TestScrapeOfAStoppedServer(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.New(metrics.Inputs{
		Stats:  func() (*gateway.Stats, error) { return nil, fmt.Errorf("stopped") },
		Limits: func() map[string]metrics.Limit { return nil },
		State:  crowd{0, 0, 1, 0}.state, Now: time.Now,
	}))
	text := string(exposition(t, reg))
	if !strings.Contains(text, "pvgate_config_info") || strings.Contains(text, "pvgate_requests_total") {
		t.Errorf("got\n%s", text)
	}
}

func TestCertificatesTellWhenTheyEnd(t *testing.T) {
	t.Parallel()
	c := crowd{0, 0, 1, 0}
	show := func(st metrics.State) string {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(metrics.New(metrics.Inputs{
			Stats: func() (*gateway.Stats, error) { return c.stats(), nil }, Limits: func() map[string]metrics.Limit { return nil },
			State: func() metrics.State { return st }, Now: time.Now,
		}))
		return string(exposition(t, reg))
	}
	st := c.state()
	st.TLS = false
	if text := show(st); strings.Contains(text, "pvgate_tls_") {
		t.Errorf("without TLS there is\n%s", text)
	}
	st.TLS, st.TLSReloadOK = true, true
	st.Certificates = map[string]time.Time{"gw.pem": time.Unix(1_800_000_000, 0), "portal.example.de": time.Unix(1_900_000_000, 0)}
	for ok, want := range map[bool]string{true: "pvgate_tls_last_reload_successful 1\n", false: "pvgate_tls_last_reload_successful 0\n"} {
		st.TLSReloadOK = ok
		text := show(st)
		for _, want := range []string{
			want, `pvgate_tls_handshakes_total{kind="full"} 4`, `pvgate_tls_handshakes_total{kind="resumed"} 3`, "pvgate_tls_handshakes_waiting 2\n",
			`pvgate_tls_certificate_expiry_timestamp_seconds{name="gw.pem"} 1.8e+09`,
			`pvgate_tls_certificate_expiry_timestamp_seconds{name="portal.example.de"} 1.9e+09`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
	}
}

// BenchmarkCollect is a scrape of 500 backends beside the loops; what a loop itself pays is BenchmarkAddTo of
// gateway/meter.
func BenchmarkCollect(b *testing.B) {
	c := crowd{500, 2, 2, 2}
	st := c.stats()
	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.New(metrics.Inputs{
		Stats: func() (*gateway.Stats, error) { return st, nil }, State: c.state, Now: time.Now,
		Limits: func() map[string]metrics.Limit { return nil },
	}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reg.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
