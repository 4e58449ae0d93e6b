// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// newCheck is the verb check: everything serve and reload do before they serve,
// and the tests of the configuration.
func newCheck() *cobra.Command {
	var (
		flags configFlags
		out   output
	)
	cmd := &cobra.Command{
		Use:   "check [pvgate.yaml]",
		Short: "Say what is wrong with a configuration, and run its tests",
		Long: "check reads the configuration with all route files and sources, builds from it exactly what serve\n" +
			"would serve, and runs the tests: of the route files. It opens no port.\n\n" +
			"Exit codes: 0 nothing is wrong (there may be warnings), 1 check itself failed, 3 errors or failed tests.",
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				flags.path = args[0]
			}
			r := check(cmd.Context(), &flags, time.Now())
			if err := r.print(cmd, asJSON); err != nil {
				return err
			}
			if !r.OK {
				return &exitError{code: exitCheck}
			}
			return nil
		}),
	}
	flags.register(cmd)
	out.flag(cmd)
	return cmd
}

// finding is one line of a check's report.
type finding struct {
	Place string `json:"place"` // file:line:col
	Text  string `json:"text"`
}

// checked is the report of a check.
type checked struct {
	OK       bool      `json:"ok"`
	Config   string    `json:"config"`
	Hash     string    `json:"hash"`
	Errors   []finding `json:"errors"`
	Warnings []finding `json:"warnings"`
	Tests    struct {
		Run    int       `json:"run"`
		Failed []finding `json:"failed"`
	} `json:"tests"`
	Backends int            `json:"backends"`
	Rows     int            `json:"rows"`
	Sources  []sourceReport `json:"sources"`
}

type sourceReport struct {
	Name        string `json:"name"`
	Rows        int    `json:"rows"`
	Services    int    `json:"services"`
	Pages       int    `json:"pages"`
	Blocked     int    `json:"blocked"`
	Quarantined int    `json:"quarantined"`
}

func check(ctx context.Context, flags *configFlags, now time.Time) *checked {
	r := &checked{Config: flags.path, Errors: []finding{}, Warnings: []finding{}, Sources: []sourceReport{}}
	r.Tests.Failed = []finding{}
	cfg, err := flags.load()
	r.Hash = cfg.Hash.String()
	var built *routes
	if err != nil { // what is left can still be judged, but not put in service
		var more error
		built, more = buildRoutes(ctx, cfg, onlooker())
		err = config.Join(err, more)
	} else {
		var l *live
		kept := newBooks(nil)
		defer kept.names.Close()
		l, err = buildLive(ctx, cfg, kept, own{registry: onlooker(), keys: randomKeys().context()})
		built = l.routes
	}
	r.Errors = append(r.Errors, findings(err)...)
	warnings := append(built.warnings, endingKeys(cfg, now)...)
	if len(r.Errors) == 0 {
		warnings = append(warnings, append(closedRows(built, now), rivalOffers(built, now)...)...)
	}
	r.Warnings = append(r.Warnings, findings(warnings.Sorted())...)
	r.Sources = append(r.Sources, built.sources...)
	r.Backends = len(built.backends)
	if len(r.Errors) == 0 {
		r.Rows = built.table.Rows()
		n, failed := runTests(cfg, built, now)
		r.Tests.Run = n
		r.Tests.Failed = append(r.Tests.Failed, findings(failed)...)
	}
	r.OK = len(r.Errors) == 0 && len(r.Tests.Failed) == 0
	return r
}

// findings are the members of an error of package config; another error is one
// finding without a place.
func findings(err error) []finding {
	if err == nil {
		return nil
	}
	var list config.Errors
	if !errors.As(err, &list) {
		return []finding{{"pvgate", err.Error()}}
	}
	out := make([]finding, 0, len(list))
	for _, e := range list.Sorted() {
		out = append(out, finding{e.Origin.String(), e.Text})
	}
	return out
}

// maxPrinted bounds each part of the report in text; JSON has everything.
const maxPrinted = 200

func (r *checked) print(cmd *cobra.Command, asJSON bool) error {
	w := cmd.OutOrStdout()
	if asJSON {
		return writeJSON(w, r)
	}
	part := func(list []finding, kind string) {
		for i, f := range list {
			if i == maxPrinted {
				fmt.Fprintf(w, "… and %d more; -o json has all\n", len(list)-i)
				return
			}
			fmt.Fprintf(w, "%s: %s%s\n", f.Place, kind, f.Text)
		}
	}
	part(r.Errors, "")
	part(r.Tests.Failed, "")
	part(r.Warnings, "warning: ")
	for _, s := range r.Sources {
		fmt.Fprintf(w, "source %s: %d rows, %d services, %d pages, %d blocked, %d quarantined\n", s.Name, s.Rows, s.Services, s.Pages, s.Blocked, s.Quarantined)
	}
	verdict := "ok"
	if !r.OK {
		verdict = "not ok"
	}
	fmt.Fprintf(w, "%s: %s (%d errors, %d warnings, %d of %d tests failed; %d backends, %d rows, hash %s)\n",
		r.Config, verdict, len(r.Errors), len(r.Warnings), len(r.Tests.Failed), r.Tests.Run, r.Backends, r.Rows, r.Hash)
	return nil
}

// runTests asks the table what the tests: of the files want to know.
func runTests(cfg *config.Config, built *routes, now time.Time) (n int, failed config.Errors) {
	for _, f := range cfg.Files {
		for i := range f.Blocks.Tests {
			n++
			if e := runTest(&f.Blocks.Tests[i], built, now); e != nil {
				failed = append(failed, e)
			}
		}
	}
	return n, failed.Sorted()
}

func runTest(t *config.Test, built *routes, now time.Time) *config.Error {
	at := now
	if t.When.V != "" {
		when, err := registry.ParseTime(t.When.V)
		if err != nil || when.IsZero() {
			return config.At(t.When.Origin, "at %q is no moment; write 2026-12-31 or 2026-12-31 18:00", t.When.V)
		}
		at = when
	}
	got, url := answer(t, built, at)
	if got == t.Want.V || (t.Want.V == reason.Handover.String() && url != "") {
		return nil
	}
	if url != "" {
		got += " (" + url + ")"
	}
	hint := "pvgate explain " + t.Leistung.V
	if t.Area.V != "" {
		hint += " --area " + t.Area.V
	}
	if t.When.V != "" {
		hint += fmt.Sprintf(" --at %q", t.When.V)
	}
	return config.At(t.Want.Origin, "want %s, got %s; see %s", t.Want.V, got, hint)
}

// answer is the backend, with its URL, or the reason why there is none.
func answer(t *config.Test, built *routes, at time.Time) (got, url string) {
	q := routing.Query{At: at, Sender: t.Sender.V}
	if q.Sender == "direct" {
		q.Sender = ""
	}
	l, err := registry.ParseLeistung(t.Leistung.V)
	if err != nil {
		return reason.InvalidLeistung.String(), ""
	}
	q.Leistung = l
	if t.Area.V != "" {
		place, err := built.areas.Locate(t.Area.V, at, registry.LocateOptions{})
		if err != nil {
			return ofPlace(err).String(), ""
		}
		q.Area = place.ID
	}
	d := built.table.Bulk().Resolve(&q) // check asks nobody
	if d.Verdict != routing.Handover {
		return d.Verdict.String(), ""
	}
	to, err := built.table.AppendURL(nil, &q, &d)
	if err != nil {
		return reason.TargetRefused.String(), ""
	}
	return built.table.BackendName(d.Backend), string(to)
}

// ofPlace is the reason for an area that could not be found.
func ofPlace(err error) reason.Code {
	var (
		unknown *registry.UnknownArea
		split   *registry.SplitArea
	)
	switch {
	case errors.As(err, &unknown):
		return reason.UnknownArea
	case errors.As(err, &split):
		return reason.AreaRequired
	}
	return reason.InvalidArea
}
