// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"net/netip"
	"time"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// Land numbers for [Plan.Land] and [Record.Land]: 0 is the Bund, 1 to 16 the Länder by the first two digits of the
// ARS, LandNone an exchange that named no area.
const LandNone = 17

// BackendOther, in [Plan.Backend] and [Record.Backend], is a target that belongs to no configured backend: it is never
// forwarded to, and counted with all others like it.
const BackendOther = -2

// Request is what a [Resolver] may look at. It and everything it points to is valid during the call only.
type Request struct {
	Head         *message.Head
	Path         []byte       // Head.Path in the gateway's one path form (message.NormalisePath); nil for asterisk form
	EncodedSlash bool         // Path holds %2F: the backend must allow it
	Peer         netip.Addr   // who speaks to us, IPv4 unmapped
	TLS          bool         // the connection is encrypted
	Certificate  *Certificate // of the peer, nil = none verified
	Listener     int          // index of the listener in the configuration
	Now          time.Time    // wall clock, read once per wake-up of the loop
	Tick         int64        // the loop's monotonic time at the same instant, nanoseconds; limits count by it
	Trace        []byte       // 32 hex digits that name this exchange
	Seed         uint64       // random; decides weighted splits
	Likely       int          // the backend that Resolver.Likely has guessed, -1: none
	Lookup       Lookup       // what has been heard, if Resolve is called again after it set Plan.Lookup; else nil

	parent [traceparentLen]byte // the peer's traceparent, after Adopt
}

// Certificate is a client certificate that was verified: whoever speaks on the connection has its key.
type Certificate struct {
	Fingerprint string   // SHA-256 of the DER form, lower-case hexadecimal digits
	Names       []string // "dns:…", "uri:…", "cn:…"
}

// Behind describes a client behind proxies that we trust.
type Behind struct {
	Addr      netip.Addr // the client's, or the nearest proxy's where nobody tells it
	Text      []byte     // Addr as text
	TLS       bool       // the client's own connection is encrypted
	Authority []byte     // what the client asked for
	Chain     header.Chain
}

// Plan is what a [Resolver] decides. The exchange owns it and clears it before each call; byte slices may point into
// Scratch (append to it), into the request or into the snapshot.
type Plan struct {
	// Forward sends the request to Backend; otherwise Reply is the answer.
	Forward bool
	// Backend is the index of the backend in the snapshot, -1 for none. A handover by redirect names it too, or
	// BackendOther, so that it is counted.
	Backend int
	Target  []byte // origin-form target to send: normalised path and raw query
	// Public is the authority under which clients reach the backend, if that is not the one this client asked for:
	// what the backend redirects to on its own addresses is found there.
	Public []byte
	// Prefix stands before the backend's paths at that authority, "/_pv/b/hessen"; empty at a host of its own. It
	// must stay valid until the exchange is over.
	Prefix []byte
	// InPlace says that the client asked, and sees the answer, at an address that is not the backend's own: no cookie
	// goes or comes, nothing is said about the whole host, and relative references are resolved here.
	InPlace bool
	// Link is the parameter that takes the context of a request in place along when the backend redirects it to its own
	// address: "?_pv=…"; empty: none.
	Link []byte
	// CookieName is the name of the gateway's own cookie at the backend's origin, which no backend sets; OwnCookie says
	// that the request bears it, and it ends here.
	CookieName string
	OwnCookie  bool
	// StayName is the name of the cookie that keeps a client at an endpoint, empty if the backend has none; Stay is the place
	// of the endpoint that the client's names, plus one, 0 for none, and StayOld says that it wants a new one all the same.
	// StayCookies are the values of Set-Cookie, by place.
	StayName    string
	Stay        int
	StayOld     bool
	StayCookies [][]byte

	// StrictTransport is the Strict-Transport-Security of the answer, whoever makes it; empty: a backend's own passes. It
	// must stay valid until the exchange is over.
	StrictTransport []byte

	// What the backend is told in PV- fields; empty ones are not sent.
	Leistung, ARS, Level, Sender, OE, Language []byte
	// KnownSender lets the peer's own Forwarded fields pass.
	KnownSender bool

	// Identified says that Resolve has found out who asks: SenderIndex and Behind are right.
	Identified bool
	// Behind describes the client if trusted proxies stand between it and us; nil: the connection is its own.
	Behind *Behind

	// Lookup says that nothing is decided yet: this has to be heard first, and then Resolve is called again, with all that
	// it had the first time. Leistung and ARS are set, for a page in between.
	Lookup Lookup

	// For the account: the Land of the asked area, the Kreis it is or lies in (the five digits as a number, 0 = none),
	// the asked Leistung (its digits as a number plus one, 0 = none), the sender's index (0 = direct), and how they
	// are known.
	Land        uint8
	Kreis       uint32
	Key         uint64
	SenderIndex int
	Account     Account
	LedBy       int // the sender of the handover that Account tells of; it proves nothing about who asks

	Reply Reply

	// Scratch is storage for this exchange; its capacity is kept for the next.
	Scratch []byte

	behind *Behind // storage
	// backends are the snapshot's while the resolver is asked; of likely all has been asked for.
	backends []Backend
	likely   int
}

// BehindProxies returns an empty Behind, which it sets.
func (p *Plan) BehindProxies() *Behind {
	if p.behind == nil {
		p.behind = new(Behind)
	}
	*p.behind = Behind{}
	p.Behind = p.behind
	return p.Behind
}

// Protocol is the version of HTTP that a client speaks.
type Protocol uint8

// The protocols, and how many there are.
const (
	HTTP1 Protocol = iota
	HTTP2
	HTTP3
	Protocols
)

// String returns the word used in metrics and logs.
func (p Protocol) String() string {
	if p >= Protocols {
		return "unknown"
	}
	return [Protocols]string{"h1", "h2", "h3"}[p]
}

// Account says whether a request at a backend's own origin could be told to belong to a handover.
type Account uint8

// The values of Account, and how many there are.
const (
	AccountNone         Account = iota // the request was not at a backend's own origin
	AccountAttributed                  // forwarded with the context of a handover
	AccountUnattributed                // forwarded without
	AccountArrived                     // led on: the context was taken out of the address
	AccountExpired                     // led on without a context: it was too old
	AccountForged                      // led on without a context: none of ours
	Accounts
)

// Expect says which backend the request will most likely go to, as soon as the resolver knows: while it does the rest, what
// the request touches there comes from memory.
func (p *Plan) Expect(backend int) {
	if backend < len(p.backends) && backend != p.likely {
		p.backends[backend].Expect()
	}
}

// reset clears the plan and keeps its storage.
func (p *Plan) reset() {
	behind, scratch, fields, body := p.behind, p.Scratch[:0], p.Reply.Fields[:0], p.Reply.Body[:0]
	*p = Plan{}
	p.behind, p.Scratch, p.Reply.Fields, p.Reply.Body = behind, scratch, fields, body
	p.Backend, p.Land = -1, LandNone
}

// Reply is an answer of our own. Date, Connection and Content-Length are added by the exchange; everything else,
// Content-Type and Retry-After included, stands in Fields. Body is sent unless the method is HEAD.
type Reply struct {
	Reason reason.Code
	Status int
	Fields []message.Field
	Body   []byte
}

// Detail is what the exchange knows about a reason that it chose itself.
type Detail struct {
	Backend    int           // index in the snapshot, -1 if no backend is concerned
	RetryAfter time.Duration // 0 = the reason's default
	Since      time.Duration // for how long it has been so, 0 = not known
}

// Resolver decides what happens to a request. It is immutable and safe for concurrent use; it must not block and, on
// the way to Forward, must not allocate.
type Resolver interface {
	// Likely guesses which backend a request will be forwarded to by the authority that it names, -1 if that says nothing.
	// It is asked before the request is read, so that the memory has time to bring what Resolve looks at, and must not wait
	// for that itself. Nothing is decided by it.
	Likely(authority []byte) int
	// Resolve fills p.
	Resolve(r *Request, p *Plan)
	// Page fills p.Reply for a reason that the exchange chose. r.Head may be empty: what could not be parsed
	// has no method, path or fields. p keeps what Resolve put there, if it was called.
	Page(r *Request, code reason.Code, d Detail, p *Plan)
}

// Snapshot is everything one request sees; immutable.
type Snapshot struct {
	Resolver Resolver
	// Via is our pseudonym, e.g. "pvgate-gw.example.de".
	Via []byte
	// ProxyPeers are, by listener, the networks whose connections begin with a PROXY header; with none, they do not.
	ProxyPeers [][]netip.Prefix
	// Backends are this loop's view of the backends, by [Plan.Backend].
	Backends []Backend
	// Logged asks for all of [Record], what only the access log wants included. ID names the snapshot there.
	Logged bool
	ID     [8]byte
}

// Admission is a backend's answer to one more request.
type Admission uint8

// What Admit may say.
const (
	Admitted    Admission = iota
	RateLimited           // the backend's whole rate is used up
	Busy                  // as many requests as allowed are in flight
	Queued                // so they are, and this one waits for a place
	Exhausted             // the gateway has hardly any descriptors left
)

// Ticket is a place in a backend's queue. Quit leaves the queue; or, if a place has been granted meanwhile, gives that
// back. It is of no further use when Granted or GaveUp has been called.
type Ticket interface{ Quit() }

// Connection is what an exchange needs of a connection to a backend.
type Connection uint8

// What Connect is asked for.
const (
	// AnyConnection is one that others may have used, for a request that may be sent a second time.
	AnyConnection Connection = iota
	// RecentConnection is for a request that must not be sent twice: so recently used that the backend is hardly
	// closing it just now, or new.
	RecentConnection
	// NewConnection is one that has carried nothing yet.
	NewConnection
)

// Backend is one backend as one loop sees it.
type Backend interface {
	// Near says that Expect most likely comes in a moment; Expect that a request does, or the answer of one: see [Plan.Expect].
	Near()
	Expect()
	// Admit asks for a place for x; Leave gives it back. If Queued, Granted or GaveUp of x will be called, in another turn
	// of the loop. retryAfter is set when refused.
	Admit(x *Exchange) (a Admission, t Ticket, retryAfter time.Duration)
	Leave()
	// Answered says that the head of an answer has come to a request that was sent when it began (loop time), Failed that
	// none will, by the backend's fault.
	Answered(began int64, status int)
	Failed(began int64)
	// AppendHead appends a request's head as it goes over a connection, for SendKept.
	AppendHead(dst []byte, h *message.Head, target []byte) []byte
	// Tunnels says what the backend allows of requests that want to change the protocol, nil for nothing. AdmitTunnel
	// asks for a place for one more tunnel; nil: there is none.
	Tunnels() *Tunnels
	AdmitTunnel() Place
	// Connect lends a connection. The connection calls x back; it may do so from its Flush on, never during Connect.
	// A fault says that none can be had.
	Connect(x *Exchange, want Connection) (Upstream, message.Fault)
	// Down says, after FaultDown, for how long no endpoint has been in service, and after what time asking again may be of
	// use, 0 if nobody knows.
	Down(now int64) (since, retry time.Duration)
	// MayRepeat asks at loop time now (nanoseconds) whether the backend can be asked a second time; unseen says that it
	// had closed a connection that waited. Repeat lends a new
	// connection and puts on it what another was given of a request: all of it if that is Unsent, else the head that it
	// was told to keep.
	MayRepeat(now int64, unseen bool) bool
	Repeat(x *Exchange, of Upstream) (Upstream, message.Fault)
	// Edits are what the operator changes about its requests and responses; nil for nothing.
	Edits() (request, response *header.Edit)
	// Host is the authority the backend wants to be asked for.
	Host() []byte
	// Index is stable over snapshots: the backend's place in the meter.
	Index() int
	// OwnLocation reports whether an absolute Location names one of the backend's own addresses, and returns what
	// follows the authority.
	OwnLocation(location []byte) (rest []byte, own bool)
}

// Tunnels says which changes of protocol a backend allows, and how long what follows may last. Immutable.
type Tunnels struct {
	Protocols [][]byte      // as in Upgrade fields; compared without case
	Idle      time.Duration // without an octet from either side, and none that is still to be taken
	Life      time.Duration // at most, from the change on
}

// Place is a place for a tunnel at a backend, to be given back. It must not hold a snapshot: a tunnel outlives many.
type Place interface{ ReleaseTunnel() }

// Upstream is a connection lent to one exchange until Done or Abort.
type Upstream interface {
	// SendHead, SendBody and SendEnd gather the request; Flush sends what was gathered, or keeps it until the
	// connection stands. keep says that the request has no body and may be sent again. SendKept gathers a head that was kept
	// while the request waited, instead of SendHead.
	SendHead(h *message.Head, target []byte, keep bool)
	SendBody(b []byte)
	SendEnd()
	Flush()
	// Sink is where the request's body may be moved to by the client's connection itself, behind what was gathered; nil: it
	// may not. Moved says how much was, octets.
	Sink() Sink
	Moved(n int)
	// Pending returns the bytes that the kernel has not taken yet.
	Pending() int
	// Reused reports that the connection had carried another exchange before.
	Reused() bool
	// Answering reports that something of a response has been received, interim ones included.
	Answering() bool
	// Begun reports that the backend may have seen something of the request.
	Begun() bool
	// Unsent reports that the kernel has accepted nothing of the request, and that all of it is held that was sent here.
	Unsent() bool
	SendKept(k message.Kept, keep bool)
	// Endpoint is the address that was reached, Socket the URL if that was a Unix socket, Cause what an answer broke, from
	// a closed list; all for the access log, and zero where there is none.
	Endpoint() netip.AddrPort
	Socket() string
	// Place is which of the backend's endpoints was reached, or is tried.
	Place() int
	Cause() string
	// Pause stops reading the response, Resume goes on; Paused is in between.
	Pause()
	Resume()
	Paused() bool
	// Finish ends the sending side of a tunnel, as soon as everything sent has been taken.
	Finish()
	// Done gives the connection back after the response has ended. It is kept for the next exchange if clean says
	// that the request was sent whole and the response was framed perfectly.
	Done(clean bool)
	// Abort breaks the connection off.
	Abort()
}

// Framing is what the fields of a response say about its end and the connection's.
type Framing struct {
	Chunked     bool
	Close       bool // Connection: close
	KeepAlive10 bool // Connection: keep-alive, for an HTTP/1.0 client that asked
}

// Sink is the end of a connection that takes octets from another connection without their passing through here: what it
// is, is between the two. Pending returns the bytes that the kernel has not taken yet.
type Sink = interface{ Pending() int }

// Front is the client's side of one exchange.
type Front interface {
	// Frame says how a response will be framed for this client. length is the body's octets, -1 if unknown;
	// bodyless responses (HEAD, 204, 304) have none whatever length says.
	Frame(length int64, bodyless bool) Framing
	// Head, Body and End gather the response; Flush sends what was gathered and returns the bytes the kernel
	// has not taken yet.
	Head(status int, fields []message.Field)
	Body(b []byte)
	End()
	Flush() (pending int)
	// Sink is where the body may be moved to by the backend's connection itself, behind what was gathered; nil: it may not.
	Sink() Sink
	// Room says how many octets of a body the front can pass on now. It takes more, but must keep them: a backend is not
	// read beyond it by much.
	Room() int
	// Carries reports whether requests for an authority belong on this connection: it would get the certificate and
	// the client authentication that the connection was opened with.
	Carries(authority []byte) bool
	// Switch ends HTTP on the connection, or on the stream: from now on octets pass as they are, those that were held
	// back first. The front tells TunnelData, TunnelEnd and TunnelLate. Finish ends the sending side, as soon as
	// everything sent has been taken; End is for when both sides have.
	Switch()
	Finish()
	// Last says that the connection ends with this answer.
	Last()
	// Continue sends 100 at once.
	Continue()
	// Abort breaks the response off so that the client notices.
	Abort()
	// Resume says that the exchange takes more of the request body, or has taken all that there was.
	Resume()
}

// Scratch is what the exchanges of a loop share, since only one of them changes fields at a time: what many exchanges have
// each is out of the processor's caches when it is wanted. The zero value is ready.
type Scratch struct {
	likely   int // what Foresee has guessed, plus one; 0: nothing
	outgoing header.Request
	incoming header.Response
	nonce    [16]byte // of a key for WebSocket
	key      [24]byte // its text
}

// Host is the loop that an exchange lives on.
type Host interface {
	// Now is the loop's monotonic time in nanoseconds, Wall the clock at the same instant.
	Now() int64
	Wall() time.Time
	// Scratch is what the exchanges of the loop share.
	Scratch() *Scratch
	// Snapshot returns the present snapshot as this loop sees it.
	Snapshot() *Snapshot
	// Date returns the present value of a Date field; valid during the call's wake-up.
	Date() []byte
	// AltSvc is the Alt-Svc field of answers on a listener, nil for none.
	AltSvc(listener int) []byte
	// Random fills b.
	Random(b []byte)
	// Pressure is how near the process is to the memory that it may use.
	Pressure() Pressure
	// Late reports whether a request that has come in now has waited for the loop so long that it should be refused. It is
	// asked once for each.
	Late() bool
	// AdmitTunnel asks whether the process has room for one more tunnel, LeaveTunnel gives it back.
	AdmitTunnel() bool
	LeaveTunnel()
	// Tunnelled counts octets of a tunnel as they pass; backend is Backend.Index.
	Tunnelled(backend, in, out int)
	// Record takes the account of a finished exchange; it must not keep it.
	Record(r *Record)
	LookupHost
}

// HealthPath is what load balancers ask. It is never refused: without an answer they would take us out, and lead everybody to
// the next gateway.
const HealthPath = "/_pv/health"

// Pressure is how near the process is to the memory that it may use.
type Pressure uint8

// The pressures.
const (
	Calm    Pressure = iota
	Pressed          // connections end with their answers, and no new ones are taken
	Full             // requests are refused
)

// Record is the account of one exchange. Times are nanoseconds.
type Record struct {
	Protocol  Protocol    // of the client
	Status    int         // sent to the client; 499 if it left first (but of a tunnel what began it stays)
	Reason    reason.Code // None for a backend's own answer
	Land      uint8       // as in Plan
	Sender    int         // of the handover, else who asks
	Account   Account     // as in Plan
	Backend   int         // Backend.Index, -1 if none was asked, BackendOther
	BytesIn   int64       // request body octets
	BytesOut  int64       // response body octets
	Total     int64       // head of the request to end of the response
	Queued    int64       // of that, waiting for a place at the backend
	Upstream  int64       // of that, waiting for the backend: connect to head of the response
	Aborted   bool        // the response did not end as it should
	Removed   header.Removed
	Forwarded bool // the request's head was sent to the backend
	// Tunnel says how the tunnel ended that this exchange became, if it did. Its octets are in BytesIn and BytesOut, and
	// have been told to Host.Tunnelled already.
	Tunnel TunnelEnd

	// What follows is for the access log, and filled only if [Snapshot.Logged].
	Method     message.Method
	Proxied    bool   // as Plan.Forward
	Attempts   uint8  // how often a connection was asked for
	Note       string // the rule that was broken, where Reason is a fault of the wire; from a closed list
	Agent      Agent
	Kreis      uint32         // as in Plan
	Key        uint64         // as in Plan
	SenderName []byte         // valid during the call of Host.Record
	Trace      []byte         // 32 hex digits; the same
	Peer       netip.Addr     // the client's, behind proxies that are trusted too
	Endpoint   netip.AddrPort // the one that was reached last,
	Socket     string         // or its URL, of a Unix socket
	Snapshot   [8]byte        // its ID
}

// TunnelEnd says how a tunnel ended.
type TunnelEnd uint8

// The ends of tunnels.
const (
	NoTunnel       TunnelEnd = iota
	TunnelFinished           // both sides have finished sending
	TunnelClient             // the client reset the connection, or took nothing any more
	TunnelBackend            // the backend did
	TunnelIdle               // no octet from either side for too long
	TunnelLife               // it lasted as long as it may
	TunnelDraining           // the gateway ends
	TunnelEnds               // how many there are
)

// String returns the word used in metrics and logs.
func (e TunnelEnd) String() string {
	return [TunnelEnds]string{"none", "finished", "client", "backend", "idle", "life", "draining"}[e]
}
