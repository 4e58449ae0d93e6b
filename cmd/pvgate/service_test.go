// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
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
	s, err := newService(t.Context(), load, newBooks(nil), slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys()})
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

// A change that a reload on command takes over is not taken over once more when its watcher notices it meanwhile.
func TestAReloadOnCommandAndAWatcherReloadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, rows := filepath.Join(dir, "pvgate.yaml"), filepath.Join(dir, "rows.csv")
	put := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(name+".new", []byte(text), 0o600), os.Rename(name+".new", name)); err != nil {
			t.Fatal(err)
		}
	}
	put(path, "domain: gw.localhost\nlisten: [{address: \"127.0.0.1:0\"}]\nsources: [{name: rows, type: csv, path: rows.csv, columns: {area: ars, url: url}}]\n")
	put(rows, "leistung;ars;url\n99041006017000;09;https://a.example/\n")
	loads, reading, read := 0, make(chan struct{}), make(chan struct{})
	load := func() (*config.Config, error) {
		if loads++; loads == 2 {
			close(reading)
			<-read
		}
		return config.Load(path, config.Options{Reasons: reasonNames()})
	}
	kept := newBooks(nil)
	s, err := newService(t.Context(), load, kept, slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys()})
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 5 * time.Millisecond
	w, err := config.NewWatcher(config.WatchOptions{Path: path, Inputs: s.inputs, Loaded: s.digest, Digests: &kept.digests, Quiet: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	changes, watched := make(chan struct{}, 100), make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	go func() { watched <- w.Run(watching, func() { changes <- struct{}{} }) }()
	reloaded := make(chan error, 1)
	go func() {
		_, err := s.Reload(ctx, "")
		reloaded <- err
	}()
	<-reading
	put(rows, "leistung;ars;url\n99041006017000;09;https://b.example/\n")
	time.Sleep(40 * quiet) // so that the watcher looks before the reload is done; on a slow machine it does not, and sees nothing
	close(read)
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	stop()
	if err := errors.Join(<-watched, s.drain(ctx)); err != nil {
		t.Error(err)
	}
	if n := len(changes); n > 0 {
		t.Errorf("the watcher tells of a change that has been taken over, %d times", n)
	}
}
