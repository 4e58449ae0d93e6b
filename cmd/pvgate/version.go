// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
)

// versionInfo is what this binary is made of.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"` // built from a work tree with changes
	Time     string `json:"time"`     // of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Areas    string `json:"areas"` // source of the embedded Gemeindeverzeichnis
}

// readVersion asks the binary what the go command wrote into it.
func readVersion() versionInfo {
	v := versionInfo{
		Version: "devel", Revision: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Areas: registry.EmbeddedSource,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// newVersion is the verb version.
func newVersion() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what this binary is made of",
		Args:  cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			v := readVersion()
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			changed := ""
			if v.Modified {
				changed = " with changes"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "pvgate %s (revision %s%s)\n%s %s\nareas %s\n",
				v.Version, v.Revision, changed, v.Go, v.Platform, v.Areas)
			return err
		}),
	}
	out.flag(cmd)
	return cmd
}
