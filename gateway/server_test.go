// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// forwardAll sends everything to backend 0, or answers /own itself.
type forwardAll struct{}

func (forwardAll) Likely([]byte) int { return -1 }

func (forwardAll) Resolve(r *exchange.Request, p *exchange.Plan) {
	if string(r.Path) == "/own" {
		p.Reply = exchange.Reply{Reason: reason.NotFound, Status: 404, Body: []byte("own\n"), Fields: p.Reply.Fields}
		return
	}
	p.Forward, p.Backend = true, 0
	p.Scratch = append(p.Scratch[:0], r.Path...)
	if r.Head.HasQuery {
		p.Scratch = append(append(p.Scratch, '?'), r.Head.Query...)
	}
	p.Target = p.Scratch
}

func (forwardAll) Page(_ *exchange.Request, code reason.Code, _ exchange.Detail, p *exchange.Plan) {
	p.Reply.Reason, p.Reply.Status = code, code.Status()
	p.Reply.Fields = append(p.Reply.Fields, message.Field{Name: []byte("PV-Reason"), Value: []byte(code.String())})
	p.Reply.Body = append(p.Reply.Body, code.String()...)
}

func timeouts() upstream.Timeouts {
	return upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 5 * time.Second, Idle: 5 * time.Second, Keep: 4 * time.Second}
}

// start serves one backend at address.
func start(t testing.TB, address string, edit ...func(*gateway.Options, *gateway.Snapshot)) (*gateway.Server, string) {
	t.Helper()
	snap := &gateway.Snapshot{ID: "test", Resolver: forwardAll{}, Via: "pvgate-test", Backends: []gateway.Backend{{
		Name: "origin", Host: address, Endpoints: gatewaytest.Fixed([]netip.AddrPort{netip.MustParseAddrPort(address)}),
		Authorities: []string{"http://" + address}, Timeouts: timeouts(), Limiter: new(limit.Backend),
	}}}
	o := gateway.Options{Loops: 2, Listen: []gateway.Listener{{Address: "127.0.0.1:0"}}, Poison: true}
	for _, e := range edit {
		e(&o, snap)
	}
	s, err := gateway.Start(o, snap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, s.Addresses()[0].String()
}

func origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// stats are the server's as of now.
func stats(t testing.TB, s *gateway.Server) *gateway.Stats {
	t.Helper()
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// eventually waits until nothing is wrong: for what is sure to come, and nobody says when.
func eventually(t testing.TB, wrong func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		why := wrong()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(why)
		}
	}
}

// inTime tries what has to happen before something else does, which a machine that is busy with other tests may keep it from:
// once is enough. What may never happen, in time or not, the try tells itself.
func inTime(t testing.TB, try func() (late string)) {
	t.Helper()
	late := ""
	for range 10 {
		if late = try(); late == "" {
			return
		}
	}
	t.Error(late)
}

// over makes a server speak a protocol, for a.example.
func over(t *testing.T, p *gatewaytest.Protocol) func(*gateway.Options, *gateway.Snapshot) {
	return func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Listen = []gateway.Listener{p.Listener(t, "a.example")}
	}
}

func TestRequestsAndAnswersPassWhole(t *testing.T) {
	t.Parallel()
	gatewaytest.Each(t, requestsAndAnswersPassWhole)
}

func requestsAndAnswersPassWhole(t *testing.T, p *gatewaytest.Protocol) {
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Uri", r.RequestURI)
		w.Header().Set("X-For", r.Header.Get("X-Forwarded-For"))
		w.Header().Set("X-Via", r.Header.Get("Via"))
		if r.URL.Query().Get("chunked") != "" {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(body)
	})
	_, addr := start(t, back, over(t, p))
	c := p.Client(t, "a.example")
	for _, size := range []int{0, 1, 100, 16 << 10, 64 << 10, 1 << 20, 5 << 20} {
		for _, chunkedIn := range []bool{false, true} {
			for _, query := range []string{"", "?chunked=1"} {
				name := fmt.Sprintf("%d/in=%v/out=%s", size, chunkedIn, query)
				body := bytes.Repeat([]byte("abcdefgh"), size/8+1)[:size]
				var in io.Reader = bytes.NewReader(body)
				if chunkedIn {
					in = struct{ io.Reader }{in}
				}
				req, _ := http.NewRequest("POST", p.Scheme()+"://"+addr+"/echo"+query, in)
				resp, err := c.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%s: got %d octets (%v), want %d", name, len(got), err, len(body))
				}
				if want := map[conn.Protocols]int{conn.HTTP1: 1, conn.HTTP2: 2, conn.HTTP3: 3}[p.HTTP]; resp.ProtoMajor != want {
					t.Fatalf("%s: the answer came by %s", name, resp.Proto)
				}
				if resp.StatusCode != 200 || resp.Header.Get("X-Uri") != "/echo"+query || resp.Header.Get("X-For") != "127.0.0.1" {
					t.Fatalf("%s: got %d %v", name, resp.StatusCode, resp.Header)
				}
			}
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	gatewaytest.EachHTTP1(t, "HTTP/2 has streams instead of a pipeline", pipelinedRequestsAreAnsweredInOrder)
}

func pipelinedRequestsAreAnsweredInOrder(t *testing.T, p *gatewaytest.Protocol) {
	back := origin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	_, addr := start(t, back, over(t, p))
	nc := p.Dial(t, gatewaytest.Direct, addr, "a.example")
	defer nc.Close()
	var in, want strings.Builder
	for i := range 50 {
		if i%7 == 3 {
			in.WriteString("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
			want.WriteString("own\n")
			continue
		}
		fmt.Fprintf(&in, "GET /n%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		fmt.Fprintf(&want, "/n%d", i)
	}
	in.WriteString("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	want.WriteString("/last")
	if _, err := io.WriteString(nc, in.String()); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, part := range strings.Split(string(all), "\r\n\r\n")[1:] {
		body, _, _ := strings.Cut(part, "HTTP/1.1 ")
		got.WriteString(body)
	}
	if got.String() != want.String() {
		t.Errorf("got %q\nwant %q", got.String(), want.String())
	}
}

func TestBackendThatRefusesIsNamedWithItsReason(t *testing.T) {
	t.Parallel()
	const dead = "127.0.0.1:1" // a port that was free a moment ago may be another test's by now
	_, addr := start(t, dead)
	resp, err := client(t).Get("http://" + addr + "/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || resp.Header.Get("PV-Reason") != "connect_refused" {
		t.Errorf("got %d %s, want 502 connect_refused", resp.StatusCode, resp.Header.Get("PV-Reason"))
	}
}
