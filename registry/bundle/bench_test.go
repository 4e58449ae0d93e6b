// SPDX-License-Identifier: EUPL-1.2

package bundle_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pvgate/pvgate/registry/bundle"
)

// A start reads one file: what that costs is the reading, the checksum and one piece of memory.
func BenchmarkReadFile(b *testing.B) {
	const size = 64 << 20
	file := filepath.Join(b.TempDir(), "x.pvb")
	if err := os.WriteFile(file, made(b, someMeta(), []bundle.Section{{Tag: "rows", Data: make([]byte, size)}}), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bundle.ReadFile(file, 0); err != nil {
			b.Fatal(err)
		}
	}
}
