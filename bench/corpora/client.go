// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// patience bounds every wait of a client. It only ends a wait that went wrong: what is waited for is an answer or the
// end of the connection, and both come at once.
const patience = 8 * time.Second

// client is one connection to the gateway, from an address of the lane's own so that no run exhausts the ports of one.
type client struct {
	conn net.Conn
	in   []byte // what came and was not yet taken
	eof  bool
}

func dial(gateway string, from net.IP, secure *tls.Config) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
	conn, err := d.Dial("tcp", gateway)
	if err != nil {
		return nil, fmt.Errorf("dial the gateway: %w", err)
	}
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	return &client{conn: conn}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// send writes b in two segments cut at cut, and ends the sending side if fin is set. An error means that the gateway has
// closed; what it said before is still read.
func (c *client) send(b []byte, cut int, fin bool) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b[:cut])
	if err == nil && cut < len(b) {
		_, err = c.conn.Write(b[cut:])
	}
	if err == nil && fin {
		_ = c.conn.(interface{ CloseWrite() error }).CloseWrite()
	}
}

// fill reads more; false at the end of the connection, with late set if there was neither byte nor end in time.
func (c *client) fill() (ok, late bool) {
	if c.eof {
		return false, false
	}
	buf := make([]byte, 64<<10)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := c.conn.Read(buf)
	c.in = append(c.in, buf[:n]...)
	if n > 0 {
		return true, false
	}
	c.eof = err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	return false, !c.eof
}

// answer is one final response as the client saw it.
type answer struct {
	strict.Response
	tag string // of the origin, "" for one of the gateway's own
}

var (
	errLate   = errors.New("neither an answer nor the end of the connection in time")
	errClosed = errors.New("closed without an answer")
)

// next reads one final response to a request with method; 1xx before it are passed over.
func (c *client) next(method string) (answer, error) {
	for {
		res, n, status, fault := strict.NextResponse(c.in, method)
		if status == strict.Complete && (!res.UntilClose || c.eof) {
			c.in = c.in[n:]
			if res.Code < 200 && res.Code != 101 {
				continue
			}
			return answer{Response: res, tag: res.Get("Origin-Tag")}, nil
		}
		if status == strict.Bad {
			return answer{}, fmt.Errorf("the answer is no clean HTTP: %v in %.200q", fault, c.in)
		}
		ok, late := c.fill()
		switch {
		case ok || res.UntilClose && c.eof:
		case late:
			return answer{}, fmt.Errorf("%w (have %.100q)", errLate, c.in)
		case len(c.in) > 0:
			return answer{Response: res}, fmt.Errorf("answer cut off after %d bytes: %w", len(c.in), io.ErrUnexpectedEOF)
		default:
			return answer{}, errClosed
		}
	}
}

// rest reads to the end of the connection.
func (c *client) rest() error {
	for {
		ok, late := c.fill()
		if late {
			return errLate
		}
		if !ok {
			return nil
		}
	}
}
