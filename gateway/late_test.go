// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// A loop that more comes to than it can serve refuses what comes too late, keeps the connections, and serves what is in
// flight; it goes on as before when less comes.
func TestALoopThatIsBehindRefusesWhatIsNew(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	turn := func(after time.Duration) {
		st.net.Advance(after)
		st.server.nodes[0].loop.Turn()
	}
	old := st.send(getA)
	backend := st.accept()
	var ends []*simsys.End
	for range 40 {
		ends = append(ends, st.net.Dial(simFrom, simFront))
	}
	st.settle()
	ask := func(i int) {
		ends[i].Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"))
		turn(60 * time.Millisecond) // each turn takes so long that more has come meanwhile
	}
	answer := func(i int) string { return string(ends[i].Read()) }

	for i := range 18 { // for a second: these are too few looks to know it earlier
		if ask(i); !strings.HasPrefix(answer(i), "HTTP/1.1 404 ") {
			t.Errorf("request %d is refused: the delay does not stand yet", i)
		}
	}
	for i := 18; i < 25; i++ {
		ask(i)
		got := answer(i)
		if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.HasSuffix(got, "overloaded") || strings.Contains(got, "Connection: close") {
			t.Errorf("request %d got %q, want 503 overloaded on a connection that stays", i, got)
		}
	}
	backend.Write([]byte(okAnswer))
	turn(60 * time.Millisecond)
	if got := string(old.Read()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("what was in flight got %q", got)
	}
	ends[25].Write([]byte("GET " + exchange.HealthPath + " HTTP/1.1\r\nHost: a\r\n\r\n"))
	turn(60 * time.Millisecond)
	if got := answer(25); strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("a load balancer got %q", got)
	}

	ends[26].Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"))
	turn(18 * time.Millisecond)
	if got := answer(26); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("a request that has hardly waited got %q", got)
	}
	for range 5 { // no less comes, but others have the processor
		ends[27].Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"))
		st.net.Steal(50 * time.Millisecond)
		turn(8 * time.Millisecond)
		if got := answer(27); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("a request that the machine kept waiting got %q", got)
		}
	}
	st.pass(1100*time.Millisecond, 20*time.Millisecond, nil)
	for i := 27; i < 29; i++ {
		if ask(i); !strings.HasPrefix(answer(i), "HTTP/1.1 404 ") {
			t.Errorf("request %d is refused after the overload", i)
		}
	}
	for _, e := range append(ends, old) {
		e.Reset()
	}
	st.settle()
}
