// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// RS-05: with far more connections than descriptors those who are in are served, accepting is tried again a few times a
// second and not all the time, and who waits is served when descriptors are free. bench/rig overload does the same to a
// process.
func TestRS05WantOfDescriptors(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	client, backend := st.kept()
	st.net.Descriptors = st.net.Owned() + 10
	var waiting []*simsys.End
	for range 100 {
		waiting = append(waiting, st.net.Dial(simFrom, simFront))
	}
	st.settle()
	n := st.server.nodes[0]
	tries, turns := n.loop.Stats().AcceptErrors, n.loop.Stats().Waits
	for range 10 {
		st.net.Advance(100 * time.Millisecond)
		st.write(client, getA)
		backend.Read()
		backend.Write([]byte(okAnswer))
		st.settle()
		st.wants(client, 200, "", false)
	}
	stats := n.loop.Stats()
	if got := stats.AcceptErrors - tries; got < 5 || got > 20 {
		t.Errorf("accepting was tried %d times in a second, want about ten", got)
	}
	if got := stats.Waits - turns; got > 1000 {
		t.Errorf("%d turns in a second: it spins", got)
	}
	for _, e := range waiting[:20] {
		e.Close()
	}
	st.pass(time.Second, 100*time.Millisecond, nil)
	last := waiting[25]
	st.write(last, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(last, 404, "own", false)
}

// RS-05: accepting ends while descriptors are left, or who is in could not be served.
func TestRS05DescriptorsAreLeftForBackends(t *testing.T) {
	t.Parallel()
	const most = 10
	st := newStageWith(t, func(o *Options) { o.MaxConnections = most })
	st.net.Descriptors = most + 2
	first := st.net.Dial(simFrom, simFront)
	st.settle()
	for range 40 {
		st.net.Dial(simFrom, simFront)
	}
	st.settle()
	if n := st.server.nodes[0].loop.Connections(); n != most {
		t.Errorf("%d connections, want %d", n, most)
	}
	st.write(first, getA)
	backend := st.accept()
	backend.Read()
	st.write(backend, okAnswer)
	st.wants(first, 200, "", false)
}
