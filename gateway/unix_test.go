// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

const simPath = "/run/sim.sock"

// atSocket is a stage whose backend is at a Unix socket, and at what more says.
func atSocket(t *testing.T, more ...endpoint.Spec) (*stage, *endpoint.Group) {
	t.Helper()
	g := new(endpoint.Book).Group("", endpoint.Options{
		Endpoints: append([]endpoint.Spec{{URL: "unix:" + simPath, Network: endpoint.Unix, Host: simPath}}, more...), Pick: endpoint.RoundRobin,
	})
	return newStageOf(t, func(*Options) {}, g), g
}

func TestSocketIsReachedAndItsConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	st, _ := atSocket(t)
	st.back = st.net.ListenUnix(simPath)
	c, b := st.kept()
	for range 3 {
		st.write(c, getA)
		if got := string(b.Read()); !strings.HasPrefix(got, "GET /a HTTP/1.1\r\n") {
			t.Fatalf("the backend got %q", got)
		}
		st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		st.wants(c, 200, "", false)
	}
	if st.back.Accept() != nil {
		t.Error("a second connection was opened")
	}
}

// Whatever keeps a socket from being one is the backend's fault, and is heard at once.
func TestSocketThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	for what, prepare := range map[string]func(*simsys.Net){
		"no file":        func(*simsys.Net) {},
		"nobody listens": func(n *simsys.Net) { n.ListenUnix(simPath).Close() },
	} {
		st, g := atSocket(t)
		prepare(st.net)
		for range 3 {
			st.wants(st.send(getA), 502, "connect_refused", false)
		}
		if s, _ := g.At(0).State(); s != endpoint.Ejected {
			t.Errorf("%s: after three requests the endpoint is %v", what, s)
		}
	}
}

// A full queue is asked again until there is room, as a kernel does over TCP; when there is none for too long, that is the
// backend's fault.
func TestFullSocketIsAskedAgain(t *testing.T) {
	t.Parallel()
	st, g := atSocket(t)
	st.back = st.net.ListenUnix(simPath)
	st.back.Backlog = 1
	st.send(getA)
	second := st.send(getA)
	st.pass(500*time.Millisecond, 20*time.Millisecond, nil)
	st.wantsSilence(second)
	st.accept()
	st.pass(60*time.Millisecond, 20*time.Millisecond, nil)
	third := st.send(getA)
	b := st.accept()
	b.Read()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	st.wants(second, 200, "", false)
	st.pass(60*time.Millisecond, 20*time.Millisecond, nil) // the third is in the queue now, and nobody takes it
	fourth := st.send(getA)
	st.pass(1900*time.Millisecond, 20*time.Millisecond, nil)
	st.wantsSilence(fourth)
	st.pass(200*time.Millisecond, 20*time.Millisecond, nil)
	st.wants(fourth, 504, "connect_timeout", false)
	st.wantsSilence(third)
	if g.At(0).InFlight() != 2 {
		t.Errorf("%d requests are there", g.At(0).InFlight())
	}
}

// Who has no room is not waited for if another endpoint has.
func TestFullSocketLeadsToTheNextEndpoint(t *testing.T) {
	t.Parallel()
	st, _ := atSocket(t, specs([]netip.AddrPort{simBack}).Endpoints...)
	st.net.ListenUnix(simPath).Backlog = 1
	for range 6 {
		st.send(getA)
	}
	n := 0
	for st.back.Accept() != nil {
		n++
	}
	if n != 5 {
		t.Errorf("%d of six requests came to the endpoint with room, want 5", n)
	}
}
