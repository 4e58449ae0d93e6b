// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/bundle"
)

// newRegistryStats is the verb registry stats: what is in a bundle, in numbers.
func newRegistryStats() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "stats FILE",
		Short: "Count what is in a bundle: by source, Land, kind and section",
		Args:  cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			b, err := openBundle(args[0])
			if err != nil {
				return refusedFile(cmd, err)
			}
			s := statsOf(b, time.Now())
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return s.print(cmd)
		}),
	}
	out.flag(cmd)
	return cmd
}

// bundleStats is what stats says.
type bundleStats struct {
	Digest   string               `json:"digest"`
	Sequence uint64               `json:"sequence"`
	Created  time.Time            `json:"created"`
	Age      float64              `json:"age_seconds"`
	Bytes    int64                `json:"bytes"`
	Areas    string               `json:"areas"`
	Services int                  `json:"services"`
	Pages    int                  `json:"pages"`
	Sources  []bundle.SourceFacts `json:"sources"`
	Lands    []landStats          `json:"lands"`
	Sections []sectionStats       `json:"sections"`
}

type landStats struct {
	Land     string `json:"land"` // two digits, 00 is the Bund
	Services int    `json:"services"`
	Pages    int    `json:"pages"`
}

type sectionStats struct {
	Tag   string `json:"tag"`
	Bytes int    `json:"bytes"`
}

func statsOf(b *bundle.Bundle, now time.Time) *bundleStats {
	s := &bundleStats{
		Digest: b.Digest.String(), Sequence: b.Meta.Sequence, Created: b.Meta.Created, Age: now.Sub(b.Meta.Created).Round(time.Second).Seconds(),
		Bytes: b.Size(), Areas: b.Meta.Areas, Sources: b.Meta.Sources, Lands: make([]landStats, bundle.Lands), Sections: []sectionStats{},
	}
	for i := range s.Lands {
		s.Lands[i].Land = fmt.Sprintf("%02d", i)
		for j := range s.Sources {
			s.Lands[i].Services += s.Sources[j].Lands[i].Services
			s.Lands[i].Pages += s.Sources[j].Lands[i].Pages
		}
		s.Services += s.Lands[i].Services
		s.Pages += s.Lands[i].Pages
	}
	for _, part := range b.Sections() {
		s.Sections = append(s.Sections, sectionStats{part.Tag, len(part.Data)})
	}
	return s
}

func (s *bundleStats) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(cmd.OutOrStdout(), "%d services, %d pages; sequence %d, created %s (%s ago), %d bytes\n%s\n",
		s.Services, s.Pages, s.Sequence, s.Created.Format(time.RFC3339), time.Duration(s.Age*float64(time.Second)), s.Bytes, s.Digest)
	fmt.Fprintln(w, "\nsource\trows\tservices\tpages\tblocked\tskipped\tempty\tquarantined\tunknown area\tmodified\t")
	for i := range s.Sources {
		f := &s.Sources[i]
		modified := "unknown"
		if !f.Modified.IsZero() {
			modified = f.Modified.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n",
			f.Name, f.Rows, f.Services, f.Pages, f.Blocked, f.Skipped, f.Empty, f.Quarantined, f.UnknownArea, modified)
	}
	fmt.Fprintln(w, "\nLand\tservices\tpages\t")
	for _, l := range s.Lands {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", l.Land, l.Services, l.Pages)
	}
	fmt.Fprintln(w, "\nsection\tbytes\t")
	for _, part := range s.Sections {
		fmt.Fprintf(w, "%s\t%d\t\n", part.Tag, part.Bytes)
	}
	return w.Flush()
}
