// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a test waits for what should happen at once, on the slowest machine.
const patience = 60 * time.Second

// process is a command that runs beside a test, with the lines it has printed so far.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all its lines are here

	mu    sync.Mutex // guards what stands below
	lines []string
	seen  int           // lines that await has passed
	more  chan struct{} // closed and replaced with every line
}

// startProcess starts a command in a folder; what is on PATH, pvgate and curl included, is found there.
func startProcess(dir string, env []string, name string, args ...string) (*process, error) {
	return startProcessWith(dir, env, nil, name, args...)
}

// startProcessWith is startProcess with further files, from descriptor 3 on.
func startProcessWith(dir string, env []string, files []*os.File, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with those that follow it
	out, in, err := os.Pipe()                               // one for both, so that lines stay in order
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = in, in, files
	err = p.cmd.Start()
	_ = in.Close() // the process has its own
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() {
		defer close(p.done)
		defer out.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.add(lines.Text())
		}
		_ = p.cmd.Wait() // its outcome is in ProcessState
	}()
	return p, nil
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.more)
	p.more = make(chan struct{})
}

// await waits for a line after those that were awaited before, and returns what the pattern's groups match.
func (p *process) await(pattern *regexp.Regexp) (match []string, err error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		p.mu.Lock()
		for i := p.seen; i < len(p.lines) && match == nil; i++ {
			if match = pattern.FindStringSubmatch(p.lines[i]); match != nil {
				p.seen = i + 1
			}
		}
		more := p.more
		p.mu.Unlock()
		switch {
		case match != nil:
			return match, nil
		case ended:
			return nil, fmt.Errorf("%s ended (%v) without a line like %q:\n%s", p.cmd.Path, p.cmd.ProcessState, pattern, p.output())
		}
		select {
		case <-more:
		case <-p.done:
		case <-timeout.C:
			return nil, fmt.Errorf("%s printed no line like %q in %v:\n%s", p.cmd.Path, pattern, patience, p.output())
		}
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n") + "\n"
}

// signal sends a signal.
func (p *process) signal(name string) error {
	switch name {
	case "TERM":
		return p.cmd.Process.Signal(syscall.SIGTERM)
	case "HUP":
		return p.cmd.Process.Signal(syscall.SIGHUP)
	case "USR1":
		return p.cmd.Process.Signal(syscall.SIGUSR1)
	}
	return fmt.Errorf("signal %q is unknown here", name)
}

// wait waits for the end and returns the exit code.
func (p *process) wait() (int, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-timeout.C:
		return 0, errors.Join(fmt.Errorf("%s has not ended in %v:\n%s", p.cmd.Path, patience, p.output()), p.kill())
	}
}

// kill ends the process, and those that follow it, if they still run.
func (p *process) kill() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
