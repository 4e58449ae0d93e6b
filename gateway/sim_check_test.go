// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/gateway/meter"
)

// What must be so when a world has come to its end.

// late says whether an answer tells that a loop had too much to do.
func (w *world) late(status int, body string, cut bool) bool {
	return w.toils && status == 503 && says("overloaded", body, cut)
}

// says reports whether an answer of ours gives a reason, as far as it has come.
func says(reason, body string, cut bool) bool {
	return body == reason || cut && strings.HasPrefix(reason, body)
}

func (w *world) check() {
	w.checkLog()
	for _, c := range w.clients {
		c.check()
	}
	for _, s := range w.sockets {
		s.check()
	}
	for _, s := range w.streamers {
		s.check()
	}
	for tag, n := range w.seen {
		if n > 1 {
			w.fatal("request %s that must not be repeated reached the backend %d times", tag, n)
		}
	}
	if n := w.server.parking.taken.Load(); n != 0 {
		w.fatal("%d places of requests that wait for look-ups were not given back", n)
	}
	for i, l := range w.limiter {
		if u := l.Usage(0); u.InFlight != 0 || u.Tunnels != 0 || u.Queued != 0 {
			w.fatal("%d places, %d for tunnels and %d in the queue of backend %d were not given back", u.InFlight, u.Tunnels, u.Queued, i)
		}
	}
	for _, g := range w.groups {
		for i := range g.Len() {
			if n := g.At(i).InFlight(); n != 0 {
				w.fatal("%d requests at endpoint %s of %q were never counted out", n, g.At(i).URL(), g.Name())
			}
		}
	}
	for i, n := range w.server.nodes {
		w.waited = w.waited || len(n.tickets) > 0
		if n.share.taken != 0 {
			w.fatal("loop %d keeps %d shares: %v", i, n.share.taken, n.share.by)
		}
		open, active := n.host.Count()
		if n.tunnels != 0 || n.host.Tunnels() != 0 {
			w.fatal("loop %d keeps %d tunnels, %d places", i, n.host.Tunnels(), n.tunnels)
		}
		if open != 0 || active != 0 || n.loop.Connections() != 0 {
			w.fatal("loop %d keeps %d connections, %d requests, counts %d", i, open, active, n.loop.Connections())
		}
		st := n.loop.Stats()
		if st.Streams != 0 || st.Lent != 0 || st.Pipes != 0 {
			w.fatal("loop %d keeps %d streams, %d buffers, %d pipes", i, st.Streams, st.Lent, st.Pipes)
		}
		w.spliced += st.Spliced
	}
}

// checkLog sees that each exchange that was counted has its line, with the status that was counted.
func (w *world) checkLog() {
	if err := w.log.Close(w.t.Context()); err != nil {
		w.fatal("%v", err)
	}
	var counted meter.Meter
	for _, n := range w.server.nodes {
		n.meter.AddTo(&counted)
	}
	logged := new(meter.Meter).Codes
	for line := range bytes.Lines(w.lines.Bytes()) {
		var l struct {
			Proto   string `json:"proto"`
			Status  int    `json:"status"`
			Trace   string `json:"trace_id"`
			Reason  string `json:"reason"`
			Backend string `json:"backend"`
			Mode    string `json:"mode"`
			Attempt int    `json:"attempt"`
		}
		if err := json.Unmarshal(line, &l); err != nil || len(l.Trace) != 32 {
			w.fatal("line %q: %v", line, err)
		}
		if (l.Mode == "proxy") != (l.Backend != "") || l.Attempt > 0 && l.Mode != "proxy" {
			w.fatal("line %q: mode, backend and attempt do not fit", line)
		}
		logged[slices.Index([]string{"h1", "h2", "h3"}, l.Proto)][l.Status]++
	}
	if w.log.Dropped() > 0 {
		w.fatal("%d lines dropped", w.log.Dropped())
	}
	if logged != counted.Codes {
		w.fatal("logged and counted differ: %v, %v", logged, counted.Codes)
	}
}
