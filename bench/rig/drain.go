// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
)

// drainFigures is what the drain rig measured.
type drainFigures struct {
	Seconds   float64 `json:"backend_takes_seconds"`
	Requests  int     `json:"requests"`
	Completed int     `json:"completed"`
	Ends      int     `json:"processes_ended_with_code_0"`
}

// drainEach is how many requests of each kind are in flight when a process is to end.
const drainEach = 10

// drain ends a process twice while a backend takes 30 s for every request in flight: once because another process follows,
// once for good. All are answered, and the exit code is 0. A connection of HTTP/3 cannot wait so long for a successor.
func drain(ctx context.Context, b *bed) (any, error) {
	var counts sync.Map
	back, address, err := countingBackend(&counts)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, plain, _, err := b.bothListeners(ctx, address, dir)
	if err != nil {
		return nil, err
	}
	slow := time.Duration(proof.Count(2, 30)) * time.Second
	f := &drainFigures{Seconds: slow.Seconds()}
	err = f.while(slow, upgradeClientsOf(plain, p.Address(1)), []string{"h1", "tls", "h2"}, func() error {
		within, cancel := context.WithTimeout(ctx, upgradeTime)
		defer cancel()
		refused, err := p.Upgrade(within, upgradeTime/2)
		if refused != "" {
			err = errors.New(refused)
		}
		return err
	})
	if err == nil {
		err = f.while(slow, upgradeClientsOf(plain, p.Address(1)), []string{"h1", "tls", "h2", "h3"}, func() error { return p.StopWithin(upgradeTime) })
	}
	return f, end(p, err)
}

// while begins requests and ends the process that has them.
func (f *drainFigures) while(slow time.Duration, clients map[string]*upgradeLoad, kinds []string, ends func() error) error {
	errs := make(chan error, len(kinds)*drainEach)
	for _, kind := range kinds {
		for range drainEach {
			c := clients[kind].ask(clients[kind])
			defer c.close()
			go func() {
				if err := c.to("/slow/" + slow.String()); err != nil {
					errs <- fmt.Errorf("%s: %w", kind, err)
					return
				}
				errs <- nil
			}()
		}
	}
	time.Sleep(time.Second) // all are in flight
	err := ends()
	if err == nil {
		f.Ends++
	}
	for range cap(errs) {
		f.Requests++
		if lost := <-errs; lost != nil {
			err = errors.Join(err, lost)
		} else {
			f.Completed++
		}
	}
	return err
}
