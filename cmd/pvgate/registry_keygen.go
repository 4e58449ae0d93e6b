// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/signing"
)

// newRegistryKeygen is the verb registry keygen: a key to sign with.
func newRegistryKeygen() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key to sign with",
		Long: "keygen writes a new private key (Ed25519, PEM, readable by its owner alone) and prints the line by which others\n" +
			"trust it: put that into the file of keys that they name. It is the same as openssl genpkey -algorithm ed25519.",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			}
			if strings.ContainsAny(name, " \t\r\n#") {
				return usage("a key called %q cannot be written in a line; write --name without spaces and #", name)
			}
			key, err := signing.Generate()
			if err != nil {
				return err
			}
			// An existing key stays: what it has signed would be nobody's.
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("keygen: %w", err)
			}
			_, err = f.Write(key.PEM())
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("keygen: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), key.Public().Line(name))
			return nil
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "name in the printed line; absent: that of the file")
	return cmd
}
