// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/message"
)

// logTime is how long the end of a service waits for the last lines of the access log.
const logTime = 2 * time.Second

// streams are the destinations of an access log that are no files.
type streams struct{ out, err io.Writer }

// startAccessLog opens the access log of a configuration; nil if it has none.
func startAccessLog(cfg *config.Config, s streams, events *slog.Logger) (*accesslog.Log, error) {
	o := accesslog.Options{Notes: slices.Concat(http1.Causes(), http2.Causes(), message.HeadCauses()), Events: events}
	switch file := cfg.Root.AccessLog.File.V; file {
	case "off":
		return nil, nil
	case "stdout":
		o.Open = accesslog.Stream(s.out)
	case "stderr":
		o.Open = accesslog.Stream(s.err)
	default:
		o.Open = accesslog.File(cfg.Resolve(file))
	}
	return accesslog.Start(o)
}

// endAccessLog writes the last lines; the server has ended.
func (s *service) endAccessLog(ctx context.Context) error {
	if s.accessLog == nil {
		return nil
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTime)
	defer cancel()
	return s.accessLog.Close(end)
}

// reopenAt follows files that have been moved away, at each signal and beside reloads, which take their time. What it
// returns ends that.
func (s *service) reopenAt(usr1 chan os.Signal) (end func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range usr1 {
			if s.accessLog != nil {
				s.accessLog.Reopen()
			}
		}
	}()
	return func() {
		signal.Stop(usr1) // after it nobody sends
		close(usr1)
		<-ended
	}
}
