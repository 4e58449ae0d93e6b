// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
)

// pieces is how many full records one Write puts into one call of the kernel.
const pieces = 4

// Conn is TLS over a stream of a loop, as the server or as the client. It belongs to the loop's thread, but for the moments in which a worker computes
// its handshake: then the loop does not touch what they share. Once the owner is told Secured, Conn is used like the
// stream: Read and Write never wait, and what is written is with the kernel or in the stream's queue.
type Conn struct {
	host   *Host
	stream *loop.Stream
	owner  Owner
	config *Config // of a server
	client *Client // nil for a server
	tls    *tls.Conn

	in    []byte // received; crypto/tls has taken it up to at
	at    int
	until int  // end of the record that crypto/tls is reading
	lent  bool // in is a buffer of the loop's pool, not the host's scratch
	plain bool // crypto/tls may hold plaintext that was read and not asked for
	end   loop.ReadStatus
	state state
	bye   bool // close_notify has been sent
	gone  bool // closed; while a worker has the connection, that must not show in state

	cut      bool // the peer's FIN came without close_notify
	rejected bool // the peer has sent an alert

	*handshake // nil when it is over
}

// state says who has the connection.
type state uint8

const (
	waiting state = iota // the loop; a record is awaited
	working              // the workers
	open                 // the owner: the handshake is done
)

// Carries reports whether requests for host belong on a connection for serverName.
func (c *Conn) Carries(serverName string, host []byte) bool {
	return c.config.Carries(serverName, host)
}

// Ready reports whether a Read might find something.
func (c *Conn) Ready() bool {
	return c.state == open && !c.gone && (c.plain || c.end != loop.Data || record(c.in[c.at:]) > 0 || c.stream.Ready())
}

// Begun reports whether a record has begun to come that has not been read.
func (c *Conn) Begun() bool { return len(c.in) > c.at }

// Read fills b with what is there, like loop.Stream. Only whole records are given to crypto/tls.
func (c *Conn) Read(b []byte) (int, loop.ReadStatus) {
	if c.state != open || c.gone {
		return 0, loop.Failed
	}
	n := 0
	for n < len(b) && c.end == loop.Data {
		if !c.plain && record(c.in[c.at:]) == 0 {
			if n > 0 {
				break
			}
			if st := c.fill(len(b)); st != loop.Data {
				return 0, st
			}
			continue
		}
		k, err := c.tls.Read(b[n:])
		n += k
		c.plain = err == nil && n == len(b)
		switch {
		case err == nil || errors.Is(err, errNoBytes):
		case errors.Is(err, io.EOF):
			c.end = loop.EOF
		default:
			c.end, c.bye, c.rejected = loop.Failed, true, alerted(err) // an alert has said why
		}
	}
	c.keep()
	if n == 0 {
		return 0, c.end
	}
	return n, loop.Data
}

// fill reads from the stream, behind what has come of a record.
func (c *Conn) fill(want int) loop.ReadStatus {
	if !c.stream.Ready() {
		c.keep()
		return loop.Again
	}
	raw := c.host.raw
	k := copy(raw, c.in[c.at:])
	c.drop()
	n, st := c.stream.Read(raw[k:min(len(raw), max(want, recordHead+maxCiphertext)+pieces*overhead)])
	c.in = raw[:k+n]
	if st != loop.Data {
		c.keep()
	}
	if st == loop.EOF {
		if c.cut = true; k > 0 {
			return loop.Failed // in the middle of a record
		}
	}
	return st
}

// keep saves the beginning of a record from the host's scratch.
func (c *Conn) keep() {
	left := c.in[c.at:]
	switch {
	case len(left) == 0:
		c.drop()
	case !c.lent:
		own := append(c.host.loop.Buffer(len(left)), left...)
		c.in, c.at, c.until, c.lent = own, 0, 0, true
	}
}

func (c *Conn) drop() {
	if c.lent {
		c.host.loop.Return(c.in)
	}
	c.in, c.at, c.until, c.lent = nil, 0, 0, false
}

// Write encrypts and sends b, like loop.Stream: in one record if it fits, and in one call of the kernel.
func (c *Conn) Write(b []byte) bool {
	if c.state != open || c.bye || c.gone {
		return false
	}
	for len(b) > maxPlain {
		k := min(len(b), pieces*maxPlain)
		c.host.gather = c.host.gathered[:0]
		_, err := c.tls.Write(b[:k])
		out := c.host.gather
		c.host.gather = nil
		if err != nil || !c.stream.Write(out) {
			return false
		}
		b = b[k:]
	}
	if len(b) == 0 {
		return true
	}
	_, err := c.tls.Write(b)
	return err == nil
}

// Give is Write for a buffer of the loop, which it returns.
func (c *Conn) Give(b []byte) bool {
	ok := c.Write(b)
	c.host.loop.Return(b)
	return ok
}

// CloseWrite says close_notify, and shuts down writing as soon as the kernel has taken that: call it again when the
// stream has drained.
func (c *Conn) CloseWrite() {
	c.Farewell()
	if c.stream.Flush(); c.stream.Pending() == 0 {
		c.stream.CloseWrite()
	}
}

// Farewell says close_notify, once: nothing is written after it.
func (c *Conn) Farewell() {
	if c.state == open && !c.bye && !c.gone && !c.stream.Lost() {
		_ = c.tls.CloseWrite() // what cannot be written has nobody to be told
		c.bye = true
	}
}

// Mute makes Close say nothing: what was sent is not the whole.
func (c *Conn) Mute() { c.bye = true }

// Close says close_notify if there is nothing before it in the queue, and closes.
func (c *Conn) Close() {
	if c.stream.Pending() == 0 {
		c.Farewell()
	}
	c.leave()
	c.stream.Close()
}

// Reset closes with RST, so that nobody takes what was sent for the whole.
func (c *Conn) Reset() {
	c.leave()
	c.stream.Reset()
}

// leave gives back what the connection holds.
func (c *Conn) leave() {
	if c.gone {
		return
	}
	c.gone = true
	switch c.state {
	case waiting:
		c.abandon()
		c.drop()
	case open:
		c.drop()
	case working: // it is given back first
	}
}

// transport is the connection as crypto/tls sees it.
type transport Conn

// noBytes says that nothing has come yet. It is temporary: after the handshake crypto/tls forgets it, during the
// handshake it would not.
type noBytes struct{}

func (noBytes) Error() string   { return "nothing received yet" }
func (noBytes) Timeout() bool   { return false }
func (noBytes) Temporary() bool { return true }

var errNoBytes net.Error = noBytes{}

// Read gives one record at most.
func (t *transport) Read(b []byte) (int, error) {
	for t.at == t.until {
		n := record(t.in[t.at:])
		switch {
		case n > 0:
			t.until = t.at + n
		case t.state == open:
			return 0, errNoBytes
		case !t.yield(struct{}{}):
			return 0, errAbandoned
		}
	}
	n := copy(b, t.in[t.at:t.until])
	t.at += n
	return n, nil
}

// Write takes records: those of the handshake for when the loop has the connection again, those of a long Write
// together, and the others at once.
func (t *transport) Write(b []byte) (int, error) {
	switch {
	case t.state != open:
		t.out = append(t.out, b...)
	case t.host.gather != nil:
		t.host.gather = append(t.host.gather, b...)
	case !t.stream.Write(b):
		return 0, errLost
	}
	return len(b), nil
}

var errLost = errors.New("connection lost")

// Close, LocalAddr, RemoteAddr and the deadlines are part of net.Conn; nobody needs them.

func (t *transport) Close() error                     { return nil }
func (t *transport) LocalAddr() net.Addr              { return nil }
func (t *transport) RemoteAddr() net.Addr             { return nil }
func (t *transport) SetDeadline(time.Time) error      { return nil }
func (t *transport) SetReadDeadline(time.Time) error  { return nil }
func (t *transport) SetWriteDeadline(time.Time) error { return nil }
