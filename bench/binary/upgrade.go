// SPDX-License-Identifier: EUPL-1.2

package binary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Upgrade runs `pvgate upgrade` against it and waits until the predecessor has ended, which must be with code 0; from then
// on the Process is the successor. refused is why there is none, "" if there is.
func (p *Process) Upgrade(ctx context.Context, wait time.Duration) (refused string, err error) {
	// Who loses its parent becomes this process's child, so that it can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return "", fmt.Errorf("upgrade: %w", err)
	}
	cmd := exec.CommandContext(ctx, p.verbs, "upgrade", "--config", p.ConfigPath(), "--admin", p.at.Admin, "--wait", wait.String(), "-o", "json")
	cmd.Env = cleanEnv()
	out, runErr := cmd.Output()
	var r struct {
		OK    bool   `json:"ok"`
		PID   int    `json:"pid"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return "", errors.Join(fmt.Errorf("pvgate upgrade: %w", err), runErr)
	}
	if !r.OK {
		return r.Error, nil
	}
	select {
	case err = <-p.exited:
	case <-ctx.Done():
		err = fmt.Errorf("the predecessor still drains: %w\n%s", ctx.Err(), p.LogTail())
	}
	p.pid = r.PID
	go func() { p.exited <- reap(r.PID) }()
	if err != nil {
		return "", fmt.Errorf("upgrade: the predecessor: %w\n%s", err, p.LogTail())
	}
	return "", p.succeeded(ctx)
}

// succeeded waits until the successor knows that its predecessor has ended.
func (p *Process) succeeded(ctx context.Context) error {
	for {
		b, err := p.Get("/api/v1/status")
		if err != nil {
			return err
		}
		var s struct {
			PID         int `json:"pid"`
			Predecessor int `json:"predecessor"`
		}
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
		if s.PID == p.pid && s.Predecessor == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("upgrade: process %d says it is %d after %d: %w", p.pid, s.PID, s.Predecessor, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// reap waits for the end of a child that another process has started.
func reap(pid int) error {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait for %d: %w", pid, err)
		case status.ExitStatus() != 0:
			return fmt.Errorf("exit status %d, signal %d", status.ExitStatus(), status.Signal())
		default:
			return nil
		}
	}
}
