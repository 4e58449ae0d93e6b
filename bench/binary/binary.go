// SPDX-License-Identifier: EUPL-1.2

// Package binary runs the built pvgate for the programs that test it from outside: it writes a configuration, starts
// `pvgate serve`, waits until it answers, reads what the kernel and the admin listener say about it, and stops it.
//
// The call you want is [Start]; everything else is a question to the [Process]. The gateway chooses its own ports
// ([AnyPort]) and its first lines of output say which: a port that was free a moment ago may be the source port of some
// other connection by the time it is wanted. The package knows nothing of what is sent through the gateway, and it never
// restarts a process that died: that is what its users are looking for.
package binary

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options is what to run.
type Options struct {
	Path   string // the binary; "" is bin/pvgate
	Config string // pvgate.yaml without the admin block; listeners at AnyPort
	// Env is added to an environment without PVGATE_… and GO… settings.
	Env []string
	// Wrap is put before the command, such as "taskset", "-c", "0".
	Wrap []string
	// Wait is how long it may take to get ready; 0 is 20 s.
	Wait time.Duration
}

// AnyPort is the address to configure for listeners; [Process.Address] tells the one it became.
const AnyPort = "127.0.0.1:0"

// Process is one running gateway.
type Process struct {
	cmd    *exec.Cmd
	dir    string
	at     Addresses
	log    string
	path   string // as it is started
	verbs  string // the binary that was there at first: its verbs talk to the running one
	pid    int
	exited chan error
	client *http.Client
}

// Addresses are where a gateway listens, by its own first lines of output.
type Addresses struct {
	Listeners []string // in the order of the configuration; HOST:PORT
	Admin     string   // "" = not said yet: it is the last
}

var (
	listenerLine = regexp.MustCompile(`(?m)^pvgate: listening on https?://(\S+) \(listener \d+\)`)
	adminLine    = regexp.MustCompile(`(?m)^pvgate: admin on http://(\S+)$`)
)

// AddressesIn reads them out of a gateway's output.
func AddressesIn(output []byte) Addresses {
	var a Addresses
	for _, m := range listenerLine.FindAllSubmatch(output, -1) {
		a.Listeners = append(a.Listeners, string(m[1]))
	}
	if m := adminLine.FindSubmatch(output); m != nil {
		a.Admin = string(m[1])
	}
	return a
}

// Start writes the configuration, starts the gateway and waits until it is ready.
func Start(ctx context.Context, o Options) (*Process, error) {
	if o.Path == "" {
		o.Path = "bin/pvgate"
	}
	if o.Wait == 0 {
		o.Wait = 20 * time.Second
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("start %s: %w; make build first", o.Path, err)
	}
	verbs, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	dir, err := os.MkdirTemp("", "pvgate-")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	p := &Process{
		dir: dir, path: path, verbs: verbs,
		log:    filepath.Join(dir, "log"),
		exited: make(chan error, 1),
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}},
	}
	if err := p.start(ctx, o); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Process) start(ctx context.Context, o Options) error {
	if err := p.Configure(o.Config); err != nil {
		return err
	}
	logFile, err := os.Create(p.log)
	if err != nil {
		return fmt.Errorf("start %s: %w", o.Path, err)
	}
	defer logFile.Close()
	args := append(append([]string{}, o.Wrap...), p.path, "serve", "--config", p.ConfigPath())
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(cleanEnv(), o.Env...)
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	// The gateway must not outlive the program that tests it. For Linux that is the thread that has started it, which nobody else gets
	// meanwhile: some end theirs.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.exited <- p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", o.Path, err)
	}
	p.pid = p.cmd.Process.Pid
	return p.awaitReady(ctx, o.Wait)
}

func cleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PVGATE_") && !strings.HasPrefix(e, "GO") {
			env = append(env, e)
		}
	}
	return env
}

func (p *Process) awaitReady(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("pvgate ended before it was ready: %w\n%s", ended(err), p.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("pvgate is not ready: %w\n%s", ctx.Err(), p.LogTail())
		case <-tick.C:
			if output, err := os.ReadFile(p.log); err == nil {
				p.at = AddressesIn(output)
			}
			if p.at.Admin == "" {
				continue
			}
			res, err := p.client.Get("http://" + p.at.Admin + "/readyz")
			if err != nil {
				continue
			}
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

// ConfigPath is where its pvgate.yaml stands.
func (p *Process) ConfigPath() string { return filepath.Join(p.dir, "pvgate.yaml") }

// PID is its process id.
func (p *Process) PID() int { return p.pid }

// Address is where its listener of that number listens, HOST:PORT.
func (p *Process) Address(listener int) string { return p.at.Listeners[listener] }

// Admin is the address of its admin listener.
func (p *Process) Admin() string { return p.at.Admin }

// Configure replaces its pvgate.yaml at once (by rename), without telling it.
func (p *Process) Configure(text string) error {
	text += "\nadmin: {address: \"" + AnyPort + "\"}\n"
	tmp := p.ConfigPath() + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(tmp, p.ConfigPath()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Reload runs `pvgate reload` against it and returns when the new configuration serves.
func (p *Process) Reload(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.verbs, "reload", "--config", p.ConfigPath(), "--admin", p.at.Admin)
	cmd.Env = cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pvgate reload: %w\n%s", err, out)
	}
	return nil
}

// ReloadByAdmin is Reload without the verb's process, for thousands of them.
func (p *Process) ReloadByAdmin() error {
	res, err := p.client.Post("http://"+p.at.Admin+"/api/v1/reload", "application/json", strings.NewReader("{}"))
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.500s", res.StatusCode, body)
	}
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return nil
}

// Dead says how it ended, nil while it runs.
func (p *Process) Dead() error {
	select {
	case err := <-p.exited:
		p.exited <- err
		return fmt.Errorf("pvgate ended: %w\n%s", ended(err), p.LogTail())
	default:
		return nil
	}
}

// ended gives the end of a process an error even if it ended well.
func ended(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// stopTime is how long a gateway may take to end.
const stopTime = 10 * time.Second

// Stop is StopWithin 10 s.
func (p *Process) Stop() error { return p.StopWithin(stopTime) }

// StopWithin ends it by SIGTERM, by SIGKILL after a while, and removes its folder. It returns an error if it did not end by
// itself with code 0.
func (p *Process) StopWithin(most time.Duration) error {
	defer os.RemoveAll(p.dir)
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	select {
	case err := <-p.exited:
		p.exited <- err
	default:
		if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop pvgate: %w", err)
		}
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		if err != nil {
			return fmt.Errorf("stop pvgate: %w\n%s", err, p.LogTail())
		}
		return nil
	case <-time.After(most):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		p.exited <- errors.Join(<-p.exited, errors.New("killed"))
		return fmt.Errorf("stop pvgate: still there %v after SIGTERM\n%s", most, p.LogTail())
	}
}

// Kill ends it by SIGKILL, as no process expects it, removes its folder and returns its output.
func (p *Process) Kill() (output string, err error) {
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		return "", fmt.Errorf("kill pvgate: %w", err)
	}
	p.exited <- <-p.exited
	text, err := os.ReadFile(p.log)
	return string(text), errors.Join(err, os.RemoveAll(p.dir))
}

// Panicked returns the first line of its output that tells of a crash, "" if there is none.
func (p *Process) Panicked() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if l := lines.Text(); strings.Contains(l, "panic:") || strings.Contains(l, "broken invariant") || strings.Contains(l, "fatal error:") || strings.HasPrefix(l, "goroutine ") {
			return l
		}
	}
	return ""
}

// LogTail is the end of its output.
func (p *Process) LogTail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	if len(b) > 4000 {
		b = b[len(b)-4000:]
	}
	return string(bytes.TrimSpace(b))
}

// Get reads a page of the admin listener.
func (p *Process) Get(path string) ([]byte, error) {
	res, err := p.client.Get("http://" + p.at.Admin + path)
	if err != nil {
		return nil, fmt.Errorf("admin %s: %w", path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("admin %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("admin %s: status %d: %.200s", path, res.StatusCode, b)
	}
	return b, nil
}

// Metrics are the samples of /metrics, by name with labels as printed.
type Metrics map[string]float64

// Metrics reads /metrics.
func (p *Process) Metrics() (Metrics, error) {
	b, err := p.Get("/metrics")
	if err != nil {
		return nil, err
	}
	m := Metrics{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %q: %w", line, err)
		}
		m[line[:at]] = value
	}
	return m, nil
}

// Sum adds the samples called name whose labels contain every one of labels (`backend="a"`); ok is false without any.
func (m Metrics) Sum(name string, labels ...string) (sum float64, ok bool) {
	for key, value := range m {
		base, rest, _ := strings.Cut(key, "{")
		if base != name {
			continue
		}
		all := true
		for _, l := range labels {
			all = all && strings.Contains(rest, l)
		}
		if all {
			sum, ok = sum+value, true
		}
	}
	return sum, ok
}

// FDs is how many file descriptors it has open.
func (p *Process) FDs() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return 0, fmt.Errorf("count descriptors: %w", err)
	}
	return len(entries), nil
}

// RSS is its resident memory in bytes, now and at its highest so far.
func (p *Process) RSS() (now, peak int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	return statusKiB(b, "VmRSS:"), statusKiB(b, "VmHWM:"), nil
}

// ResetPeak makes the peak of RSS start again from now.
func (p *Process) ResetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak memory: %w", err)
	}
	return nil
}

// VoluntarySwitches is, per thread id, how often the kernel took the processor from a thread that waited.
func (p *Process) VoluntarySwitches() (map[int]int64, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		return nil, fmt.Errorf("read threads: %w", err)
	}
	out := map[int]int64{}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", p.pid, id))
		if err != nil {
			continue // the thread ended meanwhile
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
				out[id] = n
			}
		}
	}
	return out, nil
}

func statusKiB(status []byte, key string) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
