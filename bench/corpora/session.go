// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
)

// job is one case and how to run it.
type job struct {
	k   *kase
	run func(*lane, *kase) []finding
}

func (m *material) keep(text string) {
	drop := func(k *kase) bool { return !strings.Contains(k.corpus+" "+k.Name, text) }
	m.requests = slices.DeleteFunc(m.requests, drop)
	m.sequences = slices.DeleteFunc(m.sequences, drop)
	m.paths = slices.DeleteFunc(m.paths, drop)
	m.responses = slices.DeleteFunc(m.responses, drop)
	m.streams = slices.DeleteFunc(m.streams, drop)
}

func (m *material) jobs() []job {
	var jobs []job
	for _, k := range m.requests {
		jobs = append(jobs, job{k, (*lane).request})
	}
	for _, k := range m.sequences {
		jobs = append(jobs, job{k, (*lane).sequence})
	}
	for _, k := range m.paths {
		jobs = append(jobs, job{k, (*lane).pathCase})
	}
	for _, k := range m.responses {
		jobs = append(jobs, job{k, (*lane).response})
	}
	for _, k := range m.streams {
		jobs = append(jobs, job{k, (*lane).stream})
	}
	for _, k := range m.mutants {
		jobs = append(jobs, job{k, (*lane).mutant})
	}
	// Mixed, so that each lane sees every kind behind every other; the same order every time.
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	return jobs
}

// config is the smallest configuration that forwards everything: for each lane a listener, one of HTTP/2 and a backend. secure is
// the folder of a certificate, "" for plaintext.
func config(lanes []*lane, loops int, secure string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "loops: %d\nlisten:\n", loops)
	if secure != "" {
		secure = fmt.Sprintf(", tls: {cert: %q, key: %q}", filepath.Join(secure, cert.CertFile), filepath.Join(secure, cert.KeyFile))
	}
	for _, l := range lanes {
		fmt.Fprintf(&b, "  - {address: %q, hosts: any, default: origin-%d%s}\n", binary.AnyPort, l.id, secure)
	}
	for _, l := range lanes {
		fmt.Fprintf(&b, "  - {address: %q, hosts: any, protocols: [h2], default: origin-%d%s}\n", binary.AnyPort, l.id, secure)
	}
	b.WriteString("backends:\n")
	for _, l := range lanes {
		fmt.Fprintf(&b, "  origin-%d: {mode: proxy, endpoints: [\"http://%s\"], allow_encoded_slash: true}\n", l.id, l.origin.address)
	}
	return b.String()
}

// encrypt makes the lanes speak TLS, with a certificate in a new folder.
func encrypt(lanes []*lane) (folder string, err error) {
	if folder, err = os.MkdirTemp("", "pvgate-corpora-"); err != nil {
		return "", err
	}
	if err := cert.Write(folder, "gw.example"); err != nil {
		return "", errors.Join(err, os.RemoveAll(folder))
	}
	// Sessions are kept, so that most handshakes are short ones, and some are not.
	config := &tls.Config{ServerName: "gw.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(len(lanes))} //nolint:gosec // the certificate was made above
	for _, l := range lanes {
		l.secure = config
	}
	return folder, nil
}

// session runs all cases of m through one process of the binary at path.
func session(ctx context.Context, path string, o options, m *material) (*report, error) {
	var lanes []*lane
	for i := range o.lanes {
		origin, err := newOrigin()
		if err != nil {
			return nil, err
		}
		defer origin.stop()
		lanes = append(lanes, &lane{id: i, origin: origin, from: net.IPv4(127, 0, 1, byte(1+i))})
	}
	secure := ""
	if o.tls {
		var err error
		if secure, err = encrypt(lanes); err != nil {
			return nil, err
		}
		defer os.RemoveAll(secure)
	}
	p, err := binary.Start(ctx, binary.Options{Path: path, Config: config(lanes, o.loops, secure)})
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.Stop() }() // it has ended before if all went well
	for _, l := range lanes {
		l.gateway, l.gateway2 = p.Address(l.id), p.Address(len(lanes)+l.id)
	}
	baseline, err := p.FDs()
	if err != nil {
		return nil, err
	}
	r := newReport()
	start := time.Now()
	if err := drive(ctx, p, lanes, m.jobs(), r); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(start).Seconds()
	for _, l := range lanes {
		if l.other != nil {
			l.other.close()
		}
	}
	r.settled(p, baseline)
	r.accounts(p, lanes)
	var logs []upstreamLog
	for _, l := range lanes {
		l.origin.do(func() { logs = append(logs, l.origin.logs...) })
	}
	r.Upstream = len(logs)
	disagreements, version, err := secondOpinion(logs)
	if err != nil {
		return nil, err
	}
	r.Judge2 = version
	for _, d := range disagreements {
		r.wrong("judge 2", d)
	}
	if err := p.Stop(); err != nil {
		r.wrong("process", err.Error())
	}
	if o.seconds {
		r.printSlowest()
	}
	return r, nil
}

// drive hands the jobs to the lanes. Every fiftieth case is followed by a canary: a plain request on a fresh connection.
func drive(ctx context.Context, p *binary.Process, lanes []*lane, jobs []job, r *report) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	feed := make(chan job)
	var wg sync.WaitGroup
	for _, l := range lanes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			done := 0
			for j := range feed {
				begin := time.Now()
				found := j.run(l, j.k)
				r.add(j.k, found, time.Since(begin))
				if done++; done%50 == 0 {
					r.canary(l.canary())
				}
				if err := p.Dead(); err != nil {
					cancel(fmt.Errorf("while running %s %s: %w", j.k.corpus, j.k.Name, err))
				}
			}
		}()
	}
	for _, j := range jobs {
		select {
		case feed <- j:
		case <-ctx.Done():
			close(feed)
			wg.Wait()
			return context.Cause(ctx)
		}
	}
	close(feed)
	wg.Wait()
	if errors.Is(context.Cause(ctx), context.Canceled) || context.Cause(ctx) == nil {
		return nil
	}
	return context.Cause(ctx)
}

// canary is a plain request on a connection of its own.
func (l *lane) canary() error {
	c, err := l.dial()
	if err != nil {
		return err
	}
	defer c.close()
	return l.follow(c)
}
