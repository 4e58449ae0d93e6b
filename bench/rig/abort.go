// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	abortClients = 32
	// abortGrowth is how much resident memory may grow from the end of the first phase to the end of the last.
	abortGrowth = 16 * mib
	// abortGoroutines is how many more goroutines there may be than before.
	abortGoroutines = 10
)

// abortFigures is what the abort rig measured.
type abortFigures struct {
	Phases     []string `json:"phases"`
	Each       int64    `json:"aborts_in_each_phase"`
	Aborts     int64    `json:"aborts"`
	Reached    int64    `json:"requests_begun_at_the_backend"`
	Left       int64    `json:"requests_left_at_the_backend"`
	Goroutines float64  `json:"goroutines_more_than_before"`
	GrowthMiB  float64  `json:"rss_growth_mib"`

	early, late int64 // resident memory, octets
}

// abortPhases are where clients leave: what they send before, and whether they wait for a part of the answer.
var abortPhases = [...]struct {
	name, text string
	reads      bool
	whole      bool // the request has been sent to its end
}{
	{"connected", "", false, false},
	{"in the head", "GET /wait HTTP/1.1\r\nHost: gw.exa", false, false},
	{"before the answer", "GET /wait HTTP/1.1\r\nHost: gw.example\r\n\r\n", false, true},
	{"in the body", "POST /wait HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 3000), false, false},
	{"in a chunk", "POST /wait HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", false, false},
	{"expecting", "POST /wait HTTP/1.1\r\nHost: gw.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", false, false},
	{"in the answer", "GET /part HTTP/1.1\r\nHost: gw.example\r\n\r\n", true, true},
	{"in the second answer", "GET /whole HTTP/1.1\r\nHost: gw.example\r\n\r\nGET /part HTTP/1.1\r\nHost: gw.example\r\n\r\n", true, true},
}

// abortOrigin answers a part, or nothing, until the gateway gives up.
type abortOrigin struct{ begun, inside atomic.Int64 }

func (o *abortOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/whole" {
		_, _ = io.WriteString(w, "whole")
		return
	}
	o.begun.Add(1)
	o.inside.Add(1)
	defer o.inside.Add(-1)
	if r.URL.Path == "/part" {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.Copy(io.Discard, r.Body) // ends when the gateway breaks it off
	<-r.Context().Done()
}

// abort leaves in every phase of a request, by FIN and by RST in turn, and then looks what the gateway still holds.
func abort(ctx context.Context, b *bed) (any, error) {
	l, err := net.Listen("tcp", binary.AnyPort)
	if err != nil {
		return nil, err
	}
	o := &abortOrigin{}
	server := &http.Server{Handler: o, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	p, address, err := b.gateway(ctx, l.Addr().String(), "loops: 2\n")
	if err != nil {
		return nil, err
	}
	f := &abortFigures{Each: int64(proof.Count(2000, 100_000))}
	return f, end(p, f.measure(ctx, p, address, o))
}

func (f *abortFigures) measure(ctx context.Context, p *binary.Process, address string, o *abortOrigin) error {
	if err := f.phase(ctx, address, 0, 200); err != nil { // what is opened once
		return err
	}
	f.Aborts = 0
	base, err := p.FDs()
	if err != nil {
		return err
	}
	before, err := p.Metrics()
	if err != nil {
		return err
	}
	if err := f.phases(ctx, p, address, base); err != nil {
		return err
	}
	// What grows to its size once is no leak: a short run, whose first phase is soon over, asks whether it grows again.
	for again := proof.Count(2, 0); again > 0 && f.growth() > abortGrowth; again-- {
		if err := f.phases(ctx, p, address, base); err != nil {
			return err
		}
	}
	var all error
	after, err := p.Metrics()
	if err != nil {
		return err
	}
	was, _ := before.Sum("go_goroutines")
	is, _ := after.Sum("go_goroutines")
	held, _ := after.Sum("pvgate_backend_in_flight")
	open, _ := after.Sum("pvgate_connections")
	f.Goroutines, f.GrowthMiB = is-was, float64(f.growth())/mib
	f.Reached, f.Left = o.begun.Load(), o.inside.Load()
	if f.Goroutines > abortGoroutines {
		all = errors.Join(all, fmt.Errorf("%.0f goroutines, %.0f before", is, was))
	}
	if f.growth() > abortGrowth {
		all = errors.Join(all, fmt.Errorf("resident memory grew by %d MiB, from %d", f.growth()/mib, f.early/mib))
	}
	if held+open > 0 || f.Left > 0 {
		all = errors.Join(all, fmt.Errorf("%.0f requests in flight and %.0f connections are left, and %d requests at the backend", held, open, f.Left))
	}
	if f.Reached == 0 {
		all = errors.Join(all, errors.New("no request has reached the backend: nothing is proven"))
	}
	return all
}

// phases leaves in each of them until base descriptors are open again, and notes the resident memory behind the first and at the end.
func (f *abortFigures) phases(ctx context.Context, p *binary.Process, address string, base int) error {
	f.Phases = nil
	for i, phase := range abortPhases {
		err := f.phase(ctx, address, i, f.Each)
		if err == nil && i == 0 {
			f.early, _, err = p.RSS()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
		f.Phases = append(f.Phases, phase.name)
	}
	err := descriptorsReturn(p, base)
	late, _, failed := p.RSS()
	f.late = late
	return errors.Join(err, failed)
}

func (f *abortFigures) growth() int64 { return f.late - f.early }

// phase leaves count times in one phase.
func (f *abortFigures) phase(ctx context.Context, address string, phase int, count int64) error {
	var left atomic.Int64
	left.Store(count)
	errs := make([]error, abortClients)
	var wg sync.WaitGroup
	for i := range abortClients {
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil {
				n := left.Add(-1)
				if n < 0 {
					return
				}
				errs[i] = abortOnce(address, phase, i, n%2 == 0)
			}
		})
	}
	wg.Wait()
	f.Aborts += count
	return errors.Join(errors.Join(errs...), ctx.Err())
}

func abortOnce(address string, phase, client int, reset bool) error {
	// An address for each client, so that closed connections do not use up the ports of one.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 4, byte(1+client))}, Timeout: 20 * time.Second}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = io.WriteString(c, abortPhases[phase].text)
	if err == nil && abortPhases[phase].reads {
		var some [64]byte
		_, err = io.ReadFull(c, some[:])
	}
	// A FIN behind a whole request would be no abort: such a client may have shut down writing only, and gets its answer.
	if reset || abortPhases[phase].whole {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	return err
}
