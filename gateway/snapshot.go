// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/prefetch"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// Snapshot is everything one request sees, built whole before it is put in service. Immutable once given to the
// server.
type Snapshot struct {
	// ID names the snapshot in explain, status and logs; the access log shows its first eight octets.
	ID string
	// Resolver decides; its Plan.Backend indexes Backends.
	Resolver exchange.Resolver
	// Via is our pseudonym, the same on all nodes of a fleet: "pvgate-gw.example.de".
	Via      string
	Backends []Backend
	// Parking bounds the requests that wait for look-ups.
	Parking Parking
	// Networks bounds the client connections of one network; the zero value does not.
	Networks conn.NetworkPolicy
	// ProxyPeers are, by listener, the networks whose connections must begin with a PROXY header; from elsewhere there
	// are none then. Without networks nobody may send one.
	ProxyPeers [][]netip.Prefix
}

// Backend is a backend as the data plane needs it.
type Backend struct {
	// Limiter is the backend's state over snapshots, from one limit.Book.
	Limiter *limit.Backend
	// Endpoints are where it answers, from one endpoint.Book. A redirect backend has none: nil.
	Endpoints *endpoint.Group
	// RequestEdit and ResponseEdit are what the operator changes about its fields; nil for nothing.
	RequestEdit, ResponseEdit *header.Edit
	// Tunnels are the changes of protocol it allows; nil for none.
	Tunnels *exchange.Tunnels
	// TLS is what connections to the endpoints are secured with; nil: they are not. What it holds may be replaced while it
	// is in service, and two snapshots that have the same share their connections.
	TLS  *atomic.Pointer[tlsconn.Client]
	Name string
	// Host is the authority sent to the endpoints.
	Host string
	// Authorities are the spellings of the endpoints and Host under which the backend may name itself in
	// Location, lower-case: "http://10.0.0.1:8080".
	Authorities []string
	Timeouts    upstream.Timeouts
}

// sameConnections reports whether two definitions may share their pooled connections.
func (b *Backend) sameConnections(o *Backend) bool {
	return b.Timeouts == o.Timeouts && b.TLS == o.TLS && b.Endpoints.Same(o.Endpoints)
}

// generation is a snapshot in service: one view per loop behind one pointer, so that all loops change at once.
type generation struct {
	snapshot *Snapshot
	views    []exchange.Snapshot
	pools    [][]*upstream.Pool // by loop, backend; nil for a redirect backend
}

// member is one backend as one loop sees it; it implements exchange.Backend. What a request touches is a step from here, so
// that all of it can be asked for at once.
type member struct {
	node      *node
	limiter   *limit.Backend
	pool      *upstream.Pool // nil for a redirect backend
	endpoints *endpoint.Group
	first     *endpoint.Endpoint // of these
	index     int
	host      []byte
	// The operator's edits.
	request, response *header.Edit
	def               *Backend
}

// Near asks the memory for what Expect reads.
func (m *member) Near() { prefetch.All(m) }

// Expect asks the memory for what a request at the backend will touch: with thousands of backends none of it is in the
// processor's caches, and the atomics of a limiter keep it from looking ahead (bench/rig many measures it).
func (m *member) Expect() {
	m.limiter.Expect()
	m.pool.Expect()
	m.endpoints.Expect()
	m.first.Expect()
	m.node.meter.Expect(m.index)
	prefetch.Bytes(m.host)
}

func (m *member) Admit(x *exchange.Exchange) (exchange.Admission, exchange.Ticket, time.Duration) {
	n, limiter := m.node, m.limiter
	switch a := n.share.enter(m.index, n.held()); a {
	case exchange.Admitted:
	case exchange.Busy:
		limiter.Refused()
		return a, nil, 0
	default:
		return a, nil, 0
	}
	outcome, retry := limiter.Admit(n.loop.Now())
	if outcome == limit.Full {
		var t *ticket
		if outcome, t, retry = n.queue(m, x); outcome == limit.Queued {
			return exchange.Queued, t, 0
		}
	}
	switch outcome {
	case limit.Admitted:
		if m.pool != nil {
			m.pool.ExpectConn()
		}
		return exchange.Admitted, nil, 0
	case limit.RateUsedUp:
		n.share.leave(m.index)
		return exchange.RateLimited, nil, time.Duration(retry)
	default:
		limiter.Retries.Refused(n.loop.Now())
		n.share.leave(m.index)
		return exchange.Busy, nil, 0
	}
}

func (m *member) Leave() {
	m.node.share.leave(m.index)
	m.limiter.Release(m.node.loop.Now())
}

// Answered leaves out the answers of a backend that says that it has too much to do: they are quick and mean the opposite.
func (m *member) Answered(began int64, status int) {
	if status == 503 || status == 429 {
		m.Failed(began)
		return
	}
	m.limiter.Heard(began, m.node.loop.Now())
}

func (m *member) Failed(began int64) { m.limiter.Missed(began, m.node.loop.Now()) }

func (m *member) AppendHead(dst []byte, h *message.Head, target []byte) []byte {
	return upstream.AppendHead(dst, h, target)
}

func (m *member) Tunnels() *exchange.Tunnels { return m.def.Tunnels }

// AdmitTunnel takes a place. What is returned is the limiter, which outlives snapshots.
func (m *member) AdmitTunnel() exchange.Place {
	if !m.limiter.AdmitTunnel() {
		return nil
	}
	return m.limiter
}

func (m *member) Connect(x *exchange.Exchange, want exchange.Connection) (exchange.Upstream, message.Fault) {
	if m.pool == nil {
		return nil, message.FaultRefused
	}
	m.limiter.Retries.Request(m.node.loop.Now())
	c, fault := m.pool.Get(x, reuse[want], m.endpoints, want != exchange.RecentConnection, x.Stay())
	if fault != message.FaultNone {
		return nil, fault
	}
	return c, message.FaultNone
}

// Down says since when no endpoint has been in service, and when one will be tried.
func (m *member) Down(now int64) (since, retry time.Duration) {
	from, next := m.endpoints.Down()
	return time.Duration(now - from), time.Duration(max(next-now, 0))
}

// reuse says what a pool may lend.
var reuse = [...]upstream.Reuse{
	exchange.AnyConnection: upstream.ReuseAny, exchange.RecentConnection: upstream.ReuseRecent, exchange.NewConnection: upstream.ReuseNone,
}

func (m *member) MayRepeat(now int64, unseen bool) bool {
	if unseen || m.limiter.Retries.Take(now) {
		return true
	}
	m.pool.Withhold()
	return false
}

func (m *member) Repeat(x *exchange.Exchange, of exchange.Upstream) (exchange.Upstream, message.Fault) {
	c, fault := m.pool.Repeat(x, of.(*upstream.Conn), m.endpoints)
	if fault != message.FaultNone {
		return nil, fault
	}
	return c, message.FaultNone
}

func (m *member) Edits() (request, response *header.Edit) {
	return m.request, m.response
}

func (m *member) Host() []byte { return m.host }

func (m *member) Index() int { return m.index }

// OwnLocation recognises the backend's own addresses; scheme and host compare without case (RFC 3986, section 6.2.2.1).
func (m *member) OwnLocation(location []byte) ([]byte, bool) {
	for _, a := range m.def.Authorities {
		if len(location) < len(a) || !message.EqualFold(location[:len(a)], a) {
			continue
		}
		rest := location[len(a):]
		if len(rest) == 0 || rest[0] == '/' || rest[0] == '?' || rest[0] == '#' {
			return rest, true
		}
	}
	return nil, false
}

// prepare builds the views of a snapshot, sharing pools with the generation it follows where a backend has not
// changed. It returns the pools that nobody uses any more.
func (s *Server) prepare(snap *Snapshot, before *generation) (*generation, [][]*upstream.Pool) {
	g := &generation{snapshot: snap}
	old := map[string]int{}
	if before != nil {
		for i := range before.snapshot.Backends {
			old[before.snapshot.Backends[i].Name] = i
		}
	}
	kept := make([]bool, len(old))
	for n, node := range s.nodes {
		view := exchange.Snapshot{
			Resolver: snap.Resolver, Via: []byte(snap.Via), ProxyPeers: snap.ProxyPeers, Logged: s.options.AccessLog != nil,
		}
		copy(view.ID[:], snap.ID)
		pools := make([]*upstream.Pool, len(snap.Backends))
		members := make([]member, len(snap.Backends)) // in a row: the next one is near
		for i := range snap.Backends {
			b := &snap.Backends[i]
			if b.Endpoints != nil {
				if j, ok := old[b.Name]; ok && before.pools[n][j] != nil && b.sameConnections(&before.snapshot.Backends[j]) {
					pools[i], kept[j] = before.pools[n][j], true
				} else {
					pools[i] = upstream.NewPool(node.cache, b.Endpoints, b.TLS, b.Timeouts)
				}
			}
			m := &members[i]
			*m = member{
				node: node, limiter: b.Limiter, pool: pools[i], endpoints: b.Endpoints, index: s.meterIndex(b.Name), host: []byte(b.Host),
				request: b.RequestEdit, response: b.ResponseEdit, def: b,
			}
			if b.Endpoints != nil {
				m.first = b.Endpoints.At(0)
			}
			view.Backends = append(view.Backends, m)
		}
		g.views = append(g.views, view)
		g.pools = append(g.pools, pools)
	}
	if l := s.options.AccessLog; l != nil {
		l.SetBackends(slices.Clone(s.names))
		l.AddSockets(snap.sockets())
	}
	retired := make([][]*upstream.Pool, len(s.nodes))
	if before != nil {
		for n := range s.nodes {
			for j, p := range before.pools[n] {
				if p != nil && !kept[j] {
					retired[n] = append(retired[n], p)
				}
			}
		}
	}
	return g, retired
}

// sockets are the endpoints that are Unix sockets, by URL.
func (s *Snapshot) sockets() (urls []string) {
	for i := range s.Backends {
		g := s.Backends[i].Endpoints
		for at := 0; g != nil && at < g.Len(); at++ {
			if e := g.At(at); e.Network() == endpoint.Unix {
				urls = append(urls, e.URL())
			}
		}
	}
	return urls
}

// retire closes pools on their loop.
func retire(l *loop.Loop, pools []*upstream.Pool) {
	if len(pools) > 0 {
		l.Post(func() {
			for _, p := range pools {
				p.Close()
			}
		})
	}
}
