// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/admin"
	"github.com/pvgate/pvgate/gateway/metrics"
)

// gcPercent is how much garbage there may be for what lives, in percent, unless GOGC says otherwise. Requests leave none,
// handshakes do; with Go's hundred an idle TLS connection costs 13 KiB of resident memory, with fifty 10.4 KiB [7.1 live; bench/rig idle].
const gcPercent = 50

func newServe() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve requests until SIGTERM",
		Long: "serve reads the configuration, listens, and answers. A change of a file, SIGHUP or \"pvgate reload\" puts a\n" +
			"new configuration in service, whole or not at all; \"pvgate upgrade\" a new binary. SIGUSR1 reopens the access\n" +
			"log. SIGTERM or \"pvgate drain\" ends the service: requests in flight have drain.time.",
		Args: cobra.NoArgs,
	}
	flags.register(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
		b, err := born(cmd.Context())
		if err != nil {
			return err
		}
		b.program = program()
		return serve(cmd.Context(), serveOptions{load: flags.load, watch: flags.path, log: log, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), born: b})
	})
	return cmd
}

// serveOptions are what serve and demo differ in.
type serveOptions struct {
	load  func() (*config.Config, error)
	watch string // pvgate.yaml whose changes mean a reload; "" = none
	log   *slog.Logger
	out   io.Writer
	err   io.Writer
	born  *birth
	ready func(s *service, operators string) // called once the service answers, with the admin listener's address
}

// serve is the life of a gateway: load, build, listen, tell, wait, and then drain, or leave everything to a successor. What
// is started last is stopped first, but the admin listener, which shows the drain, stays to the end.
func serve(ctx context.Context, o serveOptions) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hup := make(chan os.Signal, 1) // from the first moment on: unheard, SIGHUP ends a process
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	usr1 := make(chan os.Signal, 1) // the same
	signal.Notify(usr1, syscall.SIGUSR1)
	defer signal.Stop(usr1)
	var watcher *config.Watcher
	var s *service
	kept := newBooks(o.log)
	if o.watch != "" {
		var err error
		watcher, err = config.NewWatcher(config.WatchOptions{Path: o.watch, Inputs: func() []string {
			if s == nil { // before the first build there is only Path to tell
				return nil
			}
			return s.inputs()
		}, Loaded: func() config.Hash { return s.digest() }, Digests: &kept.digests})
		if err != nil {
			kept.names.Close()
			return err
		}
	}
	s, err := newService(ctx, o.load, kept, o.log, streams{o.out, o.err}, o.born)
	if err != nil {
		if watcher != nil {
			err = errors.Join(err, watcher.Close())
		}
		o.born.failed(err)
		return err
	}
	s.stop = stop
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if watcher != nil {
		s.follow(watcher)
	}
	operators := serveAdmin(s)
	defer operators.Close()
	defer s.reopenAt(usr1)()
	defer s.watched()()
	first, _, _ := s.now()
	for i, a := range s.server.Addresses() {
		fmt.Fprintf(o.out, "pvgate: listening on %s://%s (listener %d)\n", scheme(&first.cfg.Root.Listen[i]), a, i)
	}
	fmt.Fprintf(o.out, "pvgate: admin on http://%s\n", operators.Addr)
	defer o.born.serves(s)()
	if o.ready != nil {
		o.ready(s, operators.Addr)
	}
	if next := s.wait(ctx, watcher, hup); next != nil {
		return operators.retire(s, next)
	}
	return s.end(context.WithoutCancel(ctx))
}

// wait reloads when a file changes or at hup, until ctx ends or a successor serves.
func (s *service) wait(ctx context.Context, watcher *config.Watcher, hup <-chan os.Signal) *successor {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	changed := make(chan struct{}, 1)
	beside.Go(func() {
		if watcher == nil {
			return
		}
		aside(func() { // it takes the digests of large files
			err := watcher.Run(ctx, func() {
				select {
				case changed <- struct{}{}:
				default: // a reload is due already
				}
			})
			if err != nil {
				s.log.Error("changes of files are not seen any more; use SIGHUP or pvgate reload", "error", err.Error())
			}
		})
	})
	beside.Go(func() { s.watchTLS(ctx) })
	beside.Go(func() { s.askSources(ctx) })
	beside.Go(func() { s.checkLinks(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-s.upgrade.done:
			return next
		case <-hup:
		case <-changed:
		}
		_, _ = s.Reload(ctx, "") // logged there
	}
}

// watched feeds systemd's watchdog as long as every loop turns. What it returns ends that.
func (s *service) watched() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		every := s.born.systemd.Watchdog() / 4
		if every == 0 {
			return
		}
		for tick := time.NewTicker(every); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			within, over := context.WithTimeout(ctx, every)
			err := s.server.Turn(within)
			over()
			if err == nil {
				err = s.born.systemd.Alive()
			}
			if ctx.Err() == nil {
				s.tell(err)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// operatorsListener is the admin listener.
type operatorsListener struct {
	*http.Server
	done chan struct{}
}

// Close stops it.
func (o *operatorsListener) Close() {
	_ = o.Server.Close()
	<-o.done
}

// retire ends a service that another process goes on with: Upgrade has closed the admin listener.
func (o *operatorsListener) retire(s *service, next *successor) error {
	<-o.done
	l, _, _ := s.now()
	end, cancel := context.WithTimeout(context.Background(), l.cfg.Root.Drain.Time.V)
	defer cancel()
	asked := make(chan error, 1)
	go func() { asked <- o.Shutdown(end) }() // who asked for the upgrade gets the answer
	s.log.Info("draining", "for", l.cfg.Root.Drain.Time.V.String())
	return errors.Join(s.retire(end, next), <-asked)
}

// serveAdmin answers operators.
func serveAdmin(s *service) *operatorsListener {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		metrics.New(metrics.Inputs{Stats: s.server.Stats, Limits: s.limits, Endpoints: s.endpoints, State: s.state, Now: time.Now}),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector(),
	)
	handler := admin.New(admin.Options{
		Metrics: reg, Ready: s.ready, Status: s.status, Explain: s.explain, Links: s.links.answer,
		Reload:  func(ctx context.Context, accept string) (any, error) { return s.Reload(ctx, accept) },
		Upgrade: func(_ context.Context, wait time.Duration) (any, error) { return s.Upgrade(wait) },
		Drain:   s.Drain,
	})
	o := &operatorsListener{
		Server: &http.Server{
			Addr: s.operators.Addr().String(), Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16,
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(o.done)
		if err := o.Serve(s.operators); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.log.Error("admin listener ended", "error", err.Error())
		}
	}()
	return o
}
