// SPDX-License-Identifier: EUPL-1.2

package systemd_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/listen"
	"github.com/pvgate/pvgate/gateway/systemd"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestWhatIsToldReachesTheSocket(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@pvgate-test-" + strconv.Itoa(int(time.Now().UnixNano()))} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n := systemd.NewNotifier(env(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "17"}), 17)
		if n.Watchdog() != 3*time.Second {
			t.Errorf("watchdog %v, want 3s", n.Watchdog())
		}
		for _, c := range []struct {
			tell func() error
			want string
		}{
			{func() error { return n.Ready("serves") }, "READY=1\nSTATUS=serves"},
			{n.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
			{func() error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
			{func() error { return n.Follows(23) }, "MAINPID=23"},
			{n.Alive, "WATCHDOG=1"},
		} {
			if err := c.tell(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			k, err := l.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got, isTime := strings.CutPrefix(string(b[:k]), c.want)
			if _, err := strconv.ParseInt(got, 10, 64); !isTime || got != "" && err != nil {
				t.Errorf("got %q, want %q", b[:k], c.want)
			}
		}
	}
}

func TestWithoutSystemdNobodyIsTold(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", "relative", "vsock:2:1"} {
		n := systemd.NewNotifier(env(map[string]string{"NOTIFY_SOCKET": to, "WATCHDOG_USEC": "1000"}), 1)
		if n != nil || n.Ready("") != nil || n.Reloading() != nil || n.Watchdog() != 0 {
			t.Errorf("%q: somebody is told", to)
		}
	}
	n := systemd.NewNotifier(env(map[string]string{"NOTIFY_SOCKET": "/nobody/listens", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "2"}), 1)
	if n.Watchdog() != 0 {
		t.Error("another process's watchdog is fed")
	}
	if n.Alive() == nil {
		t.Error("a socket that is not there is no error")
	}
}

func TestSocketsAreThoseOfThisProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want []listen.Passed
		ok   bool
	}{
		{nil, nil, true},
		{map[string]string{"LISTEN_PID": "8", "LISTEN_FDS": "2"}, nil, true},
		{map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"}, []listen.Passed{{FD: 3, Name: "http"}, {FD: 4, Name: "unknown"}}, true},
		{map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "https"}, []listen.Passed{{FD: 3, Name: "https"}}, true},
		{map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "many"}, nil, false},
		{map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "-1"}, nil, false},
	} {
		got, err := systemd.Sockets(env(c.env), 7)
		if (err == nil) != c.ok || len(got) != len(c.want) {
			t.Errorf("%v: got %v, %v", c.env, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: got %v, want %v", c.env, got, c.want)
			}
		}
	}
}

// Nobody waits for ever for a systemd that does not read: clients wait for who does.
func TestAStuckSystemdStopsNobody(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := systemd.NewNotifier(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
	over := make(chan error, 1)
	go func() {
		for {
			if err := n.Alive(); err != nil { // the kernel's queue is full
				over <- err
				return
			}
		}
	}()
	select {
	case err := <-over:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("whoever tells waits still")
	}
}
