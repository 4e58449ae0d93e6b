// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// A world of the simulation: what is in it, what it does, and for how long.

type simResolver struct{}

func (simResolver) Likely([]byte) int { return -1 }

func (simResolver) Resolve(r *exchange.Request, p *exchange.Plan) {
	if bytes.HasPrefix(r.Path, []byte("/own")) {
		p.Reply.Reason, p.Reply.Status = reason.NotFound, 404
		if string(r.Path) == "/own/page" {
			p.Reply.Reason, p.Reply.Status = reason.None, 200
		}
		p.Reply.Body = append(p.Reply.Body, "own"...)
		return
	}
	p.Forward, p.Backend = true, 0
	if bytes.HasPrefix(r.Path, []byte("/u/")) {
		p.Backend = 1
	}
	p.Scratch = append(p.Scratch, r.Path...)
	p.Target = p.Scratch
}

func (simResolver) Page(_ *exchange.Request, code reason.Code, _ exchange.Detail, p *exchange.Plan) {
	p.Reply.Reason, p.Reply.Status = code, code.Status()
	p.Reply.Body = append(p.Reply.Body, code.String()...)
}

// world is one simulation.
type world struct {
	t       *testing.T
	seed    uint64
	net     *simsys.Net
	rng     *rand.Rand
	server  *Server
	limits  limit.Book
	limiter [2]*limit.Backend
	book    endpoint.Book
	groups  []*endpoint.Group // of all snapshots
	clients []*simClient
	sockets []*simSocket
	// streamers speak HTTP/2.
	streamers []*simH2
	// What became of tunnels, by tag: the backend agreed, and it sent all that it had to say.
	agreed, finished map[string]bool
	backs            [3]*simsys.Listener // simBack, simNext, simPath
	drainAt          int                 // round at which the server is told to end, -1 never
	cutAt            int                 // rounds after that at which it loses its patience
	origins          []*simOrigin
	queues           bool           // requests may have to wait for a place
	looks            *lookResolver  // nil: nothing has to be looked up
	calm             bool           // nobody fails or leaves: every request must succeed
	toils            bool           // the loops work when time passes, and may come to be late
	own              *rand.Rand     // for what is done amid a turn, and by backends that nobody has asked
	spoken           int            // so many of them have spoken, or left
	seen             map[string]int // times a non-idempotent request was received whole, by tag
	whole            int            // answers that arrived whole and right
	streamed         int            // of them over HTTP/2
	waited           bool           // somebody had to, in a queue
	tunnels          int            // of which the client heard all
	h2tunnels        int            // the same over HTTP/2
	spliced          uint64         // octets that were moved and not copied
	log              *accesslog.Log
	lines            bytes.Buffer // of the log, once it is closed
	version          uint16       // of TLS with clients, 0 without
	behind           uint16       // the same with backends
	trust            *atomic.Pointer[tlsconn.Client]
}

// farEnd is what a simulated client or backend plays: a simsys.End, or TLS over one.
type farEnd interface {
	Write(b []byte) int
	Read() []byte
	Got() int64
	Taken() bool
	EOF() bool
	Broken() bool
	CloseWrite()
	Room() int
	Finish()
	Close()
	Reset()
	Pump()
}

// dial connects a client to the gateway.
func (w *world) dial(host byte) farEnd {
	end := w.net.Dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 4000), simFront)
	if w.version == 0 {
		return end
	}
	return end.Secure(simClientTLS(w.version), w.rng.IntN(8) == 0)
}

func newWorld(t *testing.T, seed uint64, f simsys.Faults) *world {
	w := &world{t: t, seed: seed, net: simsys.New(seed, f), drainAt: -1, seen: map[string]int{}, agreed: map[string]bool{}, finished: map[string]bool{}}
	w.limiter = [2]*limit.Backend{w.limits.Backend("sim"), w.limits.Backend("next")}
	w.rng, w.own = w.net.Rand(), rand.New(rand.NewPCG(seed, 78))
	if w.rng.IntN(8) == 0 {
		w.net.SetCapacity(80 + w.rng.IntN(200))
	}
	w.calm = f.Reset == 0 && f.Exhausted == 0 && w.rng.IntN(2) == 0
	w.toils = !w.calm && seed/64%2 == 0
	w.queues = w.rng.IntN(2) == 0
	if own := rand.New(rand.NewPCG(seed, 77)); own.IntN(3) == 0 { // what is drawn otherwise does not depend on it
		w.looks = &lookResolver{random: own, wanted: map[string]bool{}}
	}
	w.limit()
	var secure func() *tlsconn.Config
	w.version = []uint16{0, 0, tls.VersionTLS13, tls.VersionTLS12}[seed/4%4]
	if w.version != 0 {
		secure = simTLS(t)
	}
	if w.behind = []uint16{0, 0, tls.VersionTLS13, tls.VersionTLS12}[seed/16%4]; w.behind != 0 {
		w.trust = simTrust(t)
	}
	o := Options{Loops: 1 + w.rng.IntN(2), Poison: true, Inline: true, Listen: []Listener{{TLS: secure, Protocols: simSpoken}}, NewKernel: func(time.Time) (loop.Kernel, error) {
		return amid{w.net.Kernel(), w}, nil
	}}
	var err error
	if w.log, err = accesslog.Start(accesslog.Options{Open: accesslog.Stream(&w.lines), Notes: http1.Causes(), Events: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	o.AccessLog = w.log
	s, err := assemble(o, w.snapshot())
	if err != nil {
		t.Fatal(err)
	}
	w.server = s
	for _, n := range s.nodes {
		if err := n.listen(w.net.LoopSocket(simFront), 0, o.Listen[0]); err != nil {
			t.Fatal(err)
		}
	}
	w.backs = [...]*simsys.Listener{w.net.Listen(simBack), w.net.Listen(simNext), w.net.ListenUnix(simPath)}
	w.net.Listen(simDeaf).Silent = true
	if w.rng.IntN(6) == 0 && !w.calm {
		w.drainAt, w.cutAt = w.rng.IntN(200), 100+w.rng.IntN(4000)
	}
	return w
}

// snapshot draws one of several configurations of the same two backends.
func (w *world) snapshot() *Snapshot {
	keep := []time.Duration{4 * time.Second, 2 * time.Second}[w.rng.IntN(2)]
	timeouts := upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 60 * time.Second, Keep: keep}
	others := [][][]netip.AddrPort{{{simNext}}, {{simDeaf}, {simNext}}, {{simDead, simNext}}, {{simNext}, {simBack}, {simDead}}}
	next := specs(others[w.rng.IntN(len(others))]...)
	if w.rng.IntN(3) == 0 {
		socket := endpoint.Spec{URL: "unix:" + simPath, Network: endpoint.Unix, Host: simPath}
		next.Endpoints = slices.Insert(next.Endpoints, w.rng.IntN(len(next.Endpoints)+1), socket)
	}
	one, other := w.book.Group("sim", specs([]netip.AddrPort{simBack})), w.book.Group("next", next)
	w.book.Apply([]*endpoint.Group{one, other})
	w.groups = append(w.groups, one, other)
	resolver, parking := exchange.Resolver(simResolver{}), Parking{Most: 1000, Wait: 1000 * time.Hour}
	if w.looks != nil {
		resolver = w.looks
		if own := w.looks.random; !w.calm {
			parking = Parking{Most: 1 + own.IntN(6), Wait: time.Duration(1+own.IntN(5000)) * time.Millisecond}
		}
	}
	return &Snapshot{Resolver: resolver, Parking: parking, Via: "pvgate-sim", Backends: []Backend{
		{Name: "sim", Host: "sim", Endpoints: one, Limiter: w.limiter[0], Timeouts: timeouts, Tunnels: simTunnels, TLS: w.trust},
		{Name: "next", Host: "next", Endpoints: other, Limiter: w.limiter[1], Timeouts: timeouts, Tunnels: simTunnels, TLS: w.trust},
	}}
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

// run plays until every client is done and everything has been let go.
func (w *world) run() {
	for range 3 + w.rng.IntN(6) {
		w.clients = append(w.clients, newSimClient(w))
	}
	for range w.rng.IntN(4) {
		w.sockets = append(w.sockets, newSimSocket(w))
	}
	for range w.rng.IntN(4) {
		w.streamers = append(w.streamers, newSimH2(w))
	}
	quiet := 0
	for round := 0; ; round++ {
		if round > 400_000 {
			w.fatal("stuck after %d rounds: %v\n%s", round, w.net, w.net.Dump())
		}
		done := true
		for _, c := range w.clients {
			c.step()
			done = done && c.done
		}
		for _, s := range w.sockets {
			s.step()
			done = done && s.done
		}
		for _, s := range w.streamers {
			s.step()
			done = done && s.done
		}
		for _, back := range w.backs {
			for o := back.Accept(); o != nil; o = back.Accept() {
				w.origins = append(w.origins, newSimOrigin(w, w.accepted(o)))
			}
		}
		if w.operate(round); w.looks != nil {
			w.looks.play()
		}
		for w.version+w.behind != 0 && w.rng.IntN(4) > 0 && w.server.workers.Work() {
		}
		for _, o := range w.origins {
			o.step()
		}
		for _, n := range w.server.nodes {
			n.loop.Turn()
		}
		if w.net.Moved() {
			quiet = 0
			continue
		}
		if done && w.net.Owned() == 0 && !w.server.workers.Work() { // a handshake is given back even if nobody waits
			break
		}
		if quiet++; quiet > 3 && !w.server.workers.Work() {
			w.pass(time.Duration(1+w.rng.IntN(1000)) * time.Millisecond)
		}
	}
	w.check()
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	if w.toils {
		w.net.Advance(d)
	} else {
		w.net.Doze(d)
	}
}

// operate does what operators do: reload, and end the server.
func (w *world) operate(round int) {
	if w.rng.IntN(300) == 0 && round < 3000 {
		w.limit()
		w.server.Swap(w.snapshot())
	}
	if !w.calm && w.rng.IntN(400) == 0 {
		w.die()
	}
	if w.drainAt < 0 || round < w.drainAt {
		return
	}
	for _, n := range w.server.nodes {
		switch {
		case round == w.drainAt:
			n.drain()
		case round == w.drainAt+w.cutAt:
			n.cut()
		case round%20 == 0:
			n.host.Drain()
		}
	}
}

// die lets an endpoint die, fall silent or return; sometimes an active check finds out.
func (w *world) die() {
	i := 1 + w.rng.IntN(2)
	l := w.backs[i]
	switch w.rng.IntN(4) {
	case 0:
		l.Close()
	case 1:
		l.Silent = !l.Silent
	case 2:
		if w.backs[i] = w.net.Listen(simNext); i == 2 {
			w.backs[i] = w.net.ListenUnix(simPath)
		}
	case 3:
		g := w.groups[len(w.groups)-1]
		place := w.rng.IntN(g.Len())
		g.Checked(place, w.rng.IntN(2) == 0, w.rng.IntN(2) == 0, w.net.Now())
		w.server.Forsake(g.At(place))
	}
}
