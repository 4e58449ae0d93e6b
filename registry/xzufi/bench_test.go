// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// part is some files of a delivery of national proportions.
func part(t testing.TB) [][]byte {
	t.Helper()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	d, err := generate.NewDelivery(areas, generate.DeliveryOptions{Seed: 1, Leistungen: 40, Zustaendigkeiten: 3000, PerFile: 2000})
	if err != nil {
		t.Fatal(err)
	}
	var files [][]byte
	for _, name := range d.Files() {
		var b bytes.Buffer
		if err = d.WriteFile(&b, name); err != nil {
			t.Fatal(err)
		}
		files = append(files, b.Bytes())
	}
	return files
}

func rawTokens(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.RawToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func readAll(b []byte) error {
	_, err := xzufi.Read(context.Background(), bytes.NewReader(b), xzufi.Options{}, func(int, xzufi.Object) error { return nil })
	return err
}

func BenchmarkRead(b *testing.B) {
	files := part(b)
	size := 0
	for _, f := range files {
		size += len(f)
	}
	for _, c := range []struct {
		name string
		read func([]byte) error
	}{{"rawtoken", rawTokens}, {"xzufi", readAll}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for range b.N {
				for _, f := range files {
					if err := c.read(f); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
