// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// The simulation runs the whole data plane, loops included, on one goroutine against a simulated kernel. Clients and
// backends are played here; every request carries a tag, and every answer must be its own.

var (
	simFront = netip.MustParseAddrPort("10.0.0.1:80")
	simBack  = netip.MustParseAddrPort("10.0.0.2:8080")
	simNext  = netip.MustParseAddrPort("10.0.0.3:8080")
	simDeaf  = netip.MustParseAddrPort("10.0.0.4:8080") // takes no connection and refuses none
	simDead  = netip.MustParseAddrPort("10.0.0.5:8080") // refuses all
)

const simSpoken = conn.HTTP1 | conn.HTTP2 | conn.WebSocket

// TestSimulatedKernel plays many small worlds. PVGATE_SIM_SEED repeats one, PVGATE_SIM_WORLDS says how many to play (from
// that one on), PVGATE_PROVE plays 200 000.
func TestSimulatedKernel(t *testing.T) {
	t.Parallel()
	worlds := uint64(300)
	if os.Getenv("PVGATE_PROVE") != "" {
		worlds = 200_000
	}
	first := uint64(1)
	if s := os.Getenv("PVGATE_SIM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, worlds = n, 1
	}
	if s := os.Getenv("PVGATE_SIM_WORLDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		worlds = n
	}
	faults := []simsys.Faults{
		{},
		{Short: 300, Again: 100, Interrupt: 50, Late: 200},
		{Short: 100, Again: 50, Interrupt: 20, Late: 100, Reset: 5},
		{Short: 500, Again: 300, Interrupt: 100, Late: 400, Reset: 20, Exhausted: 20, NoSplice: 20},
	}
	whole, tunnels, streamed, waited, h2tunnels, spoken, spliced := 0, 0, 0, 0, 0, 0, uint64(0)
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(t, seed, faults[seed%uint64(len(faults))])
		w.run()
		whole += w.whole
		tunnels += w.tunnels
		streamed += w.streamed
		h2tunnels += w.h2tunnels
		spliced += w.spliced
		spoken += w.spoken
		if w.waited {
			waited++
		}
	}
	reached := spoken >= int(worlds)/4 && spliced >= worlds<<10 && whole >= int(worlds)*2 && tunnels >= int(worlds)/3 && streamed >= int(worlds) && waited >= int(worlds)/8 && h2tunnels >= int(worlds)/10
	if !reached && worlds > 1 {
		t.Errorf("only %d whole answers, %d of streams, %d and %d tunnels, %d queues, %d backends that spoke unasked, and %d octets moved in %d worlds: the simulation does not reach the work", whole, streamed, tunnels, h2tunnels, waited, spoken, spliced, worlds)
	}
}
