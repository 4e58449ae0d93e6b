// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// drainReport is the answer to a wish to end.
type drainReport struct {
	PID         int     `json:"pid"`
	Connections int     `json:"connections"`
	Active      int     `json:"requests_in_flight"`
	Delay       float64 `json:"delay_seconds"` // drain.delay
	Time        float64 `json:"time_seconds"`  // drain.time
}

// ending notes that this process takes nothing up any more.
func (s *service) ending() {
	s.mu.Lock()
	before := s.draining
	s.draining = true
	s.mu.Unlock()
	if !before && s.tls.issuer != nil {
		s.tls.issuer.Close()
	}
}

// end ends the service: for a while load balancers are told to look elsewhere and are served still, then requests in
// flight have their time.
func (s *service) end(ctx context.Context) error {
	d := &s.live.cfg.Root.Drain
	s.leaving.Store(true)
	s.ending()
	s.tell(s.born.systemd.Stopping("draining"))
	if d.Delay.V > 0 {
		s.log.Info("leaving", "for", d.Delay.V.String())
		time.Sleep(d.Delay.V)
	}
	s.server.LastCall()
	s.log.Info("draining", "for", d.Time.V.String())
	ctx, cancel := context.WithTimeout(ctx, d.Time.V)
	defer cancel()
	return s.drain(ctx)
}

// drain ends what is in flight within ctx, and then the service.
func (s *service) drain(ctx context.Context) error {
	s.ending()
	return s.over(ctx, s.server.Drain(ctx))
}

// over ends what is left when the server has ended.
func (s *service) over(ctx context.Context, drained error) error {
	s.wards.close()
	s.lookups.close()
	s.books.names.Close()
	return errors.Join(drained, s.endAccessLog(ctx))
}

// Drain begins the end of the service, as SIGTERM does.
func (s *service) Drain(ctx context.Context) (any, error) {
	st, err := s.server.Stats()
	if err != nil {
		return nil, err
	}
	l, _, _ := s.now()
	d := &l.cfg.Root.Drain
	s.stop()
	return drainReport{os.Getpid(), st.Open, st.Active, d.Delay.V.Seconds(), d.Time.V.Seconds()}, nil
}

func newDrain() *cobra.Command {
	var flags adminFlags
	var out output
	cmd := &cobra.Command{
		Use: "drain", Short: "Take a running gateway out of service and end it", Args: cobra.NoArgs,
		Long: "drain does what SIGTERM does: from now on /readyz and /_pv/health say that the gateway is leaving, after\n" +
			"drain.delay no new connections are taken, requests in flight have drain.time, and then the process ends.\n" +
			"It returns at once.",
	}
	flags.register(cmd)
	out.flag(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		return ask(cmd, &flags, &out, http.MethodPost, "/api/v1/drain", printDrain)
	})
	return cmd
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func printDrain(w io.Writer, r *drainReport) {
	fmt.Fprintf(w, "process %d ends: %d connections, %d requests in flight; it leaves for %v and has %v then\n", r.PID, r.Connections, r.Active,
		seconds(r.Delay), seconds(r.Time))
}
