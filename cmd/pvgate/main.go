// SPDX-License-Identifier: EUPL-1.2

// Command pvgate is the gateway of the Portalverbund: it finds the portal that
// is responsible for a Leistung in an area and hands the request to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes of every verb.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitCheck  = 3 // check found errors
	exitDiff   = 4 // diff is not empty
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is pvgate as a function: everything main is, without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var ended *exitError
	if !errors.As(err, &ended) {
		// Whatever no verb returned is cobra's: a flag, a verb or an argument.
		fmt.Fprintf(stderr, "pvgate: %v\nRun \"pvgate help\" for the verbs, \"pvgate VERB --help\" for one of them.\n", err)
		return exitUsage
	}
	if ended.err != nil {
		fmt.Fprintf(stderr, "pvgate: %v\n", ended.err)
	}
	return ended.code
}

// exitError ends a verb with a code. Without a cause the verb has already said
// what is to be said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
