// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	neighbours = 4 // hostile connections at a time, each of another kind
	// neighbourTimes is how many times longer than without them a healthy request may take at p99.
	neighbourTimes = 2
	// calmWithin is how soon who wastes our time is closed; a busy machine takes longer over everything.
	calmWithin, calmWithinBusy = time.Second, 4 * time.Second
)

// neighbourFigures is what the neighbours rig measured.
type neighbourFigures struct {
	Rounds    int                       `json:"rounds"`
	Disturbed int                       `json:"disturbed_rounds_not_timed"`
	Healthy   uint64                    `json:"healthy_requests"`
	WithoutUS float64                   `json:"p99_us_without"`
	BesideUS  float64                   `json:"p99_us_beside_them"`
	Median    [2]float64                `json:"p50_us_without_and_beside"`
	Rounded   [][2]float64              `json:"p99_us_by_round"`
	Kinds     map[string]*hostileReport `json:"kinds"`
}

// hostileNeighbours lets four connections waste the gateway's time, in each way that is known, and asks what a healthy
// client has of it. Every round has a time without them and one beside them, for machines have better and worse minutes.
func hostileNeighbours(ctx context.Context, b *bed) (any, error) {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := cert.Write(dir, tlsHost); err != nil {
		return nil, err
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: fmt.Sprintf("loops: 1\nlisten:\n"+
		"  - {address: %q, hosts: any, default: origin, protocols: [h1, h2]}\n  - {address: %q, hosts: any, default: origin, protocols: [h1, h2, h3], tls: {cert: %q, key: %q}}\n"+
		"backends:\n  origin: {mode: proxy, endpoints: [\"http://%s\"]}\n",
		binary.AnyPort, binary.AnyPort, filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile), back)})
	if err != nil {
		return nil, err
	}
	f := &neighbourFigures{Kinds: map[string]*hostileReport{}}
	return f, end(p, f.measure(ctx, p))
}

func (f *neighbourFigures) measure(ctx context.Context, p *binary.Process) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Attackers have machines of their own: here they get only what the others leave of the processors. All threads of a
	// process are born with its policy, and only one is changed later.
	cmd := exec.CommandContext(ctx, "chrt", "--idle", "0", self, hostileRole, p.Address(0), p.Address(1))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = f.rounds(ctx, p.Address(0), json.NewEncoder(in), json.NewDecoder(out))
	return errors.Join(err, in.Close(), cmd.Wait())
}

func (f *neighbourFigures) rounds(ctx context.Context, address string, say *json.Encoder, hear *json.Decoder) error {
	f.Rounds = proof.Count((len(hostilities)+neighbours-1)/neighbours, 24)
	span := time.Duration(proof.Count(1200, 3000)) * time.Millisecond
	if _, err := healthy(ctx, address, span/2); err != nil { // everything is warm
		return err
	}
	var without, beside load.Result
	for i := 0; i-f.Disturbed < f.Rounds; i++ {
		if i == timedTries*f.Rounds {
			return errDisturbed
		}
		stolen, err := theft()
		if err != nil {
			return err
		}
		was, err := healthy(ctx, address, span)
		if err != nil {
			return err
		}
		is, err := f.beside(ctx, address, span, i, say, hear)
		if err != nil {
			return err
		}
		if share, err := stolen(); err != nil {
			return err
		} else if share > mostStolen && proof.Full() {
			was.Latency, is.Latency = load.Histogram{}, load.Histogram{}
			f.Disturbed++
		} else {
			f.Rounded = append(f.Rounded, [2]float64{float64(was.Latency.Quantile(.99)) / 1e3, float64(is.Latency.Quantile(.99)) / 1e3})
		}
		without.Add(was)
		beside.Add(is)
	}
	f.Healthy = without.Good + beside.Good
	return errors.Join(without.Err(), beside.Err(), f.judge(&without, &beside))
}

// beside asks while the kinds of a round waste the gateway's time.
func (f *neighbourFigures) beside(ctx context.Context, address string, span time.Duration, round int, say *json.Encoder, hear *json.Decoder) (*load.Result, error) {
	kinds := make([]int, neighbours)
	for k := range kinds {
		kinds[k] = (round*neighbours + k) % len(hostilities)
	}
	if err := say.Encode(kinds); err != nil {
		return nil, err
	}
	r, failed := healthy(ctx, address, span)
	reports := make([]hostileReport, 0, neighbours)
	if err := errors.Join(failed, say.Encode(struct{}{}), hear.Decode(&reports)); err != nil {
		return nil, err
	}
	for k, report := range reports {
		f.note(hostilities[kinds[k]].name, report)
	}
	return r, nil
}

func (f *neighbourFigures) note(name string, r hostileReport) {
	all := f.Kinds[name]
	if all == nil {
		all = &hostileReport{}
		f.Kinds[name] = all
	}
	all.Connections += r.Connections
	all.Calmed += r.Calmed
	all.Unheard += r.Unheard
	all.Others += r.Others
	all.Stayed += r.Stayed
	all.SlowestMS = max(all.SlowestMS, r.SlowestMS)
}

// judge wants each of them closed as it should be, in time, and the healthy client nearly undisturbed.
func (f *neighbourFigures) judge(without, beside *load.Result) error {
	was, is := without.Latency.Quantile(.99), beside.Latency.Quantile(.99)
	f.WithoutUS, f.BesideUS = float64(was)/1e3, float64(is)/1e3
	f.Median = [2]float64{float64(without.Latency.Quantile(.5)) / 1e3, float64(beside.Latency.Quantile(.5)) / 1e3}
	bound, within := neighbourTimes*was, calmWithin
	if !proof.Full() {
		bound, within = bound+slowNoise, calmWithinBusy
	}
	var err error
	if is > bound {
		err = fmt.Errorf("healthy requests take %v at p99, %v without them", is, was)
	}
	for _, h := range hostilities {
		r := f.Kinds[h.name]
		switch {
		case r == nil || r.Connections == 0:
			err = errors.Join(err, fmt.Errorf("%s: nobody tried", h.name))
		case h.stays:
		case r.Others > 0 || r.Calmed == 0:
			err = errors.Join(err, fmt.Errorf("%s: of %d connections %d ended as they should, %d otherwise", h.name, r.Connections, r.Calmed, r.Others))
		case r.SlowestMS > float64(within.Milliseconds()):
			err = errors.Join(err, fmt.Errorf("%s: closed after %.0f ms", h.name, r.SlowestMS))
		}
	}
	return err
}
