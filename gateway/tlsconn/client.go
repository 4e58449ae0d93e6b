// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pvgate/pvgate/gateway/loop"
)

// ClientOptions say how connections to one server are secured.
type ClientOptions struct {
	// TLS names the server, whom to trust and what certificate to show. It is copied.
	TLS *tls.Config
	// Policy says whom TLS trusts and what it shows, for instance digests of the files: a session that began under one
	// policy is not resumed under another.
	Policy string
	// Sessions keeps what servers give for resumption; nil: every handshake is a full one.
	Sessions *Sessions
}

// Client is what handshakes with a server use: one generation of it, immutable. Safe for concurrent use.
type Client struct {
	tls      *tls.Config
	policy   string
	sessions *Sessions
}

// NewClient checks options and makes a client of them.
func NewClient(o ClientOptions) (*Client, error) {
	switch {
	case o.TLS == nil || o.TLS.ServerName == "":
		return nil, errors.New("no server name to verify")
	case o.TLS.InsecureSkipVerify:
		return nil, errors.New("a server that is not verified may be anybody")
	case o.TLS.MinVersion != 0 && o.TLS.MinVersion < tls.VersionTLS12:
		return nil, errors.New("TLS before 1.2 is not supported")
	}
	c := &Client{tls: o.TLS.Clone(), policy: o.Policy, sessions: o.Sessions}
	if c.tls.MinVersion == 0 {
		c.tls.MinVersion = tls.VersionTLS12
	}
	c.tls.NextProtos = []string{"http/1.1"}
	c.tls.DynamicRecordSizingDisabled = true
	c.tls.SessionTicketsDisabled = o.Sessions == nil
	return c, nil
}

// Policy is that of its options.
func (c *Client) Policy() string { return c.policy }

// Settings returns what a handshake uses that is not made here: the same name, authorities and certificate, no sessions.
func (c *Client) Settings() *tls.Config { return c.tls.Clone() }

// config returns what one handshake uses. It is called off the loops.
func (c *Client) config(to netip.AddrPort) *tls.Config {
	if c.sessions == nil {
		return c.tls
	}
	own := c.tls.Clone()
	own.ClientSessionCache = c.sessions.of(sessionKey{c.policy, c.tls.ServerName, to})
	return own
}

// Sessions keeps the last session of each server, of as many servers as were used most recently. Safe for concurrent use.
type Sessions struct {
	most int

	// mu guards what stands below. Only workers wait for it.
	mu   sync.Mutex
	by   map[sessionKey]*list.Element
	used list.List // of *session, the most recently used first
}

// sessionKey is what a session is good for: under another policy the server might not be trusted, and another address
// may be another machine, which cannot open the ticket.
type sessionKey struct {
	policy, name string
	to           netip.AddrPort
}

// session is a tls.ClientSessionCache for one server. What TLS 1.3 gives comes after the handshake, on a loop: it must not
// wait.
type session struct {
	key   sessionKey
	state atomic.Pointer[tls.ClientSessionState]
}

// NewSessions returns room for the sessions of that many servers.
func NewSessions(most int) *Sessions {
	return &Sessions{most: max(most, 1), by: map[sessionKey]*list.Element{}}
}

// of returns the place of a server's session.
func (s *Sessions) of(key sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.by[key]; ok {
		s.used.MoveToFront(e)
		return e.Value.(*session)
	}
	if s.used.Len() == s.most {
		last := s.used.Back()
		delete(s.by, s.used.Remove(last).(*session).key)
	}
	own := &session{key: key}
	s.by[key] = s.used.PushFront(own)
	return own
}

// Get implements tls.ClientSessionCache.
func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	state := s.state.Load()
	return state, state != nil
}

// Put implements tls.ClientSessionCache.
func (s *session) Put(_ string, state *tls.ClientSessionState) { s.state.Store(state) }

// Dial makes a connection of a stream that stands, and begins its handshake. It owns the stream until the owner given
// here is told Secured; until is the loop time at which it is given up.
func (h *Host) Dial(client *Client, stream *loop.Stream, owner Owner, until int64) *Conn {
	c := &Conn{host: h, stream: stream, owner: owner, client: client, handshake: new(handshake)}
	c.back = c.returned
	stream.Own(c)
	stream.SetTimer(until)
	c.state = working
	h.workers.put(c)
	return c
}

// Cut reports that the peer has ended the connection without close_notify: perhaps that was not the peer.
func (c *Conn) Cut() bool { return c.cut }

// Rejected reports that the peer has ended the connection with an alert: in TLS 1.3 it refuses a client's certificate
// only when the client has done its handshake.
func (c *Conn) Rejected() bool { return c.rejected }

// alerted reports whether an error of crypto/tls is an alert of the peer's.
func alerted(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// cause says what the error of a handshake means.
func (c *Conn) cause() Cause {
	var certificate *tls.CertificateVerificationError
	if c.client != nil && errors.As(c.err, &certificate) {
		return BadCertificate
	}
	return Failed
}
