// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/refresh"
)

// askSources asks every source that has a URL when it is time, until ctx ends. Which ones there are it looks at whenever
// another configuration is in service.
func (s *service) askSources(ctx context.Context) {
	running := map[string]func(){} // what ends the asking, by the source and how it is asked
	defer func() {
		for _, end := range running {
			end()
		}
	}()
	for {
		wanted := map[string]*config.Source{}
		l, _, _ := s.now()
		bulk := l.cfg.Bulk()
		for i := range bulk {
			if src := &bulk[i]; src.URL.Set() {
				wanted[src.Name.V+" "+src.URL.V+" "+src.Interval().String()] = src
			}
		}
		for key, end := range running {
			if wanted[key] == nil {
				end()
				delete(running, key)
			}
		}
		for key, src := range wanted {
			if running[key] == nil {
				running[key] = s.askSource(ctx, src)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.sources:
		}
	}
}

// askSource asks one source when it is time; what it returns ends that.
func (s *service) askSource(ctx context.Context, src *config.Source) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	schedule := refresh.New(src.Interval())
	known := s.registry.schedule(src.Name.V, schedule)
	go func() {
		defer close(ended)
		schedule.Run(ctx, known, func(ctx context.Context) error { return s.ask(ctx, src.Name.V) })
	}()
	return func() {
		cancel()
		<-ended
	}
}

// ask asks one source, and puts what is new in service under the configuration as it is.
func (s *service) ask(ctx context.Context, name string) (err error) {
	aside(func() { err = s.askNow(ctx, name) })
	return err
}

// askNow is ask.
func (s *service) askNow(ctx context.Context, name string) error {
	l, _, _ := s.now()
	src, ok := findSource(l.cfg, name)
	if !ok {
		return nil // it is about to be asked no more
	}
	changed, err := s.registry.Ask(ctx, l.cfg, src, l.routes.areas, selfHosts(l.cfg))
	if !changed {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	next, berr := s.buildOf(ctx, s.live.cfg)
	if berr == nil {
		last := s.reload
		last.Snapshot = next.snapshot.ID
		berr = s.put(ctx, next, last)
	}
	if berr != nil {
		s.log.Error("the registry is not in service; it will be with the next good reload", "error", berr.Error())
	}
	return errors.Join(err, berr)
}

// schedule notes when a source is asked, and tells when it was last asked with success.
func (k *keeper) schedule(name string, when *refresh.Schedule) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.keptOf(name)
	s.next = when.Next
	if s.good == nil {
		return time.Time{}
	}
	return s.success
}
