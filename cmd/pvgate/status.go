// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// statusReport is what GET /api/v1/status and the verb status show.
type statusReport struct {
	Version     string          `json:"version"`
	PID         int             `json:"pid"`
	Predecessor int             `json:"predecessor,omitempty"` // that drains still
	Upgrade     *upgradeResult  `json:"last_upgrade,omitempty"`
	Uptime      float64         `json:"uptime_seconds"`
	Snapshot    string          `json:"snapshot"`
	ConfigHash  string          `json:"config_hash"`
	Built       time.Time       `json:"built"`
	Ready       bool            `json:"ready"`
	Reload      reloadResult    `json:"last_reload"`
	Rows        int             `json:"rows"`
	Sources     []sourceReport  `json:"sources"`
	Registry    *registryReport `json:"registry,omitempty"`
	Links       *linkSummary    `json:"links,omitempty"`
	Connections int             `json:"connections"`
	Active      int             `json:"requests_in_flight"`
	Loops       []loopReport    `json:"loops"`
	Backends    []backendReport `json:"backends"`
	Names       []nameReport    `json:"names"` // of endpoints
}

type nameReport struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Age       float64      `json:"age_seconds"` // of the answer
	Error     string       `json:"error,omitempty"`
}

type loopReport struct {
	Thread        int     `json:"thread"` // TID
	Connections   int32   `json:"connections"`
	Waits         uint64  `json:"waits"`
	BlockingWaits uint64  `json:"blocking_waits"`
	BusyRatio     float64 `json:"busy_ratio"`
}

type backendReport struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`
	InFlight int64  `json:"in_flight"`
	Refused  uint64 `json:"refused_by_limit"`

	Endpoints []endpointReport `json:"endpoints,omitempty"`
}

// status collects the report.
func (s *service) status(context.Context) (any, error) {
	l, built, last := s.now()
	st, err := s.server.Stats()
	if err != nil {
		return nil, err
	}
	r := statusReport{
		Version: readVersion().Version, PID: os.Getpid(), Upgrade: s.lastUpgrade(), Uptime: st.Uptime.Seconds(), Snapshot: l.snapshot.ID, ConfigHash: l.cfg.Hash.String(), Built: built,
		Ready: s.ready() == nil, Reload: last, Rows: l.routes.table.Rows(), Connections: st.Open, Active: st.Active,
	}
	if p := s.born.predecessor; p.draining() {
		r.Predecessor = p.pid
	}
	r.Sources, r.Registry, r.Links = l.routes.sources, s.registry.status(l.cfg), s.links.summary()
	for i := range st.Loops {
		lp := &st.Loops[i]
		r.Loops = append(r.Loops, loopReport{lp.ThreadID, lp.Connections, lp.Waits, lp.BlockingWaits, float64(lp.Busy) / float64(max(st.Uptime, 1))})
	}
	limits := s.limits()
	for i := range l.routes.backends {
		b := &l.routes.backends[i]
		u := limits[b.name]
		r.Backends = append(r.Backends, backendReport{
			b.name, b.conf.Mode.V, u.InFlight, u.RateRefused + u.BusyRefused,
			reportEndpoints(l.snapshot.Backends[i].Endpoints, s.server.Mono()),
		})
	}
	for _, n := range s.books.names.Stats().Names {
		report := nameReport{Name: n.Host, Addresses: n.Addresses, Age: n.Age.Seconds()}
		if n.Err != nil {
			report.Error = n.Err.Error()
		}
		r.Names = append(r.Names, report)
	}
	return r, nil
}

// adminFlags lead to the admin listener of a running gateway: of the configuration, or as named.
type adminFlags struct {
	config  configFlags
	address string
	// patience is how long an answer may take.
	patience time.Duration
}

func (f *adminFlags) register(cmd *cobra.Command) {
	f.config.register(cmd)
	cmd.Flags().StringVar(&f.address, "admin", "", "address of the admin listener; absent: admin.address of the configuration")
}

// call asks the admin listener of the running gateway. A status other than 200 comes with its body and an error.
func (f *adminFlags) call(ctx context.Context, method, path string) ([]byte, error) {
	address := f.address
	if address == "" {
		cfg, err := f.config.load()
		address = cfg.Root.Admin.Address.V // readable even where routes.d is not: reload reports that
		if address == "" {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, max(f.patience, time.Minute))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	// One question, one connection, and no proxy: the admin listener is this node's.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w; is pvgate serve running with this configuration?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return body, fmt.Errorf("admin listener: %s", resp.Status)
	}
	return body, nil
}

// ask calls the running gateway and prints its answer, as JSON or by print.
func ask[T any](cmd *cobra.Command, flags *adminFlags, out *output, method, path string, print func(io.Writer, *T)) error {
	asJSON, err := out.json()
	if err != nil {
		return err
	}
	body, err := flags.call(cmd.Context(), method, path)
	if err != nil {
		return err
	}
	var r T
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	print(cmd.OutOrStdout(), &r)
	return nil
}

func newStatus() *cobra.Command {
	var flags adminFlags
	var out output
	cmd := &cobra.Command{Use: "status", Short: "Show what a running gateway does", Args: cobra.NoArgs}
	flags.register(cmd)
	out.flag(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		return ask(cmd, &flags, &out, http.MethodGet, "/api/v1/status", printStatus)
	})
	return cmd
}

func printStatus(w io.Writer, r *statusReport) {
	fmt.Fprintf(w, "pvgate %s  process %d  up %v  snapshot %s of %s  %d rows\n", r.Version, r.PID, time.Duration(r.Uptime*float64(time.Second)).Round(time.Second),
		r.Snapshot, r.Built.Format("2006-01-02 15:04:05"), r.Rows)
	if r.Reload.OK {
		fmt.Fprintf(w, "last reload  %s  ok, %d warnings\n", r.Reload.Time.Format("2006-01-02 15:04:05"), len(r.Reload.Warnings))
	} else {
		fmt.Fprintf(w, "last reload  %s  refused, %d errors; the snapshot above stays in service\n", r.Reload.Time.Format("2006-01-02 15:04:05"), len(r.Reload.Errors))
		for _, e := range r.Reload.Errors {
			fmt.Fprintf(w, "  %s: %s\n", e.Place, e.Text)
		}
	}
	if r.Upgrade != nil && !r.Upgrade.OK {
		fmt.Fprintf(w, "last upgrade %s  failed: %s\n", r.Upgrade.Time.Format("2006-01-02 15:04:05"), r.Upgrade.Error)
	}
	if r.Predecessor != 0 {
		fmt.Fprintf(w, "predecessor  process %d drains\n", r.Predecessor)
	}
	fmt.Fprintf(w, "clients      %d connections, %d requests in flight\n", r.Connections, r.Active)
	for i, l := range r.Loops {
		fmt.Fprintf(w, "loop %d       %d connections, busy %.0f %%\n", i, l.Connections, 100*l.BusyRatio)
	}
	r.Registry.print(w)
	r.Links.print(w)
	for _, s := range r.Sources {
		fmt.Fprintf(w, "source       %-16s %d rows: %d services, %d pages, %d blocked, %d quarantined\n", s.Name, s.Rows, s.Services, s.Pages, s.Blocked, s.Quarantined)
	}
	for _, b := range r.Backends {
		fmt.Fprintf(w, "backend      %-16s %-8s %d in flight, %d refused by its limits\n", b.Name, b.Mode, b.InFlight, b.Refused)
		for _, e := range b.Endpoints {
			fmt.Fprintf(w, "  endpoint   %-32s %s", e.URL, e.State)
			if e.For > 0 {
				fmt.Fprintf(w, " for %v", time.Duration(e.For*float64(time.Second)).Round(time.Second))
			}
			fmt.Fprintf(w, ", %d in flight\n", e.InFlight)
		}
	}
	for _, n := range r.Names {
		age := time.Duration(n.Age * float64(time.Second)).Round(time.Second)
		switch {
		case n.Error == "":
			fmt.Fprintf(w, "name         %-16s %v, %v ago\n", n.Name, n.Addresses, age)
		case len(n.Addresses) > 0:
			fmt.Fprintf(w, "name         %-16s %v still, %v ago: %s\n", n.Name, n.Addresses, age, n.Error)
		default:
			fmt.Fprintf(w, "name         %-16s no address: %s\n", n.Name, n.Error)
		}
	}
}

func newReload() *cobra.Command {
	var flags adminFlags
	var out output
	var accept string
	cmd := &cobra.Command{
		Use: "reload", Short: "Make a running gateway read its configuration again", Args: cobra.NoArgs,
		Long: "reload returns when the new configuration is in service; with an error nothing has changed.\n\n" +
			"With --accept it puts a delivery of the registry in service that was refused because it lacks, or has, too much;\n" +
			"pvgate status shows its digest. What cannot be read at all cannot be accepted.",
	}
	flags.register(cmd)
	out.flag(cmd)
	cmd.Flags().StringVar(&accept, "accept", "", "accept the refused delivery of this digest (sha256:…) once")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}
		path := "/api/v1/reload"
		if accept != "" {
			path += "?accept=" + url.QueryEscape(accept)
		}
		flags.patience = buildTime // a changed registry is built meanwhile
		body, err := flags.call(cmd.Context(), http.MethodPost, path)
		var r reloadResult
		if jerr := json.Unmarshal(body, &r); jerr != nil {
			return errors.Join(err, jerr)
		}
		if asJSON {
			if werr := writeJSON(cmd.OutOrStdout(), r); werr != nil {
				return werr
			}
		} else {
			printReload(cmd.OutOrStdout(), &r)
		}
		if err != nil {
			return &exitError{code: exitFailed}
		}
		return nil
	})
	return cmd
}

func printReload(w io.Writer, r *reloadResult) {
	for _, e := range r.Errors {
		fmt.Fprintf(w, "error: %s: %s\n", e.Place, e.Text)
	}
	for _, e := range r.Warnings {
		fmt.Fprintf(w, "warning: %s: %s\n", e.Place, e.Text)
	}
	switch {
	case !r.OK:
		fmt.Fprintf(w, "refused: %d errors; snapshot %s stays in service\n", len(r.Errors), r.Snapshot)
	case r.Changed:
		fmt.Fprintf(w, "snapshot %s is in service\n", r.Snapshot)
	default:
		fmt.Fprintf(w, "nothing has changed; snapshot %s stays in service\n", r.Snapshot)
	}
}
