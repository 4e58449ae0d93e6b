// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// newRegistryVerify is the verb registry verify: whether a file is a whole bundle, and whose.
func newRegistryVerify() *cobra.Command {
	var (
		keyFile string
		out     output
	)
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Say whether a file is a whole bundle, and whose",
		Long: "verify reads a bundle as a gateway does: length, checksum, form, facts, and the rows of one that was built with the\n" +
			"built-in Gemeindeverzeichnis. With --keys a signature of one of\n" +
			"those keys must count today; without, signatures are listed and not judged.\n\n" +
			"Exit codes: 0 it is good, 1 it cannot be read, 3 it is refused (the cause is the first word of the message).",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			var keys signing.Keys
			if keyFile != "" {
				if keys, err = signing.ReadKeys(keyFile); err != nil {
					return err
				}
			}
			b, err := openBundle(args[0])
			if err != nil {
				return refusedFile(cmd, err)
			}
			r := verifiedOf(b, keys)
			if keyFile != "" {
				key, err := b.Verify(keys, time.Now())
				if err != nil {
					return refusedFile(cmd, err)
				}
				r.Trusted = key.Name
			}
			areas, err := registry.DefaultAreas()
			if err != nil {
				return err
			}
			_, refused := indexOf(b, areas)
			if refused != nil && refused.Cause != source.CauseUnknownArea {
				return refusedFile(cmd, refused)
			}
			if r.Rows = refused == nil; !r.Rows {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: its rows were not looked at: it was built with another Gemeindeverzeichnis than the built-in one\n", args[0])
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			r.print(cmd, args[0])
			return nil
		}),
	}
	cmd.Flags().StringVar(&keyFile, "keys", "", "file of trusted keys: lines of a name, a public key in base64, perhaps until and a day; or one key in PEM")
	_ = cmd.MarkFlagFilename("keys")
	out.flag(cmd)
	return cmd
}

// verified is what verify says.
type verified struct {
	Digest     string           `json:"digest"`
	Sequence   uint64           `json:"sequence"`
	Created    time.Time        `json:"created"`
	Entries    int              `json:"entries"`
	Bytes      int64            `json:"bytes"`
	Signatures []verifiedSigner `json:"signatures"`
	Trusted    string           `json:"trusted,omitempty"` // name of the key whose signature counts
	Rows       bool             `json:"rows_read"`         // they can be read, and are what the facts say
}

type verifiedSigner struct {
	Key  string `json:"key"`
	Name string `json:"name,omitempty"` // if it is among the keys
}

func verifiedOf(b *bundle.Bundle, keys signing.Keys) verified {
	r := verified{
		Digest: b.Digest.String(), Sequence: b.Meta.Sequence, Created: b.Meta.Created, Entries: b.Meta.Entries(), Bytes: b.Size(),
		Signatures: []verifiedSigner{},
	}
	for _, s := range b.Signatures() {
		k, _ := keys.Find(s.Key)
		r.Signatures = append(r.Signatures, verifiedSigner{s.Key, k.Name})
	}
	return r
}

func (r *verified) print(cmd *cobra.Command, file string) {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: ok, %d entries, sequence %d, created %s, %d bytes\n%s\n", file, r.Entries, r.Sequence, r.Created.Format(time.RFC3339), r.Bytes, r.Digest)
	for _, s := range r.Signatures {
		switch {
		case s.Name != "" && s.Name == r.Trusted:
			fmt.Fprintf(w, "signed by %s (%s), which counts\n", s.Name, s.Key)
		case s.Name != "":
			fmt.Fprintf(w, "signed by %s (%s)\n", s.Name, s.Key)
		default:
			fmt.Fprintf(w, "signed by the key %s\n", s.Key)
		}
	}
	if len(r.Signatures) == 0 {
		fmt.Fprintln(w, "not signed")
	}
}
