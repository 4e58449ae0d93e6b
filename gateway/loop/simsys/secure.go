// SPDX-License-Identifier: EUPL-1.2

package simsys

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"time"
)

// Secure is one end of a TLS connection over an [End], with the same calls. They never block; the handshake
// goes on with every one of them. Call Pump when nothing else is called.
type Secure struct {
	end      *End
	conn     *tls.Conn
	next     func() (struct{}, bool)
	stop     func()
	in       []byte // ciphertext
	out      []byte
	got      []byte // plaintext
	done     bool   // the handshake
	err      error  // of the handshake, or of a record
	notified bool   // close_notify has come
	fin      bool   // of the other side, after everything it sent
	leaving  bool   // CloseWrite has been called
	shut     bool
	parting  bool // closes when it has shut down
	slow     bool // sends octet by octet
}

// Secure makes a TLS client of an end. One that is slow sends every octet by itself.
func (e *End) Secure(config *tls.Config, slow bool) *Secure {
	return e.secure(tls.Client, config, slow)
}

// Serve makes a TLS server of an end, as Secure a client.
func (e *End) Serve(config *tls.Config, slow bool) *Secure { return e.secure(tls.Server, config, slow) }

func (e *End) secure(side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config, slow bool) *Secure {
	s := &Secure{end: e, slow: slow}
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.conn = side(&wire{s, yield}, config)
		s.err = s.conn.HandshakeContext(context.Background())
		s.done = s.err == nil
	})
	s.Pump()
	return s
}

// State is that of crypto/tls, once the handshake is Done.
func (s *Secure) State() tls.ConnectionState { return s.conn.ConnectionState() }

// Done reports that the handshake is, and Err why it, or what followed, failed.
func (s *Secure) Done() bool { return s.done }

// Err returns why the handshake, or what followed, failed.
func (s *Secure) Err() error { return s.err }

// Pump moves bytes.
func (s *Secure) Pump() {
	s.send()
	s.in = append(s.in, s.end.Read()...)
	if !s.done && s.err == nil {
		s.next()
		s.send()
	}
	if s.done {
		s.read()
		s.send()
	}
	if s.end.EOF() && (s.err != nil || s.done) {
		s.fin = true
	}
	if s.leaving && s.done && len(s.out) == 0 && !s.shut {
		s.shut = true
		s.end.CloseWrite()
	}
	if s.parting && (s.shut || s.end.EOF()) {
		s.end.Close()
	}
}

func (s *Secure) send() {
	for len(s.out) > 0 {
		piece := s.out
		if s.slow {
			piece = piece[:1]
		}
		n := s.end.Write(piece)
		s.out = s.out[n:]
		if n == 0 || s.slow {
			return
		}
	}
}

// read decrypts what there is.
func (s *Secure) read() {
	var b [16 << 10]byte
	for s.err == nil && !s.notified {
		n, err := s.conn.Read(b[:])
		s.got = append(s.got, b[:n]...)
		switch {
		case err == nil:
		case errors.Is(err, errAgain):
			return
		case errors.Is(err, io.EOF):
			s.notified = true
		default:
			s.err = err
		}
	}
}

// Write sends b if nothing waits to be sent, and returns how much of it that was: nothing before the handshake.
func (s *Secure) Write(b []byte) int {
	s.Pump()
	if !s.done || len(s.out) > 0 || s.leaving || len(b) == 0 {
		return 0
	}
	n, _ := s.conn.Write(b)
	s.send()
	return n
}

// Raw puts octets of one's own making behind what has been sent.
func (s *Secure) Raw(b []byte) {
	s.out = append(s.out, b...)
	s.Pump()
}

// Read takes what has been decrypted.
func (s *Secure) Read() []byte {
	s.Pump()
	b := s.got
	s.got = nil
	return b
}

// Got returns how many octets have been sent to this end in all, those of TLS.
func (s *Secure) Got() int64 { return s.end.Got() }

// Taken reports that the other side has read all that was written.
func (s *Secure) Taken() bool { return len(s.out) == 0 && s.end.Taken() }

// EOF reports that nothing more will come; it waits until what was written has gone, if that can be.
func (s *Secure) EOF() bool {
	s.Pump()
	return (s.notified || s.fin || s.err != nil) && len(s.got) == 0 && (len(s.out) == 0 || s.end.Broken())
}

// Broken reports that the other side did not say that it was at its end, or will not take what is left to send.
func (s *Secure) Broken() bool { return !s.notified || len(s.out) > 0 && s.end.Broken() }

// CloseWrite says close_notify and FIN as soon as what was written has gone.
func (s *Secure) CloseWrite() {
	if s.done && !s.leaving {
		s.leaving = true
		_ = s.conn.CloseWrite()
	}
	s.Pump()
}

// Finish closes when what was written, and close_notify, has gone; Pump it until then.
func (s *Secure) Finish() {
	s.parting = true
	s.CloseWrite()
}

// Room returns how many octets Write would take in one record.
func (s *Secure) Room() int {
	if s.Pump(); !s.done || len(s.out) > 0 || s.leaving {
		return 0
	}
	return 16 << 10
}

// Close closes the end without close_notify.
func (s *Secure) Close() { s.stop(); s.end.Close() }

// Reset closes it with RST.
func (s *Secure) Reset() { s.stop(); s.end.Reset() }

// wire is the end as crypto/tls sees it.
type wire struct {
	s     *Secure
	yield func(struct{}) bool
}

// errCut is no io.EOF: crypto/tls takes that for close_notify.
var errCut = errors.New("the connection ended without close_notify")

var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "nothing received yet" }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

func (w *wire) Read(b []byte) (int, error) {
	for len(w.s.in) == 0 {
		switch {
		case w.s.done && w.s.end.EOF():
			return 0, errCut
		case w.s.done:
			return 0, errAgain
		case w.s.end.EOF() || !w.yield(struct{}{}):
			return 0, errCut
		}
	}
	n := copy(b, w.s.in)
	w.s.in = w.s.in[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	w.s.out = append(w.s.out, b...)
	return len(b), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
