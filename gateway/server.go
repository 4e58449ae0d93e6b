// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/http3"
	"github.com/pvgate/pvgate/gateway/listen"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/overload"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// Options configures a [Server]. A zero field takes the default of [DefaultOptions].
type Options struct {
	// Loops is the number of reactors; 0 means one per core. GOMAXPROCS is raised to two more: the slots beside
	// the loops are for everything that is not a request.
	Loops int
	// Listen says where to listen, in the order of the configuration's listeners.
	Listen []Listener
	// Limits bound requests, ResponseHead and ResponseFields the heads of responses.
	Limits         http1.Limits
	ResponseHead   int
	ResponseFields int
	Timeouts       conn.Timeouts
	// Memory is how much the process may use, octets: near it connections are closed and requests refused, so that it is
	// never passed. 0 means any amount.
	Memory uint64
	// Descriptors is how many the process may have. 0 means as many as the kernel says.
	Descriptors int
	// MaxConnections bounds the client connections of all loops; more wait in the kernel's queue. 0 means seven eighths
	// of the Descriptors, and at least 64 fewer than those.
	MaxConnections int
	// MaxTunnels bounds the connections of all loops that have changed their protocol: each holds two descriptors for
	// hours. 0 means half of those that MaxConnections leaves.
	MaxTunnels int
	// AccessLog gets a line for each finished exchange; nil for no log. Its owner closes it, after Drain.
	AccessLog *accesslog.Log
	// Panic is told of a broken invariant that the server survived; nil lets the process end.
	Panic func(value any, stack []byte)
	// Secret is what the keys of stateless resets and address tokens of QUIC are made of; all zero: random ones, and
	// clients of HTTP/3 take a while to notice that this process follows another.
	Secret [32]byte
	// Inherited are sockets that another process has opened: addresses that they are bound to are listened on with them.
	Inherited *listen.Inherited
	// Opened is called when all that Start needs is there, before anybody is served; its error ends the start. It may wait.
	// nil: nothing is waited for.
	Opened func() error
	// HoldDatagrams leaves the UDP sockets unread until [Server.ReadDatagrams]: two processes must never read the same.
	HoldDatagrams bool
	// Warn is told at the start of what works but should be looked at; nil: nobody is.
	Warn func(text string)
	// NewKernel makes a loop's kernel; nil for the real one. For tests.
	NewKernel func(start time.Time) (loop.Kernel, error)
	// Poison overwrites read buffers after use. For tests.
	Poison bool
	// Inline leaves handshakes to the caller, who has the loops' thread. For tests.
	Inline bool
}

// Listener is one address to listen on.
type Listener struct {
	// Address is HOST:PORT; see the package listen.
	Address string
	// Protocols are the versions of HTTP spoken there; none: HTTP/1.1. What TLS offers by ALPN must be the same. HTTP/3 is
	// on the UDP port of the same number, needs TLS, and one of the others beside it.
	Protocols conn.Protocols
	// TLS returns what new handshakes use from now on, and is asked at each of them; nil for a listener without TLS. It
	// is called on loops: it must not wait (read an atomic pointer), and never return nil.
	TLS func() *tlsconn.Config
}

// DefaultOptions returns what a server uses when the operator says nothing.
func DefaultOptions() Options {
	return Options{
		Loops: runtime.NumCPU(), Limits: http1.DefaultLimits(), ResponseHead: 32 << 10, ResponseFields: 200,
		Timeouts: conn.DefaultTimeouts(), Descriptors: descriptors(), NewKernel: loop.NewKernel,
	}
}

// Server is a running data plane. Its methods are safe for concurrent use, except on a loop.
type Server struct {
	options Options
	nodes   []*node
	// networks counts client connections by network, over all loops.
	networks *conn.Networks
	parking  parking
	current  atomic.Pointer[generation]
	sockets  []listen.Sockets
	udp      []*net.UDPConn // by listener; nil for none
	started  time.Time
	workers  *tlsconn.Workers // of handshakes
	memory   overload.Watch
	http3    *http3.Server // nil without a listener that speaks it
	altSvc   [][]byte      // by listener: what its clients are told of HTTP/3; nil for nothing
	retired  bool          // another process has the sockets; set before the loops drain

	// mu serialises Swap and guards indexes: the backends' places in the meters, by name, never reused.
	mu      sync.Mutex
	indexes map[string]int
	names   []string

	// datagramsMu guards datagrams: UDP sockets that nobody reads yet.
	datagramsMu sync.Mutex
	datagrams   []datagrams
}

// Start opens the addresses and serves the snapshot. On an error nothing is left open.
func Start(o Options, snap *Snapshot) (*Server, error) {
	s, err := assemble(o, snap)
	if err != nil {
		return nil, err
	}
	err = s.open()
	if err == nil && o.Opened != nil {
		err = o.Opened()
	}
	if err == nil && !o.HoldDatagrams {
		err = s.ReadDatagrams()
	}
	if err != nil {
		s.release()
		return nil, err
	}
	for _, n := range s.nodes {
		go n.loop.Run()
	}
	if o.Memory > 0 {
		go s.watchMemory()
	}
	return s, nil
}

// assemble builds a server whose loops do not run yet and listen to nothing.
func assemble(o Options, snap *Snapshot) (*Server, error) {
	o = o.withDefaults()
	s := &Server{options: o, networks: conn.NewNetworks(), indexes: map[string]int{}, started: time.Now()}
	s.parking.networks = conn.NewNetworks()
	if procs := o.Loops + besideLoops; runtime.GOMAXPROCS(0) < procs {
		runtime.GOMAXPROCS(procs)
	}
	s.memory.Limit(o.Memory)
	s.workers = tlsconn.NewWorkers(o.handshakes(), o.Panic)
	var loops []*loop.Loop
	for i := range o.Loops {
		kernel, err := o.NewKernel(s.started)
		if err != nil {
			s.release()
			return nil, fmt.Errorf("start loop %d: %w", i, err)
		}
		l := loop.New(loop.Options{Index: i, Kernel: kernel, MaxAccepted: o.MaxConnections, MaxPipes: o.pipes(), Poison: o.Poison, Panic: o.Panic, Grown: s.memory.Add})
		loops = append(loops, l)
		s.nodes = append(s.nodes, newNode(s, l))
	}
	for _, l := range loops {
		l.Balance(loops)
	}
	if o.quic() {
		s.newHTTP3()
	}
	g, _ := s.prepare(snap, nil)
	s.networks.Set(s.perNetwork(snap))
	s.parking.set(snap.Parking, snap.Networks)
	s.current.Store(g)
	return s, nil
}

// perNetwork is the snapshot's policy, as far as this process has the places for it: no network takes more than half.
func (s *Server) perNetwork(snap *Snapshot) conn.NetworkPolicy {
	p := snap.Networks
	p.Most = min(p.Most, s.options.MaxConnections/2)
	return p
}

// besideLoops is how many slots of GOMAXPROCS are nobody's loop's: one for what computes beside them (a handshake, a reload), and
// one so that the garbage collector, which takes a quarter of all, needs none of theirs.
const besideLoops = 2

// handshakes is how many may compute at a time: as many as leave every loop a place to run, at any moment, and the garbage
// collector one [8 busy goroutines beside 2 loops: wake-up p99 from 0.05 to 52 ms].
func (o *Options) handshakes() int {
	if o.Inline {
		return 0
	}
	return max(runtime.GOMAXPROCS(0)-o.Loops-1, 1)
}

// pipes is how many a loop may have: few clients at a time are behind with large bodies, and descriptors are for others.
func (o *Options) pipes() int { return min(32, descriptors()/64/o.Loops) }

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.Loops == 0 {
		o.Loops = d.Loops
	}
	if o.Limits == (http1.Limits{}) {
		o.Limits = d.Limits
	}
	if o.ResponseHead == 0 {
		o.ResponseHead = d.ResponseHead
	}
	if o.ResponseFields == 0 {
		o.ResponseFields = d.ResponseFields
	}
	if o.Timeouts == (conn.Timeouts{}) {
		o.Timeouts = d.Timeouts
	}
	if o.Descriptors == 0 {
		o.Descriptors = d.Descriptors
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = maxConnections(o.Descriptors)
	}
	if o.MaxTunnels == 0 {
		o.MaxTunnels = (o.Descriptors - maxConnections(o.Descriptors)) / 2
	}
	if o.NewKernel == nil {
		o.NewKernel = d.NewKernel
	}
	return o
}

// maxConnections leaves descriptors for backends, listeners and files, so that those who are in are served when no more
// can come in.
func maxConnections(descriptors int) int {
	return max(min(descriptors-descriptors/8, descriptors-64), 1)
}

// reserved is how many descriptors are for listeners, files and what else is no connection.
func reserved(descriptors int) int { return min(64, descriptors/10) }

// descriptors is how many of them the process may have. Idle upstream connections get half at most.
func descriptors() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return int(min(r.Cur, 1<<17))
}

// open listens on every address with one socket per loop. Of inherited sockets there may be more, or fewer: then some loops
// get their connections from others. Where listeners have one each, they are different loops'.
func (s *Server) open() error {
	for i, l := range s.options.Listen {
		sockets, udp, err := s.listenOn(&l)
		if err != nil {
			return err
		}
		s.sockets, s.udp = append(s.sockets, sockets), append(s.udp, udp)
		if udp != nil {
			s.datagrams = append(s.datagrams, datagrams{udp, i})
			s.altSvc[i] = advertise(sockets.Addr.Port())
		}
		for j, fd := range sockets.FDs {
			if err := s.nodes[(i+j)%len(s.nodes)].listen(fd, i, l); err != nil {
				return fmt.Errorf("listen on %s: %w", l.Address, err)
			}
		}
	}
	return nil
}

// release frees what Start has opened before it failed.
func (s *Server) release() {
	for i := range s.sockets {
		s.sockets[i].Close()
	}
	for _, n := range s.nodes {
		n.loop.Free()
	}
	s.workers.Close()
	s.endHTTP3()
}

// Addresses returns what the server listens on, in the order of Options.Listen, with the ports that were chosen.
func (s *Server) Addresses() []netip.AddrPort {
	var a []netip.AddrPort
	for _, k := range s.sockets {
		a = append(a, k.Addr)
	}
	return a
}

// Mono returns the time that limits are asked with: monotonic nanoseconds since Start.
func (s *Server) Mono() int64 { return int64(time.Since(s.started)) }

// Snapshot returns the snapshot in service.
func (s *Server) Snapshot() *Snapshot { return s.current.Load().snapshot }

// Swap puts a snapshot in service: every request whose head is read after Swap returns sees it. Requests in flight keep
// the decision they were given, and their connection.
func (s *Server) Swap(snap *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, retired := s.prepare(snap, s.current.Load())
	s.current.Store(g)
	s.networks.Set(s.perNetwork(snap))
	s.parking.set(snap.Parking, snap.Networks)
	for i, n := range s.nodes {
		retire(n.loop, retired[i])
	}
}

// Forsake closes the idle connections to an endpoint that has been found bad.
func (s *Server) Forsake(e *endpoint.Endpoint) {
	for _, n := range s.nodes {
		n.loop.Post(func() { n.cache.Forsake(e) })
	}
}

// meterIndex returns a backend's place in the meters. The caller holds mu, or is Start.
func (s *Server) meterIndex(name string) int {
	i, ok := s.indexes[name]
	if !ok {
		i = len(s.names)
		s.indexes[name] = i
		s.names = append(s.names, name)
	}
	return i
}

// Drain stops accepting, lets requests in flight end, and stops the loops. When ctx ends first, what is left is broken
// off and its error is returned. The server is of no further use.
func (s *Server) Drain(ctx context.Context) error { return s.drain(ctx, nil) }

// datagramTime is how long connections of HTTP/3 have to end before another process reads their socket.
const datagramTime = 5 * time.Second

// Retire is Drain when another process listens on the same sockets from now on. Connections of HTTP/3 cannot move there:
// they have 5 s to end. Then their sockets are read no more, and released is called.
func (s *Server) Retire(ctx context.Context, released func()) error {
	s.retired = true
	return s.drain(ctx, released)
}

// lateClients is how long clients whose connection stands have to send something before the listening sockets are closed.
const lateClients = 50 * time.Millisecond

// LastCall lets in whom the kernel still keeps back. To be called before Drain, but not before Retire.
func (s *Server) LastCall() {
	for i := range s.sockets {
		s.sockets[i].Hasten()
	}
	time.Sleep(lateClients)
}

func (s *Server) drain(ctx context.Context, released func()) error {
	s.dropDatagrams()
	for _, n := range s.nodes {
		n.loop.Do(n.drain)
	}
	var err error
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for since := time.Now(); s.busy() && err == nil; {
		if released != nil && (s.http3 == nil || s.http3.Open() == 0 || time.Since(since) >= datagramTime) {
			s.releaseDatagrams()
			released()
			released = nil
		}
		select {
		case <-ctx.Done():
			err = fmt.Errorf("drain: %w with connections left", context.Cause(ctx))
		case <-tick.C:
		}
	}
	for _, n := range s.nodes {
		n.loop.Post(n.cut)
	}
	for _, n := range s.nodes {
		<-n.loop.Done()
	}
	s.workers.Close()
	s.endHTTP3()
	if released != nil {
		released()
	}
	return err
}

// busy reports whether any client connection is open; one handed between loops while draining is closed on arrival.
func (s *Server) busy() bool {
	left := 0
	if s.http3 != nil {
		s.http3.Drain()
		left = s.http3.Open()
	}
	for _, n := range s.nodes {
		n.loop.Do(func() {
			n.host.Drain()
			if n.http3 != nil {
				n.http3.Drain()
			}
			open, _ := n.host.Count()
			left += open
		})
	}
	return left > 0
}

// Turn waits until every loop has turned once.
func (s *Server) Turn(ctx context.Context) error {
	turned := make(chan struct{}, len(s.nodes))
	for _, n := range s.nodes {
		n.loop.Post(func() { turned <- struct{}{} })
	}
	for i := range s.nodes {
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d loops do not turn: %w", len(s.nodes)-i, len(s.nodes), ctx.Err())
		}
	}
	return nil
}

// Stats is a reading of the whole server.
type Stats struct {
	Meter  meter.Meter
	Names  []string // of Meter.Backends
	Loops  []loop.Stats
	Pools  upstream.Stats
	TLS    tlsconn.Stats
	Open   int // client connections
	Active int // of them with a request in flight
	Most   int // client connections that may be open at once
	Closed [conn.Causes]uint64
	// Tunnels are client connections that have changed their protocol, or have a stream that has, and of HTTP/3 the
	// streams; they are not in Active.
	Tunnels int
	// Parked are requests that wait for look-ups; ParkedInVain have waited too long, ParkingRefused found no place, and of
	// ParkingCrowded the network has its share of places.
	Parked, ParkedMost                           int
	ParkedInVain, ParkingRefused, ParkingCrowded uint64
	// LogDropped is how many lines the access log has lost.
	LogDropped uint64
	Uptime     time.Duration
	// MemoryLimit is Options.Memory, MemoryUsed what is counted against it.
	MemoryUsed, MemoryLimit uint64
}

var errStopped = errors.New("the server has stopped")

// Stats asks every loop for its figures and adds them up. It waits for each loop's next turn.
func (s *Server) Stats() (*Stats, error) {
	st := &Stats{Uptime: time.Since(s.started), Most: s.options.MaxConnections, Parked: int(s.parking.taken.Load()), ParkedMost: int(s.parking.most.Load()), ParkedInVain: s.parking.late.Load(), ParkingRefused: s.parking.refused.Load(), ParkingCrowded: s.parking.crowded.Load(), MemoryLimit: s.options.Memory, MemoryUsed: overload.Used()}
	for _, n := range s.nodes {
		var l loop.Stats
		ok := n.loop.Do(func() {
			n.meter.AddTo(&st.Meter)
			l = n.loop.Stats()
			l.Stale += n.stale
			p := n.cache.Stats()
			st.Pools.Add(p)
			open, active := n.host.Count()
			st.Open += open
			if n.http3 != nil {
				st.Active += n.http3.Active() - n.http3.Tunnels()
				st.Tunnels += n.http3.Tunnels()
				l.Stale += n.http3.Stale()
			}
			st.TLS.Add(n.tls.Stats())
			for cause, count := range n.host.Closed() {
				st.Closed[cause] += count
			}
			st.Active += active - n.host.Tunnels()
			st.Tunnels += n.host.Tunnels()
		})
		if !ok {
			return nil, errStopped
		}
		st.Loops = append(st.Loops, l)
	}
	if s.http3 != nil {
		st.Open += s.http3.Open()
		st.Most += s.http3.Most()
		for cause, count := range s.http3.Closed() {
			st.Closed[cause] += count
		}
	}
	if l := s.options.AccessLog; l != nil {
		st.LogDropped = l.Dropped()
	}
	s.mu.Lock()
	st.Names = append(st.Names, s.names...)
	s.mu.Unlock()
	return st, nil
}
