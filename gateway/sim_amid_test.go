// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// amid is a kernel on whose machine others go on while a turn is served: what they do then is found by the look at its end.
type amid struct {
	*simsys.Kernel
	w *world
}

// Wait implements loop.Kernel.
func (k amid) Wait(events []loop.Event, timeout int64) (n, sleeps int) {
	n, sleeps = k.Kernel.Wait(events, timeout)
	if k.w.own.IntN(2) == 0 {
		k.w.play()
	}
	return n, sleeps
}

// play lets some of the clients and backends do something.
func (w *world) play() {
	for _, c := range w.clients {
		if w.own.IntN(2) == 0 {
			c.step()
		}
	}
	for _, s := range w.streamers {
		if w.own.IntN(2) == 0 {
			s.step()
		}
	}
	for _, o := range w.origins {
		if w.own.IntN(2) == 0 {
			o.step()
		}
	}
}
