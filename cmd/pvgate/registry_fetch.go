// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/source/datahub"
)

// sourcesDir is where deliveries lie in the folder of the state, each called by its source and its digest.
const sourcesDir = "sources"

// courier brings sources' files. Its budgets outlive single questions.
type courier struct {
	imports importer   // of objects
	mu      sync.Mutex // guards what stands below
	budgets map[string]*budget
}

// budget is how many requests a source gets.
type budget struct {
	allowed config.PerTime
	limiter *rate.Limiter
}

func newCourier(imports importer) *courier {
	return &courier{imports: imports, budgets: map[string]*budget{}}
}

// fetch is a fetcher.
func (c *courier) fetch(ctx context.Context, cfg *config.Config, s *config.Source, into string, known ...*delivery) (*delivery, error) {
	switch {
	case s.Type.V == "xzufi":
		return c.fetchObjects(ctx, cfg, s, into, known...)
	case s.URL.Set():
		return c.download(ctx, s, into, known[0])
	}
	return readFile(ctx, cfg, s, into, known...)
}

const (
	// fetchTime bounds one question to a source with all its pages.
	fetchTime = 6 * time.Hour
	// maxDelivery is more than the rows of ten million competences take.
	maxDelivery = 8 << 30
	// incomingDir is where files are while they come; an interrupted one is gone on with from there.
	incomingDir = "incoming"
)

// download brings a file from a web server, or a Data Hub's rows by pages where it says that the file is too large.
func (c *courier) download(ctx context.Context, s *config.Source, into string, known *delivery) (*delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, min(fetchTime, max(s.Interval(), time.Minute)))
	defer cancel()
	dir := filepath.Join(into, incomingDir, s.Name.V)
	release, err := claim(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer release()
	client := fetch.Client(fetch.Policy{
		HTTP: strings.HasPrefix(s.URL.V, "http://"), Address: registry.AddressPolicy{Private: allows(s, "private")}, Before: c.spend(s),
	})
	defer client.CloseIdleConnections()
	var have fetch.Version
	if known != nil {
		have = fetch.Version{ETag: known.tag, Modified: known.modified}
	}
	got, err := fetch.Get(ctx, fetch.File{Source: s.Name.V, Place: s.URL.V, Dir: dir, MaxSize: maxDelivery, Client: client}, have)
	if status := (*fetch.Status)(nil); errors.As(err, &status) && status.Code == http.StatusRequestEntityTooLarge && s.Type.V == "datahub" {
		got, err = byPages(ctx, s, client, filepath.Join(dir, "pages"))
	}
	switch {
	case err != nil:
		return nil, err
	case got.Path == "":
		return known, nil
	}
	d := &delivery{tag: got.Version.ETag, modified: got.Version.Modified}
	if d.digest, err = digestFile(ctx, got.Path); err != nil {
		return nil, err
	}
	return d, d.put(got.Path, into, s.Name.V)
}

// byPages brings a Data Hub's rows page by page.
func byPages(ctx context.Context, s *config.Source, client *http.Client, to string) (fetch.Got, error) {
	f, err := os.Create(to)
	if err != nil {
		return fetch.Got{}, err
	}
	o := datahub.PagesOptions{Options: source.Options{Name: s.Name.V, Path: fetch.Shown(s.URL.V)}, URL: s.URL.V, Do: client.Do}
	if err := errors.Join(datahub.Pages(ctx, o, f), f.Close()); err != nil {
		return fetch.Got{}, fetch.Refuse(s.Name.V, s.URL.V, err)
	}
	return fetch.Got{Path: to}, nil
}

// spend waits until the source's budget has another request, or says that it will not in time.
func (c *courier) spend(s *config.Source) func(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	allowed := s.Allowance()
	b := c.budgets[s.Name.V]
	if b == nil || b.allowed != allowed {
		b = &budget{allowed, rate.NewLimiter(rate.Limit(allowed.PerSecond()), allowed.Count)}
		c.budgets[s.Name.V] = b
	}
	return func(ctx context.Context) error {
		err := b.limiter.Wait(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return &source.Refusal{Cause: source.CauseBudget, Origin: registry.Origin{Source: s.Name.V, File: fetch.Shown(s.URL.V)}, Text: fmt.Sprintf("its budget of %s is used up", allowed), Err: err}
	}
}

// readFile delivers the operator's own file: where it lies, or as a copy in a folder, so that it is there still when the
// operator has put a worse one in its place.
func readFile(ctx context.Context, cfg *config.Config, s *config.Source, into string, known ...*delivery) (*delivery, error) {
	path := cfg.Resolve(s.Path.V)
	// Without O_NONBLOCK a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := statOf(f)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if d != nil && d.stat == stat {
			return d, nil
		}
	}
	d, err := copyFile(ctx, f, s.Name.V, into)
	if err != nil {
		return nil, err
	}
	if d.stat, err = statOf(f); err == nil && d.stat != stat {
		err = &source.Refusal{Cause: source.CauseTruncated, Text: path + ": it is being written; rename whole files to their place"}
	}
	return d, err
}

// statOf changes whenever somebody writes to a file, also with its size and time of before, or puts another in its place.
func statOf(f *os.File) (string, error) {
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", f.Name())
	}
	return fmt.Sprintf("%d %d %d %d %d", sys.Dev, sys.Ino, st.Size(), st.ModTime().UnixNano(), sys.Ctim.Nano()), nil
}

// claim makes a folder this process's until release: while one process follows another both may fetch the same source, and a
// file that two write to is of neither.
func claim(ctx context.Context, dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // the kernel gives the lock back, also when the process ends
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "lock", Path: f.Name(), Err: err}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(claimEvery):
		}
	}
}

// claimEvery is how often who waits for a folder looks whether it is free.
const claimEvery = 50 * time.Millisecond

// copyFile makes a file, which is read through f, a delivery: a copy of it, or the file itself without a folder.
func copyFile(ctx context.Context, f *os.File, name, into string) (*delivery, error) {
	sum := sha256.New()
	if into == "" {
		_, err := io.Copy(sum, &untilDone{ctx, f})
		return &delivery{file: f.Name(), digest: digestOf(sum)}, err
	}
	dir := filepath.Join(into, incomingDir, name)
	release, err := claim(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer release()
	to, err := os.Create(filepath.Join(dir, "copy"))
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.MultiWriter(to, sum), &untilDone{ctx, f})
	if err = errors.Join(err, to.Close()); err != nil {
		return nil, err
	}
	d := &delivery{digest: digestOf(sum)}
	return d, d.put(to.Name(), into, name)
}

// digestFile is the digest of a file's bytes.
func digestFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, &untilDone{ctx, f})
	return digestOf(sum), err
}

// put gives a file that has come whole its place in the folder, on disk: its name says what is in it, also after a loss of
// power.
func (d *delivery) put(from, into, name string) error {
	d.file = deliveryFile(into, name, d.digest)
	if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(from, d.file)
}

func digestOf(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

// deliveryFile is where a delivery lies.
func deliveryFile(dir, name, digest string) string {
	return filepath.Join(dir, sourcesDir, name+"-"+filepath.Base(digest))
}

// untilDone reads as long as nobody wants it to end.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// readBundle reads a bundle that a source has delivered, and holds that somebody signed it who may: now, or when it was made
// if it was accepted already. A key that ends takes nothing out of service.
func readBundle(cfg *config.Config, s *config.Source, file string, accepted bool, now time.Time) (*bundle.Bundle, error) {
	b, err := bundle.ReadFile(file, 0)
	if err != nil || s.Keys.V == "" {
		return b, err
	}
	keys, err := signing.ReadKeys(cfg.Resolve(s.Keys.V))
	if err != nil {
		return nil, err
	}
	if accepted && b.Meta.Created.Before(now) {
		now = b.Meta.Created
	}
	if _, err := b.Verify(keys, now); err != nil {
		return nil, err
	}
	return b, nil
}
