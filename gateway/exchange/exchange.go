// SPDX-License-Identifier: EUPL-1.2

// Package exchange is the story of one request, protocol-neutral, from its parsed head to the last byte of the answer.
//
// [Exchange.Start] begins it; the client's side tells the rest by Body, BodyEnd, ClientGone and ClientFault, the
// backend's side by the Upstream… methods. It alone chooses a reason. It sees its surroundings through the small
// interfaces of api.go and deliberately knows no socket, no clock and no protocol version.
//
// The states, in order of life; each has its function below (what carries octets in between is in body.go):
//
//	decide ──► refuse ─────────────────────────────────────────► answer ──► over
//	   │ ▲       ▲                                                  ▲
//	   ├►look────┘                                                  │
//	   └─► admit ──► connect ──► send ──► await ┬─► relay ───► over │
//	         │ │      ▲ │          │        │   └─► change ──► over │
//	         │ └► park┘ │          │        │          │            │
//	         │      │   │          │        │          │            │
//	         └──────┴───┴──────────┴────────┴─ fail ───┼────────────┘
//	                                                   └─► break off ──► over
//
// look waits until sources have said what the snapshot does not have (lookup.go), and decides again.
// park waits in the backend's queue for a place (queue.go). change makes a tunnel of both connections (tunnel.go), the only state in which octets pass that are no HTTP.
//
// connect, send and await may be one wake-up and overlap with each other: what is sent waits in the upstream until the
// connection stands, and a backend may answer before the request has ended.
package exchange

import (
	"encoding/binary"
	"net/netip"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// earlyBody is how much of a request body is still taken after the backend's final answer has begun.
const earlyBody = 64 << 10

type state uint8

const (
	idle state = iota
	asking
	looksUp
	parked
	relaying
	tunnel
	over
)

// Client is what the connection knows about the peer.
type Client struct {
	Addr        netip.Addr
	Text        []byte // Addr in text form
	Listener    int
	Protocol    Protocol
	TLS         bool
	ServerName  string       // that the client asked for in its handshake, empty if it named none
	Certificate *Certificate // that the client has proved to own and the listener verified, nil without one
}

// Exchange is one request in flight. It belongs to one loop; the zero value is ready for Start, and may be used again
// when Over. It keeps its buffers.
type Exchange struct {
	host     Host
	front    Front
	client   *Client
	snapshot *Snapshot
	backend  Backend
	up       Upstream

	state  state
	plan   Plan
	req    Request
	rec    Record
	likely int   // as Request.Likely
	began  int64 // loop time of the head
	asked  int64 // loop time when a connection was asked for

	isHEAD     bool
	extended   bool // an extended CONNECT: success is a tunnel, and nothing else
	replayable bool // idempotent and without a body: may be sent a second time
	bodyEnded  bool // the request has been read to its end
	expecting  bool // the client waits for 100 before it sends the body
	unasked    bool // the backend has answered without asking for the body: no octet of it goes there
	answered   bool // the response has ended
	retried    bool
	logged     bool // the access log is on
	secure     bool // the client, behind all proxies, speaks TLS
	earlyLeft  int

	id        [24]byte // random: trace, span, seed
	trace     [32]byte
	parent    [traceparentLen]byte
	path      []byte   // storage of the normalised path
	authority []byte   // where clients reach the backend, for rewriting Location
	target    []byte   // what the backend was asked for, if it is known under other paths here
	link      []byte   // storage of Plan.Link
	number    [20]byte // Content-Length of our own answers
	kept      []byte   // storage of what wish remembers
	wish      message.Head
	looking   looking
	waiting   waiting
	tunnel    tunnelling
}

// Start begins an exchange with a request's head. When it returns, nothing of h is needed any more; the exchange may
// be Over already.
func (x *Exchange) Start(host Host, front Front, client *Client, h *message.Head) {
	x.begin(host, front, client)
	if x.logged {
		x.rec.Method, x.rec.Agent = h.Method, AgentOf(h.Get(message.UserAgent))
	}
	x.isHEAD, x.extended = h.Method == message.HEAD, h.Connect
	x.replayable = h.Method.Idempotent() && !h.HasBody()
	x.expecting = h.Expect100
	x.decide(h)
}

// StartFault begins and ends an exchange whose head could not be understood; method is that of its request line, as far
// as it was, note the rule that was broken, as in [Record].
func (x *Exchange) StartFault(host Host, front Front, client *Client, method message.Method, fault message.Fault, note string) {
	x.begin(host, front, client)
	x.rec.Method, x.rec.Note = method, note
	x.isHEAD = method == message.HEAD
	x.wish.Reset()
	x.ask(&x.wish)
	x.refuse(reason.OfFault(fault), Detail{Backend: -1})
}

func (x *Exchange) begin(host Host, front Front, client *Client) {
	x.host, x.front, x.client = host, front, client
	x.snapshot, x.backend, x.up = host.Snapshot(), nil, nil
	x.likely = x.foreseen()
	x.state = asking
	x.began, x.asked = host.Now(), 0
	x.isHEAD, x.extended, x.replayable, x.bodyEnded, x.expecting, x.unasked = false, false, false, false, false, false
	x.answered, x.retried = false, false
	x.earlyLeft = earlyBody
	x.rec = Record{}
	x.rec.Protocol, x.rec.Backend, x.rec.Land, x.rec.Snapshot = client.Protocol, -1, LandNone, x.snapshot.ID
	x.logged = x.snapshot.Logged // the snapshot is let go before a tunnel ends
	x.plan.reset()
}

// Over reports that the exchange has ended, well or badly.
func (x *Exchange) Over() bool { return x.state == over || x.state == idle }

// ask fills what the resolver may look at.
func (x *Exchange) ask(h *message.Head) {
	id := &x.id // in the exchange, for what goes through an interface escapes
	x.host.Random(id[:])
	nameParent(&x.parent, id)
	x.trace = [32]byte(x.parent[traceFrom:traceTo])
	r := &x.req // field by field, as all that is large here: what is written as a whole is made elsewhere and copied
	*r = Request{}
	r.Head, r.Peer, r.TLS, r.Certificate, r.Listener = h, x.client.Addr, x.client.TLS, x.client.Certificate, x.client.Listener
	r.Likely, r.Now, r.Tick = x.likely, x.host.Wall(), x.began
	r.Trace, r.Seed = x.trace[:], uint64(binary.LittleEndian.Uint32(id[:]))
}

// decide normalises the path and asks the resolver: our own answer, or which backend.
func (x *Exchange) decide(h *message.Head) {
	x.ask(h)
	if string(h.Path) != HealthPath && (x.host.Pressure() == Full || x.host.Late()) {
		x.refuse(reason.Overloaded, Detail{Backend: -1})
		return
	}
	if x.client.TLS && !x.front.Carries(h.Authority) {
		x.refuse(reason.Misdirected, Detail{Backend: -1})
		return
	}
	if !h.Asterisk {
		path, slash, ok := message.NormalisePath(x.path[:0], h.Path)
		if !ok {
			x.front.Last() // who spells a path so is no browser
			x.refuse(reason.BadPath, Detail{Backend: -1})
			return
		}
		x.path, x.req.Path, x.req.EncodedSlash = path, path, slash
	}
	if x.consult(); x.plan.Lookup != nil {
		x.look(h)
		return
	}
	x.decided(h)
}

// consult asks the resolver.
func (x *Exchange) consult() {
	x.plan.backends, x.plan.likely = x.snapshot.Backends, x.likely
	x.snapshot.Resolver.Resolve(&x.req, &x.plan)
	x.plan.backends = nil
}

// decided does what the resolver has decided.
func (x *Exchange) decided(h *message.Head) {
	x.attribute()
	if !x.plan.Forward {
		x.rec.Removed = header.Forged(h.Fields, x.plan.KnownSender)
		if x.plan.Behind != nil {
			x.rec.Removed.Forwarded = 0 // a trusted proxy's
		}
		switch to := x.plan.Backend; {
		case to >= 0:
			x.rec.Backend = x.snapshot.Backends[to].Index()
		case to == BackendOther:
			x.rec.Backend = BackendOther
		}
		if x.extended && x.plan.Reply.Status < 300 { // no page is a tunnel
			x.refuse(reason.MethodRefused, Detail{Backend: -1})
			return
		}
		x.answer()
		return
	}
	x.admit(h)
}

// attribute notes what the resolver has found out for the account.
func (x *Exchange) attribute() {
	x.rec.Land, x.rec.Sender, x.rec.Account = x.plan.Land, x.plan.SenderIndex, x.plan.Account
	if x.plan.Account == AccountAttributed || x.plan.Account == AccountArrived {
		x.rec.Sender = x.plan.LedBy
	}
}

// admit asks the backend for a place.
func (x *Exchange) admit(h *message.Head) {
	b := x.snapshot.Backends[x.plan.Backend]
	x.rec.Backend, x.rec.Proxied = b.Index(), true
	switch a, ticket, retry := b.Admit(x); a {
	case Admitted:
		x.backend = b
		if x.offer(h) {
			x.connect(h)
		}
	case Queued:
		x.backend = b
		x.park(h, ticket)
	case RateLimited:
		x.refuse(reason.BackendLimited, Detail{Backend: x.plan.Backend, RetryAfter: retry})
	case Busy:
		x.refuse(reason.BackendBusy, Detail{Backend: x.plan.Backend, RetryAfter: retry})
	case Exhausted:
		x.refuse(reason.LocalResource, Detail{Backend: x.plan.Backend})
	}
}

// connect borrows a connection and puts the head on it.
func (x *Exchange) connect(h *message.Head) {
	if !x.prepare(h) {
		return
	}
	if up := x.lend(); up != nil {
		up.SendHead(h, x.plan.Target, x.replayable)
	}
}

// prepare makes the head that the backend gets of the client's; it reports false if that was refused.
func (x *Exchange) prepare(h *message.Head) bool {
	x.remember(h)
	asked, client, secure, chain := h.Authority, x.client.Text, x.client.TLS, (*header.Chain)(nil)
	if b := x.plan.Behind; b != nil {
		asked, client, secure, chain = b.Authority, b.Text, b.TLS, &b.Chain
	}
	x.secure = secure
	x.authority = append(x.authority[:0], asked...)
	if len(x.plan.Public) > 0 {
		x.authority = append(x.authority[:0], x.plan.Public...)
	}
	out := &x.host.Scratch().outgoing
	scratch := out.Scratch[:0]
	*out = header.Request{}
	out.Host, out.Via, out.For, out.Proto, out.OrigHost, out.Chain = x.backend.Host(), x.snapshot.Via, client, scheme(secure), asked, chain
	out.Leistung, out.ARS, out.Level = x.plan.Leistung, x.plan.ARS, x.plan.Level
	out.Sender, out.OE, out.Language, out.KnownSender = x.plan.Sender, x.plan.OE, x.plan.Language, x.plan.KnownSender
	out.Chunked, out.ContentLength, out.Upgrade = h.Chunked, h.ContentLength, x.tunnel.protocol
	out.Edit, _ = x.backend.Edits()
	out.Scratch, out.Traceparent = scratch, x.parent[:]
	if x.req.adopted() {
		out.Traceparent = x.req.parent[:]
	}
	if x.plan.InPlace || x.plan.OwnCookie || len(x.plan.StayName) > 0 || len(x.plan.Prefix) > 0 {
		x.leaveOrigin(h)
	}
	removed, fault := out.Apply(h)
	x.rec.Removed = removed
	if fault != message.FaultNone {
		x.fail(fault)
	}
	return fault == message.FaultNone
}

// lend borrows a connection, nil if none can be had and the request has been answered. A request that may not be sent twice
// wants a connection whose short idle time makes it unlikely that the backend is closing it just now.
func (x *Exchange) lend() Upstream {
	x.asked = x.host.Now()
	want := RecentConnection
	if x.replayable {
		want = AnyConnection
	}
	if x.tunnel.protocol != nil {
		want, x.replayable = NewConnection, false // nobody else's request comes before or after it
	}
	up, fault := x.backend.Connect(x, want)
	if fault != message.FaultNone {
		x.fail(fault)
		return nil
	}
	x.up = up
	return up
}

// remember copies what an error page would need of the head, whose bytes are gone by the time the backend fails.
func (x *Exchange) remember(h *message.Head) {
	x.wish.Reset()
	x.wish.Method, x.wish.HasQuery = h.Method, h.HasQuery
	k, fields := append(x.kept[:0], h.Query...), x.wish.Fields
	x.wish.Query = k
	for i := range h.Fields {
		if f := &h.Fields[i]; wishes.Has(f.ID) {
			at := len(k)
			k = append(k, f.Value...)
			fields = append(fields, message.Field{Value: k[at:len(k):len(k)], ID: f.ID})
		}
	}
	x.kept, x.wish.Fields = k, fields
}

// wishes are the fields that say which page is wanted.
const wishes message.FieldSet = 1<<message.Accept | 1<<message.AcceptLanguage | 1<<message.PVLanguage

// UpstreamHead takes the head of the final answer and relays it. Its slices are valid during the call.
func (x *Exchange) UpstreamHead(h *message.Head) {
	if h.Status == 101 {
		x.change(h)
		return
	}
	if x.extended && h.Status < 300 { // to this client it would say that there is a tunnel
		x.fail(message.FaultUpgrade)
		return
	}
	x.state = relaying
	if x.expecting {
		x.expecting, x.unasked, x.earlyLeft = false, true, 0
	}
	x.rec.Status = h.Status
	x.rec.Upstream = x.host.Now() - x.asked
	x.backend.Answered(x.asked, h.Status)
	bodyless := x.isHEAD || h.Status == 204 || h.Status == 304
	in := &x.host.Scratch().incoming
	scratch := in.Scratch[:0]
	*in = header.Response{}
	in.Via, in.Trace, in.Date, in.ContentLength = x.snapshot.Via, x.trace[:], x.host.Date(), h.ContentLength
	in.OwnCookie, in.StayCookie, in.Prefix, in.Target, in.InPlace = x.plan.CookieName, x.plan.StayName, x.plan.Prefix, x.target, x.plan.InPlace
	in.StrictTransport, in.AltSvc = x.plan.StrictTransport, x.altSvc()
	_, in.Edit = x.backend.Edits()
	in.Scratch = scratch
	f := x.front.Frame(h.ContentLength, bodyless)
	in.Chunked, in.Close, in.KeepAlive10 = f.Chunked, f.Close, f.KeepAlive10
	fields := in.Apply(h)
	if in.Refers {
		x.relocate(h.Status, fields)
	}
	x.front.Head(h.Status, x.stays(fields))
}

// UpstreamData relays body octets.
func (x *Exchange) UpstreamData(b []byte) {
	x.rec.BytesOut += int64(len(b))
	if x.state == tunnel {
		x.tunnel.moved = x.host.Now()
		x.host.Tunnelled(x.rec.Backend, 0, len(b))
	}
	x.front.Body(b)
}

// UpstreamEnd ends the response.
func (x *Exchange) UpstreamEnd() {
	if x.state == tunnel {
		x.tunnel.outEnded = true
		x.front.Finish()
		return
	}
	x.answered = true
	x.front.End()
}

// UpstreamFlush ends a batch: what was gathered for the client is sent. A slow client pauses the backend; after the
// last byte the connection goes back to its pool, clean only if the request has been sent whole too.
func (x *Exchange) UpstreamFlush() {
	if x.Over() {
		return
	}
	if x.answered {
		x.finish()
		x.front.Flush()
		return
	}
	if x.state != asking && x.front.Flush() > 0 && x.up != nil {
		x.up.Pause()
	}
	x.settle()
}

// UpstreamFailed says that the connection is of no further use.
func (x *Exchange) UpstreamFailed(fault message.Fault) {
	if x.Over() {
		return
	}
	if x.state == tunnel {
		x.tunnelFailed(fault)
		return
	}
	if x.state == relaying {
		x.rec.Reason, x.rec.Note = reason.ResponseIncomplete, x.up.Cause()
		x.breakOff()
		return
	}
	if x.again(fault) {
		return
	}
	x.rec.Note = x.up.Cause()
	x.fail(fault)
}

// ClientGone says that the client has left: nobody is waiting for the answer.
func (x *Exchange) ClientGone() {
	if x.Over() {
		return
	}
	if x.state == tunnel && x.tunnel.inEnded && x.tunnel.outEnded {
		x.bequeath()
		return
	}
	x.rec.Reason = reason.ClientGone
	if x.state == tunnel {
		x.rec.Tunnel = TunnelClient
	} else {
		x.rec.Status = reason.ClientGone.Status()
	}
	x.rec.Aborted = true
	x.finish()
}

// ClientFault says that the request's body is wrong or too slow; note is as for StartFault. Nothing that was sent of it
// may look whole.
func (x *Exchange) ClientFault(fault message.Fault, note string) {
	if x.Over() {
		return
	}
	x.rec.Note = note
	switch x.state {
	case relaying:
		x.rec.Reason = reason.OfFault(fault)
		x.breakOff()
	case tunnel:
		x.rec.Reason, x.rec.Tunnel = reason.OfFault(fault), TunnelClient
		x.breakOff()
	default:
		x.fail(fault)
	}
}

// Cut ends the exchange because the gateway ends: an answer that has begun is broken off, any other is ours.
func (x *Exchange) Cut() {
	switch {
	case x.Over():
	case x.state == tunnel:
		x.rec.Tunnel = TunnelDraining
		x.breakOff()
	case x.state == relaying:
		x.rec.Reason = reason.Draining
		x.breakOff()
	default:
		x.leave(false)
		x.req.Head = x.asker()
		x.refuse(reason.Draining, Detail{Backend: -1})
	}
}

// fail answers for a fault that came after admission.
func (x *Exchange) fail(fault message.Fault) {
	d := Detail{Backend: x.plan.Backend}
	if fault == message.FaultDown {
		d.Since, d.RetryAfter = x.backend.Down(x.host.Now())
	}
	code := reason.OfFault(fault)
	if x.up != nil && code.Fault() == reason.FaultBackend {
		x.backend.Failed(x.asked)
	}
	x.leave(false)
	x.req.Head = x.asker()
	x.refuse(code, d)
}

// refuse renders the answer for a reason chosen here.
func (x *Exchange) refuse(code reason.Code, d Detail) {
	x.plan.Reply = Reply{Fields: x.plan.Reply.Fields[:0], Body: x.plan.Reply.Body[:0]}
	x.snapshot.Resolver.Page(&x.req, code, d, &x.plan)
	x.answer()
}

// answer sends our own reply.
func (x *Exchange) answer() {
	r := &x.plan.Reply
	x.rec.Status, x.rec.Reason = r.Status, r.Reason
	framing := x.front.Frame(int64(len(r.Body)), x.isHEAD)
	f := append(r.Fields, message.Field{Name: fieldDate, Value: x.host.Date(), ID: message.Date})
	if len(x.plan.StrictTransport) > 0 {
		f = append(f, message.Field{Name: fieldStrict, Value: x.plan.StrictTransport, ID: message.StrictTransportSecurity})
	}
	if alt := x.altSvc(); len(alt) > 0 {
		f = append(f, message.Field{Name: fieldAltSvc, Value: alt, ID: message.AltSvc})
	}
	if r.Status != 204 {
		f = append(f, message.Field{Name: fieldLength, Value: decimal(&x.number, len(r.Body)), ID: message.ContentLength})
	}
	if framing.Close {
		f = append(f, message.Field{Name: fieldConnection, Value: valueClose, ID: message.Connection})
	} else if framing.KeepAlive10 {
		f = append(f, message.Field{Name: fieldConnection, Value: valueKeepAlive, ID: message.Connection})
	}
	r.Fields = f
	x.front.Head(r.Status, f)
	if !x.isHEAD && r.Status != 204 {
		x.rec.BytesOut = int64(len(r.Body))
		x.front.Body(r.Body)
	}
	x.front.End()
	x.finish()
	x.front.Flush()
}

// altSvc is what a client is told of HTTP/3, if it does not speak it already.
func (x *Exchange) altSvc() []byte {
	if x.client.Protocol == HTTP3 {
		return nil
	}
	return x.host.AltSvc(x.client.Listener)
}

// breakOff ends a response that cannot be completed so that the client notices.
func (x *Exchange) breakOff() {
	x.rec.Aborted = true
	x.finish()
	x.front.Abort()
}

// finish gives everything back and closes the account; it comes before the last bytes go to the kernel, so that no
// completed answer is missing from it.
func (x *Exchange) finish() {
	x.leave(x.answered && x.bodyEnded)
	x.unlook()
	x.state = over
	x.rec.Total = x.host.Now() - x.began
	if x.logged {
		x.account()
	}
	x.host.Record(&x.rec)
	x.snapshot = nil
}

// leave returns the connection and the place at the backend.
func (x *Exchange) leave(clean bool) {
	if x.up != nil {
		up := x.up
		x.up = nil
		if x.logged {
			x.rec.Endpoint, x.rec.Socket = up.Endpoint(), up.Socket()
		}
		x.rec.Forwarded = x.rec.Forwarded || x.answered || up.Begun()
		if x.answered {
			up.Done(clean && x.tunnel.protocol == nil)
		} else {
			up.Abort()
		}
	}
	x.quit()
	if x.backend != nil {
		x.backend.Leave()
		x.backend = nil
	}
	x.leaveTunnel()
}
