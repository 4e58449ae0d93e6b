// SPDX-License-Identifier: EUPL-1.2

// Command fuzz runs the fuzz targets that hours of processor time are promised for, and fails if one of them finds
// something. By default each runs for some seconds; with PVGATE_PROVE=1 for as long as is promised, and then the figures
// go to bench/proof, piece by piece: hours that a run did not finish count for the next one, as long as the code is the same.
// `make fuzz` runs all targets there are, each for a moment.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	Code        string  `json:"code"` // SHA-256 of what is fuzzed, its target included
	Promised    float64 `json:"promised_cpu_hours"`
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
		code, err := codeOf(ctx, t.pkg)
		if err != nil {
			return err
		}
		all = append(all, figures{Package: t.pkg, Target: t.name, Code: code, Promised: t.promised.Hours()})
	}
	if proof.Full() {
		var before []figures
		if err := proof.Read("fuzz", &before); err != nil {
			return err
		}
		goOn(all, before)
	}
	path := ""
	for i := range all {
		for f := &all[i]; f.CPUHours < f.Promised; {
			err := f.run(ctx, out)
			written, failed := proven.Write(all, false)
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			path = written
		}
	}
	if path != "" {
		fmt.Fprintln(out, "written to", path)
	}
	return nil
}

// goOn takes over what the run before did on the same code. One that has come to its end is not to be continued.
func goOn(all, before []figures) {
	done := func(f figures) bool { return f.CPUHours >= f.Promised }
	if !slices.ContainsFunc(before, func(f figures) bool { return !done(f) }) {
		return
	}
	for i, f := range all {
		for _, b := range before {
			if b.Package == f.Package && b.Target == f.Target && b.Code == f.Code && b.Promised == f.Promised && b.Crashers == 0 {
				all[i] = b
			}
		}
	}
}

// codeOf is the SHA-256 of a package's sources, tests among them, and of those of the module that it is built from.
func codeOf(ctx context.Context, pkg string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}", pkg)
	cmd.Stderr = os.Stderr
	dirs, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("what %s is built from: %w", pkg, err)
	}
	sum := sha256.New()
	for _, dir := range strings.Fields(string(dirs)) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// piece is how long one run of the go tool is. It keeps what it has learnt for the next; what it has told of its work is lost
// with it, and so is no more than a piece.
const piece = time.Minute

// shorten is how long a kept input may be made shorter. The go tool's own minute would be all of a piece.
const shorten = time.Second

// run gives the target a piece of its processor time: a worker that waits for a busy machine uses none.
func (f *figures) run(ctx context.Context, out io.Writer) error {
	workers := runtime.NumCPU()
	left := time.Duration((f.Promised - f.CPUHours) * float64(time.Hour) / float64(workers))
	left = min(max(left, time.Second), piece)
	fmt.Fprintf(out, "%s %s: %.2f of %.2f CPU hours, %d workers for %s\n", f.Package, f.Target, f.CPUHours, f.Promised, workers, left.Round(time.Second))
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+f.Target+"$",
		"-fuzztime", left.String(), "-fuzzminimizetime", shorten.String(), "-parallel", strconv.Itoa(workers), f.Package)
	cmd.Stdout = io.MultiWriter(&log, out)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err() // it was stopped, and has found nothing
	}
	executions, interesting := count(log.Bytes())
	f.Executions, f.Interesting = f.Executions+executions, max(f.Interesting, interesting)
	if cmd.ProcessState != nil {
		f.CPUHours += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Hours() // of all its children too
	}
	if err != nil && !timeWasUp(log.Bytes()) {
		f.Crashers++
		return fmt.Errorf("%s %s: %w", f.Package, f.Target, err)
	}
	return nil
}

// failure is what the go tool says of a target that failed, without what it is indented by.
var failure = regexp.MustCompile(`(?m)^--- FAIL: \S+ \(.*\)\n((?: {4}.*\n)*)`)

// timeWasUp reports whether a failure is nothing but the end of the time given, which the go tool before 1.27 takes for one now and
// then (golang/go#75804). What is found has an input, which is written and named.
func timeWasUp(log []byte) bool {
	all := failure.FindAllSubmatch(log, -1)
	return len(all) == 1 && string(bytes.TrimSpace(all[0][1])) == context.DeadlineExceeded.Error()
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
