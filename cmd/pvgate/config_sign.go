// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/signing"
)

// newConfigSign is the verb config sign: an owner answers for a folder of routes.d.
func newConfigSign() *cobra.Command {
	var (
		keys    []string
		created string
		out     output
	)
	cmd := &cobra.Command{
		Use:   "sign FOLDER --key KEY",
		Short: "Sign a folder of routes.d as its owner",
		Long: "sign writes FOLDER/SIGNATURE over the route and csv files in the folder and below it, but for those of folders\n" +
			"inside that are signed by themselves. KEY is a private Ed25519 key (openssl genpkey -algorithm ed25519); several\n" +
			"of them sign at once while keys are exchanged. Sign again after each change.",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			at := time.Now()
			if created != "" {
				if at, err = registry.ParseTime(created); err != nil || at.IsZero() {
					return usage("created %q is no moment; write 2026-12-31 or 2026-12-31T18:00", created)
				}
			}
			if len(keys) == 0 {
				return usage("which key? write config sign %s --key FILE", args[0])
			}
			s, err := signFolder(args[0], keys, at)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			for _, k := range s.Keys {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s signed with key %s\n", s.File, counted(s.Files, "file", "files"), k)
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file of a private key; may be given several times")
	_ = cmd.MarkFlagFilename("key")
	cmd.Flags().StringVar(&created, "created", "", "moment that the signature names; absent: now")
	out.flag(cmd)
	return cmd
}

// signedFolder is what sign has done.
type signedFolder struct {
	File    string    `json:"file"`
	Created time.Time `json:"created"`
	Files   int       `json:"files"`
	Keys    []string  `json:"keys"` // their ids
}

func signFolder(folder string, keys []string, at time.Time) (s signedFolder, err error) {
	var signers []*signing.Private
	for _, file := range keys {
		k, err := signing.ReadPrivate(file)
		if err != nil {
			return s, fmt.Errorf("key: %w", err)
		}
		signers = append(signers, k)
		s.Keys = append(s.Keys, k.Public().ID())
	}
	files, err := config.FolderFiles(folder)
	if err != nil {
		return s, fmt.Errorf("sign %s: %w", folder, err)
	}
	m := signing.Manifest{Created: at.UTC().Truncate(time.Second), Files: map[string]signing.Digest{}}
	for name, sum := range files {
		m.Files[name] = signing.Digest(sum)
	}
	text, err := m.Seal(signers...)
	if err != nil {
		return s, fmt.Errorf("sign %s: %w", folder, err)
	}
	s.File, s.Created, s.Files = config.SignatureFile(folder), m.Created, len(files)
	if err := replace(s.File, text); err != nil {
		return s, fmt.Errorf("sign %s: %w", folder, err)
	}
	return s, nil
}

// replace puts a file in the place of another in one step.
func replace(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".pvgate-*") // hidden: no load looks at it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// newConfigVerify is the verb config verify: who answers for which part of routes.d.
func newConfigVerify() *cobra.Command {
	var (
		flags configFlags
		out   output
	)
	cmd := &cobra.Command{
		Use:   "verify [pvgate.yaml]",
		Short: "Say who has signed which folder of routes.d, and whether it counts",
		Long: "verify reads the configuration and judges the signatures as every load does.\n\n" +
			"Exit codes: 0 all of them count, 1 verify itself failed, 3 something is wrong.",
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				flags.path = args[0]
			}
			r := verifyOwners(&flags)
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				r.print(cmd.OutOrStdout())
			}
			if err == nil && !r.OK {
				err = &exitError{code: exitCheck}
			}
			return err
		}),
	}
	flags.register(cmd)
	out.flag(cmd)
	return cmd
}

// ownersReport is what verify says.
type ownersReport struct {
	OK       bool           `json:"ok"`
	Required bool           `json:"required"`
	Errors   []finding      `json:"errors"`
	Folders  []folderReport `json:"folders"`
	Unsigned []string       `json:"unsigned"` // files
}

type folderReport struct {
	Folder  string    `json:"folder"`
	Owner   string    `json:"owner,omitempty"` // whose signature counts
	Key     string    `json:"key,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Created time.Time `json:"created,omitzero"`
	Files   int       `json:"files"`
}

func verifyOwners(flags *configFlags) *ownersReport {
	cfg, err := flags.load()
	r := &ownersReport{Errors: findings(config.Join(err, checkOwners(cfg))), Folders: []folderReport{}, Unsigned: []string{}}
	r.OK = len(r.Errors) == 0
	if r.Errors == nil {
		r.Errors = []finding{}
	}
	o := cfg.Root.Ownership
	if o == nil {
		return r
	}
	r.Required = o.Required.V
	for _, f := range cfg.Folders {
		r.Folders = append(r.Folders, folderReport{f.Name, f.Seal.Owner, f.Seal.Key, f.Seal.Until, f.Seal.Created, len(f.Files)})
	}
	for _, f := range cfg.Files[1:] {
		if f.Owner == "" {
			r.Unsigned = append(r.Unsigned, f.Name)
		}
	}
	return r
}

func (r *ownersReport) print(w io.Writer) {
	for _, e := range r.Errors {
		fmt.Fprintf(w, "%s: %s\n", e.Place, e.Text)
	}
	if len(r.Folders) == 0 {
		fmt.Fprintln(w, "no signature was looked at: no folder has one, or pvgate.yaml has no ownership")
	} else {
		r.printFolders(w)
	}
	for _, f := range r.Unsigned {
		fmt.Fprintf(w, "nobody has signed %s\n", f)
	}
}

func (r *ownersReport) printFolders(w io.Writer) {
	columns(w, "FOLDER OWNER KEY UNTIL CREATED FILES", func(row func(...any)) {
		for _, f := range r.Folders {
			row(f.Folder, f.Owner, f.Key, lastDay(f.Until), day(f.Created), f.Files)
		}
	})
}

// nearEnd is how long before its end a key is warned of.
const nearEnd = 30 * 24 * time.Hour

// endingKeys warns of signatures that will soon count no more: from then on no load succeeds.
func endingKeys(cfg *config.Config, now time.Time) (out config.Errors) {
	for _, f := range cfg.Folders {
		if s := f.Seal; !s.Until.IsZero() && s.Until.Sub(now) < nearEnd {
			out = append(out, config.At(f.At, "key %q of owner %s ends on %s, and with it this signature; sign with a newer key", s.Key, s.Owner, lastDay(s.Until)))
		}
	}
	return out
}
