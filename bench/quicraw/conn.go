// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// resendAfter is how long an answer may take before what was said is said again; giveUp how long at all.
	resendAfter = 500 * time.Millisecond
	giveUp      = 15 * time.Second
	// cryptoPiece is how much of a handshake goes into a packet, octets.
	cryptoPiece = 1000
)

// Options is how to greet a server.
type Options struct {
	Server netip.AddrPort
	From   netip.Addr // our address; the zero value is any
	TLS    *tls.Config
	// Change changes the transport parameters of an ordinary client; nil leaves them.
	Change func([]Parameter) []Parameter
	// NoParameters leaves the extension with the parameters out.
	NoParameters bool
	// Early offers 0-RTT with a ticket of TLS's session cache, whether the server wants it or not.
	Early bool
}

// Conn is a connection. Its exported fields are what came.
type Conn struct {
	Octets, Largest int // of all datagrams; of the largest one
	Retries         int
	// Heard is told of each frame that came; it may be nil.
	Heard func(l Level, number uint64, f *Frame)
	// Withhold acknowledges nothing of what comes meanwhile.
	Withhold bool

	o      Options
	socket *net.UDPConn
	tls    *tls.QUICConn
	in     []byte

	source, to, token []byte // connection ids, ours and the server's; of a Retry
	answered          bool   // the server has said its connection id
	confirmed         bool
	closed            *Close
	read, write       [levels]*protection
	phase             byte
	next, expected    [levels]uint64 // packet numbers of ours and of the server's, by space
	acked             [levels][]numbers
	owed              [levels][]uint64 // to be acknowledged
	out               [levels][]byte   // our handshake
	sent              [levels]int      // of that
	gathered          [levels]uint64   // octets of the server's handshake that TLS has
	ahead             [levels]map[uint64][]byte
}

// Dial makes a connection that has said nothing yet.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(o.From, 0)))
	if err != nil {
		return nil, err
	}
	c := &Conn{o: o, socket: socket, in: make([]byte, 64<<10), source: make([]byte, idLength), to: make([]byte, idLength)}
	_, _ = rand.Read(c.source) // never fails
	_, _ = rand.Read(c.to)
	parameters := ordinary(c.source)
	if o.Change != nil {
		parameters = o.Change(parameters)
	}
	c.tls = tls.QUICClient(&tls.QUICConfig{TLSConfig: o.TLS, EnableSessionEvents: true})
	c.tls.SetTransportParameters(encode(parameters))
	if err = c.initialKeys(); err == nil {
		if err = c.tls.Start(ctx); err == nil {
			err = c.handle()
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop forgets the connection without a word to the server.
func (c *Conn) Stop() error {
	_ = c.tls.Close() // an alert to nobody, if the handshake was not done
	return c.socket.Close()
}

// Socket is what the connection is on.
func (c *Conn) Socket() *net.UDPConn { return c.socket }

// Closed is how the server closed the connection; nil if it has not.
func (c *Conn) Closed() *Close { return c.closed }

func (c *Conn) initialKeys() error {
	ours, theirs, err := initialSecrets(c.to)
	if err != nil {
		return err
	}
	if c.write[Initial], err = protect(tls.TLS_AES_128_GCM_SHA256, ours); err != nil {
		return err
	}
	c.read[Initial], err = protect(tls.TLS_AES_128_GCM_SHA256, theirs)
	return err
}

// handle does what TLS wants.
func (c *Conn) handle() (err error) {
	for err == nil {
		switch e := c.tls.NextEvent(); e.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICSetReadSecret:
			c.read[e.Level], err = protect(e.Suite, bytes.Clone(e.Data))
		case tls.QUICSetWriteSecret:
			c.write[e.Level], err = protect(e.Suite, bytes.Clone(e.Data))
		case tls.QUICWriteData:
			data := e.Data
			if c.o.NoParameters && e.Level == Initial {
				data, err = withoutExtension(data, transportParameters)
			}
			c.out[e.Level] = append(c.out[e.Level], data...)
		case tls.QUICStoreSession:
			err = c.tls.StoreSession(e.SessionState)
		case tls.QUICResumeSession:
			e.SessionState.EarlyData = c.o.Early
		}
	}
	return err
}

// takeCrypto gives TLS what has come without a gap.
func (c *Conn) takeCrypto(l Level, offset uint64, data []byte) error {
	if c.ahead[l] == nil {
		c.ahead[l] = map[uint64][]byte{}
	}
	c.ahead[l][offset] = bytes.Clone(data)
	for again := true; again; {
		again = false
		for at, piece := range c.ahead[l] {
			if at > c.gathered[l] {
				continue
			}
			delete(c.ahead[l], at)
			if at+uint64(len(piece)) <= c.gathered[l] {
				continue
			}
			piece = piece[c.gathered[l]-at:]
			c.gathered[l] += uint64(len(piece))
			if err := c.tls.HandleData(l, piece); err != nil {
				return err
			}
			if err := c.handle(); err != nil {
				return err
			}
			again = true
		}
	}
	return nil
}

// Send sends a packet in a datagram of its own and returns its number.
func (c *Conn) Send(l Level, frames []byte) (uint64, error) { return c.SendFlawed(l, frames, 0) }

// SendFlawed is Send for a packet with something wrong.
func (c *Conn) SendFlawed(l Level, frames []byte, flaw Flaw) (uint64, error) {
	packet, number, err := c.Seal(l, frames, flaw)
	if err == nil {
		err = c.SendFrom(c.socket, packet)
	}
	return number, err
}

// SendFrom sends a datagram from a socket that may be another one than the connection's.
func (c *Conn) SendFrom(socket *net.UDPConn, datagram []byte) error {
	_, err := socket.WriteToUDPAddrPort(datagram, c.o.Server)
	return err
}

// Receive takes the next datagram of the connection's socket and acknowledges it. The error is os.ErrDeadlineExceeded when
// there is none for so long.
func (c *Conn) Receive(wait time.Duration) error {
	return c.ReceiveAt(c.socket, wait)
}

// ReceiveAt is Receive for another socket; what it acknowledges comes from the connection's.
func (c *Conn) ReceiveAt(socket *net.UDPConn, wait time.Duration) error {
	if err := socket.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	n, _, err := socket.ReadFromUDPAddrPort(c.in)
	if err != nil {
		return err
	}
	if err := c.Take(c.in[:n]); err != nil {
		return err
	}
	return c.acknowledge()
}

func (c *Conn) acknowledge() error {
	for l := range c.owed {
		if c.Withhold || c.closed != nil {
			c.owed[l] = c.owed[l][:0]
		}
		if len(c.owed[l]) == 0 {
			continue
		}
		var frames []byte
		for _, number := range c.owed[l] {
			frames = AppendAck(frames, number)
		}
		c.owed[l] = c.owed[l][:0]
		if _, err := c.Send(Level(l), frames); err != nil && !errors.Is(err, errNoKeys) {
			return err
		}
	}
	return nil
}

// Acknowledged reports whether the latest acknowledgements of a level have a packet in them.
func (c *Conn) Acknowledged(l Level, number uint64) bool {
	for _, r := range c.acked[space(l)] {
		if r.low <= number && number <= r.high {
			return true
		}
	}
	return false
}

// say sends what of the handshake has not been sent, up to a level.
func (c *Conn) say(most Level) error {
	for l := Initial; l <= most; l++ {
		for c.write[l] != nil && c.sent[l] < len(c.out[l]) {
			piece := c.out[l][c.sent[l]:]
			piece = piece[:min(len(piece), cryptoPiece)]
			if _, err := c.Send(l, AppendCrypto(nil, uint64(c.sent[l]), piece)); err != nil {
				return err
			}
			c.sent[l] += len(piece)
		}
	}
	return nil
}

// Handshake completes the handshake and waits until the server has confirmed it.
func (c *Conn) Handshake() error {
	return c.shake(Handshake, func() bool { return c.confirmed })
}

// HandshakeKeys begins the handshake until there are keys for Handshake packets. Of those it sends none.
func (c *Conn) HandshakeKeys() error {
	return c.shake(Initial, func() bool { return c.write[Handshake] != nil })
}

// Greeting is a datagram with the whole ClientHello, and more than once the same one in another packet.
func (c *Conn) Greeting() ([]byte, error) {
	datagram, _, err := c.Seal(Initial, AppendCrypto(nil, 0, c.out[Initial]), 0)
	return datagram, err
}

// Greet sends the ClientHello.
func (c *Conn) Greet() error { return c.say(Initial) }

var errSilence = fmt.Errorf("no answer within %v", giveUp)

// shake says what there is to say, up to a level, until it is done.
func (c *Conn) shake(most Level, done func() bool) error {
	for end := time.Now().Add(giveUp); ; {
		if err := c.say(most); err != nil {
			return err
		}
		switch err := c.Receive(resendAfter); {
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().After(end):
			return errSilence
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.sent = [levels]int{}
		case err != nil && c.closed == nil:
			return err
		}
		if c.closed != nil {
			return c.closed
		}
		if done() {
			return nil
		}
	}
}
