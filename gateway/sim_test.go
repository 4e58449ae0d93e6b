// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// The simulation runs the whole data plane, loops included, on one goroutine against a simulated kernel. Clients and
// backends are played here; every request carries a tag, and every answer must be its own.

var (
	simFront = netip.MustParseAddrPort("10.0.0.1:80")
	simBack  = netip.MustParseAddrPort("10.0.0.2:8080")
)

type simResolver struct{}

func (simResolver) Resolve(r *exchange.Request, p *exchange.Plan) {
	if bytes.HasPrefix(r.Path, []byte("/own")) {
		p.Reply.Reason, p.Reply.Status = reason.NotFound, 404
		p.Reply.Body = append(p.Reply.Body, "own"...)
		return
	}
	p.Forward, p.Backend = true, 0
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
	kernels []*simsys.Kernel
	limiter *limit.Backend
	clients []*simClient
	back    *simsys.Listener
	origins []*simOrigin
	seen    map[string]int // times a non-idempotent request was received whole, by tag
	whole   int            // answers that arrived whole and right
}

func newWorld(t *testing.T, seed uint64, f simsys.Faults) *world {
	w := &world{t: t, seed: seed, net: simsys.New(seed, f), limiter: new(limit.Backend), seen: map[string]int{}}
	w.rng = w.net.Rand()
	o := Options{Loops: 1 + w.rng.IntN(2), Poison: true, NewKernel: func(time.Time) (loop.Kernel, error) {
		k := w.net.Kernel()
		w.kernels = append(w.kernels, k)
		return k, nil
	}}
	s, err := assemble(o, &Snapshot{Resolver: simResolver{}, Via: "pvgate-sim", Backends: []Backend{{
		Name: "sim", Host: "sim", Endpoints: [][]netip.AddrPort{{simBack}}, Limiter: w.limiter,
		Timeouts: upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 60 * time.Second, Keep: 4 * time.Second},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w.server = s
	for _, n := range s.nodes {
		if err := n.listen(w.net.LoopSocket(simFront), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.back = w.net.Listen(simBack)
	return w
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
		for o := w.back.Accept(); o != nil; o = w.back.Accept() {
			w.origins = append(w.origins, newSimOrigin(w, o))
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
		if done && w.net.Owned() == 0 {
			break
		}
		if quiet++; quiet > 3 {
			w.net.Advance(time.Duration(1+w.rng.IntN(1000)) * time.Millisecond)
		}
	}
	w.check()
}

func (w *world) check() {
	for _, c := range w.clients {
		c.check()
	}
	for tag, n := range w.seen {
		if n > 1 {
			w.fatal("request %s that must not be repeated reached the backend %d times", tag, n)
		}
	}
	if n := w.limiter.Usage(0).InFlight; n != 0 {
		w.fatal("%d places at the backend were not given back", n)
	}
	for i, n := range w.server.nodes {
		open, active := n.host.Count()
		if open != 0 || active != 0 || n.loop.Connections() != 0 {
			w.fatal("loop %d keeps %d connections, %d requests, counts %d", i, open, active, n.loop.Connections())
		}
		if st := n.loop.Stats(); st.Streams != 0 {
			w.fatal("loop %d keeps %d streams", i, st.Streams)
		}
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
}

// simClient plays a browser: it pipelines, splits, hurries, leaves.
type simClient struct {
	w        *world
	end      *simsys.End
	requests []simRequest
	out      []byte
	got      []byte
	lazy     int  // chance in ten to read in a round
	abortAt  int  // bytes after which it leaves, -1 never
	reset    bool // by RST
	sent     int
	left     bool
	done     bool
}

func newSimClient(w *world) *simClient {
	c := &simClient{w: w, lazy: 1 + w.rng.IntN(10), abortAt: -1, reset: w.rng.IntN(2) == 0}
	n := 1 + w.rng.IntN(6)
	for i := range n {
		r := simRequest{tag: fmt.Sprintf("c%dr%d", len(w.clients), i), method: "GET"}
		switch w.rng.IntN(10) {
		case 0, 1, 2, 3:
			r.method = "POST"
		case 4:
			r.method = "HEAD"
		case 5:
			r.own = true
		}
		c.requests = append(c.requests, r)
		c.write(r, i == n-1)
	}
	if w.rng.IntN(5) == 0 {
		c.abortAt = w.rng.IntN(len(c.out) + 1)
	}
	c.end = w.net.Dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(len(w.clients))}), 4000), simFront)
	return c
}

func (c *simClient) write(r simRequest, last bool) {
	var b strings.Builder
	path := "/t/" + r.tag
	if r.own {
		path = "/own/" + r.tag
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: sim\r\n", r.method, path)
	if last {
		b.WriteString("Connection: close\r\n")
	}
	if r.method == "POST" {
		body := simBody(r.tag)
		if c.w.rng.IntN(6) == 0 && len(body) > 0 {
			b.WriteString("Expect: 100-continue\r\n")
		}
		if c.w.rng.IntN(2) == 0 {
			b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for len(body) > 0 {
				n := 1 + c.w.rng.IntN(len(body))
				fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
				body = body[n:]
			}
			b.WriteString("0\r\n\r\n")
		} else {
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		}
	} else {
		b.WriteString("\r\n")
	}
	c.out = append(c.out, b.String()...)
}

func (c *simClient) step() {
	if c.done {
		return
	}
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
	if c.w.rng.IntN(10) < c.lazy {
		c.got = append(c.got, c.end.Read()...)
	}
	if c.end.EOF() {
		c.got = append(c.got, c.end.Read()...)
		c.done = true
		c.end.Close()
	}
}

// check reads the answers in order: each is the own one of its request, or says that it failed, or is visibly cut.
func (c *simClient) check() {
	src := bytes.NewReader(c.got)
	r := bufio.NewReader(src)
	for _, q := range c.requests {
		if left := c.got[len(c.got)-src.Len()-r.Buffered():]; !bytes.Contains(left, []byte("\r\n\r\n")) {
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
		case q.own:
			if resp.StatusCode != 404 || string(got) != "own" && err == nil {
				c.w.fatal("client %s: got %d %q for our own answer", q.tag, resp.StatusCode, got)
			}
		case tag == "" && resp.StatusCode >= 400:
		case tag != q.tag:
			c.w.fatal("client %s got the answer of %q", q.tag, tag)
		case err == nil && q.method != "HEAD" && resp.StatusCode == 200 && !bytes.Equal(got, simBody(tag+"/answer")):
			c.w.fatal("client %s: a whole answer %.80q is not its own %.80q (%v)", q.tag, got, simBody(tag+"/answer"), resp.Header)
		}
		if err != nil || resp.Close {
			return
		}
		c.w.whole++
	}
	if n := r.Buffered(); n > 0 {
		c.w.fatal("client got %d octets that nobody asked for", n)
	}
}

// simOrigin plays a backend's connection.
type simOrigin struct {
	w      *world
	end    *simsys.End
	in     []byte
	looked int // octets of in that did not make a request
	out    []byte
	slow   int
	close  bool // after the present answer
	kill   bool // by RST
	gone   bool
}

func newSimOrigin(w *world, e *simsys.End) *simOrigin {
	return &simOrigin{w: w, end: e, slow: 1 + w.rng.IntN(10)}
}

func (o *simOrigin) step() {
	if o.gone {
		return
	}
	if o.w.rng.IntN(10) < o.slow {
		o.in = append(o.in, o.end.Read()...)
	}
	if len(o.out) > 0 {
		n := o.end.Write(o.out[:1+o.w.rng.IntN(len(o.out))])
		o.out = o.out[n:]
		return
	}
	if o.close || o.end.EOF() {
		o.gone = true
		if o.kill {
			o.end.Reset()
		} else {
			o.end.Close()
		}
		return
	}
	o.serve()
}

// serve answers the request at the head of the input, if it is whole (or early, now and then).
func (o *simOrigin) serve() {
	if len(o.in) == o.looked || !bytes.Contains(o.in, []byte("\r\n\r\n")) {
		return // nothing new; and net/http takes half a line for a wrong one
	}
	o.looked = len(o.in)
	src := bytes.NewReader(o.in)
	r := bufio.NewReader(src)
	req, err := http.ReadRequest(r)
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			o.w.fatal("backend: request does not parse: %v in %q", err, o.in)
		}
		return
	}
	tag := strings.TrimPrefix(req.URL.Path, "/t/")
	early := o.w.rng.IntN(200) == 0
	if req.Header.Get("Expect") != "" && o.w.rng.IntN(8) == 0 {
		o.out = append(o.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
		o.in = bytes.Replace(o.in, []byte("Expect: 100-continue\r\n"), nil, 1)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil && !early {
		return
	}
	if err == nil {
		if req.Method == "POST" {
			o.w.seen[tag]++
			if !bytes.Equal(body, simBody(tag)) {
				o.w.fatal("backend: body of %s is not its own", tag)
			}
		}
		o.in, o.looked = o.in[len(o.in)-r.Buffered()-src.Len():], 0
	} else {
		o.close = true
	}
	o.answer(req, tag)
}

func (o *simOrigin) answer(req *http.Request, tag string) {
	var b strings.Builder
	body := simBody(tag + "/answer")
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nX-Tag: %s\r\n", tag)
	form := o.w.rng.IntN(3)
	if form == 2 || o.w.rng.IntN(10) == 0 {
		o.close = true
		b.WriteString("Connection: close\r\n")
	}
	switch {
	case req.Method == "HEAD":
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	case form == 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case form == 1:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := 1 + o.w.rng.IntN(len(body))
			fmt.Fprintf(&b, "%X\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n\r\n")
	default:
		b.WriteString("\r\n")
		b.Write(body)
	}
	o.out = append(o.out, b.String()...)
	switch o.w.rng.IntN(60) {
	case 0: // dies before it has said all; what ends by closing can be cut visibly only by a reset
		o.out, o.close, o.kill = o.out[:o.w.rng.IntN(len(o.out))], true, form == 2
	case 1:
		o.gone = true
		o.end.Reset()
	case 2: // closes a kept connection right after the answer
		o.close = true
	}
}

// TestSimulatedKernel plays many small worlds. PVGATE_SIM_SEED repeats one, PVGATE_PROVE plays 200 000.
func TestSimulatedKernel(t *testing.T) {
	t.Parallel()
	worlds := uint64(400)
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
	faults := []simsys.Faults{
		{},
		{Short: 300, Again: 100, Interrupt: 50, Late: 200},
		{Short: 100, Again: 50, Interrupt: 20, Late: 100, Reset: 5},
		{Short: 500, Again: 300, Interrupt: 100, Late: 400, Reset: 20, Exhausted: 20},
	}
	whole := 0
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(t, seed, faults[seed%uint64(len(faults))])
		w.run()
		whole += w.whole
	}
	if whole < int(worlds)*2 && worlds > 1 {
		t.Errorf("only %d whole answers in %d worlds: the simulation does not reach the work", whole, worlds)
	}
}
