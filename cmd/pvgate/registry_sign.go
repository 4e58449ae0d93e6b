// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/signing"
)

// newRegistrySign is the verb registry sign: one signature more under a bundle.
func newRegistrySign() *cobra.Command {
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "sign FILE --key KEY",
		Short: "Put a signature under a bundle",
		Long: "sign adds a signature by each private key to those that the bundle bears, in the place of an earlier one of the\n" +
			"same key. The bundle stays the same one: its digest is that of what is signed. While keys change, sign with both.\n\n" +
			"A key is what openssl genpkey -algorithm ed25519 or pvgate registry keygen writes.",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			if len(keyFiles) == 0 {
				return usage("no key; write --key FILE")
			}
			keys, err := readSigners(keyFiles)
			if err != nil {
				return err
			}
			b, err := openBundle(args[0])
			if err != nil {
				return refusedFile(cmd, err)
			}
			for _, key := range keys {
				if err := b.Sign(key); err != nil {
					return err
				}
			}
			if err := replaceFile(args[0], b); err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			for _, key := range keys {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by the key %s\n", args[0], key.Public().ID())
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "private key, PEM; may be given several times")
	_ = cmd.MarkFlagFilename("key")
	return cmd
}

func readSigners(files []string) (keys []*signing.Private, err error) {
	for _, file := range files {
		key, err := signing.ReadPrivate(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
