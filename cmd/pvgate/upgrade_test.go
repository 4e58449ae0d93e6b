// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
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

// From the moment that an upgrade is told, whoever asks the admin listener asks the successor, however long the predecessor
// takes to notice.
func TestAfterAnUpgradeTheSuccessorIsAsked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pvgate.yaml")
	if err := os.WriteFile(path, []byte("domain: gw.localhost\nlisten: [{address: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pvgate, err := exec.LookPath("pvgate")
	if err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Load(path, config.Options{Reasons: reasonNames()}) }
	s, err := newService(t.Context(), load, newBooks(nil), slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys(), program: []string{pvgate, "serve", "--config", path}})
	if err != nil {
		t.Fatal(err)
	}
	operators := serveAdmin(s)
	r, err := s.Upgrade(patience)
	if err != nil {
		t.Fatal(err)
	}
	next := <-s.upgrade.done
	t.Cleanup(func() { _ = next.cmd.Process.Kill() }) // if the test has failed
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for range 20 {
		var answer struct {
			PID int `json:"pid"`
		}
		if err := json.Unmarshal(fetchURL(t, client, "http://"+operators.Addr+"/api/v1/status"), &answer); err != nil || answer.PID != r.PID {
			t.Errorf("process %d answers (%v), want the successor, %d", answer.PID, err, r.PID)
		}
	}
	if err := operators.retire(s, next); err != nil {
		t.Error(err)
	}
	if err := errors.Join(next.cmd.Process.Signal(syscall.SIGTERM), <-next.ended); err != nil {
		t.Error(err)
	}
}
