// SPDX-License-Identifier: EUPL-1.2

package origin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/bench/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an origin and returns its address.
func start(t *testing.T) string {
	t.Helper()
	s, err := origin.New(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func TestLastPathSegmentPicksTheLength(t *testing.T) {
	t.Parallel()
	addr := start(t)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		method, path string
		body         io.Reader
		want         int
	}{
		{"GET", "/0", nil, 0},
		{"GET", "/svc/99/region/06/1k", nil, 1024},
		{"GET", "/a/16k?x=/1m", nil, 16384},
		{"GET", "/1m", nil, 1 << 20},
		{"GET", "/else", nil, 1024},
		{"HEAD", "/16k", nil, 0},
		{"POST", "/1k", strings.NewReader(strings.Repeat("b", 300_000)), 1024},
		{"POST", "/0", struct{ io.Reader }{strings.NewReader(strings.Repeat("c", 300_000))}, 0}, // chunked
		{"PUT", "/1m", struct{ io.Reader }{strings.NewReader("x")}, 1 << 20},
	} {
		req, err := http.NewRequest(c.method, "http://"+addr+c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		got, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || got != int64(c.want) {
			t.Errorf("%s %s: got %d octets, status %d, %v; want %d, 200", c.method, c.path, got, resp.StatusCode, err, c.want)
		}
	}
}

func TestPipelinedAndSplitRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	all := "GET /0 HTTP/1.1\r\nHost: o\r\n\r\n" +
		"POST /1k HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n" +
		"GET /1m HTTP/1.1\r\nHost: o\r\n\r\n" +
		"POST /16k HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc" +
		"GET /0 HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n"
	go func() {
		for i := range len(all) {
			if _, err := io.WriteString(conn, all[i:i+1]); err != nil {
				return
			}
		}
	}()
	r := bufio.NewReader(conn)
	for i, want := range []int{0, 1024, 1 << 20, 16384, 0} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || len(got) != want || len(bytes.Trim(got, "x")) != 0 {
			t.Errorf("answer %d: got %d octets, %v; want %d", i, len(got), err, want)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after Connection: close: got %v, want EOF", err)
	}
}

func TestExpectIsAnsweredWithContinue(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "POST /0 HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "ok"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v, want 200", resp, err)
	}
}
