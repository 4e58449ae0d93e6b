// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/sock"
)

// layer is TLS between octets that were read and octets that are to be sent: after the handshake it calls no kernel, and the engine's
// one thread moves the records as it moves what is plain.
type layer struct {
	conn   *tls.Conn
	wire   wire
	sealed []byte // the last records
}

// newLayer makes the handshake on a socket that is connected. It waits for the server: all other clients stand still meanwhile, which
// is for the time before a measurement only.
func newLayer(fd int, config *tls.Config, timeout time.Duration) (*layer, error) {
	l := &layer{wire: wire{fd: fd, until: time.Now().Add(timeout)}}
	l.conn = tls.Client(&l.wire, config)
	if err := l.conn.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	l.wire.fd = -1
	return l, nil
}

// seal returns the records for b, behind what TLS had to say by itself. They are the caller's until the next call.
func (l *layer) seal(b []byte) ([]byte, error) {
	if _, err := l.conn.Write(b); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	l.sealed, l.wire.out = l.wire.out, l.sealed[:0]
	return l.sealed, nil
}

// feed takes octets of the server. They stay the layer's until open, called again and again, returns nothing more of them.
func (l *layer) feed(b []byte) { l.wire.in = b }

// open fills b with what they say. An io.EOF is the proper end of it.
func (l *layer) open(b []byte) (int, error) {
	n, err := l.conn.Read(b)
	if errors.Is(err, errDry) {
		err = nil
	}
	return n, err
}

// wire is the transport below a [layer]: with a descriptor it blocks, as a handshake wants it, without one it is memory.
type wire struct {
	fd    int
	until time.Time
	in    []byte // from the server, not yet taken
	out   []byte // for the server
}

// dry says that nothing has come: crypto/tls goes on after an error that calls itself temporary.
type dry struct{}

var errDry net.Error = dry{}

func (dry) Error() string   { return "nothing has come yet" }
func (dry) Timeout() bool   { return false }
func (dry) Temporary() bool { return true }

func (w *wire) Read(b []byte) (int, error) {
	if w.fd >= 0 {
		return w.wait(unix.POLLIN, func() (int, unix.Errno) { return sock.Read(w.fd, b) })
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	if n == 0 {
		return 0, errDry
	}
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	if w.fd < 0 {
		w.out = append(w.out, b...)
		return len(b), nil
	}
	for sent := 0; sent < len(b); {
		n, err := w.wait(unix.POLLOUT, func() (int, unix.Errno) { return sock.Send(w.fd, b[sent:]) })
		if err != nil {
			return sent, err
		}
		sent += n
	}
	return len(b), nil
}

// wait repeats a call until the socket is ready for it.
func (w *wire) wait(ready int16, call func() (int, unix.Errno)) (int, error) {
	for {
		n, errno := call()
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			return n, nil
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return 0, errno
		}
		left := time.Until(w.until)
		if left <= 0 {
			return 0, errors.New("the server takes too long")
		}
		fds := []unix.PollFd{{Fd: int32(w.fd), Events: ready}}
		_, _ = unix.Poll(fds, int(left.Milliseconds())+1)
	}
}

func (*wire) Close() error                     { return nil }
func (*wire) LocalAddr() net.Addr              { return nil }
func (*wire) RemoteAddr() net.Addr             { return nil }
func (*wire) SetDeadline(time.Time) error      { return nil }
func (*wire) SetReadDeadline(time.Time) error  { return nil }
func (*wire) SetWriteDeadline(time.Time) error { return nil }
