// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/reason"
)

// newRoot is the command line: one verb for each file of this folder.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pvgate",
		Short: "The gateway of the Portalverbund",
		Long: "pvgate finds the portal that is responsible for a Verwaltungsleistung in a place and hands the\n" +
			"request to it, by redirect or as a proxy.\n\n" +
			"Exit codes: 0 ok, 1 failed, 2 usage, 3 check found errors, 4 diff is not empty.",
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true // completion is a verb of ours
	root.AddCommand(
		newServe(),
		newDemo(),
		newCheck(),
		newExplain(),
		newDiff(),
		newStatus(),
		newReload(),
		newUpgrade(),
		newDrain(),
		newMarktplatz(),
		newConfig(),
		newInit(),
		newRegistry(),
		newVersion(),
		newCompletion(),
	)
	return root
}

// verb marks an error of a verb's own work as such, so that run can tell it from
// a wrong use of the command line.
func verb(work func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := work(cmd, args)
		var ended *exitError
		if err == nil || errors.As(err, &ended) {
			return err
		}
		return &exitError{code: exitFailed, err: err}
	}
}

// usage is an error in how a verb was called.
func usage(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// output is the flag -o of the verbs that print a result.
type output struct{ format string }

func (o *output) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "form of the result: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// json reports whether the result is wanted as JSON.
func (o *output) json() (bool, error) {
	switch o.format {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usage("output %q is not possible; write -o text or -o json", o.format)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// configFlags are the flags of every verb that reads a configuration: its path,
// and one for each scalar of pvgate.yaml.
type configFlags struct {
	path string
	cmd  *cobra.Command
}

// defaultConfig is where a configuration is looked for.
const defaultConfig = "pvgate.yaml"

func (f *configFlags) register(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringVarP(&f.path, "config", "c", defaultConfig, "pvgate.yaml; routes.d is beside it")
	_ = cmd.MarkFlagFilename("config", "yaml")
	for _, s := range config.Scalars() {
		cmd.Flags().String(s.Flag, "", fmt.Sprintf("%s (also %s)", s.Help, s.Env))
	}
}

// load reads the configuration; see config.Load for what comes with an error.
func (f *configFlags) load() (*config.Config, error) {
	return config.Load(f.path, f.options())
}

// options are what Load needs to know from the command line and from us.
func (f *configFlags) options() config.Options {
	o := config.Options{Flags: map[string]string{}}
	for _, s := range config.Scalars() {
		if flag := f.cmd.Flags().Lookup(s.Flag); flag != nil && flag.Changed {
			o.Flags[s.Key] = flag.Value.String()
		}
	}
	o.Reasons = reasonNames()
	o.Owner = (&judge{now: time.Now()}).owner
	return o
}

// reasonNames are the codes of the closed list, which no backend may be called.
func reasonNames() []string {
	var names []string
	for _, code := range reason.All() {
		names = append(names, code.String())
	}
	return names
}
