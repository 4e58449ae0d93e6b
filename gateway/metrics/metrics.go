// SPDX-License-Identifier: EUPL-1.2

// Package metrics shows the server's account to Prometheus.
//
// The call to know is [New], which returns a collector; the loops are asked for their figures at each scrape, so
// counting costs a request nothing but an addition. Labels come from sets that are known at load: reasons, Länder,
// configured backends and sources. A Leistung, an ARS, a host or a path is never a label.
//
// It deliberately computes no rates and keeps no state.
package metrics

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/dns"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry/lookup"
)

// State is what the command knows beside the data plane: the configuration and the registry in service.
type State struct {
	ConfigHash string
	ReloadOK   bool      // the last reload was put in service
	ReloadTime time.Time // when it was tried
	Sources    []Source
	Lookups    []Lookup // of sources that are looked up in
	Entries    map[Bin]int
	Links      *Links // nil: they are not checked
	Blocked    int    // entries whose target is refused
	Overrides  int    // in force now
	NextExpiry time.Time
	Names      dns.Stats // of endpoints

	UpgradesFailed uint64 // successors that did not get ready

	// TLS says that some listener speaks it. Certificates are their ends by name; TLSReloadOK, that the files as they
	// are now are in service.
	TLS          bool
	TLSReloadOK  bool
	Certificates map[string]time.Time
}

// Bin is one bin of the registry's count of entries.
type Bin struct {
	Land uint8 // as in exchange.Record
	Kind string
}

// Source is one registry source.
type Source struct {
	Name        string
	Success     time.Time     // when it was last read well; zero = never
	Interval    time.Duration // how often it is asked; 0 = it is read when it changes
	Quarantined int           // rows
	Refused     map[string]int
}

// Lookup is a source that is looked up in.
type Lookup struct {
	Name  string
	Stats lookup.Stats
}

// Links is what is known of the registry's addresses.
type Links struct {
	Results  map[string]int // by what the last check of each has found
	Stale    map[string]int // by Land, as its label is
	Requests uint64
}

// Inputs are what a collector reads at a scrape.
type Inputs struct {
	Stats func() (*gateway.Stats, error)
	// Limits returns the limiters' readings by backend name.
	Limits func() map[string]Limit
	// Endpoints returns how many there are, by backend; nil: nobody knows.
	Endpoints func() map[string]Endpoints
	State     func() State
	Now       func() time.Time
}

// Endpoints counts those of one backend.
type Endpoints struct{ InService, All int }

// Limit is the reading of one backend's limiter.
type Limit struct {
	InFlight, InFlightLimit  int64
	Queued, QueueLimit       int64
	RateRefused, BusyRefused uint64
}

type collector struct {
	in   Inputs
	desc map[string]*prometheus.Desc
}

// metric names with their labels and help; the one list of what is shown.
func families() [][]string {
	return append(registryFamilies(), [][]string{
		{"pvgate_requests_total", "Requests answered, by protocol and status.", "proto", "code"},
		{"pvgate_reasons_total", "Answers made by the gateway, by reason and Land of the asked area.", "reason", "land"},
		{"pvgate_requests_refused_total", "Requests refused by the parser or the path form, by reason.", "reason"},
		{"pvgate_headers_removed_total", "Fields removed that the client had no right to send, by kind.", "kind"},
		{"pvgate_context_total", "Requests at backends' own origins: attributed to a handover, unattributed, or led on with their context (arrived) or without it (expired, forged).", "result"},
		{"pvgate_overhead_seconds", "Time spent on a request beside waiting for the backend.", "proto"},
		{"pvgate_backend_requests_total", "Requests by backend and class of its answer (none: it gave none).", "backend", "class"},
		{"pvgate_backend_failures_total", "Requests that failed at a backend, by reason.", "backend", "reason"},
		{"pvgate_backend_seconds", "Time from asking for a connection to the head of the answer.", "backend"},
		{"pvgate_backend_bytes_total", "Body octets by backend and direction.", "backend", "direction"},
		{"pvgate_backend_up", "1 if an endpoint of the backend is in service.", "backend"},
		{"pvgate_backend_endpoints", "Endpoints of the backend, by whether they are in service.", "backend", "state"},
		{"pvgate_backend_in_flight", "Requests at the backend now.", "backend"},
		{"pvgate_backend_in_flight_limit", "Requests the backend may have at once; 0 is no limit.", "backend"},
		{"pvgate_queue_length", "Requests that wait for a place at the backend now; none for a backend without a queue.", "backend"},
		{"pvgate_queue_wait_seconds", "Time that requests have waited for a place at a backend, of those that had to."},
		{"pvgate_limited_total", "Requests refused by a limit, or in shadow mode would have been, by whose limit.", "backend", "whose"},
		{"pvgate_retries_total", "Requests sent to a backend a second time, or not for want of a budget (refused), by result.", "result"},
		{"pvgate_overrides_active", "Overrides in force now."},
		{"pvgate_override_expiry_timestamp_seconds_min", "When the next override in force ends; 0 without one."},
		{"pvgate_config_last_reload_successful", "1 if the last reload was put in service."},
		{"pvgate_config_last_reload_timestamp_seconds", "When a reload was last tried."},
		{"pvgate_config_info", "The configuration in service.", "hash"},
		{"pvgate_upgrades_failed_total", "Upgrades that came to nothing: this process goes on."},
		{"pvgate_tls_certificate_expiry_timestamp_seconds", "When a certificate of a listener ends.", "name"},
		{"pvgate_tls_handshakes_total", "TLS handshakes done, full ones and resumed sessions; others are in pvgate_connections_closed_total.", "kind"},
		{"pvgate_tls_handshakes_waiting", "TLS handshakes that have begun and wait for their client now."},
		{"pvgate_tls_last_reload_successful", "1 if the files of certificates, keys and authorities, as they are now, are in service."},
		{"pvgate_connections", "Client connections, by state.", "state"},
		{"pvgate_connections_limit", "Client connections that may be open at once."},
		{"pvgate_connections_closed_total", "Client connections closed by the gateway of its own accord, by cause.", "cause"},
		{"pvgate_tunnels_ended_total", "Connections that had changed their protocol (WebSocket), by what ended them.", "cause"},
		{"pvgate_memory_used_bytes", "Memory the process has of the kernel, as it is counted against pvgate_memory_limit_bytes."},
		{"pvgate_memory_limit_bytes", "Memory the process may use; 0 is no limit."},
		{"pvgate_log_dropped_total", "Lines of the access log that were lost: its destination did not keep up, or refused them."},
		{"pvgate_accepted_total", "Connections accepted.", "loop"},
		{"pvgate_accept_errors_total", "Accepts that failed for want of descriptors or memory.", "loop"},
		{"pvgate_upstream_connections_idle", "Connections to backends that wait in the pools."},
		{"pvgate_upstream_dials_total", "Connections opened to backends."},
		{"pvgate_upstream_addresses_refused_total", "Connects to backends that were not made, for the name led to an address that is not allowed."},
		{"pvgate_dns_lookups_total", "Look-ups of endpoints' names, by result.", "result"},
		{"pvgate_dns_names", "Names of endpoints: with an answer whose time is not over (fresh), with an older one that is still used (stale), or with none.", "state"},
		{"pvgate_dns_stale_seconds_max", "For how long the oldest stale answer has been so."},
		{"pvgate_upstream_reuses_total", "Requests sent on a connection that had carried another."},
		{"pvgate_panics_total", "Broken invariants that were survived; each is logged with its stack.", "loop"},
		{"pvgate_loop_busy_seconds_total", "Time the loop has worked.", "loop"},
		{"pvgate_loop_busy_ratio", "Part of the uptime the loop has worked.", "loop"},
		{"pvgate_loop_stall_seconds_max", "Longest time between two polls since the last scrape.", "loop"},
		{"pvgate_loop_delay_seconds_max", "Longest that anything can have waited for the loop since the last scrape.", "loop"},
		{"pvgate_loop_waits_total", "Polls of the loop.", "loop"},
		{"pvgate_loop_blocking_waits_total", "Polls in which the loop may have slept.", "loop"},
		{"pvgate_loop_thread_id", "The kernel's number of the loop's thread: /proc/PID/task/THIS.", "loop"},
	}...)
}

// registryFamilies are those of the registry and its sources.
func registryFamilies() [][]string {
	return [][]string{
		{"pvgate_registry_age_seconds", "Time since the source was last read well.", "source"},
		{"pvgate_registry_last_success_timestamp_seconds", "When the source was last read well.", "source"},
		{"pvgate_registry_interval_seconds", "How often the source is asked.", "source"},
		{"pvgate_registry_refused_total", "Deliveries of the source that were refused, by cause.", "source", "cause"},
		{"pvgate_registry_quarantined", "Rows of the source that could not be read.", "source"},
		{"pvgate_registry_entries", "Entries in service, by Land and kind.", "land", "kind"},
		{"pvgate_registry_blocked", "Entries whose target is refused: they answer target_refused where they would win."},
		{"pvgate_lookup_total", "Look-ups in a source, by what became of them: the cache had an answer (hit), that nothing is known (negative), or an old one for want of a better (stale); the source was asked (miss); it could not be (error), or may not (budget).", "source", "result"},
		{"pvgate_lookup_seconds", "Time of the calls of a source.", "source"},
		{"pvgate_lookup_stale_age_seconds_max", "Age of the oldest answer that was lately given as stale; 0 without one.", "source"},
		{"pvgate_lookup_parked", "Requests that wait for look-ups now."},
		{"pvgate_lookup_parked_limit", "Requests that may wait for look-ups at once."},
		{"pvgate_lookup_parking_failed_total", "Requests that found no place to wait for a look-up (full; network: theirs has its share), or waited too long (late).", "cause"},
		{"pvgate_links", "Addresses of the registry by what their last check has found; no series without link_check.", "result"},
		{"pvgate_links_stale", "Addresses of the registry that have failed several checks in a row, by Land of their entries.", "land"},
		{"pvgate_link_requests_total", "Requests sent to check addresses of the registry."},
	}
}

// New returns a collector. Register it once.
func New(in Inputs) prometheus.Collector {
	c := &collector{in: in, desc: map[string]*prometheus.Desc{}}
	for _, f := range families() {
		c.desc[f[0]] = prometheus.NewDesc(f[0], f[1], f[2:], nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.desc {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s, state := sink{c: c, ch: ch}, c.in.State()
	if st, err := c.in.Stats(); err == nil {
		s.traffic(&st.Meter)
		s.backends(st)
		s.loops(st)
		s.counter("pvgate_log_dropped_total", float64(st.LogDropped))
		if len(state.Lookups) > 0 {
			s.gauge("pvgate_lookup_parked", float64(st.Parked))
			s.gauge("pvgate_lookup_parked_limit", float64(st.ParkedMost))
			s.counter("pvgate_lookup_parking_failed_total", float64(st.ParkingRefused), "full")
			s.counter("pvgate_lookup_parking_failed_total", float64(st.ParkingCrowded), "network")
			s.counter("pvgate_lookup_parking_failed_total", float64(st.ParkedInVain), "late")
		}
		if state.TLS {
			s.counter("pvgate_tls_handshakes_total", float64(st.TLS.Done-st.TLS.Resumed), "full")
			s.counter("pvgate_tls_handshakes_total", float64(st.TLS.Resumed), "resumed")
			s.gauge("pvgate_tls_handshakes_waiting", float64(st.TLS.Waiting))
		}
	}
	for name, l := range c.in.Limits() {
		s.gauge("pvgate_backend_in_flight", float64(l.InFlight), name)
		s.gauge("pvgate_backend_in_flight_limit", float64(l.InFlightLimit), name)
		if l.QueueLimit > 0 {
			s.gauge("pvgate_queue_length", float64(l.Queued), name)
		}
		if n := l.RateRefused + l.BusyRefused; n > 0 {
			s.counter("pvgate_limited_total", float64(n), name, "backend")
		}
	}
	if c.in.Endpoints != nil {
		s.endpoints(c.in.Endpoints())
	}
	s.state(state, c.in.Now())
}

// sink sends samples of one scrape.
type sink struct {
	c  *collector
	ch chan<- prometheus.Metric
}

func (s sink) counter(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.c.desc[name], prometheus.CounterValue, v, labels...)
}

func (s sink) gauge(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.c.desc[name], prometheus.GaugeValue, v, labels...)
}

func (s sink) histogram(name string, h *meter.Histogram, bounds []float64, labels ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	sum := uint64(0)
	for i, b := range bounds {
		sum += h.Counts[i]
		buckets[b] = sum
	}
	sum += h.Counts[len(bounds)]
	if sum == 0 {
		return
	}
	s.ch <- prometheus.MustNewConstHistogram(s.c.desc[name], sum, float64(h.Sum)/1e9, buckets, labels...)
}

// Land returns the value of the land label.
func Land(n int) string {
	switch {
	case n >= exchange.LandNone:
		return "none"
	}
	return fmt.Sprintf("%02d", n)
}

// Other is the label of what has no label of its own: targets of no configured backend, statuses nobody registered.
const Other = "other"

// statusLabel bounds the code label: a backend may invent five hundred statuses.
func statusLabel(code int) string {
	if http.StatusText(code) == "" && code != reason.ClientGone.Status() {
		return Other
	}
	return strconv.Itoa(code)
}

func (s sink) traffic(m *meter.Meter) {
	for p := range exchange.Protocols {
		s.protocol(m, p)
	}
	s.histogram("pvgate_queue_wait_seconds", &m.Queued, meter.QueueBuckets())
	for r := range m.Reasons {
		code, total := reason.Code(r), uint64(0)
		for land, n := range m.Reasons[r] {
			total += n
			if n > 0 {
				s.counter("pvgate_reasons_total", float64(n), code.String(), Land(land))
			}
		}
		if total > 0 && refusedByParser(code) {
			s.counter("pvgate_requests_refused_total", float64(total), code.String())
		}
	}
	for i, kind := range [...]string{"pv", "forwarded", "identity", "alias"} {
		s.counter("pvgate_headers_removed_total", float64(m.Removed[i]), kind)
	}
	for i, result := range [exchange.Accounts]string{"", "attributed", "unattributed", "arrived", "expired", "forged"} {
		if result != "" {
			s.counter("pvgate_context_total", float64(m.Accounts[i]), result)
		}
	}
}

// protocol shows what is counted by the client's version of HTTP; those that nobody has spoken have no series.
func (s sink) protocol(m *meter.Meter, p exchange.Protocol) {
	codes := map[string]uint64{}
	for code, n := range m.Codes[p] {
		if n > 0 {
			codes[statusLabel(code)] += n
		}
	}
	for code, n := range codes {
		s.counter("pvgate_requests_total", float64(n), p.String(), code)
	}
	if p == exchange.HTTP1 || len(codes) > 0 {
		s.histogram("pvgate_overhead_seconds", &m.Overhead[p], meter.OverheadBuckets(), p.String())
	}
}

// refusedByParser reports whether a reason is the protocol machines' or the path form's.
func refusedByParser(c reason.Code) bool {
	switch c {
	case reason.BadRequest, reason.BadPath, reason.RequestTimeout, reason.BodyTooLarge, reason.URITooLong, reason.HeadTooLarge,
		reason.ExpectationFailed, reason.CodingUnsupported, reason.VersionUnsupported, reason.MethodRefused:
		return true
	}
	return false
}

func (s sink) backends(st *gateway.Stats) {
	for i := range st.Meter.Backends {
		s.backend(&st.Meter.Backends[i], st.Names[i])
	}
	s.backend(&st.Meter.Other, Other)
}

func (s sink) backend(b *meter.Backend, name string) {
	for class, n := range b.Requests {
		if n > 0 {
			label := "none"
			if class > 0 {
				label = strconv.Itoa(class) + "xx"
			}
			s.counter("pvgate_backend_requests_total", float64(n), name, label)
		}
	}
	for r, n := range b.Failures {
		if code := reason.Code(r); n > 0 && BackendsOwn(code) {
			s.counter("pvgate_backend_failures_total", float64(n), name, code.String())
		}
	}
	s.histogram("pvgate_backend_seconds", &b.Seconds, meter.BackendBuckets(), name)
	if b.BytesIn+b.BytesOut > 0 {
		s.counter("pvgate_backend_bytes_total", float64(b.BytesIn), name, "in")
		s.counter("pvgate_backend_bytes_total", float64(b.BytesOut), name, "out")
	}
}

func (s sink) endpoints(all map[string]Endpoints) {
	for name, e := range all {
		s.gauge("pvgate_backend_up", float64(min(e.InService, 1)), name)
		s.gauge("pvgate_backend_endpoints", float64(e.InService), name, "in_service")
		s.gauge("pvgate_backend_endpoints", float64(e.All-e.InService), name, "out")
	}
}

// BackendsOwn reports whether a reason is shown by backend: only those for which the backend's or our operator has to
// act, and no override's, which no backend has part in. Two large sets never meet on one series; all reasons are shown by
// Land.
func BackendsOwn(c reason.Code) bool {
	return c.Fault() == reason.FaultBackend || c.Fault() == reason.FaultOperator && c != reason.Gone
}

func (s sink) loops(st *gateway.Stats) {
	s.gauge("pvgate_connections", float64(st.Active), "active")
	s.gauge("pvgate_connections", float64(st.Tunnels), "tunnel")
	s.gauge("pvgate_connections", float64(st.Open-st.Active-st.Tunnels), "idle")
	s.gauge("pvgate_connections_limit", float64(st.Most))
	s.gauge("pvgate_memory_used_bytes", float64(st.MemoryUsed))
	s.gauge("pvgate_memory_limit_bytes", float64(st.MemoryLimit))
	for cause, n := range st.Closed {
		s.counter("pvgate_connections_closed_total", float64(n), conn.Cause(cause).String())
	}
	for end := exchange.NoTunnel + 1; end < exchange.TunnelEnds; end++ {
		s.counter("pvgate_tunnels_ended_total", float64(st.Meter.Tunnels[end]), end.String())
	}
	s.gauge("pvgate_upstream_connections_idle", float64(st.Pools.Idle))
	s.counter("pvgate_upstream_dials_total", float64(st.Pools.Dials))
	s.counter("pvgate_upstream_reuses_total", float64(st.Pools.Reuses))
	s.counter("pvgate_retries_total", float64(st.Pools.Repeats), "sent")
	s.counter("pvgate_retries_total", float64(st.Pools.Withheld), "refused")
	s.counter("pvgate_upstream_addresses_refused_total", float64(st.Pools.Refused))
	for i := range st.Loops {
		l, name := &st.Loops[i], strconv.Itoa(i)
		s.counter("pvgate_accepted_total", float64(l.Accepted), name)
		s.counter("pvgate_accept_errors_total", float64(l.AcceptErrors), name)
		s.counter("pvgate_panics_total", float64(l.Panics), name)
		s.counter("pvgate_loop_busy_seconds_total", float64(l.Busy)/1e9, name)
		s.gauge("pvgate_loop_busy_ratio", float64(l.Busy)/float64(max(st.Uptime, 1)), name)
		s.gauge("pvgate_loop_stall_seconds_max", float64(l.StallMax)/1e9, name)
		s.gauge("pvgate_loop_delay_seconds_max", float64(l.DelayMax)/1e9, name)
		s.counter("pvgate_loop_waits_total", float64(l.Waits), name)
		s.counter("pvgate_loop_blocking_waits_total", float64(l.BlockingWaits), name)
		s.gauge("pvgate_loop_thread_id", float64(l.ThreadID), name)
	}
}

func (s sink) state(st State, now time.Time) {
	for _, src := range st.Sources {
		if !src.Success.IsZero() {
			s.gauge("pvgate_registry_age_seconds", now.Sub(src.Success).Seconds(), src.Name)
			s.gauge("pvgate_registry_last_success_timestamp_seconds", seconds(src.Success), src.Name)
		}
		if src.Interval > 0 {
			s.gauge("pvgate_registry_interval_seconds", src.Interval.Seconds(), src.Name)
		}
		s.gauge("pvgate_registry_quarantined", float64(src.Quarantined), src.Name)
		for cause, n := range src.Refused {
			s.counter("pvgate_registry_refused_total", float64(n), src.Name, cause)
		}
	}
	for bin, n := range st.Entries {
		s.gauge("pvgate_registry_entries", float64(n), Land(int(bin.Land)), bin.Kind)
	}
	s.gauge("pvgate_registry_blocked", float64(st.Blocked))
	for i := range st.Lookups {
		s.lookup(&st.Lookups[i])
	}
	if st.Links != nil {
		for result, n := range st.Links.Results {
			s.gauge("pvgate_links", float64(n), result)
		}
		for land, n := range st.Links.Stale {
			s.gauge("pvgate_links_stale", float64(n), land)
		}
		s.counter("pvgate_link_requests_total", float64(st.Links.Requests))
	}
	s.names(&st.Names)
	s.gauge("pvgate_overrides_active", float64(st.Overrides))
	expiry := 0.0
	if !st.NextExpiry.IsZero() {
		expiry = seconds(st.NextExpiry)
	}
	s.gauge("pvgate_override_expiry_timestamp_seconds_min", expiry)
	ok := 0.0
	if st.ReloadOK {
		ok = 1
	}
	s.gauge("pvgate_config_last_reload_successful", ok)
	s.gauge("pvgate_config_last_reload_timestamp_seconds", seconds(st.ReloadTime))
	s.gauge("pvgate_config_info", 1, st.ConfigHash)
	s.counter("pvgate_upgrades_failed_total", float64(st.UpgradesFailed))
	if !st.TLS {
		return
	}
	for name, end := range st.Certificates {
		s.gauge("pvgate_tls_certificate_expiry_timestamp_seconds", seconds(end), name)
	}
	ok = 0
	if st.TLSReloadOK {
		ok = 1
	}
	s.gauge("pvgate_tls_last_reload_successful", ok)
}

// lookup shows how the look-ups in a source go. All results are there from the start: an alert looks at their increase.
func (s sink) lookup(l *Lookup) {
	for _, r := range lookup.Results() {
		s.counter("pvgate_lookup_total", float64(l.Stats.Counts[r]), l.Name, r.String())
	}
	s.gauge("pvgate_lookup_stale_age_seconds_max", l.Stats.StaleAge.Seconds(), l.Name)
	for cause, n := range l.Stats.Causes {
		s.counter("pvgate_registry_refused_total", float64(n), l.Name, string(cause))
	}
	calls := meter.Histogram{Sum: int64(l.Stats.Calls.Sum)}
	copy(calls.Counts[:], l.Stats.Calls.Counts[:])
	s.histogram("pvgate_lookup_seconds", &calls, lookup.Buckets(), l.Name)
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// names shows how the look-ups of endpoints' names go.
func (s sink) names(st *dns.Stats) {
	for r, n := range st.Lookups {
		s.counter("pvgate_dns_lookups_total", float64(n), dns.Result(r).String())
	}
	states := map[string]int{"fresh": 0, "stale": 0, "unresolved": 0}
	var oldest time.Duration
	for i := range st.Names {
		n := &st.Names[i]
		switch {
		case len(n.Addresses) == 0:
			states["unresolved"]++
		case n.Age > n.TTL:
			states["stale"]++
			oldest = max(oldest, n.Age-n.TTL)
		default:
			states["fresh"]++
		}
	}
	for state, n := range states {
		s.gauge("pvgate_dns_names", float64(n), state)
	}
	s.gauge("pvgate_dns_stale_seconds_max", oldest.Seconds())
}
