// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"iter"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
)

// The bounds of a handshake.
const (
	// Timeout is how long one may take from the accept on.
	Timeout = 10 * time.Second
	// maxBytes is how much of the peer is read for one.
	maxBytes = 64 << 10
	// maxWaiting is how many handshakes of a loop may wait for their client with memory spent on them; beyond that the
	// one that has waited longest is given up. An honest client answers within its round trip.
	maxWaiting = 1024
)

// Owner is who the plaintext is for.
type Owner interface {
	// Secured says that the handshake is done; the stream has to be given its next owner now. The first request may have
	// arrived already, so Read before waiting for an event. serverName is empty if the client named none, protocol if
	// none was agreed to by ALPN, peer nil if the client showed no certificate that could be verified.
	Secured(serverName, protocol string, peer *Peer)
	// Refused says that there will be no handshake; the owner closes.
	Refused(cause Cause)
}

// Host is what the TLS connections of one loop share. Owned by the loop's thread.
type Host struct {
	loop     *loop.Loop
	workers  *Workers
	raw      []byte // scratch: what was read from a stream, valid during one Conn.Read
	gathered []byte // scratch: the records of one long Conn.Write
	gather   []byte // gathered while it is in use
	oldest   *Conn  // handshakes with clients that have begun and wait for them
	newest   *Conn
	waits    int
	stats    Stats
}

// Stats counts handshakes with clients.
type Stats struct {
	Done    uint64 // full or resumed
	Resumed uint64
	Waiting int // begun, and waiting for their client
}

// Cause is why there was no handshake.
type Cause uint8

// The causes.
const (
	NotTLS         Cause = iota // the first octet is no handshake's
	Failed                      // crypto/tls refused, or the peer did, or it was too long
	TimedOut                    // not done in time
	Crowded                     // too many wait for their clients, none as long
	Left                        // the peer closed
	BadCertificate              // the server's is not for its name, not of an authority that is trusted, or not of today
	Unserved                    // not done in time, and at its end it was we who had not got on with it
)

// Add adds o's figures.
func (s *Stats) Add(o Stats) {
	s.Done += o.Done
	s.Resumed += o.Resumed
	s.Waiting += o.Waiting
}

// NewHost returns the shared part for a loop.
func NewHost(l *loop.Loop, w *Workers) *Host {
	return &Host{
		loop: l, workers: w, raw: make([]byte, loop.ReadSize+maxPlain+pieces*overhead),
		gathered: make([]byte, 0, pieces*(maxPlain+overhead)),
	}
}

// Stats returns the figures.
func (h *Host) Stats() Stats {
	s := h.stats
	s.Waiting = h.waits
	return s
}

// Peer is a client certificate that was verified.
type Peer struct {
	Fingerprint string   // SHA-256 of the certificate, lower hex
	Names       []string // "dns:…", "uri:…", "cn:…"
}

// handshake is what a connection needs until it is open. While state is working it belongs to the workers.
type handshake struct {
	next      func() (struct{}, bool)
	stop      func()
	yield     func(struct{}) bool
	back      func() // what the worker posts
	out       []byte // records for the peer
	err       error
	over      bool
	abandoned bool // by the loop, before it handed the connection over to be stopped
	total     int  // octets received
	job       *Conn
	older     *Conn
	newer     *Conn
	listed    bool
	resumed   bool
	name      string
	protocol  string
	peer      *Peer
}

var (
	errAbandoned = errors.New("handshake abandoned")
	errPanic     = errors.New("broken invariant")
)

// Accept makes a connection of a stream, which it owns until the owner given here is told Secured. Begin it.
func (h *Host) Accept(config *Config, stream *loop.Stream, owner Owner) *Conn {
	c := &Conn{host: h, stream: stream, owner: owner, config: config, handshake: new(handshake)}
	c.tls = tls.Server((*transport)(c), config.tls)
	c.back = c.returned
	stream.Own(c)
	stream.SetTimer(h.loop.Now() + int64(Timeout))
	return c
}

// Begin begins the handshake with what has been read from the stream already: nil, or a buffer of the loop, which it
// takes.
func (c *Conn) Begin(early []byte) {
	if early != nil {
		ok := c.take(early)
		c.host.loop.Return(early)
		if !ok {
			return
		}
	}
	c.Readable()
}

// begin makes the coroutine; it has to be made where it will run, not on a loop's own thread.
func (c *Conn) begin() {
	if c.client != nil {
		c.tls = tls.Client((*transport)(c), c.client.config(c.stream.Peer()))
	}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		if c.err = c.tls.HandshakeContext(context.Background()); c.err == nil {
			st := c.tls.ConnectionState()
			c.name, c.protocol, c.peer, c.resumed = st.ServerName, st.NegotiatedProtocol, peer(&st), st.DidResume
		}
	})
}

// peer returns the verified certificate of a client.
func peer(st *tls.ConnectionState) *Peer {
	if len(st.VerifiedChains) == 0 || len(st.PeerCertificates) == 0 {
		return nil
	}
	leaf := st.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	return &Peer{Fingerprint: hex.EncodeToString(sum[:]), Names: names(leaf)}
}

func names(c *x509.Certificate) (n []string) {
	for _, d := range c.DNSNames {
		n = append(n, "dns:"+d)
	}
	for _, u := range c.URIs {
		n = append(n, "uri:"+u.String())
	}
	if c.Subject.CommonName != "" {
		n = append(n, "cn:"+c.Subject.CommonName)
	}
	return n
}

// Connected is of no meaning for a connection that stands.
func (c *Conn) Connected(syscall.Errno) {}

// Stuck is of no meaning: nobody waits for the handshake's records to leave.
func (c *Conn) Stuck() {}

// Drained is of no meaning either.
func (c *Conn) Drained() {}

// Broken says that the peer has reset the connection.
func (c *Conn) Broken() { c.fail(Left) }

// Expire says that the handshake takes too long.
func (c *Conn) Expire(int64) {
	if c.client != nil && c.state == working {
		c.fail(Unserved)
		return
	}
	c.fail(TimedOut)
}

// Readable collects bytes until a whole record is there: silent peers, and those that send octet by octet, cost no
// worker anything.
func (c *Conn) Readable() {
	if c.state != waiting || c.gone {
		return
	}
	if c.stream.Lost() {
		c.fail(Left)
		return
	}
	for record(c.in[c.at:]) == 0 {
		n, st := c.stream.Read(c.host.raw[:maxPlain])
		switch {
		case st == loop.Again:
			return
		case st != loop.Data:
			c.fail(Left)
			return
		case !c.take(c.host.raw[:n]):
			return
		}
	}
	c.unlist()
	c.state = working
	c.host.workers.put(c)
}

// take adds bytes to what crypto/tls has not taken yet, unless they are too many or no TLS.
func (c *Conn) take(b []byte) bool {
	switch {
	case c.total == 0 && b[0] != typeHandshake && (c.client == nil || b[0] != typeAlert):
		c.fail(NotTLS)
		return false
	case c.total+len(b) > maxBytes:
		c.fail(Failed)
		return false
	}
	c.total += len(b)
	if !c.lent {
		c.in, c.lent = c.host.loop.Buffer(len(b)), true
	} else if c.at > 0 {
		c.in = c.in[:copy(c.in, c.in[c.at:])]
		c.at, c.until = 0, 0
	}
	c.in = append(c.host.loop.Grow(c.in, len(b)), b...)
	return true
}

// returned has the connection back from the workers.
func (c *Conn) returned() {
	c.stream.Serve()
	c.state = waiting
	if c.gone { // given up meanwhile
		c.drop()
		c.abandon()
		return
	}
	if len(c.out) > 0 {
		c.stream.Write(c.out)
		c.out = c.out[:0]
	}
	if c.at == len(c.in) {
		c.drop()
	}
	switch {
	case c.over && c.err != nil:
		c.fail(c.cause())
	case c.over:
		c.secured()
	default:
		c.list()
		c.Readable()
	}
}

// secured gives the connection to its owner.
func (c *Conn) secured() {
	if c.client == nil {
		c.host.stats.Done++
		if c.resumed {
			c.host.stats.Resumed++
		}
	}
	c.state = open
	c.stream.StopTimer()
	name, protocol, peer := c.name, c.protocol, c.peer
	c.handshake = nil
	c.owner.Secured(name, protocol, peer)
}

// fail ends a handshake; what crypto/tls had to say to the peer has been written.
func (c *Conn) fail(cause Cause) { c.owner.Refused(cause) }

// abandon lets a coroutine end: it has to be told where it runs.
func (c *Conn) abandon() {
	c.unlist()
	if c.next != nil && !c.over {
		c.abandoned = true
		c.host.workers.put(c)
	}
}

// list puts a handshake among those that wait for their client. There are no more with backends than requests that wait
// for them.
func (c *Conn) list() {
	if c.client != nil {
		return
	}
	h := c.host
	c.listed, c.older = true, h.newest
	if h.newest != nil {
		h.newest.newer = c
	} else {
		h.oldest = c
	}
	h.newest = c
	if h.waits++; h.waits > maxWaiting {
		h.oldest.fail(Crowded)
	}
}

func (c *Conn) unlist() {
	if !c.listed {
		return
	}
	h := c.host
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		h.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		h.newest = c.older
	}
	c.listed, c.older, c.newer = false, nil, nil
	h.waits--
}
