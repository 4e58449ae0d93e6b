// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// buildTime is more than the largest registry takes.
const buildTime = time.Hour

// buildInChild is buildBundle in a process of its own: what building needs is many times what the index keeps.
func buildInChild(ctx context.Context, p *registryPlan, to string) (*buildReport, error) {
	report := &buildReport{}
	if err := inChild(ctx, []string{"registry", "build", "--plan", "-", "-o", "json", to}, p, report); err != nil {
		return nil, err
	}
	return report, nil
}

// inChild lets a process of its own carry out a plan, on one core that everybody else may have first: it must not make loops wait.
// The process is the binary that runs, even where the file at its path is another one by now.
func inChild(ctx context.Context, args []string, plan, report any, env ...string) error {
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{"pvgate"}, args...)
	cmd.Env = append(append(slices.DeleteFunc(os.Environ(), notForChildren), "GOMAXPROCS=1"), env...)
	cmd.Stdin = bytes.NewReader(text)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	// It ends with this process: for Linux, with the thread that has started it. That one waits here, and lends itself to nobody who
	// ends it (aside). It is a group of its own so that all of its threads can be told to be nice.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("process that builds: %w: %s", err, strings.TrimSpace(said.String())))
	}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		return fmt.Errorf("process that builds: %w", err)
	}
	return nil
}

// notForChildren are the variables by which this process was given sockets and tells others how it is.
func notForChildren(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return name == predecessorVariable || name == "GOMAXPROCS" || name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID" || strings.HasPrefix(name, "LISTEN_")
}

// niceness of a process that builds.
const niceness = 10

// beNice lets everybody else go first: all threads of a process that is a group of its own.
func beNice() error { return syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness) }
