// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// The simulation runs the whole data plane, loops included, on one goroutine against a simulated kernel. Clients and
// backends are played here; every request carries a tag, and every answer must be its own.

var (
	simFront = netip.MustParseAddrPort("10.0.0.1:80")
	simBack  = netip.MustParseAddrPort("10.0.0.2:8080")
	simNext  = netip.MustParseAddrPort("10.0.0.3:8080")
	simDeaf  = netip.MustParseAddrPort("10.0.0.4:8080") // takes no connection and refuses none
	simDead  = netip.MustParseAddrPort("10.0.0.5:8080") // refuses all
)

const simSpoken = conn.HTTP1 | conn.HTTP2 | conn.WebSocket

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

// late says whether an answer tells that a loop had too much to do.
func (w *world) late(status int, body string, cut bool) bool {
	return w.toils && status == 503 && says("overloaded", body, cut)
}

// says reports whether an answer of ours gives a reason, as far as it has come.
func says(reason, body string, cut bool) bool {
	return body == reason || cut && strings.HasPrefix(reason, body)
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

func (w *world) check() {
	w.checkLog()
	for _, c := range w.clients {
		c.check()
	}
	for _, s := range w.sockets {
		s.check()
	}
	for _, s := range w.streamers {
		s.check()
	}
	for tag, n := range w.seen {
		if n > 1 {
			w.fatal("request %s that must not be repeated reached the backend %d times", tag, n)
		}
	}
	if n := w.server.parking.taken.Load(); n != 0 {
		w.fatal("%d places of requests that wait for look-ups were not given back", n)
	}
	for i, l := range w.limiter {
		if u := l.Usage(0); u.InFlight != 0 || u.Tunnels != 0 || u.Queued != 0 {
			w.fatal("%d places, %d for tunnels and %d in the queue of backend %d were not given back", u.InFlight, u.Tunnels, u.Queued, i)
		}
	}
	for _, g := range w.groups {
		for i := range g.Len() {
			if n := g.At(i).InFlight(); n != 0 {
				w.fatal("%d requests at endpoint %s of %q were never counted out", n, g.At(i).URL(), g.Name())
			}
		}
	}
	for i, n := range w.server.nodes {
		w.waited = w.waited || len(n.tickets) > 0
		if n.share.taken != 0 {
			w.fatal("loop %d keeps %d shares: %v", i, n.share.taken, n.share.by)
		}
		open, active := n.host.Count()
		if n.tunnels != 0 || n.host.Tunnels() != 0 {
			w.fatal("loop %d keeps %d tunnels, %d places", i, n.host.Tunnels(), n.tunnels)
		}
		if open != 0 || active != 0 || n.loop.Connections() != 0 {
			w.fatal("loop %d keeps %d connections, %d requests, counts %d", i, open, active, n.loop.Connections())
		}
		st := n.loop.Stats()
		if st.Streams != 0 || st.Lent != 0 || st.Pipes != 0 {
			w.fatal("loop %d keeps %d streams, %d buffers, %d pipes", i, st.Streams, st.Lent, st.Pipes)
		}
		w.spliced += st.Spliced
	}
}

// checkLog sees that each exchange that was counted has its line, with the status that was counted.
func (w *world) checkLog() {
	if err := w.log.Close(w.t.Context()); err != nil {
		w.fatal("%v", err)
	}
	var counted meter.Meter
	for _, n := range w.server.nodes {
		n.meter.AddTo(&counted)
	}
	logged := new(meter.Meter).Codes
	for line := range bytes.Lines(w.lines.Bytes()) {
		var l struct {
			Proto   string `json:"proto"`
			Status  int    `json:"status"`
			Trace   string `json:"trace_id"`
			Reason  string `json:"reason"`
			Backend string `json:"backend"`
			Mode    string `json:"mode"`
			Attempt int    `json:"attempt"`
		}
		if err := json.Unmarshal(line, &l); err != nil || len(l.Trace) != 32 {
			w.fatal("line %q: %v", line, err)
		}
		if (l.Mode == "proxy") != (l.Backend != "") || l.Attempt > 0 && l.Mode != "proxy" {
			w.fatal("line %q: mode, backend and attempt do not fit", line)
		}
		logged[slices.Index([]string{"h1", "h2", "h3"}, l.Proto)][l.Status]++
	}
	if w.log.Dropped() > 0 {
		w.fatal("%d lines dropped", w.log.Dropped())
	}
	if logged != counted.Codes {
		w.fatal("logged and counted differ: %v, %v", logged, counted.Codes)
	}
}

// body is what belongs to a tag: its length and octets follow from it.
func simBody(tag string) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, tag)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	n := r.IntN(200)
	if r.IntN(4) == 0 {
		n = r.IntN(100_000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return b
}

// simRequest is one request of a client and what may come back.
type simRequest struct {
	tag, method string
	own         bool
	last        bool // the client said so
	old         bool // HTTP/1.0
}

// simClient plays a browser: it pipelines, splits, hurries, leaves.
type simClient struct {
	w        *world
	end      farEnd
	requests []simRequest
	out      []byte
	got      []byte
	lazy     int  // chance in ten to read in a round
	abortAt  int  // bytes after which it leaves, -1 never
	reset    bool // by RST
	half     bool // sends FIN behind its last request
	sent     int
	left     bool
	broken   bool // by a reset
	done     bool
}

func newSimClient(w *world) *simClient {
	c := &simClient{w: w, lazy: 1 + w.rng.IntN(10), abortAt: -1, reset: w.rng.IntN(2) == 0, half: w.rng.IntN(4) == 0}
	if w.calm {
		c.lazy = max(c.lazy, 5)                        // or it runs into our patience
		c.half = c.half && !w.queues && w.looks == nil // or it is taken for one that has left
	}
	old := w.rng.IntN(10) == 0
	n := 1 + w.rng.IntN(6)
	for i := range n {
		r := simRequest{tag: fmt.Sprintf("c%dr%d", len(w.clients), i), method: "GET"}
		switch w.rng.IntN(12) {
		case 0, 1, 2, 3:
			r.method = "POST"
		case 4:
			r.method = "HEAD"
		case 5:
			r.own = true
		case 6:
			r.method = "DELETE"
		}
		r.old = old
		r.last = i == n-1 && !c.half || !w.calm && w.rng.IntN(30) == 0 // and goes on, at its own risk
		c.requests = append(c.requests, r)
		c.write(r)
	}
	if w.rng.IntN(5) == 0 && !w.calm {
		c.abortAt = w.rng.IntN(len(c.out) + 1)
	}
	c.end = w.dial(byte(len(w.clients)))
	return c
}

func (c *simClient) write(r simRequest) {
	var b strings.Builder
	path := []string{"/t/", "/t/", "/u/"}[c.w.rng.IntN(3)] + r.tag
	if r.own {
		path = "/own/" + r.tag
	}
	version := "1.1"
	if r.old {
		version = "1.0"
	}
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\nHost: sim\r\n", r.method, path, version)
	switch {
	case r.last:
		b.WriteString("Connection: close\r\n")
	case r.old:
		b.WriteString("Connection: keep-alive\r\n")
	}
	if r.method != "POST" {
		b.WriteString("\r\n")
		c.out = append(c.out, b.String()...)
		return
	}
	body := simBody(r.tag)
	if c.w.rng.IntN(6) == 0 && len(body) > 0 && !r.old {
		b.WriteString("Expect: 100-continue\r\n")
	}
	if c.w.rng.IntN(2) == 0 && !r.old {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		simChunks(c.w.rng, &b, body)
	} else {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	c.out = append(c.out, b.String()...)
}

func (c *simClient) step() {
	if c.done {
		return
	}
	c.end.Pump()
	if c.abortAt >= 0 && c.sent >= c.abortAt {
		c.left, c.done = true, true
		if c.reset {
			c.end.Reset()
		} else {
			c.end.Close()
		}
		return
	}
	if len(c.out) > 0 {
		n := 1 + c.w.rng.IntN(len(c.out))
		if c.abortAt >= 0 {
			n = min(n, c.abortAt-c.sent)
		}
		n = c.end.Write(c.out[:n])
		c.out = c.out[n:]
		c.sent += n
	}
	if len(c.out) == 0 && c.half {
		c.end.CloseWrite()
	}
	if c.w.rng.IntN(10) < c.lazy {
		c.got = append(c.got, c.end.Read()...)
	}
	if c.end.EOF() {
		c.got = append(c.got, c.end.Read()...)
		c.done, c.broken = true, c.end.Broken()
		c.end.Close()
	}
}

// check reads the answers in order: each is the own one of its request, or says that it failed, or is visibly cut.
func (c *simClient) check() {
	src := bytes.NewReader(c.got)
	r := bufio.NewReader(src)
	for _, q := range c.requests {
		if left := c.got[len(c.got)-src.Len()-r.Buffered():]; !bytes.Contains(left, []byte("\r\n\r\n")) {
			if c.w.calm {
				c.w.fatal("client %s got no answer: %q (%+v, broken %v, unsent %d of %d, it is %v)", q.tag, left, q, c.broken, len(c.out), c.sent+len(c.out), time.Duration(c.w.net.Now()))
			}
			return // net/http takes half a line for a wrong one
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: q.method})
		for err == nil && resp.StatusCode == 100 {
			if left := c.got[len(c.got)-src.Len()-r.Buffered():]; !bytes.Contains(left, []byte("\r\n\r\n")) {
				return
			}
			resp, err = http.ReadResponse(r, &http.Request{Method: q.method})
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				c.w.fatal("client %s: answer does not parse: %v in %q", q.tag, err, c.got)
			}
			return
		}
		got, err := io.ReadAll(resp.Body)
		tag := resp.Header.Get("X-Tag")
		switch {
		case string(got) == "overloaded" && !c.w.toils:
			c.w.fatal("client %s is refused, and no loop is late", q.tag)
		case q.own && (c.w.unlooked(q.tag, 0, resp.StatusCode, string(got), err != nil) || c.w.late(resp.StatusCode, string(got), err != nil)):
		case q.own:
			if resp.StatusCode != 404 || string(got) != "own" && err == nil {
				c.w.fatal("client %s: got %d %q for our own answer", q.tag, resp.StatusCode, got)
			}
		case c.w.calm && (err != nil || tag == ""):
			c.w.fatal("client %s got %d %v %.60q for no reason (%+v, broken %v, unsent %d)", q.tag, resp.StatusCode, err, got, q, c.broken, len(c.out))
		case tag == "" && resp.StatusCode >= 400:
		case tag != q.tag:
			c.w.fatal("client %s got the answer of %q", q.tag, tag)
		case q.old && resp.ContentLength < 0 && (c.broken || c.left): // an answer that ends by closing, visibly cut
		case err == nil && q.method != "HEAD" && resp.StatusCode == 200 && !bytes.Equal(got, simBody(tag+"/answer")):
			c.w.fatal("client %s: a whole answer %.80q is not its own %.80q (%v)", q.tag, got, simBody(tag+"/answer"), resp.Header)
		}
		if err != nil {
			return
		}
		c.w.whole++
		if resp.Close || q.last {
			break
		}
	}
	if n := r.Buffered(); n > 0 {
		c.w.fatal("client got %d octets that nobody asked for", n)
	}
}

// TestSimulatedKernel plays many small worlds. PVGATE_SIM_SEED repeats one, PVGATE_SIM_WORLDS says how many to play (from
// that one on), PVGATE_PROVE plays 200 000.
func TestSimulatedKernel(t *testing.T) {
	t.Parallel()
	worlds := uint64(300)
	if os.Getenv("PVGATE_PROVE") != "" {
		worlds = 200_000
	}
	first := uint64(1)
	if s := os.Getenv("PVGATE_SIM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, worlds = n, 1
	}
	if s := os.Getenv("PVGATE_SIM_WORLDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		worlds = n
	}
	faults := []simsys.Faults{
		{},
		{Short: 300, Again: 100, Interrupt: 50, Late: 200},
		{Short: 100, Again: 50, Interrupt: 20, Late: 100, Reset: 5},
		{Short: 500, Again: 300, Interrupt: 100, Late: 400, Reset: 20, Exhausted: 20, NoSplice: 20},
	}
	whole, tunnels, streamed, waited, h2tunnels, spoken, spliced := 0, 0, 0, 0, 0, 0, uint64(0)
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(t, seed, faults[seed%uint64(len(faults))])
		w.run()
		whole += w.whole
		tunnels += w.tunnels
		streamed += w.streamed
		h2tunnels += w.h2tunnels
		spliced += w.spliced
		spoken += w.spoken
		if w.waited {
			waited++
		}
	}
	reached := spoken >= int(worlds)/4 && spliced >= worlds<<10 && whole >= int(worlds)*2 && tunnels >= int(worlds)/3 && streamed >= int(worlds) && waited >= int(worlds)/8 && h2tunnels >= int(worlds)/10
	if !reached && worlds > 1 {
		t.Errorf("only %d whole answers, %d of streams, %d and %d tunnels, %d queues, %d backends that spoke unasked, and %d octets moved in %d worlds: the simulation does not reach the work", whole, streamed, tunnels, h2tunnels, waited, spoken, spliced, worlds)
	}
}
