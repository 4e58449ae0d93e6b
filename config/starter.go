// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed example
var example embed.FS

// File is one file of a configuration.
type File struct {
	Name string // relative, with slashes
	Data []byte
}

// Starter returns the commented example configuration that pvgate init writes:
// pvgate.yaml first, then routes.d. A test loads it.
func Starter() ([]File, error) {
	var out []File
	err := fs.WalkDir(example, "example", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := example.ReadFile(p)
		out = append(out, File{strings.TrimPrefix(p, "example/"), data})
		return err
	})
	slices.SortFunc(out, func(a, b File) int { return compareFiles(a.Name, b.Name) })
	return out, err
}
