// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// TestRS07IdleConnectionsLeaveOthersTheirDescriptors: connections to backends that wait are closed for clients who come, also
// by a loop for another, which could not close them.
func TestRS07IdleConnectionsLeaveOthersTheirDescriptors(t *testing.T) {
	t.Parallel()
	const descriptors, share, busy, clients = 100, 45, 15, 42 // share is each of two loops'
	st := newStageWith(t, func(o *Options) { o.Loops, o.Descriptors, o.MaxConnections = 2, descriptors, 2*descriptors })
	st.net.Descriptors = descriptors
	front := [2]netip.AddrPort{simFront, netip.MustParseAddrPort("192.0.2.9:81")}
	if err := st.server.nodes[1].listen(st.net.LoopSocket(front[1]), 0, Listener{}); err != nil {
		t.Fatal(err)
	}
	settle := func() {
		for quiet := 0; quiet < 3; quiet++ {
			for _, n := range st.server.nodes {
				n.loop.Turn()
			}
			if st.net.Moved() {
				quiet = 0
			}
		}
	}
	var backs []*simsys.End
	answer := func() {
		settle()
		for b := st.back.Accept(); b != nil; b = st.back.Accept() {
			backs = append(backs, b)
		}
		for _, b := range backs {
			if len(b.Read()) > 0 {
				b.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
			}
		}
		settle()
	}
	used := func(n *node) int { return n.held() + n.share.taken + n.cache.Stats().Idle }
	ask := func(what, request string, ends ...*simsys.End) {
		t.Helper()
		for _, e := range ends {
			e.Write([]byte(request))
		}
		settle()
		for i, n := range st.server.nodes {
			if got := used(n); got > share {
				t.Errorf("%s: loop %d uses %d descriptors, of %d", what, i, got, share)
			}
		}
		answer()
		for i, e := range ends {
			if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Fatalf("%s, %d: %q", what, i, got)
			}
		}
	}
	var ends [2][]*simsys.End
	dial := func(upTo int) {
		for range upTo - len(ends[0]) {
			for at := range ends {
				ends[at] = append(ends[at], st.net.Dial(simFrom, front[at]))
				settle()
			}
		}
	}
	form := "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
	dial(busy)
	ask("one loop", getA, ends[0]...)
	st.net.Advance(1100 * time.Millisecond) // too long for a form to take one that waits
	ask("forms", form, ends[0][1:]...)
	if got := st.server.nodes[0].cache.Stats().Idle; got != descriptors/4 {
		t.Errorf("%d connections wait, want %d", got, descriptors/4)
	}
	dial(clients)
	ask("the other loop", getA, ends[1][:2]...)
	ask("who has come last", getA, ends[0][clients-1], ends[1][clients-1])
	st.net.Advance(1100 * time.Millisecond)
	ask("forms, later", form, ends[0][:2]...)
}
