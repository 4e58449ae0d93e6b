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
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/admin"
	"github.com/pvgate/pvgate/gateway/metrics"
)

// drainTime is how long requests in flight have after SIGTERM.
const drainTime = 30 * time.Second

// gcPercent is how much garbage there may be for what lives, in percent, unless GOGC says otherwise. Requests leave none,
// handshakes do; with Go's hundred an idle TLS connection costs 13 KiB of resident memory, with fifty 10.4 KiB [7.1 live; bench/rig idle].
const gcPercent = 50

func newServe() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve requests until SIGTERM",
		Long: "serve reads the configuration, listens, and answers. A change of a file, SIGHUP or \"pvgate reload\" puts a\n" +
			"new configuration in service, whole or not at all. SIGUSR1 reopens the access log. SIGTERM ends the service:\n" +
			"requests in flight have 30 s.",
		Args: cobra.NoArgs,
	}
	flags.register(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
		return serve(cmd.Context(), serveOptions{load: flags.load, watch: flags.path, log: log, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()})
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
	ready func(s *service, operators string) // called once the service answers, with the admin listener's address
}

// serve is the life of a gateway: load, build, listen, tell, wait, drain. What is started last is stopped first, but
// the admin listener, which shows the drain, stays to the end.
func serve(ctx context.Context, o serveOptions) error {
	hup := make(chan os.Signal, 1) // from the first moment on: unheard, SIGHUP ends a process
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	usr1 := make(chan os.Signal, 1) // the same
	signal.Notify(usr1, syscall.SIGUSR1)
	defer signal.Stop(usr1)
	var watcher *config.Watcher
	var s *service
	if o.watch != "" {
		var err error
		watcher, err = config.NewWatcher(config.WatchOptions{Path: o.watch, Inputs: func() []string {
			if s == nil { // before the first build there is only Path to tell
				return nil
			}
			return s.inputs()
		}, Loaded: func() config.Hash { return s.digest() }})
		if err != nil {
			return err
		}
	}
	s, err := newService(ctx, o.load, o.log, streams{o.out, o.err})
	if err != nil {
		if watcher != nil {
			err = errors.Join(err, watcher.Close())
		}
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if watcher != nil {
		s.follow(watcher)
	}
	operators, err := listenAdmin(s)
	if err != nil {
		if watcher != nil {
			err = errors.Join(err, watcher.Close())
		}
		return errors.Join(err, s.drain(ctx))
	}
	defer operators.Close()
	defer s.reopenAt(usr1)()
	first, _, _ := s.now()
	for i, a := range s.server.Addresses() {
		fmt.Fprintf(o.out, "pvgate: listening on %s://%s (listener %d)\n", scheme(&first.cfg.Root.Listen[i]), a, i)
	}
	fmt.Fprintf(o.out, "pvgate: admin on http://%s\n", operators.Addr)
	if o.ready != nil {
		o.ready(s, operators.Addr)
	}
	s.wait(ctx, watcher, hup)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	o.log.Info("draining", "for", drainTime.String())
	return s.drain(end)
}

// wait reloads when a file changes or at hup, until ctx ends.
func (s *service) wait(ctx context.Context, watcher *config.Watcher, hup <-chan os.Signal) {
	changed := make(chan struct{}, 1)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if watcher == nil {
			return
		}
		err := watcher.Run(ctx, func() {
			select {
			case changed <- struct{}{}:
			default: // a reload is due already
			}
		})
		if err != nil {
			s.log.Error("changes of files are not seen any more; use SIGHUP or pvgate reload", "error", err.Error())
		}
	}()
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		s.watchTLS(ctx)
	}()
	for {
		select {
		case <-ctx.Done():
			<-watching
			<-renewing
			return
		case <-hup:
		case <-changed:
		}
		_, _ = s.Reload(ctx) // logged there
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

func listenAdmin(s *service) (*operatorsListener, error) {
	ln, err := net.Listen("tcp", s.live.cfg.Root.Admin.Address.V)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w; change admin.address or stop who has it", err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		metrics.New(metrics.Inputs{Stats: s.server.Stats, Limits: s.limits, State: s.state, Now: time.Now}),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector(),
	)
	handler := admin.New(admin.Options{
		Metrics: reg, Ready: s.ready, Status: s.status, Explain: s.explain,
		Reload: func(ctx context.Context) (any, error) { return s.Reload(ctx) },
	})
	o := &operatorsListener{
		Server: &http.Server{Addr: ln.Addr().String(), Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(o.done)
		if err := o.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener ended", "error", err.Error())
		}
	}()
	return o, nil
}
