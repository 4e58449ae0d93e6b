// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
)

// A reload reads and compiles as long as it takes; load balancers and Prometheus get their answers meanwhile.
func TestNobodyWhoAsksWaitsForAReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pvgate.yaml")
	if err := os.WriteFile(path, []byte("domain: gw.localhost\nlisten: [{address: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loads, reading, read := 0, make(chan struct{}), make(chan struct{})
	load := func() (*config.Config, error) {
		if loads++; loads > 1 {
			close(reading)
			<-read
		}
		return config.Load(path, config.Options{Reasons: reasonNames()})
	}
	s, err := newService(t.Context(), load, slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys()})
	if err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan error, 1)
	go func() {
		_, err := s.Reload(context.Background(), "")
		reloaded <- err
	}()
	<-reading
	answered := make(chan error, 1)
	go func() {
		_, _, _ = s.state(), s.inputs(), s.limits()
		answered <- s.ready()
	}()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("not ready while it reloads: %v", err)
		}
	case <-time.After(patience / 6):
		t.Error("whoever asks whether the service is ready waits for a reload")
	}
	close(read)
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.drain(ctx); err != nil {
		t.Error(err)
	}
}
