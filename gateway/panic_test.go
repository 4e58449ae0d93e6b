// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
)

// clumsy breaks an invariant.
type clumsy struct{ simResolver }

func (c clumsy) Resolve(r *exchange.Request, p *exchange.Plan) {
	if bytes.HasPrefix(r.Path, []byte("/clumsy")) {
		panic("clumsy")
	}
	c.simResolver.Resolve(r, p)
}

// A broken invariant costs the connection that was being served, at any time of its life, and nobody else.
func TestBrokenInvariantCostsOneConnectionAndLeavesNothing(t *testing.T) {
	t.Parallel()
	const ask = "GET /clumsy HTTP/1.1\r\nHost: sim\r\n\r\n"
	for name, secure := range map[string]bool{"plain": false, "with the end of the handshake": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			panics := 0
			st := newStageWith(t, func(o *Options) {
				o.Panic = func(any, []byte) { panics++ }
				if secure {
					o.Inline, o.Listen = true, []Listener{{TLS: simTLS(t)}}
				}
			})
			snap := *st.server.Snapshot()
			snap.Resolver = clumsy{}
			st.server.Swap(&snap)
			end := st.net.Dial(simFrom, simFront)
			if secure {
				// The client is done before we are: its request is there when our side of the handshake ends.
				c := end.Secure(simClientTLS(tls.VersionTLS13), false)
				for !c.Done() {
					st.settle()
					c.Pump()
				}
				c.Write([]byte(ask))
			} else {
				end.Write([]byte(ask))
			}
			st.settle()
			open, active := st.server.nodes[0].host.Count()
			if l := st.server.nodes[0].loop.Stats(); panics != 1 || open != 0 || active != 0 || l.Streams != 0 || l.Connections != 0 {
				t.Errorf("%d panics; left: %d connections, %d requests, %d streams, %d accepted", panics, open, active, l.Streams, l.Connections)
			}
			if !end.EOF() {
				t.Error("the client waits for an answer")
			}
		})
	}
}
