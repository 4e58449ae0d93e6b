// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/reason"
)

// injury is a fault, and what everybody is to hear of it: the client by the answer, the operator by the access log and
// the metrics.
type injury struct {
	name     string
	reason   string
	conf     string         // of its backend, beside mode and endpoints
	endpoint string         // "" for one that origin serves
	origin   func(net.Conn) // serves one connection
	before   string         // a request that is sent first and left alone
	request  string         // HOST stands for the backend's; "" is a GET
	arrived  chan struct{}  // closed when a connection has come to the backend
	silent   bool           // the client gets no whole answer: there is only the log
}

const get = "GET / HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\nConnection: close\r\n\r\n"

// injured is a gateway with a backend for each injury.
type injured struct {
	dir, address, admin string
	injuries            []*injury
	gateway             *process
}

// newInjured starts it. Names and addresses of endpoints are the injuries', root stands in pvgate.yaml too.
func newInjured(t *testing.T, injuries []*injury, root ...string) *injured {
	t.Helper()
	b := &injured{dir: t.TempDir(), injuries: injuries}
	var conf strings.Builder
	conf.WriteString("area: \"06\"\nbackends:\n")
	for i, in := range injuries {
		endpoint := in.endpoint
		switch {
		case in.origin != nil:
			in.arrived = make(chan struct{})
			first := sync.OnceFunc(func() { close(in.arrived) })
			address := serveOrigin(t, func(c net.Conn) {
				first()
				in.origin(c)
			})
			if endpoint = strings.ReplaceAll(endpoint, "ADDRESS", address); endpoint == "" {
				endpoint = "http://" + address
			}
		case endpoint == "":
			endpoint = "http://127.0.0.1:1"
		}
		if !strings.Contains(in.conf, "timeouts:") {
			connect, first := "20s", "20s" // for a busy machine
			switch in.reason {
			case "connect_timeout", "dns_timeout", "tls_failed":
				connect = "3s"
			case "response_timeout":
				first = "500ms"
			}
			in.conf += ", timeouts: {connect: " + connect + ", first_byte: " + first + ", idle: 800ms}"
		}
		fmt.Fprintf(&conf, "  b%d: {mode: proxy, endpoints: [%q]%s}\n", i, endpoint, in.conf)
	}
	for name, text := range map[string]string{
		"pvgate.yaml":      "domain: gw.example.de\nlisten: [{address: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\"}\naccess_log: {file: ./access.log}\n" + strings.Join(root, ""),
		"routes.d/06.yaml": conf.String(),
	} {
		file := filepath.Join(b.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	gw, err := startProcess(b.dir, nil, "pvgate", "serve", "--config", "pvgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gw.signal("TERM")
		if code, err := gw.wait(); err != nil || code != exitOK {
			t.Errorf("the gateway ended with exit code %d (%v):\n%s", code, err, gw.output())
		}
	})
	at, err := gw.await(regexp.MustCompile(`listening on http://(127\.0\.0\.1:[0-9]+) `))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := gw.await(regexp.MustCompile(`admin on (http://.*)`))
	if err != nil {
		t.Fatal(err)
	}
	b.address, b.admin, b.gateway = at[1], admin[1], gw
	return b
}

// serveOrigin serves connections until the test ends.
func serveOrigin(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
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
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// dial opens a connection.
func (b *injured) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.(*net.TCPConn).SetLinger(0) // or what waits for an answer is waited for
		_ = c.Close()
	})
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// put puts a request on it.
func (b *injured) put(c net.Conn, i int, request string) {
	go func() { // a body may be more than is taken
		_, _ = io.WriteString(c, strings.ReplaceAll(request, "HOST", fmt.Sprintf("b%d.gw.example.de", i)))
	}()
}

// send puts a request on a connection of its own.
func (b *injured) send(t *testing.T, i int, request string) net.Conn {
	t.Helper()
	c := b.dial(t)
	b.put(c, i, request)
	return c
}

// suffer injects one fault and sees what the client hears; it returns the answer's trace.
func (b *injured) suffer(t *testing.T, i int) (trace string) {
	t.Helper()
	in := b.injuries[i]
	if in.before != "" {
		b.send(t, i, in.before)
		<-in.arrived
	}
	request := in.request
	if request == "" {
		request = get
	}
	method, _, _ := strings.Cut(request, " ")
	return b.hear(t, in, method, b.send(t, i, request))
}

// hear sees what comes back.
func (b *injured) hear(t *testing.T, in *injury, method string, c net.Conn) (trace string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	}
	if in.silent {
		if err == nil {
			if _, err = io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: the client takes the answer for whole", in.name)
			}
		}
		return ""
	}
	if err != nil {
		t.Errorf("%s: %v", in.name, err)
		return ""
	}
	defer resp.Body.Close()
	code, ok := reason.Parse(in.reason)
	if !ok {
		t.Fatalf("%s is no reason", in.reason)
	}
	if resp.StatusCode != code.Status() || resp.Header.Get("PV-Reason") != in.reason {
		t.Errorf("%s: %d %s, want %d %s", in.name, resp.StatusCode, resp.Header.Get("PV-Reason"), code.Status(), in.reason)
	}
	status := resp.Header.Get("Proxy-Status")
	if !strings.HasPrefix(status, "pvgate-gw.example.de") || !strings.Contains(status, `details="`+in.reason+`"`) || !strings.Contains(status, code.ProxyStatusError()) {
		t.Errorf("%s: Proxy-Status: %s", in.name, status)
	}
	var doc struct {
		Status        int
		Reason, Fault string
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || doc.Reason != in.reason || doc.Status != code.Status() || doc.Fault != code.Fault().String() {
		t.Errorf("%s: body %+v, %v", in.name, doc, err)
	}
	return resp.Header.Get("PV-Trace")
}

// logged waits for the lines of the access log, by trace and, where no answer could say one, by backend.
func (b *injured) logged(t *testing.T, traces []string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		file, err := os.ReadFile(filepath.Join(b.dir, "access.log"))
		if err != nil {
			t.Fatal(err)
		}
		byTrace, byBackend := map[string]string{}, map[string]string{}
		for line := range bytes.Lines(file) {
			var l struct {
				Trace           string `json:"trace_id"`
				Backend, Reason string
			}
			if json.Unmarshal(line, &l) == nil {
				byTrace[l.Trace], byBackend[l.Backend] = l.Reason, byBackend[l.Backend]+" "+l.Reason
			}
		}
		var missing []string
		for i, in := range b.injuries {
			if got := byTrace[traces[i]]; got != in.reason && !(in.silent && strings.Contains(byBackend["b"+strconv.Itoa(i)], in.reason)) {
				missing = append(missing, fmt.Sprintf("%s: %q (backend:%s), want %s", in.name, got, byBackend["b"+strconv.Itoa(i)], in.reason))
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Since(begin) > patience {
			t.Errorf("the access log says\n%s", strings.Join(missing, "\n"))
			return
		}
	}
}

// counted sees that the metrics have every reason, by backend where it is the backend's fault.
func (b *injured) counted(t *testing.T) {
	t.Helper()
	resp, err := ownClient(t).Get(b.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range b.injuries {
		if !regexp.MustCompile(`(?m)^pvgate_reasons_total\{[^}]*reason="` + in.reason + `"[^}]*\} [1-9]`).Match(text) {
			t.Errorf("%s: pvgate_reasons_total knows no %s", in.name, in.reason)
		}
		if code, _ := reason.Parse(in.reason); code.Fault() == reason.FaultBackend {
			if !strings.Contains(string(text), fmt.Sprintf("pvgate_backend_failures_total{backend=\"b%d\",reason=%q} ", i, in.reason)) {
				t.Errorf("%s: pvgate_backend_failures_total knows nothing of b%d and %s", in.name, i, in.reason)
			}
		}
	}
}

// run injects all faults at once.
func (b *injured) run(t *testing.T) {
	t.Helper()
	traces := make([]string, len(b.injuries))
	var wg sync.WaitGroup
	for i := range b.injuries {
		wg.Go(func() { traces[i] = b.suffer(t, i) })
	}
	wg.Wait()
	b.logged(t, traces)
	b.counted(t)
}
