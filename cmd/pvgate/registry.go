// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/source"
)

// newRegistry is the verb registry: what is done with a compiled registry outside of a gateway.
func newRegistry() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "Import deliveries, build, verify, sign and publish compiled registries (bundles), count what a registry covers",
		Long: "A bundle (x.pvb) is a registry that is compiled, checksummed and perhaps signed, in one file. One machine builds\n" +
			"and signs it, all gateways load the same. See docs/bundles.md.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRegistryBuild(), newRegistryImport(), newRegistrySources(), newRegistryVerify(), newRegistryStats(), newRegistrySign(), newRegistryKeygen(), newRegistryServe(), newRegistryCoverage(), newRegistryLinks())
	return cmd
}

// openBundle reads a bundle of any size that the machine has memory for.
func openBundle(path string) (*bundle.Bundle, error) {
	return bundle.ReadFile(path, 1<<40)
}

// refusedFile says why a file is no bundle that can be used, as a check's error; other errors stay what they are.
func refusedFile(cmd *cobra.Command, err error) error {
	var r *source.Refusal
	if !errors.As(err, &r) {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "pvgate: %s: %s\n", r.Cause, r)
	return &exitError{code: exitCheck}
}

// replaceFile gives a file new content, whole or not at all, and on disk when it returns.
func replaceFile(path string, b *bundle.Bundle) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = b.WriteTo(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = renameSynced(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// renameSynced gives a file that is on disk its name there too.
func renameSynced(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
