// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

const (
	postA = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nform"
	ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

// repeats is how many requests were sent a second time, and how many not for want of a budget.
func (st *stage) repeats() (sent, withheld uint64) {
	s := st.server.nodes[0].cache.Stats()
	return s.Repeats, s.Withheld
}

// hooked calls hook when it is asked for /own/hook in the turn in which it was asked for /a.
type hooked struct {
	simResolver
	asked *bool
	hook  func()
}

func (h hooked) Resolve(r *exchange.Request, p *exchange.Plan) {
	switch string(r.Path) {
	case "/a":
		*h.asked = true
	case "/own/hook":
		if *h.asked {
			*h.asked = false
			h.hook()
		}
	}
	h.simResolver.Resolve(r, p)
}

// during runs hook in the turn in which the loop reads request, after it has put it on a connection.
func (st *stage) during(client *simsys.End, request string, hook func()) {
	st.t.Helper()
	snap := *st.server.Snapshot()
	snap.Resolver = hooked{asked: new(bool), hook: hook}
	st.server.Swap(&snap)
	var others []*simsys.End // some of them are read after it
	for range 8 {
		others = append(others, st.net.Dial(simFrom, simFront))
	}
	st.settle()
	put := func(e *simsys.End, b []byte) {
		for len(b) > 0 {
			b = b[e.Write(b):]
		}
	}
	for _, o := range others[:4] {
		put(o, []byte("GET /own/hook HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	put(client, []byte(request))
	for _, o := range others[4:] {
		put(o, []byte("GET /own/hook HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	st.settle()
}

// RP-05: a backend closes a connection that waited, just after a form was put on it: the kernel has accepted nothing of
// it, so it goes over another one, whole, and the backend sees it once.
func TestRP05AFormThatTheKernelDidNotTakeGoesOverAnotherConnection(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*simsys.End){"FIN": (*simsys.End).Close, "reset": (*simsys.End).Reset} {
		for _, body := range []string{"Content-Length: 4\r\n\r\nform", "Transfer-Encoding: chunked\r\n\r\n4\r\nform\r\n0\r\n\r\n", "Content-Length: 0\r\n\r\n"} {
			st := newStage(t)
			client, before := st.kept()
			st.pass(500*time.Millisecond, 100*time.Millisecond, nil)
			st.during(client, "POST /a HTTP/1.1\r\nHost: a\r\n"+body, func() { leave(before) })
			forms := 0
			for b := st.back.Accept(); b != nil; b = st.back.Accept() {
				got := string(b.Read())
				if strings.HasPrefix(got, "POST /a ") && strings.HasSuffix(got, body[strings.Index(body, "\r\n\r\n"):]) {
					forms++
				}
				st.write(b, ok200)
			}
			st.wants(client, 200, "", false)
			if n, _ := st.repeats(); forms != 1 || n != 1 {
				t.Errorf("%s: %d forms have come, %d repeated", name, forms, n)
			}
		}
	}
}

// RP-05: what a backend says while its kernel takes nothing of the next request yet is no answer to that; nothing has left, so it goes
// over another connection, however large it is.
func TestRP05AFormThatTheKernelRefusedIsGuardedStill(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 20_000)
	for name, speak := range map[string]func(*simsys.End){
		"surplus": func(b *simsys.End) { b.Write([]byte("HTTP/1.1 200 OK\r\nX-Tag: unasked\r\nContent-Length: 0\r\n\r\n")) },
		"FIN":     (*simsys.End).CloseWrite, "reset": (*simsys.End).Reset,
	} {
		for _, body := range []string{
			"Content-Length: 4\r\n\r\nform",
			"Content-Length: 20000\r\n\r\n" + large,
			"Transfer-Encoding: chunked\r\n\r\n4e20\r\n" + large + "\r\n0\r\n\r\n",
		} {
			st := newStage(t)
			client := st.send(getA)
			before := st.accept()
			st.net.SetCapacity(int(before.Got())) // it has answered, and has not read what it was asked
			st.write(before, ok200)
			st.wants(client, 200, "", false)
			st.net.SetCapacity(1 << 20)
			client.Write([]byte("POST /a HTTP/1.1\r\nHost: a\r\n" + body))
			st.net.SetCapacity(int(before.Got()))
			st.settle()
			st.wantsSilence(client)
			if st.back.Accept() != nil {
				t.Fatalf("%s: it was not put on the connection that waited", name)
			}
			st.net.SetCapacity(1 << 20)
			speak(before)
			b := st.accept()
			if got := string(b.Read()); !strings.HasPrefix(got, "POST /a ") || !strings.HasSuffix(got, body[strings.Index(body, "\r\n\r\n"):]) {
				t.Errorf("%s: %d octets have come, %.60q", name, len(got), got)
			}
			st.write(b, ok200)
			if got := string(client.Read()); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || strings.Contains(got, "unasked") {
				t.Errorf("%s: the client got %.60q", name, got)
			}
			if got := string(before.Read()); strings.Contains(got, "POST") {
				t.Errorf("%s: the one that spoke got %.60q, too", name, got)
			}
		}
	}
}

// RP-05: nor is a form lost of which TLS has already made something else.
func TestRP05AFormThatDidNotLeaveByTLSGoesOverAnotherConnection(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*simsys.Secure){"FIN": (*simsys.Secure).Close, "reset": (*simsys.Secure).Reset} {
		st := newStage(t)
		st.behindTLS()
		client := st.send(getA)
		before := st.serve(&tls.Config{})
		before.Read()
		before.Write([]byte(ok200))
		st.pump(before)
		st.wants(client, 200, "", false)
		st.during(client, postA, func() { leave(before) })
		b := st.serve(&tls.Config{})
		if got := string(b.Read()); !strings.HasPrefix(got, "POST /a ") || !strings.HasSuffix(got, "\r\n\r\nform") {
			t.Errorf("%s: %q has come", name, got)
		}
		b.Write([]byte(ok200))
		st.pump(b)
		st.wants(client, 200, "", false)
		if n, _ := st.repeats(); n != 1 {
			t.Errorf("%s: %d repeated", name, n)
		}
	}
}

// What has left cannot be sent again: nobody holds a form while its answer is awaited.
func TestAFormThatHasLeftIsHeldNoMore(t *testing.T) {
	t.Parallel()
	form := "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8192\r\n\r\n" + strings.Repeat("x", 8192)
	for _, secure := range []bool{false, true} {
		st := newStage(t)
		st.net.SetCapacity(1 << 20)
		if secure {
			st.behindTLS()
		}
		client := st.send(form)
		var b farEnd
		if secure {
			b = st.serve(&tls.Config{})
		} else {
			b = st.accept()
		}
		for _, connection := range []string{"new", "used"} {
			b.Pump()
			if got := string(b.Read()); !strings.HasSuffix(got, form[len(form)-8192:]) {
				t.Fatalf("TLS %v, %s connection: %d octets have come", secure, connection, len(got))
			}
			if n := st.server.nodes[0].loop.Stats().Lent; n != 0 {
				t.Errorf("TLS %v, %s connection: %d buffers are held for it", secure, connection, n)
			}
			b.Write([]byte(ok200))
			b.Pump()
			st.settle()
			st.wants(client, 200, "", false)
			st.write(client, form)
		}
	}
}

// RP-05: the rest of a form that comes after the repetition follows the beginning.
func TestRP05TheRestOfAFormFollows(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	client, before := st.kept()
	st.during(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfo", before.Close)
	b := st.accept()
	if !strings.Contains(string(b.Take(5)), "POST") {
		b = st.accept()
	}
	st.write(client, "rm")
	st.write(client, "form")
	if got := string(b.Read()); !strings.HasSuffix(got, "\r\n\r\nformform") {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, ok200)
	st.wants(client, 200, "", false)
}

// RP-05: a form of which anything has gone is lost with its connection, and the citizen is told.
func TestRP05AFormThatHasGoneIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, answer string }{
		{postA, ""},
		{postA, "H"},
		{"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nform", ""},
		{"DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", ""},
		{"PATCH /a HTTP/1.1\r\nHost: a\r\n\r\n", ""},
	} {
		st := newStage(t)
		client, b := st.kept()
		st.write(client, c.request)
		b.Read()
		b.Write([]byte(c.answer))
		b.Close()
		st.settle()
		if got := string(client.Read()); !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "connection_lost") {
			t.Errorf("%q: %.100q", c.request, got)
		}
		if st.back.Accept() != nil {
			t.Errorf("%q: repeated", c.request)
		}
	}
}

// RP-05: what is safe to repeat is repeated once, as long as no octet of an answer has come.
func TestRP05ASafeRequestIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	client := st.send(getA)
	st.accept().Close()
	again := st.accept()
	again.Close()
	st.settle()
	st.wants(client, 502, "connection_lost", false)
	if st.back.Accept() != nil {
		t.Error("repeated twice")
	}
	st.write(client, getA)
	b := st.accept()
	b.Read()
	b.Write([]byte("H"))
	b.Close()
	st.settle()
	st.wants(client, 502, "connection_lost", false)
	if st.back.Accept() != nil {
		t.Error("repeated after an octet of an answer")
	}
	if n, _ := st.repeats(); n != 1 {
		t.Errorf("%d repetitions counted", n)
	}
}

// BE-06: a backend that loses everything is asked little more than it would be anyway.
func TestBE06RepetitionsAreFew(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	const asked = 400
	seen := 0
	for range asked {
		client := st.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		for b := st.back.Accept(); b != nil; b = st.back.Accept() {
			st.settle()
			b.Close()
			seen++
			st.settle()
		}
		client.Read()
		client.Close()
		st.pass(10*time.Millisecond, 10*time.Millisecond, nil)
	}
	sent, withheld := st.repeats()
	if most := uint64(asked * 20 / 100); sent == 0 || sent > most || withheld == 0 {
		t.Errorf("of %d requests %d were repeated, %d not; %d connections", asked, sent, withheld, seen)
	}
}

// RP-05: of a form that comes in pieces the kernel may take some before the turn ends: that is gone, whatever still waits.
func TestRP05AFormOfWhichSomeLeftWithinTheTurnIsNotRepeated(t *testing.T) {
	t.Parallel()
	pieces := func(n int) string {
		return "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", n)
	}
	for what, c := range map[string]struct {
		form string
		room int
	}{
		"some of what was written first":               {pieces(15), 4096},
		"the same, and the rest is moved for more":     {pieces(21), 4096},
		"all that was written first, and some of more": {pieces(15), 15 * 4096},
		"some of a piece that is too much to wait":     {"Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), 4096},
	} {
		st := newStage(t)
		st.net.SetCapacity(1 << 20)
		client, b := st.kept()
		st.net.SetCapacity(1 << 20)
		client.Write([]byte("POST /a HTTP/1.1\r\nHost: a\r\n" + c.form))
		st.net.SetCapacity(c.room)
		st.settle()
		if n := len(b.Take(100)); n != 100 {
			t.Fatalf("%d octets have come", n)
		}
		b.Reset()
		st.settle()
		if got := string(client.Read()); !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "connection_lost") {
			t.Errorf("%s: the client got %.100q", what, got)
		}
		if again := st.back.Accept(); again != nil {
			t.Errorf("%s: repeated with %.60q", what, again.Read())
		}
	}
}
