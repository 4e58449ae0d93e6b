// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"github.com/spf13/cobra"
)

// newCompletion is the verb completion.
func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print a completion script for a shell",
		Long:      "completion prints a script that makes a shell complete verbs and flags, e.g. for bash:\n\n  . <(pvgate completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return cmd.Root().GenZshCompletion(w)
			case "fish":
				return cmd.Root().GenFishCompletion(w, true)
			}
			return cmd.Root().GenBashCompletionV2(w, true)
		}),
	}
}
