// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	// killRows is small, so that a registry is renewed several times in a life.
	killRows = 3000
	// killWithin is the longest life of a process that is killed.
	killWithin = 700 * time.Millisecond
	// killAsked are the keys that every process has to know from its first moment on.
	killAsked = 25
)

// registryFigures is what the registry rig measured.
type registryFigures struct {
	Kills killFigures `json:"kills"`
	Swaps swapFigures `json:"swaps"`
}

// killFigures are of processes that are killed while they renew their registry.
type killFigures struct {
	Kills    int   `json:"kills"`
	Building int   `json:"while_a_process_built"`
	Writing  int   `json:"while_a_bundle_was_written"`
	Fetched  int64 `json:"deliveries"`
	Applied  int   `json:"registries_applied"`
	Answers  int   `json:"answers_after_a_start"`
	Wrong    int   `json:"wrong_answers"`
}

// registry kills the gateway at random moments while it renews its registry, and each time expects the next process to
// answer every known key from the first moment on; then it swaps a large registry under load.
func registry(ctx context.Context, b *bed) (any, error) {
	f := &registryFigures{}
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return f, errors.Join(f.Kills.run(ctx, b, dir), f.Swaps.run(ctx, b, dir))
}

// changing serves a registry that is another one at each question.
type changing struct {
	versions [2][]byte
	asked    atomic.Int64
}

func (c *changing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/csv")
	_, _ = w.Write(c.versions[c.asked.Add(1)%2])
}

func (f *killFigures) run(ctx context.Context, b *bed, dir string) error {
	set, err := entries.New(killRows, b.seed)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := set.WriteCSV(&text); err != nil {
		return err
	}
	published := &changing{versions: [2][]byte{text.Bytes(), bytes.ReplaceAll(text.Bytes(), []byte(entries.BasePath), []byte(entries.BasePath+"2"))}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: published, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	state := filepath.Join(dir, "state")
	config := fmt.Sprintf("listen: [{address: %q, hosts: any}]\nregistry: {state: %q}\nsources: [{name: hub, type: csv, url: \"http://%s/rows.csv\", every: 20ms, budget: 1000/s, columns: {area: ars, url: url}}]\n",
		binary.AnyPort, state, l.Addr())
	random := rand.New(rand.NewPCG(b.seed, 1))
	pairs := set.Pairs(killAsked)
	for kills := proof.Count(10, 200); ; f.Kills++ {
		p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
		if err != nil {
			return fmt.Errorf("after %d kills: %w", f.Kills, err)
		}
		if err := f.askAll(p.Address(0), pairs); err != nil || f.Kills == kills {
			f.Fetched = published.asked.Load()
			return end(p, err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(killWithin))))
		log, err := p.Kill()
		if err != nil {
			return err
		}
		f.Applied += strings.Count(log, `"msg":"registry applied"`)
		f.Building += exists(filepath.Join(state, "building-*"))
		f.Writing += exists(filepath.Join(state, "bundles", "unfinished"))
		if err := removeAll(filepath.Join(state, "building-*")); err != nil {
			return err
		}
	}
}

// exists is 1 if there is a file of the pattern.
func exists(pattern string) int {
	files, _ := filepath.Glob(pattern) // it is well formed
	return min(len(files), 1)
}

// removeAll takes away what a killed process has left, so that the next one's can be told from it.
func removeAll(pattern string) error {
	files, err := filepath.Glob(pattern)
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// askAll wants every pair to be answered by one version of the registry or the other.
func (f *killFigures) askAll(address string, pairs []entries.Pair) error {
	client := &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for _, pair := range pairs {
		res, err := client.Get("http://" + address + "/leistung/" + pair.Leistung + "/" + pair.Area)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		f.Answers++
		to := strings.TrimSuffix(res.Header.Get("Location"), "2")
		if res.StatusCode != http.StatusSeeOther || to != "https://"+entries.Answering+entries.BasePath {
			f.Wrong++
			return fmt.Errorf("after %d kills: %s in %s: %s %s %s", f.Kills, pair.Leistung, pair.Area, res.Status, res.Header.Get("PV-Reason"), to)
		}
	}
	return nil
}
