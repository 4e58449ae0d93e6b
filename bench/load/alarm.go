// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/sock"
)

// alarm is a timerfd: epoll_wait's own timeout counts milliseconds, which is too
// coarse for a schedule.
type alarm struct {
	fd  int
	set bool
}

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return alarm{}, fmt.Errorf("timerfd: %w", err)
	}
	return alarm{fd: fd}, nil
}

func (a *alarm) in(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	a.set = true
	return nil
}

func (a *alarm) drain() {
	var b [8]byte
	_, _ = sock.Read(a.fd, b[:]) // EAGAIN only means that it was set anew meanwhile
	a.set = false
}
