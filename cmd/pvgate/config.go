// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
)

// newConfig is the verb config: the configuration in force, with origins.
func newConfig() *cobra.Command {
	var (
		flags configFlags
		out   output
	)
	cmd := &cobra.Command{
		Use:   "config [pvgate.yaml]",
		Short: "Print the effective configuration and where each value comes from",
		Long: "config prints every value in force, defaults included, as YAML that can be loaded again; the comment\n" +
			"behind each says where it comes from: default, file:line:col, env PVGATE_X or flag --x.\n" +
			"Secrets are never printed: a configuration holds only the paths of the files they are in.",
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				flags.path = args[0]
			}
			cfg, err := flags.load()
			if err != nil {
				return fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					Hash     string           `json:"hash"`
					Settings []config.Setting `json:"settings"`
				}{cfg.Hash.String(), cfg.Settings()})
			}
			return cfg.WriteYAML(cmd.OutOrStdout())
		}),
	}
	flags.register(cmd)
	out.flag(cmd)
	cmd.AddCommand(newConfigReference(), newConfigSchema(), newConfigSign(), newConfigVerify())
	return cmd
}

// newConfigReference is the verb config reference: all keys there are.
func newConfigReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print all keys with type, default and meaning, as Markdown",
		Args:  cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Reference())
			return err
		}),
	}
}

// newConfigSchema is the verb config schema: what editors complete and check by.
func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema root|routes",
		Short: "Print the JSON Schema of pvgate.yaml (root) or of the files of routes.d (routes)",
		Long: "schema prints what an editor needs to complete keys and to show faults while one types, for example with a first\n" +
			"line # yaml-language-server: $schema=pvgate.schema.json in a file. check still has the last word: what spans\n" +
			"several keys or files is in no schema.",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"root", "routes"},
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			text := config.RootSchema()
			if args[0] == "routes" {
				text = config.RouteSchema()
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		}),
	}
}
