// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/gateway/listen"
	"github.com/pvgate/pvgate/gateway/systemd"
)

// readyTime is how long a successor has to get ready unless somebody says otherwise: big registries take their time.
const readyTime = time.Minute

// upgradeResult is the outcome of an upgrade, as shown by the admin listener.
type upgradeResult struct {
	OK    bool      `json:"ok"`
	Time  time.Time `json:"time"`
	PID   int       `json:"pid"`             // in service now
	From  int       `json:"from"`            // in service when it was asked for
	Error string    `json:"error,omitempty"` // why nothing has changed
}

// succession is what a process knows about who follows it.
type succession struct {
	life   context.Context // of the service: an upgrade ends with it, not with whoever asked
	done   chan *successor // gets the one that serves
	trying sync.Mutex      // held while there is one that does not serve yet

	// As service.live.
	last   *upgradeResult // nil: nobody has tried
	failed uint64
}

// successor is a process that is to follow this one.
type successor struct {
	line  *dialogue
	cmd   *exec.Cmd
	ended chan error // gets how it ended
}

// program is how this process was started: the file at its path may be another one by the time it is started again.
func program() []string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil
	}
	return append([]string{path}, os.Args[1:]...)
}

// Upgrade starts the binary at this process's path with the same arguments and lets it take over, or leaves everything as
// it is and says why. When it returns, the successor serves.
func (s *service) Upgrade(wait time.Duration) (upgradeResult, error) {
	r := upgradeResult{Time: time.Now(), PID: os.Getpid(), From: os.Getpid()}
	if !s.upgrade.trying.TryLock() {
		r.Error = "another upgrade is under way"
		return r, errors.New(r.Error)
	}
	defer s.upgrade.trying.Unlock()
	switch p := s.born.predecessor; {
	case s.born.program == nil:
		r.Error = "this process has no successors: it is a demo, or nobody knows its path"
		return r, errors.New(r.Error)
	case p.draining():
		r.Error = fmt.Sprintf("the predecessor of this process, %d, still drains; try again when it has ended", p.pid)
		return r, errors.New(r.Error)
	}
	next, err := s.succeed(wait)
	if err != nil {
		s.log.Error("upgrade failed; this process goes on", "error", err.Error())
		r.Error = err.Error()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.upgrade.last = &r
		s.upgrade.failed++
		return r, err
	}
	r.OK, r.PID = true, next.cmd.Process.Pid
	s.log.Info("the successor serves", "pid", r.PID)
	s.ending()
	_ = s.operators.Close() // whoever asks from now on, and be it who asked for this, asks the successor
	s.upgrade.done <- next
	return r, nil
}

// succeed starts a successor and waits until it serves. With an error there is none.
func (s *service) succeed(wait time.Duration) (*successor, error) {
	s.changing.Lock() // no reload meanwhile: which configuration the successor reads would be chance
	defer s.changing.Unlock()
	n, err := s.start()
	if err != nil {
		return nil, err
	}
	if err := n.await(s.upgrade.life, wait); err != nil {
		_ = n.cmd.Process.Kill() // it may have ended already
		if how := <-n.ended; how != nil && !errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w (%w)", err, how)
		}
		_ = n.line.conn.Close()
		return nil, err
	}
	return n, nil
}

// start starts a successor with all sockets and tells it its legacy.
func (s *service) start() (*successor, error) {
	sockets, err := s.share()
	if err != nil {
		return nil, err
	}
	defer listen.CloseAll(sockets)
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("line to the successor: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "line")
	defer theirs.Close()
	ours, err := newDialogue(uintptr(ends[0]))
	if err != nil {
		return nil, err
	}
	n := &successor{line: ours, cmd: exec.Command(s.born.program[0], s.born.program[1:]...), ended: make(chan error, 1)}
	n.cmd.Stdin, n.cmd.Stdout, n.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	n.cmd.Env = append(successorEnv(os.Environ()), fmt.Sprintf("%s=%d", predecessorVariable, lineFD))
	n.cmd.ExtraFiles = []*os.File{theirs}
	legacy := saying{Step: stepLegacy, Keys: s.legacy()}
	for _, f := range sockets {
		n.cmd.ExtraFiles = append(n.cmd.ExtraFiles, f)
		legacy.Sockets = append(legacy.Sockets, f.Name())
	}
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the successor: %w", err), ours.conn.Close())
	}
	go func() { n.ended <- n.cmd.Wait() }()
	_ = ours.say(legacy) // if nobody hears it, nobody gets ready
	return n, nil
}

// successorEnv is the environment without what is about this process alone.
func successorEnv(env []string) []string {
	var out []string
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); name != predecessorVariable && !systemd.OfOneProcess(name) {
			out = append(out, e)
		}
	}
	return out
}

// share duplicates every listening socket.
func (s *service) share() ([]*os.File, error) {
	s.mu.Lock() // a drain would close them meanwhile
	defer s.mu.Unlock()
	if s.draining {
		return nil, errors.New("this process is ending")
	}
	all, err := s.server.Share()
	if err != nil {
		return nil, err
	}
	err = listen.Control(s.operators, func(fd int) error {
		f, err := listen.Share(fd, s.live.cfg.Root.Admin.Address.V)
		if err == nil {
			all = append(all, f)
		}
		return err
	})
	if err != nil {
		listen.CloseAll(all)
		return nil, err
	}
	return all, nil
}

// legacy are the keys that no file holds.
func (s *service) legacy() *keys {
	k := *s.born.keys
	k.Tickets = s.tls.tickets.Keys()
	return &k
}

// await waits until a successor is ready, lets it serve, and waits until it does.
func (n *successor) await(life context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(life, wait, fmt.Errorf("the successor is not ready within %v: %w", wait, context.DeadlineExceeded))
	defer cancel()
	if _, err := n.line.hear(ctx, stepReady); err != nil {
		return n.why(ctx, err)
	}
	if err := n.line.say(saying{Step: stepServe}); err != nil {
		return err
	}
	serving, over := context.WithTimeoutCause(context.WithoutCancel(life), lineTime, fmt.Errorf("the successor does not serve: %w", context.DeadlineExceeded))
	defer over()
	if _, err := n.line.hear(serving, stepServing); err != nil {
		return n.why(serving, err)
	}
	return nil
}

// why says what is wrong with a successor.
func (n *successor) why(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return errors.New("the successor has ended before it was ready; its log says why")
	}
	return fmt.Errorf("the successor refuses: %w", err)
}

// retire leaves the sockets to the successor, ends what is in flight within ctx, and then this service.
func (s *service) retire(ctx context.Context, next *successor) error {
	s.tell(s.born.systemd.Follows(next.cmd.Process.Pid))
	return s.over(ctx, s.server.Retire(ctx, func() {
		if err := next.line.say(saying{Step: stepDatagrams}); err != nil {
			s.log.Error("the successor has been lost", "error", err.Error())
		}
	}))
}

func newUpgrade() *cobra.Command {
	var flags adminFlags
	var out output
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Let a new binary take over from a running gateway", Args: cobra.NoArgs,
		Long: "upgrade makes the running gateway start the binary at its own path, with its own arguments, and hand its sockets\n" +
			"over when that is ready: no connection is refused or reset. It returns when the new process serves; the old one\n" +
			"ends what is in flight and then itself. With an error nothing has changed.",
	}
	flags.register(cmd)
	out.flag(cmd)
	cmd.Flags().DurationVar(&wait, "wait", readyTime, "how long the new process has to get ready")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}
		flags.patience = wait + 2*lineTime
		body, err := flags.call(cmd.Context(), http.MethodPost, "/api/v1/upgrade?wait="+wait.String())
		var r upgradeResult
		if jerr := json.Unmarshal(body, &r); jerr != nil {
			return errors.Join(err, jerr)
		}
		switch {
		case asJSON:
			if werr := writeJSON(cmd.OutOrStdout(), r); werr != nil {
				return werr
			}
		case r.OK:
			fmt.Fprintf(cmd.OutOrStdout(), "process %d is in service; %d ends what it has begun\n", r.PID, r.From)
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "nothing has changed, process %d goes on: %s\n", r.PID, r.Error)
		}
		if err != nil {
			return &exitError{code: exitFailed}
		}
		return nil
	})
	return cmd
}
