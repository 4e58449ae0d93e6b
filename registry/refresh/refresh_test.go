// SPDX-License-Identifier: EUPL-1.2

package refresh

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// asked runs a schedule for a simulated time and returns when it asked, from the start.
func asked(t *testing.T, every time.Duration, known time.Duration, during time.Duration, answer func(n int) error) (at []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), during)
		defer cancel()
		began := time.Now()
		var since time.Time
		if known > 0 {
			since = began.Add(-known)
		}
		New(every).Run(ctx, since, func(context.Context) error {
			at = append(at, time.Since(began))
			return answer(len(at))
		})
	})
	return at
}

func good(int) error { return nil }

// within reports whether b comes after a by d, or up to a tenth earlier.
func within(a, b, d time.Duration) bool { return b-a <= d && b-a >= d-d/10 }

func TestASourceIsAskedEverySoOften(t *testing.T) {
	t.Parallel()
	at := asked(t, 24*time.Hour, 0, 10*24*time.Hour, good)
	if len(at) < 11 || len(at) > 12 || at[0] != 0 {
		t.Fatalf("asked at %v", at)
	}
	even := true
	for i := 1; i < len(at); i++ {
		if !within(at[i-1], at[i], 24*time.Hour) {
			t.Errorf("asked at %v, after %v", at[i], at[i-1])
		}
		even = even && at[i]-at[i-1] == 24*time.Hour
	}
	if even {
		t.Error("all nodes come at the same time")
	}
}

func TestWhatIsKnownIsNotAskedAgainAtOnce(t *testing.T) {
	t.Parallel()
	if at := asked(t, 24*time.Hour, 20*time.Hour, 5*time.Hour, good); len(at) != 1 || at[0] > 4*time.Hour || at[0] < 90*time.Minute {
		t.Errorf("asked at %v", at)
	}
	if at := asked(t, 24*time.Hour, 48*time.Hour, time.Hour, good); len(at) != 1 || at[0] != 0 {
		t.Errorf("asked at %v", at)
	}
}

func TestAfterAFailureItIsAskedSooner(t *testing.T) {
	t.Parallel()
	at := asked(t, 24*time.Hour, 0, 24*time.Hour, func(n int) error {
		if n < 10 {
			return errors.New("down")
		}
		return nil
	})
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} // minutes
	for i, w := range want {
		if !within(at[i], at[i+1], w*time.Minute) {
			t.Errorf("asked at %v, after %v, want %d minutes", at[i+1], at[i], w)
		}
	}
	if len(at) > 11 {
		t.Errorf("after the first success it is asked as before: %v", at)
	}
}

func TestASourceIsNeverAskedMoreOftenForFailing(t *testing.T) {
	t.Parallel()
	at := asked(t, 10*time.Second, 0, time.Hour, func(int) error { return errors.New("down") })
	if len(at) > 3600/9+1 {
		t.Errorf("asked %d times", len(at))
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	limited := func(d time.Duration) func(int) error {
		return func(int) error { return &source.Refusal{Cause: source.CauseRateLimited, RetryAfter: d} }
	}
	if at := asked(t, 24*time.Hour, 0, 10*time.Hour, limited(3*time.Hour)); len(at) != 4 || at[1] != 3*time.Hour {
		t.Errorf("asked at %v", at)
	}
	if at := asked(t, time.Hour, 0, 49*time.Hour, limited(1000*time.Hour)); len(at) != 3 || at[1] != 24*time.Hour {
		t.Errorf("a source must not silence us for ever: asked at %v", at)
	}
}

func TestSomebodyWhoCannotWaitIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, n := New(24*time.Hour), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx, time.Now(), func(context.Context) error { n++; return nil })
		}()
		synctest.Wait()
		if in := time.Until(s.Next()); n != 0 || in < 21*time.Hour || in > 24*time.Hour {
			t.Errorf("asked %d times, next in %v", n, in)
		}
		s.Now()
		s.Now()
		synctest.Wait()
		if n == 0 || n > 2 {
			t.Errorf("asked %d times", n)
		}
		cancel()
		<-done
	})
}

// A clock that was ahead when the last answer came must not keep a source from being asked until then.
func TestAnAnswerOfTheFutureIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	if wait := firstWait(time.Now().AddDate(1, 0, 0), time.Hour); wait > time.Hour {
		t.Errorf("waits %v, want an hour at most", wait)
	}
}
