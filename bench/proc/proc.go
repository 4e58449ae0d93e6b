// SPDX-License-Identifier: EUPL-1.2

// Package proc reads what the kernel counts about processes and cores, and binds
// processes to cores.
//
// The calls you want: [CPU], [Cores], [PinAll], [Start].
//
// It deliberately reads only what a benchmark needs, on Linux.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of the kernel's user-visible times: USER_HZ is 100 on all of
// Linux's architectures that Go runs on.
const tick = time.Second / 100

// maxPID is the greatest number of a process that Linux gives (PID_MAX_LIMIT).
const maxPID = 4 << 20

// CPU is user + system time of all threads of a process, those that have ended included, to the nanosecond.
func CPU(pid int) (time.Duration, error) {
	// The clock of another process's CPU time (clock_getcpuclockid(3)): the complement of its number above three bits, of which 2 says
	// that the scheduler's count is meant.
	var t unix.Timespec
	err := error(unix.ESRCH)
	if 0 < pid && pid <= maxPID {
		err = unix.ClockGettime(int32(^pid<<3|2), &t)
	}
	if err != nil {
		return 0, fmt.Errorf("proc: CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Times are user and system time by themselves, in steps of 10 ms.
func Times(pid int) (user, system time.Duration, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("proc: %w", err)
	}
	return parseStat(b)
}

// parseStat reads fields 14 and 15 (utime, stime) of /proc/PID/stat. The name,
// field 2, stands in parentheses and may itself hold spaces and parentheses.
func parseStat(b []byte) (user, system time.Duration, err error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, 0, fmt.Errorf("proc: stat without a name: %q", b)
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 13 {
		return 0, 0, fmt.Errorf("proc: stat of %d fields", len(f)+2)
	}
	u, err1 := strconv.ParseUint(f[11], 10, 63)
	s, err2 := strconv.ParseUint(f[12], 10, 63)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, fmt.Errorf("proc: stat: %w", err)
	}
	return time.Duration(u) * tick, time.Duration(s) * tick, nil
}

// Core is what one core did since boot.
type Core struct {
	// Busy is all time neither idle nor waiting for a disk nor stolen.
	Busy time.Duration `json:"busy"`
	// Steal is time the hypervisor gave to others.
	Steal time.Duration `json:"steal"`
}

// Cores reads all cores by number.
func Cores() (map[int]Core, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	return parseCores(b)
}

func parseCores(b []byte) (map[int]Core, error) {
	cores := map[int]Core{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" {
			continue
		}
		n, err := strconv.Atoi(f[0][3:])
		if err != nil {
			return nil, fmt.Errorf("proc: /proc/stat: %w", err)
		}
		var v [8]uint64 // user nice system idle iowait irq softirq steal
		for i := range v {
			if v[i], err = strconv.ParseUint(f[i+1], 10, 63); err != nil {
				return nil, fmt.Errorf("proc: /proc/stat: %w", err)
			}
		}
		cores[n] = Core{
			Busy:  time.Duration(v[0]+v[1]+v[2]+v[5]+v[6]) * tick,
			Steal: time.Duration(v[7]) * tick,
		}
	}
	if len(cores) == 0 {
		return nil, errors.New("proc: /proc/stat names no core")
	}
	return cores, nil
}

// PinAll binds every thread of this process, and so all it starts later, to core.
func PinAll(core int) error {
	var set unix.CPUSet
	set.Set(core)
	// Threads may be born meanwhile, on the mask of their parent: once more finds them.
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("proc: %w", err)
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("proc: bind to core %d: %w", core, err)
			}
		}
	}
	return nil
}

// Start starts cmd bound to core from its first instruction and, where we may,
// at nice (-20 to 19). It returns the niceness it really has.
//
// cmd gets a session of its own: with autogroups (CONFIG_SCHED_AUTOGROUP) the
// kernel shares a core among sessions first, and the niceness of a process counts
// only within its session; that of the session is set as well.
func Start(cmd *exec.Cmd, core, nice int) (int, error) {
	type started struct {
		nice int
		err  error
	}
	done := make(chan started)
	go func() {
		// The mask and niceness of a thread pass to the process it forks. The thread
		// is not unlocked: it ends with this goroutine, and its settings with it.
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(core)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- started{err: fmt.Errorf("proc: bind to core %d: %w", core, err)}
			return
		}
		tid := unix.Gettid()
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice) // without the right it stays as it was
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Setsid = true
		if err := cmd.Start(); err != nil {
			done <- started{err: err}
			return
		}
		if got, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil {
			nice = 20 - got
		}
		// Absent without autogroups.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid), []byte(strconv.Itoa(nice)), 0)
		done <- started{nice: nice}
	}()
	s := <-done
	return s.nice, s.err
}
