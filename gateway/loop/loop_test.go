// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMailboxLosesAndReordersNothing(t *testing.T) {
	t.Parallel()
	const posters, each = 8, 2000
	var m mailbox
	var wg sync.WaitGroup
	last := make([]int, posters)
	woken := make(chan struct{}, posters*each)
	for p := range posters {
		wg.Go(func() {
			for i := 1; i <= each; i++ {
				if m.put(func() {
					if last[p] != i-1 {
						t.Errorf("poster %d: %d after %d", p, i, last[p])
					}
					last[p] = i
				}) {
					woken <- struct{}{}
				}
			}
		})
	}
	got, hangs := 0, time.After(time.Minute)
	for got < posters*each {
		select {
		case <-woken: // an empty box that gets a letter always wakes
		case <-hangs:
			t.Fatalf("nobody was woken after %d of %d letters", got, posters*each)
		}
		for letter := m.take(); letter != nil; letter = letter.next {
			letter.run()
			got++
		}
	}
	wg.Wait()
	if m.take() != nil {
		t.Error("more letters than posted")
	}
}

func TestPoolGivesEmptyBuffersOfTheAskedSize(t *testing.T) {
	t.Parallel()
	var p pool
	for _, n := range []int{0, 1, small, small + 1, medium, medium + 1, large, large + 1, 1 << 20} {
		b := p.get(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("get(%d): len %d cap %d", n, len(b), cap(b))
		}
		p.put(append(b, make([]byte, n)...))
		if c := p.get(n); len(c) != 0 || cap(c) < n {
			t.Errorf("second get(%d): len %d cap %d", n, len(c), cap(c))
		}
	}
	for range 2 * keep[0] {
		p.put(make([]byte, 0, small))
	}
	if len(p.free[0]) != keep[0] {
		t.Errorf("%d buffers are kept, want %d", len(p.free[0]), keep[0])
	}
}

func TestWakeAfterReleaseTouchesNoDescriptor(t *testing.T) {
	t.Parallel()
	k, err := NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	was := k.(*linuxKernel).wakeFD
	k.Release()
	// Whoever opens something next is likely to get the number.
	var opened []int
	for range 64 {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, fd)
	}
	k.Wake()
	for _, fd := range opened {
		var b [8]byte
		if n, err := unix.Read(fd, b[:]); err == nil {
			t.Errorf("descriptor %d of somebody else (ours was %d) got %d bytes", fd, was, n)
		}
		unix.Close(fd)
	}
}

// A wait ends when it should, be it the sleep that the runtime does not hear of or the one behind it. One of many does in time,
// however busy the machine is.
func TestAWaitLastsNoLongerThanItIsTold(t *testing.T) {
	t.Parallel()
	k, err := NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Release)
	// The runtime's signals would end the first sleep now and then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	events := make([]Event, 1)
	k.Poll(events) // that the wake-up descriptor can be written to is its first report
	for _, timeout := range []time.Duration{time.Millisecond, 3 * time.Millisecond, shortWait * time.Millisecond, (shortWait + 5) * time.Millisecond} {
		best := time.Duration(math.MaxInt64)
		for tries := 0; best > timeout+10*time.Millisecond && tries < 100; tries++ {
			from := time.Now()
			k.Wait(events, int64(timeout))
			best = min(best, time.Since(from))
		}
		if best > timeout+10*time.Millisecond {
			t.Errorf("told to wait for %v, the shortest of 100 waits took %v", timeout, best)
		}
	}
}

func TestPostsWhileStoppingDoNotHang(t *testing.T) {
	t.Parallel()
	k, err := NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Kernel: k})
	go l.Run()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for l.Do(func() {}) {
			}
		})
	}
	l.Post(l.Stop)
	ended := make(chan struct{})
	go func() { wg.Wait(); <-l.Done(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("somebody waits for a loop that has ended, or it has not")
	}
}
