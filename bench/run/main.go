// SPDX-License-Identifier: EUPL-1.2

// Command run measures pvgate beside nginx on this machine (`make bench`).
//
// Both proxies run at once, bound to one core, and take short turns: A B A B A B,
// in the next round B A B A B A. The load generator and the origin share another
// core. What is compared is the CPU time of the proxy process (user + system, all
// threads) per completed request; the ratio is taken within each round, the
// figures are the median over the rounds and its 95 % interval. The turns are
// short because a shared machine changes its pace within seconds.
//
// A round in which other programs or the hypervisor took more than a little of
// these cores is void and is repeated; the limits are printed with the result.
//
// It deliberately gives no absolute promise: the microseconds belong to the
// machine, only the ratio travels. It uses pvgate as a binary over the network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/bench/proc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// logged is the subject that has its access log on.
const logged = "pvgate-logged"

var errUsage = errors.New("usage")

// options are the flags.
type options struct {
	pvgate    string
	subject   string
	cases     []benchCase
	rounds    int
	duration  time.Duration
	turn      time.Duration
	warmUp    time.Duration
	rows      int
	seed      uint64
	proxyCore int
	loadCore  int
	disturbed bool
	quick     bool
	gate      bool
	out       string
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	// The generator and the origin are this same program, started again: each
	// wants a process of its own, so that its CPU time can be told apart.
	if len(args) > 0 {
		switch args[0] {
		case originRole:
			return runOrigin(ctx, stdout)
		case loadRole:
			return runLoad(ctx, stdin, stdout)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.proxyCore >= runtime.NumCPU() || o.loadCore >= runtime.NumCPU() {
		return fmt.Errorf("%w: cores %d and %d are wanted, this machine has %d; see -proxy-core, -load-core", errUsage, o.proxyCore, o.loadCore, runtime.NumCPU())
	}
	key := newKey(ctx, o)
	dir, err := os.MkdirTemp("", "pvgate-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.pvgate == "" && o.subject != "nginx" {
		if o.pvgate, err = build(ctx, dir); err != nil { // on all cores: before anything is pinned
			return err
		}
	}
	if err := proc.PinAll(o.loadCore); err != nil {
		return err
	}
	st, err := newStage(ctx, o, dir, stderr)
	if err != nil {
		return err
	}
	defer st.stop()
	key.Nice = st.nice
	results, missing := measureAll(ctx, o, key, st.measure)
	key.SubjectRSS = st.subject.rss()
	return errors.Join(missing, publish(stdout, o, results, key))
}

// measureAll measures each case. One that fails costs itself, not what the others have shown; the error names it.
func measureAll(ctx context.Context, o options, key *key, measure func(context.Context, benchCase) ([]round, int, error)) ([]result, error) {
	var results []result
	var missing []error
	for _, c := range o.cases {
		err := ctx.Err()
		var rounds []round
		var void int
		if err == nil {
			rounds, void, err = measure(ctx, c)
		}
		if err != nil {
			key.Missing = append(key.Missing, missingCase{Name: c.Name, Why: err.Error()})
			missing = append(missing, fmt.Errorf("%s is not measured: %w", c.Name, err))
			continue
		}
		results = append(results, newResult(c, rounds, o.seed))
		key.add(c, rounds, void)
	}
	return results, errors.Join(missing...)
}

// publish shows and writes what has been measured. Where nothing has, what was written before stays.
func publish(stdout io.Writer, o options, results []result, key *key) error {
	if len(results) == 0 {
		return nil
	}
	writeTable(stdout, o, results, key)
	if o.out != "" {
		if err := writeFiles(o.out, results, key); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\nwritten to %s and %s\n", o.out, keyPath(o.out))
	}
	if o.gate {
		return checkGate(key.Cases, results)
	}
	return nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.pvgate, "pvgate", "", "pvgate binary to measure (built from this checkout if empty)")
	fs.StringVar(&o.subject, "subject", "pvgate", "what is compared with nginx: pvgate, or nginx itself to see how true the method is (ratio 1); or pvgate-logged, which is compared with pvgate: what its access log costs")
	names := fs.String("cases", "", "comma-separated cases, or all; default "+strings.Join(defaultNames(), ",")+"; known: "+strings.Join(allNames(), ","))
	fs.IntVar(&o.rounds, "rounds", 11, "undisturbed rounds wanted for each case")
	fs.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of each proxy in a round")
	fs.DurationVar(&o.turn, "turn", 500*time.Millisecond, "length of one turn; a round has as many as it needs")
	fs.DurationVar(&o.warmUp, "warm-up", 200*time.Millisecond, "load at the beginning of each turn that is not counted")
	fs.IntVar(&o.rows, "rows", 1_000_000, "rows of pvgate's registry")
	fs.Uint64Var(&o.seed, "seed", 42, "decides the registry, the requests and the resampling")
	fs.IntVar(&o.proxyCore, "proxy-core", 0, "core of the proxies")
	fs.IntVar(&o.loadCore, "load-core", 1, "core of the load generator and the origin")
	fs.BoolVar(&o.disturbed, "allow-disturbed", false, "count disturbed rounds too; the figures are then worth little")
	fs.BoolVar(&o.quick, "quick", false, "one short round on a small registry, disturbed or not: shows that all of it works, measures nothing")
	fs.BoolVar(&o.gate, "gate", false, "fail if an upper bound is over the project's limit for its case")
	fs.StringVar(&o.out, "out", "", "where the result goes (default bench/results/latest.json; with -quick or another subject nowhere)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
	}
	if o.subject != "pvgate" && o.subject != "nginx" && o.subject != logged {
		return o, fmt.Errorf("%w: -subject %q, must be pvgate, nginx or %s", errUsage, o.subject, logged)
	}
	var err error
	if o.cases, err = pick(*names); err != nil {
		return o, err
	}
	if o.subject == logged {
		for i := range o.cases {
			o.cases[i].Limit = 0 // they are of the ratio to nginx
		}
	}
	if o.quick {
		o.rounds, o.duration, o.turn, o.warmUp, o.rows, o.disturbed = 1, 500*time.Millisecond, 250*time.Millisecond, 100*time.Millisecond, 20_000, true
	} else if o.out == "" && o.subject == "pvgate" {
		o.out = filepath.Join("bench", "results", "latest.json")
	}
	if o.rounds < 1 || o.turn < 100*time.Millisecond || o.duration < o.turn || o.proxyCore == o.loadCore {
		return o, fmt.Errorf("%w: at least one round, turns of 100ms or more, and two different cores are needed", errUsage)
	}
	return o, nil
}
