// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/origin"
	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/ratio"
	"github.com/pvgate/pvgate/bench/sock"
)

// manyRole is the first argument of a rig that plays the backends of the many rig: its sockets are too many for one process.
const manyRole = "many-origins"

// Bounds of the full run; a short one on a machine that does other things is given more.
const (
	maxUserGrowth    = 1.2  // of the gateway's user time per request
	maxGrowthToBare  = 1.15 // growth of its CPU per request ÷ that of a bare client
	shortAllowance   = 2.5
	manyFew          = 10
	manyConns        = 64
	manyBareInFlight = 64
)

// manyFigures is what the many rig measured; times are those of one request, in the median of all rounds.
type manyFigures struct {
	Backends   int     `json:"backends"`
	Rounds     int     `json:"rounds"`
	Requests   uint64  `json:"requests"`
	FewUser    float64 `json:"few_user_us"`
	FewCPU     float64 `json:"few_cpu_us"`
	ManyUser   float64 `json:"many_user_us"`
	ManyCPU    float64 `json:"many_cpu_us"`
	BareFew    float64 `json:"bare_few_us"`
	BareMany   float64 `json:"bare_many_us"`
	UserGrowth float64 `json:"user_growth"`
	CPUGrowth  float64 `json:"cpu_growth"`
	BareGrowth float64 `json:"bare_growth"`
	ToBare     float64 `json:"cpu_growth_to_bare"`
}

// many measures one loop with thousands of backends, each of which has a connection that waits: requests for ten of them in
// turn, and for all of them in turn, one right after the other. Beside it a client that does nothing but send and receive
// does the same on as many sockets: what the kernel takes for sockets that are in no cache is nobody's fault.
func many(ctx context.Context, b *bed) (any, error) {
	f := &manyFigures{Backends: 2000, Rounds: 2}
	each := 20_000
	if proof.Full() {
		f.Backends, f.Rounds, each = 8000, 10, 300_000
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	port, stop, err := startManyOrigins(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var config strings.Builder
	fmt.Fprintf(&config, "loops: 1\ndomain: gw.example\nlisten: [{address: %q}]\nbackends:\n", binary.AnyPort)
	for i := range f.Backends {
		fmt.Fprintf(&config, "  b%d: {mode: proxy, endpoints: [\"http://%s\"], timeouts: {keep: 10m}}\n", i, manyAddress(i, port))
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config.String()})
	if err != nil {
		return nil, err
	}
	bare, err := newBare(f.Backends, port)
	if err != nil {
		return nil, end(p, err)
	}
	defer bare.close()
	return f, end(p, measureMany(ctx, p, bare, f, each))
}

// manyAddress is where a backend is.
func manyAddress(i int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)}), port)
}

func measureMany(ctx context.Context, p *binary.Process, bare *bareClient, f *manyFigures, each int) error {
	var requests [][]byte
	for i := range f.Backends {
		requests = append(requests, fmt.Appendf(nil, "GET /1k HTTP/1.1\r\nHost: b%d.gw.example\r\nUser-Agent: rig\r\nAccept: */*\r\n\r\n", i))
	}
	address := netip.MustParseAddrPort(p.Address(0))
	// gateway returns user time and CPU of one of count requests, µs.
	gateway := func(backends, count int) (user, cpu float64, err error) {
		u, s, err := proc.Times(p.PID())
		if err != nil {
			return 0, 0, err
		}
		r, err := load.Run(ctx, load.Options{Address: address, Conns: manyConns, Count: uint64(count), WantStatus: 200, WantLength: -1, Requests: requests[:backends]})
		if err = errors.Join(err, r.Err()); err != nil {
			return 0, 0, err
		}
		f.Requests += r.Good
		u2, s2, err := proc.Times(p.PID())
		n := float64(r.Good) * 1e3
		return float64(u2-u) / n, float64(u2-u+s2-s) / n, err
	}
	for range 2 { // every connection is opened
		if _, _, err := gateway(f.Backends, 2*f.Backends); err != nil {
			return err
		}
	}
	var fewUser, fewCPU, allUser, allCPU, bareFew, bareAll, users, cpus, bares, toBare []float64
	for round := range f.Rounds {
		var user, cpu, alone [2]float64
		for i := range 2 {
			which := (i + round) % 2
			backends := [2]int{manyFew, f.Backends}[which]
			var err error
			if user[which], cpu[which], err = gateway(backends, each); err != nil {
				return err
			}
			if alone[which], err = bare.run(backends, each); err != nil {
				return err
			}
		}
		fewUser, fewCPU, allUser, allCPU = append(fewUser, user[0]), append(fewCPU, cpu[0]), append(allUser, user[1]), append(allCPU, cpu[1])
		bareFew, bareAll = append(bareFew, alone[0]), append(bareAll, alone[1])
		users, cpus, bares = append(users, user[1]/user[0]), append(cpus, cpu[1]/cpu[0]), append(bares, alone[1]/alone[0])
		toBare = append(toBare, cpu[1]/cpu[0]/(alone[1]/alone[0]))
	}
	f.FewUser, f.FewCPU, f.ManyUser, f.ManyCPU = ratio.Median(fewUser), ratio.Median(fewCPU), ratio.Median(allUser), ratio.Median(allCPU)
	f.BareFew, f.BareMany = ratio.Median(bareFew), ratio.Median(bareAll)
	f.UserGrowth, f.CPUGrowth, f.BareGrowth, f.ToBare = ratio.Median(users), ratio.Median(cpus), ratio.Median(bares), ratio.Median(toBare)
	m, err := p.Metrics()
	if err != nil {
		return err
	}
	if idle, _ := m.Sum("pvgate_upstream_connections_idle"); int(idle) < f.Backends {
		return fmt.Errorf("%.0f connections wait for %d backends; this machine has too few descriptors", idle, f.Backends)
	}
	allow := 1.0
	if !proof.Full() {
		allow = shortAllowance
	}
	var all error
	if f.UserGrowth > maxUserGrowth*allow {
		all = fmt.Errorf("with %d backends a request takes %.2f times the user time that it takes with %d, at most %.2f", f.Backends, f.UserGrowth, manyFew, maxUserGrowth*allow)
	}
	if f.ToBare > maxGrowthToBare*allow {
		all = errors.Join(all, fmt.Errorf("its CPU grows %.2f times as much as a bare client's, at most %.2f", f.ToBare, maxGrowthToBare*allow))
	}
	return all
}

// startManyOrigins starts the process of the backends.
func startManyOrigins(ctx context.Context) (port uint16, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.CommandContext(ctx, self, manyRole)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &port)
	}
	if err != nil {
		stop()
		return 0, nil, fmt.Errorf("the backends: %w", err)
	}
	return port, stop, nil
}

// manyOrigins is that process.
func manyOrigins() error {
	back, err := origin.New(netip.MustParseAddrPort("0.0.0.0:0"))
	if err != nil {
		return err
	}
	fmt.Println(back.Addr().Port())
	return back.Run(context.Background())
}

// bareClient has a socket to each backend and does with it the least that a gateway could do.
type bareClient struct {
	epoll   int
	fds     []int
	request []byte
	buffer  [4096]byte
}

func newBare(n int, port uint16) (*bareClient, error) {
	b := &bareClient{request: []byte("GET /1k HTTP/1.1\r\nHost: b.gw.example\r\nUser-Agent: rig\r\nAccept: */*\r\nVia: 1.1 pvgate-gw.example\r\n\r\n")}
	var err error
	if b.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range n {
		fd, err := sock.Dial(sock.Address(manyAddress(i, port)))
		if err != nil {
			b.close()
			return nil, err
		}
		b.fds = append(b.fds, fd)
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(b.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			b.close()
			return nil, err
		}
	}
	_, err = b.run(n, 2*n)
	return b, err
}

func (b *bareClient) close() {
	for _, fd := range b.fds {
		_ = unix.Close(fd)
	}
	_ = unix.Close(b.epoll)
}

// run asks the first backends in turn, count times in all, each when it has answered, and returns the CPU of one request, µs.
func (b *bareClient) run(backends, count int) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, err := threadCPU()
	if err != nil {
		return 0, err
	}
	idle := slices.Clone(b.fds[:backends]) // who has waited longest first
	sent, flying := 0, min(manyBareInFlight, backends)
	events := make([]unix.EpollEvent, manyBareInFlight)
	deadline := time.Now().Add(time.Minute)
	for answered := 0; answered < count; {
		for ; sent-answered < flying && sent < count; sent++ {
			if err := b.send(idle[sent%backends]); err != nil {
				return 0, err
			}
		}
		n, errno := sock.Wait(b.epoll, events, 100, false)
		if errno != 0 && errno != unix.EINTR || time.Now().After(deadline) {
			return 0, fmt.Errorf("the bare client: %w after %d of %d answers", errno, answered, count)
		}
		for i := range n {
			got, errno := sock.Read(int(events[i].Fd), b.buffer[:])
			if errno != 0 || got < 1024 {
				return 0, fmt.Errorf("the bare client: %d octets, %w", got, errno)
			}
			idle[answered%backends] = int(events[i].Fd)
			answered++
		}
	}
	ended, err := threadCPU()
	return float64(ended-began) / float64(count) / 1e3, err
}

// send puts the request on a socket, whose connection may be under way yet.
func (b *bareClient) send(fd int) error {
	for {
		n, errno := sock.Send(fd, b.request)
		switch {
		case n == len(b.request):
			return nil
		case errno == unix.EAGAIN || errno == unix.ENOTCONN:
			time.Sleep(100 * time.Microsecond) // the load has not begun
		default:
			return fmt.Errorf("the bare client: sent %d octets, %w", n, errno)
		}
	}
}

// threadCPU is what the calling thread has computed.
func threadCPU() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
