// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/peers"
	"github.com/pvgate/pvgate/bench/proc"
)

// wantNice is asked for where we may; it keeps short disturbances away.
const wantNice = -20

// readyIn is the longest wait for a proxy to answer, a registry of a million rows
// on a busy machine included.
const readyIn = 3 * time.Minute

// program is a process that was started for the measurement.
type program struct {
	name            string
	cmd             *exec.Cmd
	log             string // file with its output
	plain, features netip.AddrPort
	secure          netip.AddrPort // over TLS
	exited          chan struct{}
}

// at is where the program takes the requests of c.
func (p *program) at(c *benchCase) netip.AddrPort {
	if c.tls {
		return p.secure
	}
	if c.entry && p.features.IsValid() {
		return p.features
	}
	return p.plain
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// tail is the end of what the program wrote, for a message.
func (p *program) tail() string {
	b, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// rss is the resident memory in octets, 0 if unknown.
func (p *program) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// stage holds everything that runs during the measurement.
type stage struct {
	o       options
	self    string
	stderr  io.Writer
	origin  *program
	subject *program
	peer    *program
	caddy   *program // the peer over HTTP/3; nil without such a case
	nice    int
	first   int // where the next half begins in the list of requests
}

// build compiles pvgate as it is released.
func build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "pvgate")
	cmd := exec.CommandContext(ctx, "go", "build", "-pgo=auto", "-trimpath", "-o", bin, "./cmd/pvgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pvgate (run this from the top of the checkout, or name a binary with -pvgate): %w\n%s", err, out)
	}
	return bin, nil
}

// findNginx looks where Debian puts it as well: not every user's PATH has sbin.
func findNginx() (string, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/nginx")
	}
	return path, err
}

// newStage starts the origin and both proxies and waits until they answer.
func newStage(ctx context.Context, o options, dir string, stderr io.Writer) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	nginx, err := findNginx()
	if err != nil {
		return nil, fmt.Errorf("nginx, the peer, is not installed; on Debian: apt-get install nginx-light: %w", err)
	}
	set, err := entries.New(o.rows, o.seed)
	if err != nil {
		return nil, err
	}
	st := &stage{o: o, self: self, stderr: stderr}
	if err := st.start(ctx, dir, nginx, set); err != nil {
		st.stop()
		return nil, err
	}
	return st, nil
}

func (st *stage) start(ctx context.Context, dir, nginx string, set *entries.Set) error {
	addr, err := st.startOrigin(ctx, dir)
	if err != nil {
		return err
	}
	pairs := set.Pairs(pairCount)
	if st.o.subject == logged {
		st.peer, err = st.startPvgate(ctx, "pvgate", filepath.Join(dir, "peer.d"), addr, set, "off")
	} else {
		st.peer, err = st.startNginx(ctx, "nginx", filepath.Join(dir, "nginx"), nginx, addr, pairs)
	}
	if err != nil {
		return err
	}
	switch st.o.subject {
	case "nginx":
		st.subject, err = st.startNginx(ctx, "nginx-again", filepath.Join(dir, "nginx-again"), nginx, addr, pairs)
	case logged:
		st.subject, err = st.startPvgate(ctx, logged, filepath.Join(dir, "pvgate.d"), addr, set, "./access.log")
	default:
		st.subject, err = st.startPvgate(ctx, "pvgate", filepath.Join(dir, "pvgate.d"), addr, set, "off")
	}
	if err != nil {
		return err
	}
	all := []*program{st.peer, st.subject}
	if slices.ContainsFunc(st.o.cases, func(c benchCase) bool { return c.quic }) {
		if st.caddy, err = st.startCaddy(ctx, filepath.Join(dir, "caddy"), addr); err != nil {
			return err
		}
		all = append(all, st.caddy)
	}
	for _, p := range all {
		if err := st.settle(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// against is whom the subject is compared with in case c.
func (st *stage) against(c *benchCase) *program {
	if c.quic && st.o.subject == "pvgate" {
		return st.caddy
	}
	return st.peer
}

func (st *stage) stop() {
	for _, p := range []*program{st.subject, st.peer, st.caddy, st.origin} {
		if p != nil {
			p.kill()
		}
	}
}

// launch starts cmd on core with its output in a file.
func (st *stage) launch(p *program, core int) error {
	f, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer f.Close()
	p.cmd.Stderr = f
	if p.cmd.Stdout == nil {
		p.cmd.Stdout = f
	}
	if st.nice, err = proc.Start(p.cmd, core, wantNice); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.exited = make(chan struct{})
	go func() {
		_ = p.cmd.Wait() // a program that ends by itself is noticed by ready and by failed requests
		close(p.exited)
	}()
	return nil
}

func (st *stage) startOrigin(ctx context.Context, dir string) (netip.AddrPort, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer r.Close()
	p := &program{name: "origin", log: filepath.Join(dir, "origin.log"), cmd: exec.CommandContext(ctx, st.self, originRole)}
	p.cmd.Stdout = w
	p.cmd.Env = append(os.Environ(), steady)
	err = st.launch(p, st.o.loadCore)
	_ = w.Close()
	if err != nil {
		return netip.AddrPort{}, err
	}
	st.origin = p
	var text string
	if _, err := fmt.Fscanln(r, &text); err != nil {
		return netip.AddrPort{}, fmt.Errorf("origin did not start: %w\n%s", err, p.tail())
	}
	return netip.ParseAddrPort(text)
}

// steady keeps Go's scheduler from interrupting the one busy thread of the load
// generator and the origin every 10 ms; nothing else waits for their core.
const steady = "GODEBUG=asyncpreemptoff=1"

// startNginx starts it at ports that were free a moment ago; it cannot be told to choose. By the time it binds one, that
// may be the source port of a connection of ours, so it is started again on others.
func (st *stage) startNginx(ctx context.Context, name, dir, bin string, origin netip.AddrPort, pairs []entries.Pair) (p *program, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for range 5 {
		ports, err := freePorts(3)
		if err != nil {
			return nil, err
		}
		path, err := peers.Nginx(peers.Setting{Dir: dir, Origin: origin, Plain: ports[0], Features: ports[1], TLS: ports[2]}, pairs)
		if err != nil {
			return nil, err
		}
		p = &program{
			name: name, log: filepath.Join(dir, "out.log"), plain: ports[0], features: ports[1], secure: ports[2],
			cmd: exec.CommandContext(ctx, bin, "-c", path, "-p", dir),
		}
		if err := st.launch(p, st.o.proxyCore); err != nil {
			return nil, err
		}
		if err = st.await(ctx, p, p.listens); err == nil {
			return p, nil
		}
		p.kill()
		if !strings.Contains(p.tail(), "Address already in use") {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s found every port taken:\n%s", name, p.tail())
}

// startCaddy starts it as startNginx does nginx.
func (st *stage) startCaddy(ctx context.Context, dir string, origin netip.AddrPort) (p *program, err error) {
	bin, err := findCaddy()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for range 5 {
		ports, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		path, err := peers.Caddy(peers.Setting{Dir: dir, Origin: origin, TLS: ports[0]})
		if err != nil {
			return nil, err
		}
		p = &program{
			name: "caddy", log: filepath.Join(dir, "out.log"), plain: ports[0], secure: ports[0],
			cmd: exec.CommandContext(ctx, bin, "run", "--config", path, "--adapter", "caddyfile"),
		}
		p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		if err := st.launch(p, st.o.proxyCore); err != nil {
			return nil, err
		}
		if err = st.await(ctx, p, p.listens); err == nil {
			return p, nil
		}
		p.kill()
		if !strings.Contains(p.tail(), "address already in use") {
			return nil, err
		}
	}
	return nil, fmt.Errorf("caddy found every port taken:\n%s", p.tail())
}

// findCaddy looks where the command in its message puts it as well.
func findCaddy() (string, error) {
	for _, name := range []string{"caddy", ".cache/tools/caddy"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("caddy, the peer over HTTP/3, is not installed: GOBIN=$PWD/.cache/tools go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9")
}

// freePorts asks the kernel for ports that nobody has now.
func freePorts(n int) ([]netip.AddrPort, error) {
	var ports []netip.AddrPort
	for range n {
		l, err := net.Listen("tcp", binary.AnyPort)
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		ports = append(ports, netip.MustParseAddrPort(l.Addr().String()))
	}
	return ports, nil
}

// startPvgate starts pvgate with an access log, or with "off".
func (st *stage) startPvgate(ctx context.Context, name, dir string, origin netip.AddrPort, set *entries.Set, accessLog string) (*program, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	anyPort := netip.MustParseAddrPort(binary.AnyPort)
	path, err := peers.Pvgate(peers.Setting{Dir: dir, Origin: origin, Plain: anyPort, TLS: anyPort, Admin: anyPort, Rows: st.o.rows}, set)
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(st.o.pvgate)
	if err != nil {
		return nil, err
	}
	p := &program{
		name: name, log: filepath.Join(dir, "out.log"),
		cmd: exec.CommandContext(ctx, bin, "serve", "--config", path, "--access-log-file", accessLog),
	}
	p.cmd.Dir = dir
	if err := st.launch(p, st.o.proxyCore); err != nil {
		return nil, err
	}
	if err := st.await(ctx, p, p.says); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// listens is whether something accepts connections at the program's address.
func (p *program) listens() bool {
	conn, err := net.Dial("tcp", p.plain.String())
	return err == nil && conn.Close() == nil
}

// says is whether pvgate has said where it listens; it does when it answers.
func (p *program) says() bool {
	output, err := os.ReadFile(p.log)
	if err != nil {
		return false
	}
	at := binary.AddressesIn(output)
	if at.Admin == "" {
		return false
	}
	var errs [2]error
	p.plain, errs[0] = netip.ParseAddrPort(at.Listeners[0])
	p.secure, errs[1] = netip.ParseAddrPort(at.Listeners[1])
	return errors.Join(errs[:]...) == nil
}

// await waits until p is there.
func (st *stage) await(ctx context.Context, p *program, there func() bool) error {
	for deadline := time.Now().Add(readyIn); time.Now().Before(deadline); {
		if there() {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended instead of serving:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not listen after %v:\n%s", p.name, readyIn, p.tail())
}

// What a program may still use of its core when it has settled.
const (
	settledShare = 0.02
	settleIn     = time.Minute
	settleWatch  = time.Second
)

// settle waits until p rests: after a million rows a garbage collector is still at
// work when the first requests are answered, and would be counted with them.
func (st *stage) settle(ctx context.Context, p *program) error {
	for deadline := time.Now().Add(settleIn); time.Now().Before(deadline); {
		before, err := proc.CPU(p.cmd.Process.Pid)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, p.tail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleWatch):
		}
		after, err := proc.CPU(p.cmd.Process.Pid)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, p.tail())
		}
		if float64(after-before) <= settledShare*float64(settleWatch) {
			return nil
		}
	}
	return fmt.Errorf("%s uses more than %.0f %% of its core without any request, %v after its start", p.name, settledShare*100, settleIn)
}

// turn lets p answer for one turn in case c; with no duration it is sent each
// message once.
func (st *stage) turn(ctx context.Context, c *benchCase, p *program, duration, warmUp time.Duration) (*turn, error) {
	in, err := json.Marshal(order{
		Case: c.Name, Rows: st.o.rows, Seed: st.o.seed, First: st.first, Address: p.at(c), WarmUp: warmUp, Duration: duration,
		ProxyPID: p.cmd.Process.Pid, OriginPID: st.origin.cmd.Process.Pid, ProxyCore: st.o.proxyCore, LoadCore: st.o.loadCore,
	})
	if err != nil {
		return nil, err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, st.self, loadRole)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	cmd.Env = append(os.Environ(), steady)
	if _, err := proc.Start(cmd, st.o.loadCore, wantNice); err != nil {
		return nil, fmt.Errorf("start the load generator: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("load on %s: %w\n%s%s", p.name, err, errs.String(), p.tail())
	}
	var t turn
	if err := json.Unmarshal(out.Bytes(), &t); err != nil {
		return nil, fmt.Errorf("load on %s: %w", p.name, err)
	}
	if t.Failed > 0 {
		return nil, fmt.Errorf("%s: %d requests failed, %d were answered; first failure: %s\n%s", p.name, t.Failed, t.Requests, t.Failure, p.tail())
	}
	// The next turn goes on in the list where no cache has been.
	st.first = (st.first + 3571) % pairCount
	return &t, nil
}

// silentRounds is how many times the length of a round is waited for a first answer.
const silentRounds = 20

// round lets both answer in turns until each has had its time; first begins.
func (st *stage) round(ctx context.Context, c *benchCase, first, second *program) (round, error) {
	halves := map[*program]*half{first: {Peer: first.name}, second: {Peer: second.name}}
	// On a machine that is busy beyond measure a turn can pass before anything was answered.
	for halves[second].Elapsed < st.o.duration || halves[first].Requests == 0 || halves[second].Requests == 0 {
		if halves[second].Elapsed > silentRounds*st.o.duration {
			return round{}, fmt.Errorf("%s: nothing was answered in %v by %s or by %s", c.Name, halves[second].Elapsed, first.name, second.name)
		}
		for _, p := range []*program{first, second} {
			t, err := st.turn(ctx, c, p, st.o.turn, st.o.warmUp)
			if err != nil {
				return round{}, err
			}
			halves[p].add(t)
		}
	}
	return round{Subject: *halves[st.subject], Peer: *halves[st.against(c)]}, nil
}

// errTooDisturbed says that the machine has too much else to do.
var errTooDisturbed = errors.New("too many disturbed rounds")

// measure runs rounds of c until enough are undisturbed.
func (st *stage) measure(ctx context.Context, c benchCase) (good []round, void int, err error) {
	for _, p := range []*program{st.against(&c), st.subject} {
		if _, err := st.turn(ctx, &c, p, 0, 0); err != nil {
			return nil, 0, fmt.Errorf("before measuring, each request once: %w", err)
		}
	}
	most := attemptsPerRound * st.o.rounds
	for n := 1; len(good) < st.o.rounds; n++ {
		if n > most {
			return nil, void, fmt.Errorf("%w: %d of %d; stop what else runs on this machine, or look at it with -allow-disturbed", errTooDisturbed, void, most)
		}
		first, second := st.subject, st.against(&c)
		if n%2 == 0 {
			first, second = second, first
		}
		r, err := st.round(ctx, &c, first, second)
		if err != nil {
			return nil, void, err
		}
		why := r.disturbance()
		if why != "" && !st.o.disturbed {
			void++
		} else {
			good = append(good, r)
		}
		fmt.Fprintf(st.stderr, "%-16s round %2d  %s %.2f µs  %s %.2f µs  ratio %.3f  %s\n", c.Name, n,
			st.subject.name, r.Subject.us(), r.Peer.Peer, r.Peer.us(), r.ratio(), why)
	}
	return good, void, nil
}
