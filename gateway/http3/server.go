// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"maps"
	"math"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

const (
	// retryAbove is how many handshakes may be under way before a client must prove its address (RFC 9000, section
	// 8.1.2); maxHandshakes how many there may be at all.
	retryAbove    = 128
	maxHandshakes = 2048
	// keepAlive is how often a quiet connection with its place is asked whether it is there. Browsers wait for 30 s.
	keepAlive = 20 * time.Second
	// silence is after which time without a packet a client is no more: it has not answered when it was asked.
	silence = 60 * time.Second
	// goodbye is how long a client has to hear that its connection ends before it is told which requests are served.
	goodbye = 500 * time.Millisecond
	// lastWords is how long Close waits for answers that have just been made.
	lastWords = 200 * time.Millisecond
	// Flow control windows: what a client may send of bodies before it is read, octets.
	// However many bodies nobody takes, a connection's window lets the next one in.
	streamWindow    = 64 << 10
	maxStreamWindow = 512 << 10
)

// Limits bound what clients may ask.
type Limits struct {
	message.HeadLimits
	Streams  int // requests of one connection that have not ended
	Overhead int // of a stream, beyond what its content earns, octets
}

// DefaultLimits returns the limits used when the operator names none.
func DefaultLimits() Limits {
	return Limits{HeadLimits: message.HeadLimits{Line: 8 << 10, Head: 32 << 10, Fields: 100}, Streams: 100, Overhead: 16 << 10}
}

// Options configure a [Server].
type Options struct {
	Hosts    []*Host // one for each loop
	Limits   Limits
	Timeouts conn.Timeouts
	Networks *conn.Networks
	// MaxConnections bounds the connections of all addresses.
	MaxConnections int
	// Secret is what the keys of stateless resets and address tokens are made of, so that a process that knows it goes on
	// where another has ended. All zero: random ones.
	Secret [sha256.Size]byte
	// Panic is told of a broken invariant that was survived; nil lets the process end.
	Panic func(value any, stack []byte)
}

// Server is HTTP/3 on any number of addresses. Its methods are safe for concurrent use, but not on a loop.
type Server struct {
	options     Options
	limits      wire.Limits
	chunks      *chunks
	heads       sync.Pool // *head
	bodies      sync.Pool // []byte of bodyBuffer
	started     time.Time
	running     sync.WaitGroup // all goroutines
	handshaking atomic.Int64
	places      atomic.Int64 // connections
	next        atomic.Uint64
	work        chan *stream    // taken by a goroutine that has nothing to do
	spare       atomic.Int64    // goroutines that have not
	past        context.Context // has ended
	over        context.Context // until Close
	end         context.CancelFunc
	closed      [conn.Causes]atomic.Uint64

	// mu guards what is below.
	mu          sync.Mutex
	sockets     []*socket
	connections [sweepSteps]map[*connection]struct{} // by their turns
	draining    time.Time                            // when it began; zero before
}

// socket is one address.
type socket struct {
	transport *quic.Transport
	listener  *quic.Listener
	index     int
	heads     message.HeadLimits
	config    func() *tlsconn.Config
	latest    atomic.Pointer[secured]
}

// secured is a configuration as QUIC wants it.
type secured struct {
	of  *tlsconn.Config
	tls *tls.Config
}

// New returns a server that listens to nothing yet.
func New(o Options) *Server {
	if o.Secret == [sha256.Size]byte{} {
		_, _ = rand.Read(o.Secret[:]) // never fails (crypto/rand)
	}
	s := &Server{
		options: o, limits: wire.Limits{Section: o.Limits.Head, Overhead: o.Limits.Overhead}, chunks: newChunks(),
		heads:   sync.Pool{New: func() any { return &head{in: make([]byte, 0, headBuffer)} }},
		bodies:  sync.Pool{New: func() any { return make([]byte, 0, bodyBuffer) }},
		started: time.Now(), work: make(chan *stream),
	}
	for turn := range s.connections {
		s.connections[turn] = map[*connection]struct{}{}
	}
	past, end := context.WithCancel(context.Background())
	end()
	s.past = past
	s.over, s.end = context.WithCancel(context.Background())
	return s
}

// key derives a key from the secret.
func (s *Server) key(what string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, s.options.Secret[:])
	mac.Write([]byte("pvgate " + what))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Listen opens a listener of the configuration, by its index, on a socket, which it owns; webSocket says that it offers
// that. secure is asked at each handshake and must not wait. Before Serve nobody is served.
func (s *Server) Listen(socketOf net.PacketConn, index int, webSocket bool, secure func() *tlsconn.Config) error {
	reset, token := quic.StatelessResetKey(s.key("stateless reset")), quic.TokenGeneratorKey(s.key("address token"))
	k := &socket{index: index, heads: s.options.Limits.HeadLimits, config: secure}
	k.heads.WebSocket = webSocket
	if u, ok := socketOf.(*net.UDPConn); ok {
		socketOf = newFrugal(u)
	}
	k.transport = &quic.Transport{
		Conn: socketOf, StatelessResetKey: &reset, TokenGeneratorKey: &token,
		VerifySourceAddress: func(net.Addr) bool { return s.handshaking.Load() > retryAbove },
		ConnContext:         s.arrived,
	}
	t := &s.options.Timeouts
	connectionWindow := uint64(s.options.Limits.Streams) * streamWindow
	var err error
	k.listener, err = k.transport.Listen(&tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h3"}, GetConfigForClient: k.configFor,
	}, &quic.Config{
		Versions: []quic.Version{quic.Version1, quic.Version2}, HandshakeIdleTimeout: t.Head / 2, MaxIdleTimeout: silence,
		KeepAlivePeriod: keepAlive, MaxIncomingStreams: int64(s.options.Limits.Streams), MaxIncomingUniStreams: uniStreams,
		RequireStreamCreditRelease: true, // H2-01: a place is free when its exchange has ended
		InitialStreamReceiveWindow: streamWindow, MaxStreamReceiveWindow: maxStreamWindow,
		InitialConnectionReceiveWindow: connectionWindow, MaxConnectionReceiveWindow: connectionWindow,
	})
	if err != nil {
		return errors.Join(err, k.transport.Close(), socketOf.Close())
	}
	s.mu.Lock()
	s.sockets = append(s.sockets, k)
	s.mu.Unlock()
	return nil
}

// Serve begins to take connections.
func (s *Server) Serve() {
	for _, k := range s.sockets {
		s.running.Go(func() { s.accept(k) })
	}
	s.running.Go(s.sweep)
	s.running.Go(func() { s.settle(living, debug.FreeOSMemory) })
}

// handshake is a connection that may become one. It is found in the contexts of its callbacks.
type handshake struct {
	config atomic.Pointer[tlsconn.Config]
	left   func() bool // stops the wait for its failure; false: it has failed
}

type handshakeKey struct{}

var errTooMany = errors.New("too many handshakes")

// arrived counts a handshake.
func (s *Server) arrived(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if s.handshaking.Add(1) > maxHandshakes {
		s.handshaking.Add(-1)
		s.count(conn.HandshakeCrowded)
		return nil, errTooMany
	}
	h := new(handshake)
	h.left = context.AfterFunc(ctx, func() {
		s.handshaking.Add(-1)
		var slow *quic.HandshakeTimeoutError
		if errors.As(context.Cause(ctx), &slow) {
			s.count(conn.HandshakeSlow)
		} else {
			s.count(conn.HandshakeFailed)
		}
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// configFor gives a handshake the configuration that is in service now.
func (k *socket) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := k.config()
	if h, ok := hello.Context().Value(handshakeKey{}).(*handshake); ok {
		h.config.Store(c)
	}
	if l := k.latest.Load(); l != nil && l.of == c {
		return l.tls, nil
	}
	l := &secured{of: c, tls: c.TLS().Clone()}
	l.tls.MinVersion, l.tls.NextProtos = tls.VersionTLS13, []string{"h3"}
	k.latest.Store(l)
	return l.tls, nil
}

// accept takes connections whose handshake is done.
func (s *Server) accept(k *socket) {
	for {
		q, err := k.listener.Accept(s.over)
		if err != nil {
			return // closed
		}
		s.begin(k, q)
	}
}

// begin serves a connection if there is a place for it.
func (s *Server) begin(k *socket, q *quic.Conn) {
	h, ok := q.Context().Value(handshakeKey{}).(*handshake)
	if !ok || !h.left() {
		return // it has ended already
	}
	s.handshaking.Add(-1)
	state := q.ConnectionState().TLS
	a := address(q.RemoteAddr())
	number := s.next.Add(1)
	c := &connection{
		server: s, socket: k, quic: q, config: h.config.Load(), network: a, from: q.RemoteAddr(), goingTo: math.MaxUint64,
		since: time.Now(), host: s.options.Hosts[number%uint64(len(s.options.Hosts))], turn: number % sweepSteps,
		accepted: &exchange.Client{
			Addr: a, Text: a.AppendTo(nil), Listener: k.index, Protocol: exchange.HTTP3, TLS: true, ServerName: state.ServerName,
			Certificate: (*exchange.Certificate)(tlsconn.Verified(&state)),
		},
	}
	c.silence.Store(awake)
	entered := s.options.Networks.Enter(a)
	taken := s.places.Add(1)
	s.mu.Lock()
	s.connections[c.turn][c] = struct{}{}
	if !s.draining.IsZero() {
		c.goingTo = everyStream
	}
	s.mu.Unlock()
	s.running.Go(func() {
		switch {
		case !entered:
			c.end(wire.ExcessiveLoad, conn.NetworkLimit)
		case taken > int64(s.options.MaxConnections):
			c.end(wire.ExcessiveLoad, conn.Crowded)
		case c.host.pressed():
			c.end(wire.ExcessiveLoad, conn.Overloaded)
		default:
			if c.prepare() {
				s.running.Go(c.acceptUni)
				s.running.Go(c.serve)
				return
			}
		}
		s.forget(c)
	})
}

// spareMost is how many goroutines may wait for requests. One that has run already has the stack that it needs.
const spareMost = 256

// employ runs a stream.
func (s *Server) employ(st *stream) {
	select {
	case s.work <- st:
	default:
		s.running.Go(func() { s.labour(st) })
	}
}

func (s *Server) labour(st *stream) {
	for {
		st.run()
		if s.spare.Add(1) > spareMost {
			s.spare.Add(-1)
			return
		}
		select {
		case st = <-s.work:
			s.spare.Add(-1)
		case <-s.over.Done():
			return
		}
	}
}

// forget takes a connection out of the account.
func (s *Server) forget(c *connection) {
	if c.idle != nil {
		c.idle.Stop()
	}
	s.options.Networks.Leave(c.network)
	s.places.Add(-1)
	s.mu.Lock()
	delete(s.connections[c.turn], c)
	s.mu.Unlock()
}

// crowdedIdle is how long a connection may be without a request when most places are taken.
const crowdedIdle = 2 * time.Second

// patience is how long a connection may be without a request.
func (s *Server) patience() time.Duration {
	most := int64(s.options.MaxConnections)
	if idle := s.options.Timeouts.Idle; s.places.Load() <= most-most/8 {
		return idle
	}
	return min(crowdedIdle, s.options.Timeouts.Idle)
}

// Open returns how many connections there are.
func (s *Server) Open() int { return int(s.places.Load()) }

// Most returns how many there may be.
func (s *Server) Most() int { return s.options.MaxConnections }

// Closed returns how many connections were closed by cause.
func (s *Server) Closed() (n [conn.Causes]uint64) {
	for i := range n {
		n[i] = s.closed[i].Load()
	}
	return n
}

// Drain takes no new connections and lets every other one end: its client is told, and a little later no further requests
// are served. Call it again until Open says that none is left.
func (s *Server) Drain() {
	s.mu.Lock()
	if s.draining.IsZero() {
		s.draining = time.Now()
		for _, k := range s.sockets {
			_ = k.listener.Close() // fails never
		}
	}
	final := time.Since(s.draining) >= goodbye
	s.mu.Unlock()
	for _, c := range s.all() {
		c.drain(final)
	}
}

// all returns the connections.
func (s *Server) all() (all []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.connections {
		all = slices.AppendSeq(all, maps.Keys(of))
	}
	return all
}

// Close ends every connection that is left, and waits for all that was begun. The loops must have ended before: what they
// put into outboxes as their last is given a moment.
func (s *Server) Close() {
	all := s.all()
	for until := time.Now().Add(lastWords); time.Now().Before(until) && slices.ContainsFunc(all, (*connection).speaks); {
		time.Sleep(lastWords / 20)
	}
	s.Release()
	s.end()
	s.running.Wait()
}

// Release ends every connection that is left and reads the sockets no more; another process may from now on. The loops
// may go on.
func (s *Server) Release() {
	for _, c := range s.all() {
		c.close(wire.NoError)
	}
	for _, k := range s.sockets {
		_ = k.listener.Close()
		_ = k.transport.Close() // tells whoever is in a handshake, and returns when nobody reads any more
		_ = k.transport.Conn.Close()
	}
}
