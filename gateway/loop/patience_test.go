// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// looked plays sleeps, of whose looks one pays with the given chance, and returns the share that began with a look.
func (v *vigil) looked(r *rand.Rand, sleeps int, chance float64) float64 {
	looks := 0
	for range sleeps {
		if v.looks() {
			looks++
			v.learn(r.Float64() < chance)
		}
	}
	return float64(looks) / float64(sleeps)
}

func TestALoopLooksBeforeItSleepsWhereThatPays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var v vigil
	for _, c := range []struct {
		chance      float64
		least, most float64
	}{
		{1, 1, 1},
		{0.9, 0.75, 1},
		{0, 0, 0.0015}, // once in a thousand, when it has found out
		{0.2, 0, 0.003},
		{0.4, 0, 0.06},
		{0.9, 0.7, 1}, // and it finds out again
	} {
		v.looked(r, 50_000, c.chance)
		if got := v.looked(r, 500_000, c.chance); got < c.least || got > c.most {
			t.Errorf("%v of the looks pay: %.4f of the sleeps begin with one, want %v to %v", c.chance, got, c.least, c.most)
		}
	}
}

func TestALookFindsWhatIsThereWithoutSleeping(t *testing.T) {
	t.Parallel()
	kernel, err := NewKernel(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k := kernel.(*linuxKernel)
	t.Cleanup(k.Release)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	if e := k.Add(int32(fds[0]), 1); e != 0 {
		t.Fatal(e)
	}
	events := make([]Event, 8)
	say := func() {
		if _, err := unix.Write(fds[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	say()
	if n, sleeps := k.Wait(events, -1); n != 1 || sleeps != 0 {
		t.Errorf("something is there: %d reports, %d sleeps; want 1 and 0", n, sleeps)
	}
	k.vigil = vigil{} // a machine that is busy may have made it a long look
	if n, sleeps := k.Wait(events, int64(time.Millisecond)); n != 0 || sleeps == 0 {
		t.Errorf("nothing is there: %d reports, %d sleeps; want 0, and to have slept", n, sleeps)
	}
	if k.vigil.looks() {
		t.Error("a look in vain is followed by another one")
	}
	for !k.vigil.looks() {
	}
	k.vigil.blind = 1
	say()
	if n, sleeps := k.Wait(events, -1); n != 1 || sleeps == 0 {
		t.Errorf("a wait without a look: %d reports, %d sleeps; want 1, and to have slept", n, sleeps)
	}
}
