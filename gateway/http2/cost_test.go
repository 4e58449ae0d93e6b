// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cost is how long a thread computes to do something: what others do on a busy machine meanwhile is not in it.
func cost(t *testing.T, do func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var at unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
			t.Fatal(err)
		}
		return time.Duration(at.Nano())
	}
	begin := now()
	do()
	return now() - begin
}
