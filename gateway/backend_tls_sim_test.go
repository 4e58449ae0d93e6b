// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// TLS to backends on the simulated kernel, where time is ours.

// behindTLS puts a snapshot in service whose backend is reached by TLS.
func (st *stage) behindTLS() {
	st.t.Helper()
	next := *st.server.Snapshot()
	next.Backends = append([]Backend(nil), next.Backends...)
	next.Backends[0].TLS = simTrust(st.t)
	st.server.Swap(&next)
}

// serve does the backend's part of the handshake on the next connection.
func (st *stage) serve(config *tls.Config) *simsys.Secure {
	st.t.Helper()
	cert, _ := simIdentity()
	config.Certificates = []tls.Certificate{cert}
	b := st.accept().Serve(config, false)
	st.pump(b)
	if !b.Done() {
		st.t.Fatalf("no handshake: %v", b.Err())
	}
	return b
}

func (st *stage) pump(b *simsys.Secure) {
	for range 10 {
		b.Pump()
		st.settle()
	}
}

func TestBackendsThatDoNotGetOnWithAHandshakeAreGivenUp(t *testing.T) {
	t.Parallel()
	for name, drip := range map[string]string{"silent": "", "dripping": "\x16\x03\x03\x20\x00" + strings.Repeat("z", 100)} {
		st := newStage(t)
		st.behindTLS()
		e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
		b := st.accept()
		at := 0
		st.pass(1900*time.Millisecond, 100*time.Millisecond, func() {
			if at < len(drip) {
				at += b.Write([]byte(drip[at : at+1]))
			}
		})
		st.wantsSilence(e)
		st.pass(200*time.Millisecond, 100*time.Millisecond, nil)
		st.wants(e, 502, "tls_failed", false)
		if got := b.Read(); bytes.Contains(got, []byte("hello")) || !b.EOF() {
			t.Errorf("%s: the backend got %q, ended %v", name, got, b.EOF())
		}
		b.Close()
		e.Close()
		st.settle()
		if n := st.server.nodes[0].loop.Stats(); st.net.Owned() != 0 || n.Streams != 0 || n.Lent != 0 || st.server.workers.Work() {
			t.Errorf("%s: %d sockets, %d streams, %d buffers are left", name, st.net.Owned(), n.Streams, n.Lent)
		}
	}
}

// A handshake that nobody has computed in time is our fault, and never counts against the backend.
func TestHandshakeThatWeDoNotGetOnWithIsOurFault(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.behindTLS()
	e := st.net.Dial(simFrom, simFront)
	e.Write([]byte(getA))
	turn := func() {
		for range 5 {
			st.server.nodes[0].loop.Turn()
		}
	}
	turn()
	st.net.Advance(2100 * time.Millisecond)
	turn()
	if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "local_resource") {
		t.Errorf("got %q", got)
	}
	st.settle() // the worker has it at last
	st.back.Accept().Close()
	e.Close()
	st.settle()
	if n := st.server.nodes[0].loop.Stats(); n.Streams != 0 || n.Lent != 0 {
		t.Errorf("%d streams, %d buffers are left", n.Streams, n.Lent)
	}
}

// RP-01: what comes behind an answer is nobody's, encrypted or not; what TLS says for itself costs the connection nothing.
func TestRP01SurplusBehindTLSEndsTheConnection(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, surplus := range map[string]string{"none": "", "answer": answer, "octet": "x"} {
		for _, late := range []bool{false, true} {
			st := newStage(t)
			st.behindTLS()
			e := st.send(getA)
			b := st.serve(&tls.Config{})
			if got := string(b.Read()); !strings.HasPrefix(got, "GET /a ") {
				t.Fatalf("the backend got %q", got)
			}
			if late {
				b.Write([]byte(answer))
				st.pump(b)
				b.Write([]byte(surplus))
			} else {
				b.Write([]byte(answer + surplus))
			}
			st.pump(b)
			st.wants(e, 200, "ok", false)
			st.write(e, strings.Replace(getA, "/a", "/b", 1))
			st.pump(b)
			again := strings.HasPrefix(string(b.Read()), "GET /b ")
			if again != (surplus == "") || b.EOF() == again {
				t.Errorf("surplus %s, late %v: used again %v, ended %v", name, late, again, b.EOF())
			}
		}
	}
}

// RP-01: nor is a record that has begun to come when the next request is made.
func TestRP01SurplusThatComesInPiecesIsNoAnswer(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	st := newStage(t)
	st.behindTLS()
	e := st.send(getA)
	cert, _ := simIdentity()
	b := st.accept().Serve(&tls.Config{Certificates: []tls.Certificate{cert}}, true) // each octet by itself
	all := func() {
		for range 500 {
			st.pump(b)
		}
	}
	if all(); !strings.HasPrefix(string(b.Read()), "GET /a ") {
		t.Fatal("no request has come")
	}
	b.Write([]byte(answer + "ok"))
	all()
	st.wants(e, 200, "ok", false)
	b.Write([]byte(answer + "no"))
	st.settle()
	st.write(e, strings.Replace(getA, "/a", "/b", 1))
	all()
	if got := string(b.Read()); got != "" {
		t.Errorf("the connection was used again for %q, and the client got %q", got, e.Read())
	}
}

// RP-05: a form that is too large to be held until the turn's end has begun to leave: an early answer is one to it.
func TestRP05AnEarlyAnswerToALargeFormBehindTLSIsPassedOn(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.net.SetCapacity(1 << 20)
	st.behindTLS()
	e := st.send(getA)
	b := st.serve(&tls.Config{})
	b.Read()
	b.Write([]byte(ok200))
	st.pump(b)
	st.wants(e, 200, "", false)
	piece := strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 5)
	st.write(e, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+piece)
	b.Pump()
	if got := string(b.Read()); !strings.HasPrefix(got, "POST /a ") {
		t.Fatalf("the backend got %.100q", got)
	}
	st.net.Order = true
	e.Write([]byte("1\r\nx\r\n")) // is served first
	b.Write([]byte("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"))
	st.pump(b)
	st.wants(e, 413, "no", true)
	if other := st.back.Accept(); other != nil {
		t.Errorf("the form goes to another connection, too")
	}
}

// A backend that goes on asking for new keys, and takes nothing of what we say to that, is not read any more.
func TestRS11BackendThatWantsKeysAndReadsNothingIsHeldBack(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.behindTLS()
	e := st.send(getA)
	var keys bytes.Buffer
	cert, _ := simIdentity()
	end := st.accept()
	b := end.Serve(&tls.Config{Certificates: []tls.Certificate{cert}, KeyLogWriter: &keys, MinVersion: tls.VersionTLS13}, false)
	st.pump(b)
	u, err := simsys.NewServerUpdater(keys.String())
	if err != nil {
		t.Skip(err)
	}
	end.Write(u.Record(23, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"))
	const many = 40_000
	taken := 0
	for ; taken < many; taken++ {
		record := append(u.Update(), u.Record(23, "x")...)
		if end.Room() < len(record) {
			st.settle()
		}
		if end.Room() < len(record) {
			break
		}
		end.Write(record)
		st.server.nodes[0].loop.Turn()
		e.Read()
	}
	if taken < 100 || taken == many {
		t.Fatalf("%d of %d requests for keys were taken", taken, many)
	}
	e.Reset()
	st.settle()
	if n := st.server.nodes[0].loop.Stats(); n.Streams != 0 || n.Lent != 0 {
		t.Errorf("%d streams, %d buffers are left", n.Streams, n.Lent)
	}
}

// Both directions of a tunnel over TLS, and how each side's end is told to the other.
func TestTunnelBehindTLS(t *testing.T) {
	t.Parallel()
	for _, notify := range []bool{true, false} {
		st := newStage(t)
		st.behindTLS()
		c := st.send(askSocket)
		b := st.serve(&tls.Config{})
		b.Read()
		b.Write([]byte(agree + "early"))
		st.pump(b)
		if got := string(c.Read()); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\nearly") {
			t.Fatalf("the client got %q", got)
		}
		st.write(c, "up")
		st.pump(b)
		if got := string(b.Read()); got != "up" {
			t.Errorf("the backend got %q", got)
		}
		b.Write([]byte("down"))
		if notify {
			b.CloseWrite()
		} else { // as many do, in whose protocol the end has its own sign
			b.Pump()
			b.Close()
		}
		st.settle()
		if got := string(c.Read()); got != "down" || !c.EOF() || c.Broken() {
			t.Errorf("notify %v: the client got %q, ended %v, broken %v", notify, got, c.EOF(), c.Broken())
		}
		c.CloseWrite()
		st.settle()
		if notify {
			if st.pump(b); !b.EOF() || b.Broken() {
				t.Error("the backend did not hear the client's end")
			}
			b.Close()
		}
		st.ended(exchange.TunnelFinished)
	}
}
