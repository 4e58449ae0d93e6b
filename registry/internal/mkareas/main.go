// SPDX-License-Identifier: EUPL-1.2

// Command mkareas writes the table that registry embeds, from the official Gemeindeverzeichnis. It is run by
// go generate in registry.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/gv100ad"
)

func main() {
	in := flag.String("in", "", "GV100AD file (.ASC)")
	out := flag.String("out", "areas.tsv.gz", "table to write")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mkareas:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	areas, err := gv100ad.ReadFile(in)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err = areas.WriteTable(&b, registry.EmbeddedSource); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}
