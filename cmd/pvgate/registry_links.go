// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/links"
)

// newRegistryLinks is the verb registry links: which addresses of the registry are stale, and whose they are.
func newRegistryLinks() *cobra.Command {
	var flags adminFlags
	var out output
	var live bool
	cmd := &cobra.Command{
		Use:   "links",
		Short: "Show which addresses of the registry do not answer any more, by Land and by who keeps them",
		Long: "links shows what the check of links (link_check) has found, from the folder of registry.state, or with --live from\n" +
			"the running gateway. It asks no portal. See docs/links.md.",
		Args: cobra.NoArgs,
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&live, "live", false, "ask the running gateway")
	out.flag(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		if live {
			return ask(cmd, &flags, &out, http.MethodGet, "/api/v1/links", printLinks)
		}
		asJSON, err := out.json()
		if err != nil {
			return err
		}
		cfg, err := flags.config.load()
		if err != nil {
			return fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
		}
		r, err := links.ReadReport(linkFolder(cfg))
		if cfg.Root.Registry.State.V == "" || errors.Is(err, fs.ErrNotExist) {
			return errNoLinks
		}
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), r)
		}
		printLinks(cmd.OutOrStdout(), r)
		return nil
	})
	return cmd
}

func printLinks(w io.Writer, r *links.Report) {
	fmt.Fprintf(w, "%d addresses at %d hosts, %d checked, %d stale; a round takes %v; as of %s\n", r.Links, r.Hosts, r.Checked, r.Stale,
		time.Duration(r.Round*float64(time.Second)).Round(time.Second), r.Made.Format("2006-01-02 15:04:05"))
	if r.Blind {
		fmt.Fprintln(w, "nobody answers, so nothing is said of anybody: can this machine reach the web?")
	}
	if r.Left > 0 {
		fmt.Fprintf(w, "%d addresses are not checked: they are at more hosts than are followed\n", r.Left)
	}
	var found []string
	for _, result := range links.Results() {
		if n := r.Results[result.String()]; n > 0 {
			found = append(found, fmt.Sprintf("%s %d", result, n))
		}
	}
	fmt.Fprintf(w, "last checks: %s\n", strings.Join(found, ", "))
	if len(r.Owners) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nLand\towner\tstale\trows\tmoved")
	for _, o := range r.Owners {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\n", o.Land, o.Owner, o.Stale, o.Rows, o.Moved)
	}
	_ = t.Flush() // as the writes beside it
	printLinkList(w, "stale", r.StaleLinks, r.Stale)
	printLinkList(w, "moved for good", r.MovedLinks, len(r.MovedLinks))
}

func printLinkList(w io.Writer, title string, list []links.LinkReport, all int) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for i := range list {
		l := &list[i]
		fmt.Fprintf(w, "  %s\n    %s", l.URL, l.Result)
		if l.Code > 0 {
			fmt.Fprintf(w, " %d", l.Code)
		}
		if l.To != "" {
			fmt.Fprintf(w, " at %s", l.To)
		}
		if l.Failures > 0 {
			fmt.Fprintf(w, ", %d times since %s", l.Failures, l.Since.Format("2006-01-02 15:04"))
		}
		fmt.Fprintf(w, "; %s in %s of %s, such as %s at %s (%s)\n", counted(l.Rows, "row", "rows"), strings.Join(l.Lands, " "), strings.Join(l.Owners, ", "), l.Leistung, l.Area, l.From)
		if l.Sample {
			fmt.Fprintln(w, "    it stands for addresses that differ in their place's digits alone")
		}
	}
	if all > len(list) {
		fmt.Fprintf(w, "  … %d more\n", all-len(list))
	}
}
