// SPDX-License-Identifier: EUPL-1.2

// Package conn is one client connection: it moves bytes between a loop's stream and the machine of its protocol, and
// events between that machine and exchanges.
//
// The calls to know: [NewHost] for what the connections of one loop share, [Host.Accept] for a new one and
// [Host.Drain] for the end of all.
//
// In the order of a connection's life its stream belongs to proxied (proxied.go), to TLS's handshake (secure.go), to
// undecided where only the first octets tell the protocol (undecided.go), to [H1] or [H2], and to lingering (linger.go).
// All of them share the link below them (this file).
//
// It deliberately decides nothing about a request; it decides only when to read, when to close, and how an answer is
// framed for this client.
package conn

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

const (
	// turnBytes and turnReads bound what one connection may read per turn of the loop.
	turnBytes = 64 << 10
	turnReads = 16
	// direct is the size from which a piece of a body is written from where it stands instead of being gathered.
	direct = 16 << 10
	// maxQueued is how much may wait for a client that goes on sending: reading TLS can make output too.
	maxQueued = 64 << 10
)

// link is a client connection below HTTP: the stream and TLS over it, who the client is, the wait that is under way, and
// the place in the host's account. Owned by its loop's thread.
type link struct {
	stream loop.Stream
	wire   wire            // the stream as it is, or TLS over it
	config *tlsconn.Config // of TLS, nil without
	secure *tlsconn.Conn   // the wire, once it is TLS
	host   *Host
	speaks protocol
	// protocols are those of the listener.
	protocols Protocols
	client    exchange.Client
	text      [45]byte // longest IPv6 text form
	in        []byte   // read, not yet used

	since  int64 // loop time at which the present wait began
	window int64 // octets of a body since then; while taking, what the client had acknowledged when that began

	large    bool // has carried a large piece of a body
	unfed    bool // in holds bytes that nobody has looked at
	taking   bool // it is measured how fast the client takes what is written
	lingered int

	prev, next *link
}

// protocol is what is spoken on a link, HTTP or what comes before and after it, as the host sees it.
type protocol interface {
	// resting is whether the connection has been waiting for a request since a time.
	resting(since int64) bool
	// drain says that the gateway ends: who has been resting for a while is closed. It is told again and again.
	drain(now int64)
	// gone ends everything: the client has left. cut ends everything because the gateway does.
	gone()
	cut()
}

// wire is the bytes of HTTP. Everything else is the stream's.
type wire interface {
	Read(b []byte) (int, loop.ReadStatus)
	Write(b []byte) bool
	// Give is Write for a buffer of the loop, which is returned when it is sent.
	Give(b []byte) bool
	// Ready reports whether a Read might find something.
	Ready() bool
	// CloseWrite ends what is written; call it again when the stream has drained, if it had not.
	CloseWrite()
	Close()
	Reset()
}

// own makes o the stream's owner, and p what the host sees.
func (l *link) own(o loop.Owner, p protocol) {
	l.stream.Own(o)
	l.speaks = p
}

// open begins with the client's own octets, whoever has passed them on.
func (l *link) open() {
	if l.config != nil {
		l.handshake()
		return
	}
	switch l.protocols &^ WebSocket {
	case HTTP2:
		l.http2()
	case HTTP1 | HTTP2:
		u := undecided{l}
		l.own(u, u)
	default:
		l.http1()
	}
	l.wait(int64(l.host.timeouts.Head))
	if l.unfed || l.stream.Ready() {
		l.stream.Again()
	}
}

// wait starts a wait of at most ns.
func (l *link) wait(ns int64) {
	l.since, l.window, l.taking = l.host.loop.Now(), 0, false
	l.stream.SetTimer(l.since + ns)
}

// receive puts what was kept at the front of buf, and behind it what has come; nothing is read while nobody has looked at
// what was kept.
func (l *link) receive(buf []byte) (kept, n int, st loop.ReadStatus) {
	if kept = copy(buf, l.in); !l.unfed {
		n, st = l.wire.Read(buf[kept:])
		l.large = l.large || n >= direct
	}
	return kept, n, st
}

// retain keeps bytes for later; unfed says that nobody has looked at them.
func (l *link) retain(b []byte, unfed bool) {
	if len(b) == 0 {
		l.giveBack(&l.in)
		l.unfed = false
		return
	}
	if cap(l.in) < len(b) {
		l.giveBack(&l.in)
		l.in = l.host.loop.Buffer(len(b))
	}
	l.in = append(l.in[:0], b...)
	l.unfed = unfed
}

func (l *link) giveBack(b *[]byte) {
	if *b != nil {
		l.host.loop.Return(*b)
		*b = nil
	}
}

// late begins to measure how fast the client takes what is written, if that is not under way.
func (l *link) late() {
	if !l.taking {
		l.wait(int64(l.host.timeouts.Write))
		l.taking, l.window = true, l.stream.Acked()
	}
}

// tooSlow reports whether a client has taken what waits for it below the least rate; if not, the measure begins anew.
// What the kernel takes from us comes in large pieces and says little; what the client has acknowledged does.
func (l *link) tooSlow() bool {
	t := &l.host.timeouts
	if l.taking && l.stream.Acked()-l.window < int64(t.Rate)*int64(t.Write)/1e9 {
		l.host.closed[SlowReader]++
		return true
	}
	l.taking = false
	return false
}

// end closes a connection without a request.
func (l *link) end(why Cause) {
	l.host.closed[why]++
	l.speaks.gone()
}

// What follows is what the host sees before HTTP has begun.

func (l *link) resting(since int64) bool {
	return l.since <= since && len(l.in) == 0 && l.stream.Pending() == 0
}

func (l *link) drain(now int64) {
	if l.resting(l.host.quiet(now, drainFirst)) && l.stream.Healthy() && !l.wire.Ready() {
		l.close()
	}
}

func (l *link) gone() {
	l.leave()
	l.part()
}

func (l *link) cut() { l.gone() }

// leave takes the connection out of the host's account; the stream is closed by the caller.
func (l *link) leave() {
	l.giveBack(&l.in)
	l.host.exit(l)
}

// part closes the connection; what is left unsent must not look like the end of an answer.
func (l *link) part() {
	if l.stream.Flush(); l.stream.Pending() > 0 {
		l.wire.Reset()
	} else {
		l.wire.Close()
	}
}

// close ends a connection whose client has all that it gets.
func (l *link) close() {
	l.leave()
	l.wire.Close()
}

// Carries reports whether requests for an authority belong on this connection.
func (l *link) Carries(authority []byte) bool {
	if l.secure == nil {
		return true
	}
	host, _, ok := message.SplitAuthority(authority)
	name := l.client.ServerName
	return !ok || message.EqualFold(host, name) || l.secure.Carries(name, host)
}

// farewell lets close_notify leave with the end of the last answer.
func (l *link) farewell() {
	if l.secure != nil {
		l.secure.Farewell()
	}
}

// mute keeps close_notify back: half an answer must not look like a whole one.
func (l *link) mute() {
	if l.secure != nil {
		l.secure.Mute()
	}
}
