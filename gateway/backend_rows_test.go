// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// behind starts a gateway before a backend that is played by serve, a connection each.
func behind(t *testing.T, serve func(c net.Conn)) *gatewaytest.Gateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				serve(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return gatewaytest.Start(t, gatewaytest.StandardOptions(t, &gatewaytest.Origin{Addr: l.Addr().String()}))
}

// rounds is full where the full counts are asked for, else short.
func rounds(short, full int) int {
	if os.Getenv("PVGATE_PROVE") == "1" {
		return full
	}
	return short
}

// RP-02: a backend that refuses a body which is announced and not sent still waits for it on that connection: nobody's
// next request may be taken for it.
func TestRP02ARefusedExpectationLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	g := behind(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			status := "200 OK"
			if req.Header.Get("Expect") != "" {
				status = "403 Forbidden"
			}
			tag := req.Header.Get("X-Tag")
			if _, err := fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(tag), tag); err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil { // the next octets are the body
				return
			}
		}
	})
	for i := range rounds(200, 10_000) {
		tag := fmt.Sprintf("X-Tag: %d", i)
		a := g.Ask(t, hessenHost, "POST /", "Expect: 100-continue", "Content-Length: 40", tag)
		if a.Status != 403 || a.Body != fmt.Sprint(i) {
			t.Fatalf("%d: %d %q, want the backend's 403", i, a.Status, a.Body)
		}
		for _, method := range []string{"GET", "POST"} {
			if a := g.Ask(t, hessenHost, method+" /", tag+"-next", "Content-Length: 0", "Connection: close"); a.Status != 200 || a.Body != fmt.Sprintf("%d-next", i) {
				t.Fatalf("%d: the next %s got %d %s %q", i, method, a.Status, a.Reason(), a.Body)
			}
		}
	}
}

// RP-03: a body that ends short of its length ends the backend's connection, and visibly.
func TestRP03AShortBodyEndsTheConnection(t *testing.T) {
	t.Parallel()
	var whole atomic.Int64
	g := behind(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.ReadAll(req.Body); err != nil {
				return
			}
			if req.URL.Path == "/short" {
				whole.Add(1)
			}
			_, _ = io.WriteString(c, gatewaytest.OK(req.URL.Path))
		}
	})
	for _, framing := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		for _, reset := range []bool{false, true} {
			c, err := net.Dial("tcp", g.Addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "POST /short HTTP/1.1\r\nHost: "+hessenHost+"\r\n"+framing); err != nil {
				t.Fatal(err)
			}
			if reset {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
			g.Ask(t, hessenHost, "GET /before", "Connection: close")
			for range 3 {
				if a := g.Ask(t, hessenHost, "POST /next", "Content-Length: 0", "Connection: close"); a.Body != "/next" {
					t.Errorf("%q: the next got %d %q", framing, a.Status, a.Body)
				}
			}
		}
	}
	if n := whole.Load(); n > 0 {
		t.Errorf("the backend takes %d for whole", n)
	}
}

// RP-04: what could become another field or another answer on the way is no answer.
func TestRP04NothingOfABackendBreaksALine(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		"X: a\rSet-Cookie: b=c", "X: a\x00b", "X: a\r\n b", "X: a\r\n\tb", "X\r: a", "X Y: a", "X\x00: a", ": a", "X : a", "X", "X: a\x0bb\x00", "\rX: a",
		"Location: /\r\r\nX: b", "X: \x01a",
	} {
		g := behind(t, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+field+"\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		if a := g.Ask(t, hessenHost, "GET /", "Connection: close"); a.Status != 502 || a.Reason() != "response_invalid" || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %d %s %v", field, a.Status, a.Reason(), a.Header)
		}
	}
}

// RP-06: an answer that breaks off looks so to the client.
func TestRP06ABrokenAnswerIsNeverWhole(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"Content-Length: 100\r\n\r\nhalf", "Content-Length: 1\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n\r\n",
	} {
		for _, reset := range []bool{false, true} {
			g := behind(t, func(c net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+answer)
					if reset {
						_ = c.(*net.TCPConn).SetLinger(0)
					}
				}
			})
			c, err := net.Dial("tcp", g.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+hessenHost+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				continue
			}
			if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
				t.Errorf("%q, reset %v: the client takes %q for whole", answer, reset, body)
			}
			resp.Body.Close()
		}
	}
}

// RS-04: interim answers are few and small.
func TestRS04InterimAnswersAreFewAndSmall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		interim string
		want    string
	}{
		{"", ""},
		{strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5), ""},
		{"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", ""},
		{strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 6), "response_invalid"},
		{strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000), "response_invalid"},
		{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), "response_invalid"},
		{strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1000), "response_invalid"},
		{"HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "response_head_too_large"},
		{"HTTP/1.1 103 Early Hints\r\n" + strings.Repeat("Link: </x>\r\n", 1000) + "\r\n", "response_head_too_large"},
	} {
		g := behind(t, func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, c.interim+gatewaytest.OK("ok"))
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			}
		})
		a := g.Ask(t, hessenHost, "GET /", "Connection: close")
		if a.Reason() != c.want || (c.want == "") != (a.Status == 200) || c.want != "" && a.Status != 502 {
			t.Errorf("%.40q, %d octets: %d %s, want %s", c.interim, len(c.interim), a.Status, a.Reason(), c.want)
		}
	}
}
