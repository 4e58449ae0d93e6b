// SPDX-License-Identifier: EUPL-1.2

// Command rig puts the built pvgate under the loads that break gateways, over the network and against real sockets, and
// fails where a promise is not kept:
//
//	stream   bodies of 1 GiB both ways, with length and chunked, in bounded memory; a slow side pauses the other
//	echo     tagged requests over shared upstream connections with aborting clients and faulty origins: each answer is
//	         the answer to its own request, and nothing leaks
//	reload   reloads under load, each changing the backend of a probed route: no failed request, seen at once
//	upgrade  processes that follow one another under load of every version of HTTP: no failed request; successors that
//	         fail cost nothing
//	drain    requests in flight for 30 s are answered by a process that is to end
//	backends  endpoints that are killed, stopped or sick cost few requests and return without a second dip; one slow backend
//	         of ten slows no other
//	websockets  reloads with a thousand WebSockets open: all stay, in the same memory
//	many     thousands of backends cost little more a request than a few
//	registry  processes killed while they renew their registry: the next one knows every key; a large registry swapped under
//	         load, and asked as fast as a small one
//	lookup   a thousand citizens ask for what only a Suchdienst knows, which then fails in every way: one call for a key and
//	         its time, known keys are answered, loops do not block, and keys of the table are answered as before
//	loops    the loop's thread never blocks but in epoll, and the request path allocates nothing
//	abort    clients that leave in every phase of a request; nothing of them stays
//	once     forms over connections that a portal closes after 2 s, and to portals that die in five phases of one: none
//	         fails for the former, none is applied twice
//	idle     thousands of connections that have asked once and wait, in bounded memory each
//	slow     slowhttptest's four attacks with thousands of connections, beside healthy clients
//	neighbours  four connections that waste the gateway's time, in every way that is known, beside a healthy client
//	overload more than a portal takes, with and without retries; more connections than descriptors; more than the memory
//	peak     half as much again as the gateway itself can serve: what it admits is served in time
//	testssl  testssl.sh's judgement of both profiles of TLS: nothing worse than LOW
//	h2spec   h2spec's cases, the strict ones too, over TLS and without: none fails
//	quic     h3spec's cases of the transport and floods below HTTP/3: reported, no worse than it is known to be, in bounded
//	         memory, and others are served
//
// By default it runs counts that end within a minute each; with PVGATE_PROVE=1 the full ones, and then writes the
// figures to bench/proof.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
	"github.com/pvgate/pvgate/bench/origin"
	"github.com/pvgate/pvgate/bench/proof"
)

// rig is one kind of load. It returns the figures it measured, and an error for the promises that were not kept.
type rig struct {
	name string
	run  func(context.Context, *bed) (any, error)
	// timed says that it judges times, or what is answered in time.
	timed bool
}

var rigs = [...]rig{
	{"stream", stream, false},
	{"echo", echo, false},
	{"reload", reload, false},
	{"upgrade", upgrade, false},
	{"drain", drain, true},
	{"backends", backends, true},
	{"websockets", websockets, false},
	{"registry", registry, false},
	{"lookup", lookup, true},
	{"loops", loops, true},
	{"many", many, true},
	{"abort", abort, false},
	{"once", once, false},
	{"idle", idle, false},
	{"slow", slow, true},
	{"neighbours", hostileNeighbours, true},
	{"overload", overload, true},
	{"peak", peak, true},
	{"testssl", testssl, false},
	{"h2spec", h2spec, false},
	{"quic", quicConformance, false},
}

// skipped is why a rig could not run; it is no failure.
type skipped string

func (s skipped) Error() string { return string(s) }

// bed is what every rig starts from.
type bed struct {
	binary string
	seed   uint64
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == holdRole {
		if err := hold(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "rig:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == manyRole {
		fmt.Fprintln(os.Stderr, "rig:", manyOrigins())
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == mortalRole {
		fmt.Fprintln(os.Stderr, "rig:", mortal(os.Args[2]))
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == hostileRole {
		if err := hostile(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "rig:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("rig", flag.ContinueOnError)
	b := &bed{}
	flags.StringVar(&b.binary, "bin", "bin/pvgate", "the gateway under test")
	flags.Uint64Var(&b.seed, "seed", 0, "seed of what is random; 0 takes one from the clock")
	only := flags.String("only", "", "names of rigs to run, separated by commas; all if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.seed == 0 {
		b.seed = uint64(time.Now().UnixNano())
	}
	passed, left := 0, 0
	var failed []string
	for _, r := range rigs {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), r.name) {
			continue
		}
		fmt.Printf("== %s (seed %d)\n", r.name, b.seed)
		written := proof.Start("rig-"+r.name, b.seed)
		figures, err := r.times(ctx, b)
		if why, ok := errors.AsType[skipped](err); ok {
			left++
			fmt.Printf("-- %s skipped: %s\n", r.name, why)
			continue
		}
		if err != nil {
			fmt.Printf("-- %s FAILED: %v\n", r.name, err)
			failed = append(failed, fmt.Sprintf("%s: %v", r.name, err))
			continue
		}
		passed++
		if path, err := written.Write(figures, false); err != nil {
			return err
		} else if path != "" {
			fmt.Println("   written to", path)
		}
	}
	fmt.Printf("rigs: %d passed, %d failed, %d skipped\n", passed, len(failed), left)
	if len(failed) > 0 {
		return fmt.Errorf("%d rigs failed; repeat with -seed %d\n%s", len(failed), b.seed, strings.Join(failed, "\n"))
	}
	return nil
}

// times runs a rig, and prints what each run came to. One that judges times is run again, twice at most, if it fails in a short
// run while the hypervisor gives the processors to others, who are not the gateway's.
func (r *rig) times(ctx context.Context, b *bed) (any, error) {
	for try := 1; ; try++ {
		start := time.Now()
		stolen, err := theft()
		if err != nil {
			return nil, err
		}
		figures, err := r.run(ctx, b)
		share, unknown := stolen()
		text, _ := json.Marshal(figures) // a struct of numbers
		fmt.Printf("   %s\n   %.1f s, %.1f %% of the processors were others'\n", text, time.Since(start).Seconds(), 100*share)
		if err == nil || unknown != nil {
			return figures, errors.Join(err, unknown)
		}
		if _, ok := errors.AsType[skipped](err); ok || proof.Full() || !r.timed || share <= mostStolen || try == disturbedTries {
			return figures, err
		}
		fmt.Printf("-- %s failed, and is run again: %v\n", r.name, err)
	}
}

// startOrigin starts a backend that answers with as much as the path asks for. stop ends it.
func startOrigin(ctx context.Context) (address string, stop func(), err error) {
	back, err := origin.New(netip.MustParseAddrPort(binary.AnyPort))
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = back.Run(ctx) })
	return back.Addr().String(), func() { cancel(); running.Wait() }, nil
}

// gateway starts the binary with one listener whose default backend is at origin.
func (b *bed) gateway(ctx context.Context, origin, more string) (p *binary.Process, address string, err error) {
	return b.start(ctx, origin, "", more)
}

// secure is gateway with a listener over TLS that speaks every version of HTTP.
func (b *bed) secure(ctx context.Context, origin, more string) (p *binary.Process, address string, err error) {
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir) // read when the gateway starts
	if err := cert.Write(dir, tlsHost); err != nil {
		return nil, "", err
	}
	return b.start(ctx, origin, fmt.Sprintf(", protocols: [h1, h2, h3], tls: {cert: %q, key: %q}", filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile)), more)
}

func (b *bed) start(ctx context.Context, origin, listener, more string) (p *binary.Process, address string, err error) {
	config := fmt.Sprintf("listen: [{address: %q, hosts: any, default: origin%s}]\n%s"+
		"backends:\n  origin: {mode: proxy, endpoints: [\"http://%s\"]}\n", binary.AnyPort, listener, more, origin)
	p, err = binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, "", err
	}
	return p, p.Address(0), nil
}

// bothListeners is gateway with a listener without TLS and one with it; config is what it has.
func (b *bed) bothListeners(ctx context.Context, origin, dir string) (p *binary.Process, plain, config string, err error) {
	if err := cert.Write(dir, tlsHost); err != nil {
		return nil, "", "", err
	}
	config = fmt.Sprintf("listen:\n  - {address: %q, hosts: any, default: origin}\n"+
		"  - {address: %q, hosts: any, default: origin, protocols: [h1, h2, h3], tls: {cert: %q, key: %q}}\n"+
		"backends:\n  origin: {mode: proxy, endpoints: [\"http://%s\"], timeouts: {first_byte: 60s}}\n",
		binary.AnyPort, binary.AnyPort, filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile), origin)
	p, err = binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, "", "", err
	}
	return p, p.Address(0), config, nil
}

// end stops the gateway and adds what it says on the way out; after a fault also what it has answered by itself, and why.
func end(p *binary.Process, err error) error {
	if err != nil {
		err = errors.Join(err, ownAnswers(p))
	}
	if line := p.Panicked(); line != "" {
		err = errors.Join(err, fmt.Errorf("the gateway crashed: %s", line))
	}
	return errors.Join(err, p.Stop())
}

// ownAnswers lists the answers that the gateway has made by itself, by reason.
func ownAnswers(p *binary.Process) error {
	m, err := p.Metrics()
	if err != nil {
		return err
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if reasons, found := strings.CutPrefix(name, "pvgate_reasons_total"); found && m[name] > 0 {
			all = append(all, fmt.Sprintf("%.0f %s", m[name], reasons))
		}
	}
	return fmt.Errorf("its own answers: %s", strings.Join(all, ", "))
}

// descriptorsReturn waits until the gateway has no more descriptors open than at base, and says so if it keeps them.
func descriptorsReturn(p *binary.Process, base int) error {
	deadline := time.Now().Add(15 * time.Second) // pooled connections wait 4 s for their next request
	for {
		now, err := p.FDs()
		if err != nil || now <= base+1 { // one more: the connection that reads its metrics
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d descriptors open after the run, %d before", now, base)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const mib = 1 << 20
