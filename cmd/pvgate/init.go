// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
)

// newInit is the verb init: a commented configuration to start from.
func newInit() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a commented configuration to start from",
		Long: "init writes pvgate.yaml and routes.d into the folder (this one if none is named) and never overwrites\n" +
			"a file: if one is in the way, nothing is written.",
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			written, err := writeStarter(dir)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(w, struct {
					Written []string `json:"written"`
				}{written})
			}
			for _, f := range written {
				fmt.Fprintln(w, f)
			}
			fmt.Fprintf(w, "Next: pvgate check %s\n", filepath.Join(dir, defaultConfig))
			return nil
		}),
	}
	out.flag(cmd)
	return cmd
}

func writeStarter(dir string) (written []string, err error) {
	files, err := config.Starter()
	if err != nil {
		return nil, fmt.Errorf("read the starter: %w", err)
	}
	for _, f := range files {
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if _, err := os.Lstat(p); err == nil {
			return nil, fmt.Errorf("write the starter: %s exists; choose an empty folder", p)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("write the starter: %w", err)
		}
	}
	for _, f := range files {
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return written, fmt.Errorf("write the starter: %w", err)
		}
		if err := writeNew(p, f.Data); err != nil {
			return written, fmt.Errorf("write the starter: %w", err)
		}
		written = append(written, p)
	}
	return written, nil
}

// writeNew writes a file that must not be there yet, nor come between.
func writeNew(name string, data []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(data)
	return err
}
