// SPDX-License-Identifier: EUPL-1.2

package loop_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// hall is a room with two, and little space in the kernel.
func hall(t *testing.T, f simsys.Faults, pipes int) (*simsys.Net, *loop.Loop, []*simsys.End, []*scribe) {
	t.Helper()
	net := simsys.New(1, f)
	net.SetCapacity(100)
	l, ends, at := room(t, net, loop.Options{Kernel: net.Kernel(), MaxPipes: pipes}, 2, nil)
	return net, l, ends, at
}

func TestOctetsAreTakenInTheirOrder(t *testing.T) {
	t.Parallel()
	_, l, ends, at := hall(t, simsys.Faults{}, 1)
	from, to := &at[0].stream, &at[1].stream
	ends[0].Write([]byte("two"))
	l.Turn()
	to.Write([]byte("one "))
	if n, st, ok := to.Take(from, 100); n != 3 || st != loop.Data || !ok {
		t.Fatal(n, st, ok)
	}
	to.Write([]byte(" three"))
	if n, st, ok := to.Take(from, 100); st != loop.Again || !ok {
		t.Fatal(n, st, ok)
	}
	ends[0].Write([]byte(strings.Repeat("x", 98)))
	l.Turn()
	if n, st, ok := to.Take(from, 98); n != 98 || st != loop.Data || !ok { // more than there is room for
		t.Fatal(n, st, ok)
	}
	if p := to.Pending(); p != 98-(100-13) || l.Stats().Pipes != 1 {
		t.Fatalf("%d are pending, in %d pipes", p, l.Stats().Pipes)
	}
	to.Write([]byte("end"))
	to.Give(append(l.Buffer(4), " of "...))
	to.Write([]byte("it"))
	if _, _, ok := to.Take(from, 100); ok {
		t.Error("something is taken before what waits")
	}
	got := ends[1].Read()
	for range 5 {
		l.Turn()
		got = append(got, ends[1].Read()...)
	}
	if want := "one two three" + strings.Repeat("x", 98) + "end of it"; string(got) != want || at[1].drained != 1 || l.Stats().Pipes != 0 {
		t.Errorf("got %q, drained %d times, %d pipes hold something", got, at[1].drained, l.Stats().Pipes)
	}
	if l.Stats().Spliced != 101 {
		t.Errorf("%d octets were counted", l.Stats().Spliced)
	}
	ends[0].CloseWrite()
	l.Turn()
	if n, st, ok := to.Take(from, 100); n != 0 || st != loop.EOF || !ok {
		t.Error(n, st, ok)
	}
}

// However much has come and may be taken, a piece of it is moved, and the rest is there for the next time.
func TestOctetsAreTakenInPieces(t *testing.T) {
	t.Parallel()
	net, l, ends, at := hall(t, simsys.Faults{}, 1)
	net.SetCapacity(1 << 20)
	text := bytes.Repeat([]byte("0123456789abcdef"), 600<<10/16)
	ends[0].Write(text)
	l.Turn()
	var got []byte
	for _, want := range []int{256 << 10, 256 << 10, 88 << 10} {
		if n, st, ok := at[1].stream.Take(&at[0].stream, 1<<20); n != want || st != loop.Data || !ok {
			t.Fatalf("%d octets, %v, %v; want %d", n, st, ok, want)
		}
		got = append(got, ends[1].Read()...)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%d octets arrived, of %d", len(got), len(text))
	}
}

func TestWhatCannotBeTakenIsLeftToBeRead(t *testing.T) {
	t.Parallel()
	for what, o := range map[string]struct {
		faults simsys.Faults
		pipes  int
	}{"no pipes": {}, "no splice": {simsys.Faults{NoSplice: 1000}, 3}, "no descriptors": {simsys.Faults{Exhausted: 1000}, 3}} {
		net, l, ends, at := hall(t, o.faults, o.pipes)
		ends[0].Write([]byte("text"))
		l.Turn()
		for range 3 {
			if _, _, ok := at[1].stream.Take(&at[0].stream, 4); ok {
				t.Errorf("%s: taken", what)
			}
		}
		var b [9]byte
		if n, st := at[0].stream.Read(b[:]); string(b[:n]) != "text" || st != loop.Data || net.Pipes() != 0 {
			t.Errorf("%s: read %q, %v, %d descriptors of pipes are open", what, b[:n], st, net.Pipes())
		}
	}
}

// A pipe is kept for the next who wants one, not for ever: it costs two descriptors.
func TestUnusedPipesAreGivenBack(t *testing.T) {
	t.Parallel()
	net, l, ends, at := hall(t, simsys.Faults{}, 1)
	take := func() {
		t.Helper()
		ends[0].Write([]byte("text"))
		l.Turn()
		if n, _, ok := at[1].stream.Take(&at[0].stream, 4); n != 4 || !ok {
			t.Fatalf("%d octets taken, %v", n, ok)
		}
		ends[1].Read()
	}
	take()
	for range 3 {
		net.Advance(3 * time.Second)
		l.Turn()
		if net.Pipes() != 2 {
			t.Fatalf("%d descriptors of pipes are open while one is wanted every 3 s", net.Pipes())
		}
		take()
	}
	net.Advance(5 * time.Second)
	l.Turn()
	if net.Pipes() != 0 {
		t.Errorf("%d descriptors of pipes are open, though nobody has wanted one for 5 s", net.Pipes())
	}
	take()
}

// Whoever ends the connection loses what the pipe holds, and the pipe with it.
func TestEndsWithSomethingInThePipe(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*simsys.End, *loop.Stream){
		"close": func(_ *simsys.End, s *loop.Stream) { s.Close() },
		"reset": func(_ *simsys.End, s *loop.Stream) { s.Reset() },
		"peer":  func(e *simsys.End, _ *loop.Stream) { e.Reset() },
	} {
		net, l, ends, at := hall(t, simsys.Faults{}, 1)
		to := &at[1].stream
		to.Write(make([]byte, 90))
		ends[0].Write(make([]byte, 50))
		l.Turn()
		if _, _, ok := to.Take(&at[0].stream, 50); !ok || to.Pending() != 40 {
			t.Fatal(what, to.Pending())
		}
		end(ends[1], to)
		l.Turn()
		if what == "peer" {
			if at[1].ended == 0 {
				t.Error("the owner was not told")
			}
			to.Close()
		}
		if net.Pipes() != 0 || l.Stats().Pipes != 0 || to.Pending() != 0 {
			t.Errorf("%s: %d descriptors of pipes are open, %d pipes hold something", what, net.Pipes(), l.Stats().Pipes)
		}
		at[0].stream.Close()
	}
}

func TestBrokenPeersOfATake(t *testing.T) {
	t.Parallel()
	_, l, ends, at := hall(t, simsys.Faults{}, 1)
	ends[1].Close()
	l.Turn()
	ends[0].Write([]byte("text"))
	l.Turn()
	at[1].stream.Take(&at[0].stream, 4) // the first is answered with a reset
	ends[0].Write([]byte("text"))
	l.Turn()
	if at[1].stream.Take(&at[0].stream, 4); !at[1].stream.Lost() {
		t.Error("nobody noticed that the peer is gone")
	}
	if _, _, ok := at[1].stream.Take(&at[0].stream, 4); ok {
		t.Error("taken by a connection that is gone")
	}
	_, l, ends, at = hall(t, simsys.Faults{}, 1)
	ends[0].Reset()
	l.Turn()
	if n, st, ok := at[1].stream.Take(&at[0].stream, 4); n != 0 || st != loop.Failed || !ok {
		t.Error(n, st, ok)
	}
}

// What a Unix socket says when it cannot be connected to is what those who ask rely on.
func TestLinuxConnectsToUnixSockets(t *testing.T) {
	t.Parallel()
	k, err := loop.NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Release()
	connect := func(path string) syscall.Errno {
		fd, errno := k.Socket(loop.Unix)
		if errno != 0 {
			t.Fatal(errno)
		}
		t.Cleanup(func() { k.Close(fd) })
		return k.ConnectUnix(fd, path)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	for _, try := range []struct {
		path string
		want syscall.Errno
	}{{path, syscall.ENOENT}, {dir, syscall.ECONNREFUSED}, {"/" + strings.Repeat("x", 107), syscall.ENAMETOOLONG}} {
		if got := connect(try.path); got != try.want {
			t.Errorf("%s: %v, want %v", try.path, got, try.want)
		}
	}
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(listener, &unix.SockaddrUnix{Name: path}), unix.Listen(listener, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := connect(path); got != 0 {
		t.Error(got)
	}
	if got := connect(path); got != syscall.EAGAIN {
		t.Errorf("with a full queue: %v", got)
	}
	if err := unix.Close(listener); err != nil {
		t.Fatal(err)
	}
	if got := connect(path); got != syscall.ECONNREFUSED {
		t.Errorf("when nobody listens any more: %v", got)
	}
}

// The real kernel does what the simulated one does.
func TestLinuxMovesOctetsThroughAPipe(t *testing.T) {
	t.Parallel()
	k, err := loop.NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Release()
	pair := func() (near int32, far net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		fd, errno := k.Socket(loop.IPv4)
		if errno != 0 {
			t.Fatal(errno)
		}
		k.Connect(fd, netip.MustParseAddrPort(ln.Addr().String()))
		if far, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close(fd); far.Close() })
		_ = far.SetDeadline(time.Now().Add(20 * time.Second))
		return fd, far
	}
	from, source := pair()
	to, target := pair()
	r, w, size, errno := k.Pipe(1 << 20)
	if errno != 0 || size < 64<<10 {
		t.Fatal(size, errno)
	}
	defer k.Close(r)
	defer k.Close(w)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = source.Write(text)
		source.Close()
	}()
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(target)
		got <- b
	}()
	moved := 0
	for in := 0; ; {
		n, errno := k.Splice(from, w, size)
		if errno == 0 && n == 0 {
			break
		}
		for in += n; in > 0; {
			out, errno := k.Splice(r, to, in)
			if in -= out; errno != 0 {
				time.Sleep(time.Millisecond)
			}
			moved += out
		}
		if errno != 0 {
			time.Sleep(time.Millisecond)
		}
	}
	k.ShutdownWrite(to)
	if b := <-got; moved != len(text) || !bytes.Equal(b, text) {
		t.Errorf("%d octets of %d were moved", moved, len(text))
	}
}
