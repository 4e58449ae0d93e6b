// SPDX-License-Identifier: EUPL-1.2

package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestStatIsReadBehindAnyName(t *testing.T) {
	t.Parallel()
	const rest = " S 1 7 7 0 -1 4194560 1 2 3 4 250 125 9 9 20 0 3 0 55 1000 200"
	for _, name := range []string{"nginx", "a b", "x) S 1 (y", ")"} {
		user, system, err := parseStat([]byte("42 (" + name + ")" + rest))
		if got := user + system; err != nil || got != 3750*time.Millisecond {
			t.Errorf("%q: got %v, %v; want 3.75s", name, got, err)
		}
	}
	for _, bad := range []string{"", "42 nginx S 1", "42 (a) S 1 2 3", "42 (a) S 1 7 7 0 -1 4194560 1 2 3 4 x 125 9"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestCoresAddUpWhatIsBusy(t *testing.T) {
	t.Parallel()
	got, err := parseCores([]byte("cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 1000 50 4 6 70 0 0\ncpu11 1 0 0 0 0 0 0 0 0 0\nintr 1 2 3\n"))
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if want := (Core{Busy: 1600 * time.Millisecond, Steal: 700 * time.Millisecond}); got[0] != want {
		t.Errorf("got %v, want %v", got[0], want)
	}
	if got[11].Busy != 10*time.Millisecond {
		t.Errorf("core 11: got %v", got[11])
	}
	for _, bad := range []string{"", "cpu0 1 2 x 4 5 6 7 8 9\n", "cpux 1 2 3 4 5 6 7 8 9\n"} {
		if _, err := parseCores([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestThisProcessHasUsedTime(t *testing.T) {
	t.Parallel()
	user, system, err := Times(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d, err := CPU(os.Getpid())
	if err != nil || d < user+system-2*tick {
		t.Errorf("got %v, %v; user %v and system %v before", d, err, user, system)
	}
	steps := 0
	for from := d; d-from < 3*tick; steps++ {
		next, err := CPU(os.Getpid())
		if err != nil || next < d {
			t.Fatalf("got %v, %v after %v", next, err, d)
		}
		d = next
	}
	if steps < 30 {
		t.Errorf("%d readings in 30 ms: the clock goes by ticks", steps)
	}
	for _, nobody := range []int{-1, 0, maxPID + 1} {
		if _, err := CPU(nobody); err == nil {
			t.Errorf("process %d: got no error", nobody)
		}
	}
	if c, err := Cores(); err != nil || len(c) == 0 {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestStartedProcessRunsOnItsCoreOnly(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	cmd := exec.Command("/bin/grep", "Cpus_allowed_list", "/proc/self/status")
	cmd.Stdout = &out
	if _, err := Start(cmd, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(out.String()); len(f) != 2 || f[1] != "0" {
		t.Errorf("got %q, want core 0 only", out.String())
	}
}
