// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
)

const (
	// reloadsUnderLoad is how many there are; bench/rig reload makes ten thousand of another process.
	reloadsUnderLoad = 60
	// heapGrowth is how much more may live at the end than after a third of them, octets: a configuration that is kept has
	// some hundred thousand.
	heapGrowth = 3 << 20
)

// CP-03: configurations follow one another under load. No request fails, and what has been replaced is freed.
func TestCP03ReloadsUnderLoadLoseNothingAndKeepNothing(t *testing.T) { // not parallel: it looks at the process
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "applied")
	}))
	defer back.Close()
	path := filepath.Join(t.TempDir(), defaultConfig)
	write := func(i int) {
		text := fmt.Sprintf("listen: [{address: \"127.0.0.1:0\", hosts: any, default: portal}]\nadmin: {address: \"127.0.0.1:0\"}\nbackends:\n"+
			"  portal: {mode: proxy, endpoints: [\"http://%s\"], timeouts: {keep: %ds}, limits: {in_flight: %d}}\n", back.Listener.Addr(), 4+i%3, 100+i%2)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	load := func() (*config.Config, error) { return config.Load(path, config.Options{Reasons: reasonNames()}) }
	s, err := newService(t.Context(), load, newBooks(nil), slog.New(slog.DiscardHandler), streams{io.Discard, io.Discard}, &birth{keys: randomKeys()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.operators.Close()
	url := "http://" + s.server.Addresses()[0].String() + "/akte"
	var sent, failed atomic.Int64
	var first atomic.Value
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			c := &http.Client{Transport: &http.Transport{}, Timeout: patience}
			defer c.CloseIdleConnections()
			for ctx.Err() == nil {
				sent.Add(1)
				if err := applied(c, url); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	var lives, routines [2]int64
	for i := 1; i <= reloadsUnderLoad; i++ {
		write(i)
		if r, err := s.Reload(t.Context(), ""); err != nil || !r.Changed {
			t.Fatalf("reload %d: %+v, %v", i, r, err)
		}
		if i == reloadsUnderLoad/3 || i == reloadsUnderLoad {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC() // pools are emptied by the second
			runtime.ReadMemStats(&m)
			at := i / reloadsUnderLoad
			lives[at], routines[at] = int64(m.HeapAlloc), int64(runtime.NumGoroutine())
		}
	}
	stop()
	clients.Wait()
	if failed.Load() > 0 || sent.Load() < reloadsUnderLoad {
		t.Errorf("%d of %d requests failed; first: %v", failed.Load(), sent.Load(), first.Load())
	}
	if lives[1] > lives[0]+heapGrowth {
		t.Errorf("%d KiB live after %d reloads, %d KiB after %d", lives[1]>>10, reloadsUnderLoad, lives[0]>>10, reloadsUnderLoad/3)
	}
	if routines[1] > routines[0]+10 { // connections of clients come and go
		t.Errorf("%d goroutines after %d reloads, %d after %d", routines[1], reloadsUnderLoad, routines[0], reloadsUnderLoad/3)
	}
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.drain(end); err != nil {
		t.Error(err)
	}
}

// applied sends a form, which the backend must answer.
func applied(c *http.Client, url string) error {
	res, err := c.Post(url, "text/plain", strings.NewReader("form"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && string(body) != "applied" {
		err = fmt.Errorf("status %d, %s: %.200q", res.StatusCode, res.Header.Get("PV-Reason"), body)
	}
	return err
}
