// SPDX-License-Identifier: EUPL-1.2

// Command corpora sends the built pvgate everything that the material knows to be hostile, wrong or merely unusual in
// HTTP/1.1, on both sides, and checks what arrives at the origin and what comes back to the client. Two judges that share
// nothing with the gateway read the bytes upstream: the package strict, and Node's llhttp.
//
// For every case: what arrives parses cleanly; nothing that must be refused arrives; every answer belongs to the request
// it answers, on the same connection and on another one that shares the upstream connections; the process neither
// crashes nor keeps descriptors; the backend's counter says how many were forwarded. A second run with a binary whose
// strict checks are switched off shows that all this would be noticed.
//
// It reads PVGATE_MATERIAL/corpora and, without one, says so and succeeds.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
)

// minLenient is how many refused cases the lenient binary must let through for the harness to be believed.
const minLenient = 1000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "corpora:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("corpora", flag.ContinueOnError)
	o := options{}
	flags.StringVar(&o.binary, "bin", "bin/pvgate", "the gateway under test")
	flags.StringVar(&o.lenient, "lenient", "bin/pvgate-lenient", "the gateway with its strict checks off; empty to skip")
	flags.IntVar(&o.lanes, "lanes", 16, "how many cases run at once")
	flags.IntVar(&o.loops, "loops", 1, "event loops of the gateway; with one, all clients share all upstream connections")
	flags.IntVar(&o.show, "show", 40, "how many violations to print")
	flags.StringVar(&o.only, "only", "", "run only cases whose corpus or name contains this")
	flags.BoolVar(&o.seconds, "times", false, "print the slowest cases")
	flags.BoolVar(&o.tls, "tls", false, "clients come by TLS")
	mutations := flags.Int("mutations", 0, "run so many seeded mutations of the cases instead")
	seed := flags.Uint64("seed", 1, "seed of the mutations")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder := os.Getenv("PVGATE_MATERIAL")
	if folder == "" {
		fmt.Fprintln(out, "corpora: skipped: PVGATE_MATERIAL is not set; it names the folder that holds corpora/")
		return nil
	}
	m, err := load(filepath.Join(folder, "corpora"))
	if err != nil {
		return err
	}
	if o.only != "" {
		m.keep(o.only)
	}
	if *mutations > 0 {
		return runMutations(ctx, o, m, *seed, *mutations, out)
	}
	name := "corpora"
	if o.tls {
		name = "corpora-tls"
	}
	proven := proof.Start(name, 0)
	report, err := session(ctx, o.binary, o, m)
	if err != nil {
		return err
	}
	report.print(out, o.show)
	failures := report.failures()

	if o.lenient != "" && o.only == "" {
		lax := &material{requests: m.requests}
		lenient, err := session(ctx, o.lenient, o, lax)
		if err != nil {
			return fmt.Errorf("lenient binary: %w", err)
		}
		report.Lenient = lenient.ForwardedRejects
		fmt.Fprintf(out, "with the strict checks off: %d refused cases forwarded (at least %d wanted)\n", report.Lenient, minLenient)
		if report.Lenient < minLenient {
			failures++
		}
	}
	if o.only == "" && o.loops == 1 {
		if _, err := proven.Write(report.figures, true); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "corpora: %d passed, %d failed\n", report.Cases-report.FailedCases, failures)
	if failures > 0 {
		return fmt.Errorf("%d violations", failures)
	}
	return nil
}

type options struct {
	binary, lenient, only string
	lanes, loops, show    int
	seconds, tls          bool
}

const settle = 12 * time.Second // longer than pooled connections and aborted exchanges live
