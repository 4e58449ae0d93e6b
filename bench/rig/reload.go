// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	reloadClients = 6
	// reloadPause is a client's after each answer: reloads want processors too.
	reloadPause = time.Millisecond
	// reloadGrowth is how much the highest resident memory of the last tenth may exceed that of the second.
	reloadGrowth = 24 * mib
	probedRoute  = "/leistung/99050012104000/-"
)

// reloadFigures is what the reload rig measured.
type reloadFigures struct {
	Reloads   int     `json:"reloads"`
	Requests  int64   `json:"requests"`
	Failed    int64   `json:"requests_failed"`
	Unseen    int     `json:"changes_not_seen_by_the_next_request"`
	EarlyMiB  float64 `json:"rss_mib_early"`
	LateMiB   float64 `json:"rss_mib_late"`
	Routines  [2]int  `json:"goroutines_early_late"`
	PerReload float64 `json:"seconds_per_reload"`
}

// reload changes the backend of one route again and again under load (CP-03). The route is entered by POST, which is proxied in
// place, so that the answer names the backend that gave it.
func reload(ctx context.Context, b *bed) (any, error) {
	var backends [2]string
	for i := range backends {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "backend-%d", i)
		})}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		backends[i] = l.Addr().String()
	}
	config := func(to int) string {
		return fmt.Sprintf(`listen: [{address: %q, hosts: any, default: backend-0}]
backends:
  backend-0: {mode: proxy, endpoints: ["http://%s"]}
  backend-1: {mode: proxy, endpoints: ["http://%s"]}
entries:
  - {leistung: "99050012104000", area: "00", backend: backend-%d, path: "/x", title: Gewerbe anmelden}
`, binary.AnyPort, backends[0], backends[1], to)
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config(0)})
	if err != nil {
		return nil, err
	}
	f := &reloadFigures{}
	return f, end(p, reloads(ctx, p, p.Address(0), config, f))
}

func reloads(ctx context.Context, p *binary.Process, address string, config func(int) string, f *reloadFigures) error {
	load := &reloadLoad{url: "http://" + address}
	loadCtx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range reloadClients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			load.run(loadCtx)
		}()
	}
	probe := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer probe.CloseIdleConnections()
	total := proof.Count(100, 10_000)
	start := time.Now()
	var all error
	m := newSteady(p, total)
	for i := 1; i <= total && all == nil; i++ {
		to := i % 2
		if all = errors.Join(p.Configure(config(to)), p.ReloadByAdmin()); all != nil {
			break
		}
		f.Reloads++
		if got, err := post(probe, load.url+probedRoute); err != nil || got != fmt.Sprintf("backend-%d", to) {
			f.Unseen++
			all = errors.Join(fmt.Errorf("after reload %d: got %q, want backend-%d", i, got, to), err)
		}
		all = errors.Join(all, m.look(i))
	}
	f.PerReload = time.Since(start).Seconds() / float64(max(f.Reloads, 1))
	stop()
	wg.Wait()
	f.Requests, f.Failed = load.sent.Load(), load.failed.Load()
	f.EarlyMiB, f.LateMiB, f.Routines = m.mib(m.early), m.mib(m.late), m.routines
	if f.Failed > 0 {
		all = errors.Join(all, fmt.Errorf("%d of %d requests failed; first: %v", f.Failed, f.Requests, load.first.Load()))
	}
	return errors.Join(all, m.verdict())
}

// reloadLoad sends requests, half to the probed route, until its context ends; none may fail.
type reloadLoad struct {
	url          string
	sent, failed atomic.Int64
	first        atomic.Value // of error
}

func (l *reloadLoad) run(ctx context.Context) {
	c := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		path := probedRoute
		if n%2 == 1 {
			path = "/elsewhere"
		}
		got, err := post(c, l.url+path)
		l.sent.Add(1)
		if err == nil && got != "backend-0" && got != "backend-1" {
			err = fmt.Errorf("answer %.200q", got)
		}
		if err != nil {
			l.failed.Add(1)
			l.first.CompareAndSwap(nil, err)
		}
		time.Sleep(reloadPause)
	}
}

func post(c *http.Client, url string) (string, error) {
	res, err := c.Post(url, "text/plain", nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d, %s: %.200s", res.StatusCode, res.Header.Get("PV-Reason"), body)
	}
	return string(body), err
}
