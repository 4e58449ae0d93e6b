// SPDX-License-Identifier: EUPL-1.2

// Command fuzz runs the fuzz targets that hours of processor time are promised for, and fails if one of them finds
// something. By default each runs for some seconds; with PVGATE_PROVE=1 for as long as is promised, and then the figures
// go to bench/proof. `make fuzz` runs all targets there are, each for a moment.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
)

// target is a fuzz target and how long it is to run, in processor time.
type target struct {
	pkg, name string
	promised  time.Duration
}

// targets: two hours for the reader of XZuFi, half of it inside objects.
func targets() []target {
	return []target{
		{"./registry/xzufi", "FuzzRead", time.Hour},
		{"./registry/xzufi", "FuzzObject", time.Hour},
	}
}

// figures of one target.
type figures struct {
	Package     string  `json:"package"`
	Target      string  `json:"target"`
	CPUHours    float64 `json:"cpu_hours"`
	Executions  int64   `json:"executions"`
	Interesting int64   `json:"inputs_kept"` // each reached code that no other did
	Crashers    int     `json:"crashers"`
}

func main() {
	short := flag.Duration("short", 5*time.Second, "processor time of each target without PVGATE_PROVE")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *short, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, short time.Duration, out io.Writer) error {
	proven := proof.Start("fuzz", 0)
	var all []figures
	for _, t := range targets() {
		if !proof.Full() {
			t.promised = short
		}
		f := figures{Package: t.pkg, Target: t.name}
		err := f.run(ctx, t, out)
		if all = append(all, f); err != nil {
			return err
		}
	}
	path, err := proven.Write(all, false)
	if path != "" {
		fmt.Fprintln(out, "written to", path)
	}
	return err
}

// run repeats the target until it has had its processor time: a worker that waits for a busy machine uses none.
func (f *figures) run(ctx context.Context, t target, out io.Writer) error {
	workers := runtime.NumCPU()
	for used := time.Duration(0); used < t.promised; {
		left := max((t.promised-used)/time.Duration(workers), time.Second)
		fmt.Fprintf(out, "%s %s: %d workers for %s\n", t.pkg, t.name, workers, left.Round(time.Second))
		var log bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$",
			"-fuzztime", left.String(), "-parallel", strconv.Itoa(workers), t.pkg)
		cmd.Stdout = io.MultiWriter(&log, out)
		cmd.Stderr = cmd.Stdout
		err := cmd.Run()
		executions, interesting := count(log.Bytes())
		f.Executions, f.Interesting = f.Executions+executions, max(f.Interesting, interesting)
		if err != nil {
			f.Crashers++
			return fmt.Errorf("%s %s: %w", t.pkg, t.name, err)
		}
		used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() // of all its children too
		f.CPUHours = used.Hours()
	}
	return nil
}

var progress = regexp.MustCompile(`execs: (\d+) .*\(total: (\d+)\)`)

// count takes the last figures that the go tool has told.
func count(log []byte) (executions, interesting int64) {
	all := progress.FindAllSubmatch(log, -1)
	if len(all) == 0 {
		return 0, 0
	}
	last := all[len(all)-1]
	executions, _ = strconv.ParseInt(string(last[1]), 10, 64)
	interesting, _ = strconv.ParseInt(string(last[2]), 10, 64)
	return executions, interesting
}
