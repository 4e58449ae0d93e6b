// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/quicraw"
)

// quicFigures is what the quic rig saw: how the QUIC below HTTP/3 takes what is not by the book.
type quicFigures struct {
	Cases      int           `json:"cases"`
	Passed     int           `json:"passed"`
	Closed     int           `json:"closed_with_any_code"`
	Deviations []quicFinding `json:"deviations"`
	Floods     []quicFlood   `json:"floods"`
}

// quicFinding is cases that end otherwise than expected, for one reason.
type quicFinding struct {
	Cases []string `json:"cases"`
	Came  string   `json:"came"`
	Why   string   `json:"why"`
}

// quicDeviation is what comes instead, and why it is left so.
type quicDeviation struct{ came, why string }

// genericCode is why eight cases deviate.
var genericCode = quicDeviation{quicraw.InternalError.String(), "RFC 9000, section 11: a generic code such as INTERNAL_ERROR can always be used in place of a specific one. " +
	"quic-go gives any error that its TLS meets and that is no alert this code (wrapError in internal/handshake)."}

// quicDeviations is what quic-go v0.65.0 is known to answer otherwise. A case that is not here fails the rig; one that is
// and passes ought to leave.
var quicDeviations = map[string]quicDeviation{
	"h3spec/transport/2": genericCode, "h3spec/transport/3": genericCode, "h3spec/transport/4": genericCode, "h3spec/transport/5": genericCode,
	"h3spec/transport/6": genericCode, "h3spec/transport/7": genericCode, "h3spec/transport/8": genericCode, "h3spec/transport/9": genericCode,
	"h3spec/transport/13": {quicraw.FrameEncodingError.String(), "RFC 9000, section 12.4, wants PROTOCOL_VIOLATION for a frame in a packet that may not have it; " +
		"quic-go's frame parser closes with another code (ParseType in internal/wire)."},
	"h3spec/transport/28": {"TLS alert 80", "RFC 9001, section 6, wants the alert unexpected_message; section 4.8 allows a generic one. Once the handshake is done " +
		"Go's crypto/tls names no alert to QUIC for it, which makes it internal_error (quicError)."},
	"h3spec/transport/32": {quicraw.Dropped.String(), "RFC 9001, section 4.6.2: a server that refuses 0-RTT must not process any 0-RTT packet, even if it could. " +
		"pvgate refuses it always; quic-go has no keys for it."},
}

// quicBed is a gateway and how to reach it.
type quicBed struct {
	p      *binary.Process
	server netip.AddrPort
}

// quicConformance sends what a client must not, one connection each, and then floods. It reports how quic-go fares and
// fails where it fares worse than it is known to, where the gateway breaks, and where others suffer.
func quicConformance(ctx context.Context, b *bed) (any, error) {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	p, address, err := b.secure(ctx, back, "")
	if err != nil {
		return nil, err
	}
	f := &quicFigures{}
	server, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, end(p, err)
	}
	q := &quicBed{p, server}
	if err = q.healthy(ctx); err == nil {
		err = errors.Join(f.transport(ctx, q), f.floods(ctx, q))
	}
	return f, end(p, err)
}

// healthy asks as an ordinary client does.
func (q *quicBed) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	c, err := quic.DialAddr(ctx, q.server.String(), holdSecure(http3.NextProtoH3), nil)
	if err == nil {
		err = errors.Join(askHTTP((&http3.Transport{}).NewClientConn(c)), c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), ""))
	}
	if err != nil {
		return fmt.Errorf("a healthy client: %w", err)
	}
	return nil
}

// options is an ordinary greeting.
func (q *quicBed) options() quicraw.Options {
	c := holdSecure(http3.NextProtoH3)
	c.MinVersion, c.CurvePreferences = tls.VersionTLS13, []tls.CurveID{tls.X25519} // the hello fits a packet
	return quicraw.Options{Server: q.server, TLS: c}
}

// connected is a raw client whose handshake is done.
func (q *quicBed) connected(ctx context.Context) (*quicraw.Conn, error) {
	c, err := quicraw.Dial(ctx, q.options())
	if err != nil {
		return nil, err
	}
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// transport runs h3spec's cases of the transport.
func (f *quicFigures) transport(ctx context.Context, q *quicBed) error {
	var wrong error
	for i := range transportCases {
		t := &transportCases[i]
		f.Cases++
		r, came, err := t.run(ctx, q)
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s (%s): %w", t.name, t.sends, err))
			continue
		}
		if r == quicraw.Closing {
			f.Closed++
		}
		known, listed := quicDeviations[t.name]
		if slices.Contains(t.expected(), came) {
			f.Passed++
			if listed {
				fmt.Printf("   %s passes now; it can leave the list of deviations\n", t.name)
			}
			continue
		}
		if came != known.came {
			wrong = errors.Join(wrong, fmt.Errorf("%s (%s): %s, want %s", t.name, t.sends, came, strings.Join(t.expected(), " or ")))
		}
		f.deviates(t.name, came, known.why)
	}
	return errors.Join(wrong, q.healthy(ctx))
}

func (f *quicFigures) deviates(name, came, why string) {
	for i := range f.Deviations {
		if d := &f.Deviations[i]; d.Why == why && d.Came == came {
			d.Cases = append(d.Cases, name)
			return
		}
	}
	f.Deviations = append(f.Deviations, quicFinding{[]string{name}, came, why})
}

// transportCase is something a client must not do. It is done when the connection is at level, with a packet of frames;
// or in the greeting, by hello; or else by story.
type transportCase struct {
	name, sends string
	want        []quicraw.Code
	level       quicraw.Level
	frames      []byte
	flaw        quicraw.Flaw
	hello       func(*quicraw.Options)
	story       func(context.Context, *quicBed) (*quicraw.Conn, quicraw.Reaction, error)
}

func (t *transportCase) expected() (names []string) {
	for _, c := range t.want {
		names = append(names, c.String())
	}
	return names
}

// run returns what the server made of it, and that in a word: the name of a code if it closed the connection.
func (t *transportCase) run(ctx context.Context, q *quicBed) (r quicraw.Reaction, came string, err error) {
	var c *quicraw.Conn
	switch {
	case t.story != nil:
		c, r, err = t.story(ctx, q)
	case t.hello != nil:
		c, r, err = t.greet(ctx, q)
	default:
		c, r, err = t.offend(ctx, q)
	}
	if c != nil {
		err = errors.Join(err, c.Stop())
	}
	came = r.String()
	if err == nil && r == quicraw.Closing {
		if came = c.Closed().Code.String(); c.Closed().Application {
			came = "HTTP/3 " + came
		}
	}
	return r, came, err
}

func (t *transportCase) greet(ctx context.Context, q *quicBed) (*quicraw.Conn, quicraw.Reaction, error) {
	o := q.options()
	t.hello(&o)
	c, err := quicraw.Dial(ctx, o)
	if err != nil {
		return nil, quicraw.Silent, err
	}
	err = c.Handshake()
	switch {
	case c.Closed() != nil:
		return c, quicraw.Closing, nil
	case err != nil:
		return c, quicraw.Silent, err
	default:
		return c, quicraw.Ignored, nil
	}
}

func (t *transportCase) offend(ctx context.Context, q *quicBed) (*quicraw.Conn, quicraw.Reaction, error) {
	c, err := quicraw.Dial(ctx, q.options())
	if err != nil {
		return nil, quicraw.Silent, err
	}
	if t.level == quicraw.Handshake {
		err = c.HandshakeKeys()
	} else {
		err = c.Handshake()
	}
	if err != nil {
		return c, quicraw.Silent, fmt.Errorf("handshake: %w", err)
	}
	r, err := c.Provoke(t.level, func() (uint64, error) { return c.SendFlawed(t.level, t.frames, t.flaw) })
	return c, r, err
}

// earlyCrypto sends a CRYPTO frame in a 0-RTT packet, with the keys that a ticket of an earlier connection has.
func earlyCrypto(ctx context.Context, q *quicBed) (*quicraw.Conn, quicraw.Reaction, error) {
	o := q.options()
	o.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	first, err := quicraw.Dial(ctx, o)
	if err != nil {
		return nil, quicraw.Silent, err
	}
	if err = first.Handshake(); err == nil && !first.Alive() { // by then the ticket is there
		err = errors.New("the server answers no more after the handshake")
	}
	if err = errors.Join(err, first.Stop()); err != nil {
		return nil, quicraw.Silent, err
	}
	o.Early = true
	c, err := quicraw.Dial(ctx, o)
	if err != nil {
		return nil, quicraw.Silent, err
	}
	if err := c.Greet(); err != nil {
		return c, quicraw.Silent, err
	}
	number, err := c.Send(quicraw.Early, quicraw.AppendCrypto(nil, 0, keyUpdate))
	if err != nil {
		return c, quicraw.Silent, fmt.Errorf("0-RTT: %w", err)
	}
	if err = c.Handshake(); c.Closed() != nil {
		return c, quicraw.Closing, nil
	}
	switch {
	case err != nil || !c.Alive():
		return c, quicraw.Silent, err
	case c.Acknowledged(quicraw.Early, number):
		return c, quicraw.Ignored, nil
	default:
		return c, quicraw.Dropped, nil
	}
}
