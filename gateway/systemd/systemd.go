// SPDX-License-Identifier: EUPL-1.2

// Package systemd is what a service and systemd say to each other: sockets it was started with (sd_listen_fds(3)), how it
// is (sd_notify(3)), and how often it must say that it is alive (sd_watchdog_enabled(3)).
//
// The calls to know are [Sockets] and [NewNotifier]. It deliberately knows no service; without systemd there are no
// sockets and nobody is told.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/listen"
)

// firstFD is the first descriptor that is passed (SD_LISTEN_FDS_START).
const firstFD = 3

// maxSockets bounds how many there may be.
const maxSockets = 1024

// Sockets returns the sockets that systemd has passed to the process with this id, by its environment.
func Sockets(env func(string) string, pid int) ([]listen.Passed, error) {
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil // none, or another process's
	}
	n, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS is %q, want a number up to %d", env("LISTEN_FDS"), maxSockets)
	}
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	passed := make([]listen.Passed, n)
	for i := range passed {
		passed[i] = listen.Passed{FD: firstFD + i, Name: "unknown"} // as systemd calls those without a name
		if i < len(names) && names[i] != "" {
			passed[i].Name = names[i]
		}
	}
	return passed, nil
}

// OfOneProcess reports whether an environment variable is about the process it was given to, and not for those that it starts.
func OfOneProcess(name string) bool {
	return name == "LISTEN_PID" || name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "WATCHDOG_PID"
}

// Notifier tells systemd how a service is. A nil Notifier tells nobody. Safe for concurrent use.
type Notifier struct {
	to   string
	most time.Duration // the watchdog's patience; 0 = none
}

// NewNotifier returns how to tell systemd about the process with this id; nil if nobody wants to know.
func NewNotifier(env func(string) string, pid int) *Notifier {
	to := env("NOTIFY_SOCKET")
	if !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "@") {
		return nil
	}
	n := &Notifier{to: to}
	if who := env("WATCHDOG_PID"); who == "" || who == strconv.Itoa(pid) {
		us, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
		if err == nil && us > 0 {
			n.most = time.Duration(us) * time.Microsecond
		}
	}
	return n
}

// Watchdog is within which time systemd wants to hear Alive; 0: it does not.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.most
}

// Ready says that the service serves, after its start or after [Notifier.Reloading].
func (n *Notifier) Ready(status string) error { return n.tell("READY=1", "STATUS="+status) }

// Reloading says that it reads its configuration; Ready follows, however that went.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return n.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Stopping says that it ends.
func (n *Notifier) Stopping(status string) error { return n.tell("STOPPING=1", "STATUS="+status) }

// Follows says that the service is another process from now on.
func (n *Notifier) Follows(pid int) error { return n.tell("MAINPID=" + strconv.Itoa(pid)) }

// Alive feeds the watchdog.
func (n *Notifier) Alive() error { return n.tell("WATCHDOG=1") }

// hearing is how long systemd may take to read what it is told. The kernel keeps few messages; while it is stuck, or is being
// executed anew, services go on without it.
const hearing = 2 * time.Second

func (n *Notifier) tell(lines ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.to, Net: "unixgram"}) // "@" is an abstract name for net too
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetWriteDeadline(time.Now().Add(hearing)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
