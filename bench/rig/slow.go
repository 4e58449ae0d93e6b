// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	slowTool        = "slowhttptest"
	slowConnections = 4000
	slowPerSecond   = 2000 // new ones
	// slowComes is how long the connections of an attack may take to come, who get only what others leave of the processors.
	slowComes = 40 * time.Second
	// slowTimes is how many times longer than without the attack a healthy request may take, at the 99th of a hundred.
	slowTimes = 2
	// slowNoise is what a busy machine adds by itself; a full run is made on a quiet one and does not need it.
	slowNoise = 250 * time.Millisecond
)

// slowModes are slowhttptest's four attacks with the options each needs to hurt. The third asks for thousands of ranges
// at once and leaves when it is answered; the others stay. The fourth takes answers that fit into the kernel's buffers:
// larger ones would only measure how fast this machine copies, since on loopback those hold megabytes.
var slowModes = [...]struct {
	name, path string
	stays      bool
	options    []string
}{
	{"slow headers", "/1k", true, []string{"-H", "-i", "5", "-x", "24"}},
	{"slow body", "/1k", true, []string{"-B", "-i", "5", "-x", "10", "-s", "100000"}},
	{"range", "/16k", false, []string{"-R", "-a", "5", "-b", "3000"}},
	{"slow read", "/16k", true, []string{"-X", "-n", "1", "-w", "10", "-y", "512", "-z", "32", "-k", "4"}},
}

// slowFigures is what the slow rig measured.
type slowFigures struct {
	Connections int          `json:"connections"`
	Modes       []slowFigure `json:"modes"`
}

type slowFigure struct {
	Mode       string             `json:"mode"`
	Healthy    uint64             `json:"healthy_requests"`
	Failed     uint64             `json:"healthy_requests_failed"`
	WithoutUS  float64            `json:"p99_us_without"`
	RushUS     float64            `json:"p99_us_while_they_come"`
	DuringUS   float64            `json:"p99_us_while_they_stay"`
	Disturbed  int                `json:"disturbed_seconds_not_timed"`
	Open       float64            `json:"connections_open_at_most"`
	BytesEach  *float64           `json:"rss_bytes_per_slow_connection,omitempty"` // nil where none of them stays
	ByCause    map[string]float64 `json:"connections_closed"`
	FinallyFDs int                `json:"descriptors_left_over"`

	stays bool // the attack's connections do
}

// slow lets slowhttptest hold thousands of connections in each of its ways while healthy clients go on asking. Attackers have
// machines of their own: here they have one processor, and everybody else the others. Where there is only one they get what is
// left of it, but a poll of thousands of connections is not interrupted, however little its process may.
func slow(ctx context.Context, b *bed) (any, error) {
	tool, err := exec.LookPath(slowTool)
	if err != nil {
		return nil, skipped(slowTool + " is not installed; on Debian: apt-get install " + slowTool)
	}
	attack := []string{"chrt", "--idle", "0", tool}
	if theirs := runtime.NumCPU() - 1; theirs > 0 {
		free, err := leaveProcessor(theirs) // the gateway, which is started from here, leaves it too
		if err != nil {
			return nil, err
		}
		defer free()
		attack = append([]string{"taskset", "-c", strconv.Itoa(theirs)}, attack...)
	}
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	p, address, err := b.gateway(ctx, back, "loops: 1\n")
	if err != nil {
		return nil, err
	}
	most, err := holdable()
	if err != nil {
		return nil, end(p, err)
	}
	f := &slowFigures{Connections: min(slowConnections, most/2)} // each may hold one to the backend as well
	var all error
	for _, m := range slowModes {
		enough := 0.
		if m.stays {
			enough = .9 * float64(f.Connections)
		}
		var s slowFigure
		err := patiently(func() (err error) {
			s, err = slowMode(ctx, p, address, f.Connections, enough, slices.Concat(attack, m.options, []string{"-u", "http://" + address + m.path}))
			return err
		})
		s.Mode = m.name
		if err == nil && s.Open < enough {
			err = fmt.Errorf("only %.0f connections were open at once, the attack wants %d: nothing is proven", s.Open, f.Connections)
		}
		f.Modes = append(f.Modes, s)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return f, end(p, all)
}

// slowMode is one attack, which is there when enough of its connections are open.
func slowMode(ctx context.Context, p *binary.Process, address string, connections int, enough float64, command []string) (f slowFigure, err error) {
	span := time.Duration(proof.Count(5, 60)) * time.Second
	f.stays = enough > 0
	base, err := p.FDs()
	if err != nil {
		return f, err
	}
	rss, _, err := p.RSS()
	if err != nil {
		return f, err
	}
	without := &load.Result{}
	quiet := func() error { return f.timed(ctx, address, min(span/2, 20*time.Second), without) }
	if err := f.watched(ctx, p, rss, quiet); err != nil {
		return f, err
	}
	closed, err := p.Metrics()
	if err != nil {
		return f, err
	}
	ramp := time.Duration(connections/slowPerSecond+1) * time.Second
	attack := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)],
		"-c", fmt.Sprint(connections), "-r", fmt.Sprint(slowPerSecond), "-l", fmt.Sprint(int((slowComes+timedTries*span).Seconds())+2), "-p", "30", "-v", "0")...)
	attack.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := attack.Start(); err != nil {
		return f, err
	}
	defer func() { _ = attack.Wait() }() // it has its own view of the outcome
	defer func() { _ = attack.Process.Kill() }()
	rush, during := &load.Result{}, &load.Result{}
	err = f.watched(ctx, p, rss, func() (err error) {
		if rush, err = f.rush(ctx, p, address, ramp, enough); err == nil {
			err = f.timed(ctx, address, span, during)
		}
		return err
	})
	if err != nil {
		return f, err
	}
	_ = attack.Process.Kill()
	after, err := p.Metrics()
	if err != nil {
		return f, err
	}
	f.ByCause = map[string]float64{}
	for key, n := range after {
		if rest, ok := strings.CutPrefix(key, "pvgate_connections_closed_total{cause=\""); ok && n > closed[key] {
			f.ByCause[strings.TrimSuffix(rest, "\"}")] = n - closed[key]
		}
	}
	now, _ := p.FDs()
	if back := descriptorsReturn(p, base); back != nil {
		f.FinallyFDs, err = now-base, errors.Join(err, back)
	}
	if err = errors.Join(err, f.watched(ctx, p, rss, quiet)); err != nil {
		return f, err
	}
	return f, f.judge(without, rush, during)
}

// timed adds healthy requests of d to r.
func (f *slowFigure) timed(ctx context.Context, address string, d time.Duration, r *load.Result) error {
	more, void, err := undisturbed(ctx, address, d)
	f.Disturbed += void
	if err == nil {
		r.Add(more)
	}
	return err
}

// judge compares the healthy requests of three times: without the attack (before and after it, since a machine has better
// and worse minutes), while its connections come, and while they stay. None may fail in any of them.
func (f *slowFigure) judge(without, rush, during *load.Result) error {
	f.Healthy, f.Failed = rush.Good+rush.Failed()+during.Good+during.Failed(), rush.Failed()+during.Failed()
	was, is := without.Latency.Quantile(.99), during.Latency.Quantile(.99)
	f.WithoutUS, f.RushUS, f.DuringUS = float64(was)/1e3, float64(rush.Latency.Quantile(.99))/1e3, float64(is)/1e3
	err := errors.Join(without.Err(), rush.Err(), during.Err())
	bound := slowTimes * was
	if !proof.Full() {
		bound += slowNoise
	}
	if is > bound && err == nil {
		err = late{fmt.Errorf("healthy requests take %v at p99, %v without the attack", is, was)}
	}
	return err
}

// rush sends healthy requests while the attack's connections come: for ramp, and for longer on a machine that is busy.
func (f *slowFigure) rush(ctx context.Context, p *binary.Process, address string, ramp time.Duration, enough float64) (*load.Result, error) {
	rush, err := healthy(ctx, address, ramp)
	for begun := time.Now(); err == nil && time.Since(begun) < slowComes-ramp; {
		m, merr := p.Metrics()
		if open, _ := m.Sum("pvgate_connections"); merr != nil || open >= enough {
			return rush, merr
		}
		var more *load.Result
		if more, err = healthy(ctx, address, time.Second); err == nil {
			rush.Add(more)
		}
	}
	return rush, err
}

// healthyRate is how many healthy requests are sent each second: few enough that the processor is not what they wait for.
const healthyRate = 300

// healthy sends requests at a steady pace, on connections that are kept.
func healthy(ctx context.Context, address string, d time.Duration) (*load.Result, error) {
	r, err := load.Run(ctx, load.Options{
		Address: netip.MustParseAddrPort(address), Conns: 16, Rate: healthyRate, Duration: d, WantStatus: 200, WantLength: 1024,
		Requests: [][]byte{[]byte("GET /1k HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n")},
	})
	return &r, err
}

// watched runs what is timed beside watch, with the attack and without: each look takes the gateway a millisecond, four times a second,
// of the processor that it shares with everybody, which makes p99 about a third longer.
func (f *slowFigure) watched(ctx context.Context, p *binary.Process, rss int64, run func() error) error {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.watch(ctx, p, rss) }()
	err := run()
	stop()
	return errors.Join(err, <-done)
}

// watch notes how many connections are open at most, and what each costs then.
func (f *slowFigure) watch(ctx context.Context, p *binary.Process, rss int64) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		m, err := p.Metrics()
		if err != nil {
			return err
		}
		now, _, err := p.RSS()
		if err != nil {
			return err
		}
		if open, _ := m.Sum("pvgate_connections"); open > f.Open {
			f.note(open, now-rss)
		}
	}
}

// note takes that more connections are open than before, and so many octets more in use than without the attack. Those of an attack
// that leaves at once are not among the connections: what it uses is no matter of theirs.
func (f *slowFigure) note(open float64, octets int64) {
	if f.Open = open; f.stays {
		each := max(0, float64(octets)/open)
		f.BytesEach = &each
	}
}
