// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/config"
)

// Whoever starts a successor closes what it has duplicated for it once: closed twice, a descriptor's number may be that of a
// connection that has come in between, which would be lost. All the while descriptors are opened here, as loops do, and
// nobody else may close them.
func TestAnUpgradeClosesNobodyElsesDescriptor(t *testing.T) { //nolint:paralleltest // others' descriptors would be closed
	dir := t.TempDir()
	path := filepath.Join(dir, "pvgate.yaml")
	if err := os.WriteFile(path, []byte("domain: gw.localhost\nlisten: [{address: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Load(path, config.Options{Reasons: reasonNames()}) }
	nobody := []string{filepath.Join(dir, "pvgate")}
	s, err := newService(t.Context(), load, newBooks(nil), slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys(), program: nobody})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var opening sync.WaitGroup
	for range 2 {
		opening.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				fd, err := unix.Dup(0)
				if err == nil {
					err = unix.Close(fd)
				}
				if err != nil {
					t.Errorf("descriptor %d was closed by somebody else: %v", fd, err)
					return
				}
			}
		})
	}
	for range 200 {
		if _, err := s.Upgrade(patience); err == nil {
			t.Error("a program that is not there serves")
		}
	}
	close(done)
	opening.Wait()
	if err := s.drain(t.Context()); err != nil {
		t.Error(err)
	}
}
