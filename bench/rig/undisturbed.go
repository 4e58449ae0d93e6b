// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"time"

	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	// timedWindow is how long healthy requests are timed in one piece. A piece during which the hypervisor gave more than
	// mostStolen of all cores to others says nothing about the gateway: a full run leaves its times out and takes another,
	// up to timedTries for each that is wanted. No request may fail in any of them.
	timedWindow = time.Second
	mostStolen  = .01
	timedTries  = 4
	// disturbedTries is how often at most a short run of a rig that judges times is made on such a machine.
	disturbedTries = 3
)

var errDisturbed = errors.New("the hypervisor took the processors away too often to time anything; repeat on a quieter machine")

// late is what is wrong when nothing but a time is.
type late struct{ error }

// patiently repeats what is late in a short run, which is made beside others, until it has come timedTries times.
func patiently(run func() error) error {
	for try := 1; ; try++ {
		err := run()
		if _, ok := errors.AsType[late](err); !ok || proof.Full() || try == timedTries {
			return err
		}
	}
}

// undisturbed times healthy requests for d; void is how many windows were left out.
func undisturbed(ctx context.Context, address string, d time.Duration) (all *load.Result, void int, err error) {
	all = &load.Result{}
	if !proof.Full() {
		all, err = healthy(ctx, address, d)
		return all, 0, err
	}
	wanted := int((d + timedWindow - 1) / timedWindow)
	for kept := 0; kept < wanted; {
		if kept+void == timedTries*wanted {
			return all, void, errDisturbed
		}
		stolen, err := theft()
		if err != nil {
			return all, void, err
		}
		r, err := healthy(ctx, address, timedWindow)
		if err != nil {
			return all, void, err
		}
		share, err := stolen()
		if err != nil {
			return all, void, err
		}
		if share > mostStolen {
			r.Latency = load.Histogram{}
			void++
		} else {
			kept++
		}
		all.Add(r)
	}
	return all, void, nil
}

// theft begins to measure which share of all cores the hypervisor gives to others.
func theft() (share func() (float64, error), err error) {
	begun := time.Now()
	before, err := proc.Cores()
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		after, err := proc.Cores()
		if err != nil {
			return 0, err
		}
		var stolen time.Duration
		for core, c := range after {
			stolen += c.Steal - before[core].Steal
		}
		return float64(stolen) / float64(time.Since(begun)) / float64(len(after)), nil
	}, nil
}
