// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// head reads the head of a request.
func head(c net.Conn) *bufio.Reader {
	in := bufio.NewReader(c)
	for {
		if line, err := in.ReadString('\n'); err != nil || line == "\r\n" {
			return in
		}
	}
}

// says answers a request with these octets, and closes.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		in := head(c)
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, in) // closing with unread octets would reset
	}
}

// hears takes a request and says nothing until it is left.
func hears(c net.Conn) {
	_, _ = io.Copy(io.Discard, head(c))
}

// deaf takes nothing as long as the test runs.
func deaf(t *testing.T) func(net.Conn) {
	t.Helper()
	return func(net.Conn) { <-t.Context().Done() }
}

func reset(c net.Conn) {
	head(c)
	_ = c.(*net.TCPConn).SetLinger(0)
}

// secured serves TLS with a certificate that nobody trusts.
func secured(t *testing.T) func(net.Conn) {
	t.Helper()
	pair := certstest.NewAuthority(t, "nobody's").Issue(t, certstest.Leaf{Hosts: []string{"127.0.0.1"}, Both: true})
	return func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair.TLS}, MinVersion: tls.VersionTLS12})
		_ = s.Handshake()
	}
}

// stopped is a process that listens and does nothing any more.
func stopped(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := exec.Command("sleep", "300")
	p.ExtraFiles = []*os.File{file}
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, killed := make(chan error), make(chan struct{})
	go func() {
		defer close(killed)
		runtime.LockOSThread() // the parent whose death kills it is a thread, and other tests end theirs
		err := p.Start()
		if err == nil {
			err = p.Process.Signal(syscall.SIGSTOP)
		}
		started <- err
		if err == nil {
			<-t.Context().Done()
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-killed })
	return l.Addr().String()
}

const (
	okay   = "HTTP/1.1 200 OK\r\n"
	json1  = " HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\n"
	closes = "Connection: close\r\n\r\n"
)

// backendFaults are those that scripted portals can have.
func backendFaults(t *testing.T) []*injury {
	upload := "POST /" + json1 + "Content-Length: 33554432\r\n" + closes + strings.Repeat("x", 32<<20)
	return []*injury{
		{name: "nobody listens", reason: "connect_refused"},
		{name: "closes after the request", reason: "connection_lost", origin: func(c net.Conn) { head(c) }},
		{name: "resets after the request", reason: "connection_lost", origin: reset},
		{name: "closes a form", reason: "connection_lost", origin: func(c net.Conn) { head(c) }, request: "POST /" + json1 + "Content-Length: 4\r\n" + closes + "form"},
		{name: "closes in the answer's head", reason: "connection_lost", origin: says(okay + "Content-Le")},
		{name: "is silent", reason: "response_timeout", origin: hears},
		{name: "takes no body", reason: "write_timeout", origin: deaf(t), request: upload},
		{name: "speaks no HTTP", reason: "response_invalid", origin: says("220 mail.example ESMTP\r\n\r\n")},
		{name: "RP-04: CR in a value", reason: "response_invalid", origin: says(okay + "X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n")},
		{name: "RP-04: NUL in a value", reason: "response_invalid", origin: says(okay + "X: a\x00b\r\nContent-Length: 0\r\n\r\n")},
		{name: "RP-04: a folded line", reason: "response_invalid", origin: says(okay + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n")},
		{name: "two lengths", reason: "response_invalid", origin: says(okay + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")},
		{name: "changes the protocol unasked", reason: "response_invalid", origin: says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")},
		{name: "RS-04: a flood of 102", reason: "response_invalid", origin: says(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000) + okay + "Content-Length: 0\r\n\r\n")},
		{name: "RS-04: a large 103", reason: "response_head_too_large", origin: says("HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 64<<10) + "\r\n\r\n" + okay + "Content-Length: 0\r\n\r\n")},
		{name: "a large head", reason: "response_head_too_large", origin: says(okay + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")},
		{name: "an unknown coding", reason: "response_coding", origin: says(okay + "Transfer-Encoding: gzip\r\n\r\n")},
		{
			name: "an upgrade to something else", reason: "upgrade_failed", origin: says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"),
			request: "GET /" + json1 + "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		},
		{name: "RP-06: less than its length", reason: "response_incomplete", silent: true, origin: says(okay + "Content-Length: 100\r\n\r\nhalf")},
		{name: "RP-06: no last chunk", reason: "response_incomplete", silent: true, origin: says(okay + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")},
		{name: "stops in the body", reason: "response_incomplete", silent: true, origin: func(c net.Conn) {
			in := head(c)
			_, _ = io.WriteString(c, okay+"Content-Length: 100\r\n\r\nhalf")
			_, _ = io.Copy(io.Discard, in)
		}},
		{name: "slow close: an answer whose end is the connection's, and never comes", reason: "response_incomplete", silent: true, origin: func(c net.Conn) {
			in := head(c)
			_, _ = io.WriteString(c, okay+"Connection: close\r\n\r\nhalf")
			_, _ = io.Copy(io.Discard, in)
		}},
		{name: "slow close: half of it at once", reason: "response_timeout", origin: func(c net.Conn) {
			in := head(c)
			_ = c.(*net.TCPConn).CloseRead()
			_, _ = io.Copy(io.Discard, in)
			<-t.Context().Done()
		}},
		{name: "drips its head", reason: "response_timeout", origin: func(c net.Conn) {
			head(c)
			for rest := okay + "X: "; ; rest = rest[1:] + "x" {
				if _, err := io.WriteString(c, rest[:1]); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond) // it is this slow
			}
		}},
		{name: "is stopped (SIGSTOP)", reason: "response_timeout", endpoint: "http://" + stopped(t)},
		{name: "no such socket", reason: "connect_refused", endpoint: "unix:/run/pvgate-test/none.sock", conf: ", host: a.example"},
		{name: "no TLS where it should be", reason: "tls_failed", endpoint: "https://ADDRESS", origin: says("HTTP/1.1 400 Bad Request\r\n\r\n")},
		{name: "hangs up on the handshake", reason: "tls_failed", endpoint: "https://ADDRESS", origin: func(c net.Conn) { _, _ = c.Read(make([]byte, 9)) }},
		{name: "a stranger's certificate", reason: "tls_certificate", endpoint: "https://ADDRESS", origin: secured(t)},
		{name: "a name that cannot be", reason: "dns_failed", endpoint: "http://portal.onion"},
		{name: "rate used up", reason: "backend_limited", conf: ", limits: {rate: 1/h, burst: 1}", before: get, origin: says(okay + "Content-Length: 0\r\n\r\n")},
		{name: "places used up", reason: "backend_busy", conf: ", limits: {in_flight: 1}, timeouts: {first_byte: 10s}", before: get, origin: hears},
		{name: "a queue that does not move", reason: "queue_timeout", conf: ", limits: {in_flight: 1, queue: 5, wait: 100ms}, timeouts: {first_byte: 10s}", before: get, origin: hears},
	}
}

// clientFaults are those of requests.
func clientFaults() []*injury {
	return []*injury{
		{name: "no HTTP", reason: "bad_request", request: "GET / HTTP/1.1\r\nHost : HOST\r\nAccept: application/json\r\n\r\n"},
		{name: "a path with NUL", reason: "bad_path", request: "GET /%00" + json1 + closes},
		{name: "a long target", reason: "uri_too_long", request: "GET /" + strings.Repeat("x", 70000) + json1 + closes},
		{name: "a long head", reason: "head_too_large", request: "GET /" + json1 + "X: " + strings.Repeat("x", 200<<10) + "\r\n" + closes},
		{name: "another expectation", reason: "expectation_failed", request: "POST /" + json1 + "Expect: 200-ok\r\nContent-Length: 0\r\n" + closes},
		{name: "another coding", reason: "coding_unsupported", request: "POST /" + json1 + "Transfer-Encoding: gzip\r\n" + closes},
		{name: "another version", reason: "version_unsupported", request: "GET / HTTP/2.7\r\nHost: HOST\r\nAccept: application/json\r\n" + closes},
		{name: "TRACE", reason: "method_refused", request: "TRACE /" + json1 + closes},
		{name: "another host", reason: "misdirected", request: "GET / HTTP/1.1\r\nHost: elsewhere.example\r\nAccept: application/json\r\n" + closes},
		{name: "our own name in Via", reason: "loop_detected", request: "GET /" + json1 + "Via: 1.1 pvgate-gw.example.de\r\n" + closes},
	}
}

// Each fault has its reason, the same for the client, in the access log, in the metrics and in Proxy-Status.
func TestFaultsHaveTheirReasons(t *testing.T) {
	t.Parallel()
	all := append(backendFaults(t), clientFaults()...)
	if len(all) < 25 {
		t.Errorf("%d faults", len(all))
	}
	newInjured(t, all).run(t)
}

// namespaced runs the rest of a test in network and mount namespaces of its own: it returns true there.
func namespaced(t *testing.T) bool {
	t.Helper()
	const inside = "PVGATE_TEST_NAMESPACE"
	if os.Getenv(inside) == t.Name() {
		return true
	}
	for _, need := range []string{"unshare", "ip", "iptables", "mount"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("there is no %s: faults of the network are not injected", need)
		}
	}
	if out, err := exec.Command("unshare", "-n", "-m", "iptables", "-L", "-n").CombinedOutput(); err != nil {
		t.Skipf("namespaces with iptables are not permitted here (%v: %s): faults of the network are not injected", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "-n", "-m", self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// do runs a command of the system.
func do(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// answerNames answers questions for names by their first label; of what it does not know there is nothing.
func answerNames(t *testing.T, names map[string]string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			label, _, _ := strings.Cut(q.Name.String(), ".")
			switch a := names[label]; {
			case a == "silent":
				continue
			case a == "SERVFAIL":
				m.RCode = dnsmessage.RCodeServerFailure
			case a == "":
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(a).To4())},
				}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
}

// Faults of the network and of name servers, made by the kernel in a network of our own.
func TestFaultsOfTheNetworkHaveTheirReasons(t *testing.T) {
	if !namespaced(t) {
		return
	}
	dir := t.TempDir()
	for file, text := range map[string]string{"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "hosts": "127.0.0.1 localhost\n10.9.9.9 file.example\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		do(t, "mount --bind "+filepath.Join(dir, file)+" /etc/"+file)
	}
	do(t, "ip link set lo up")
	do(t, "ip addr add 20.0.0.1/32 dev lo")
	do(t, "iptables -A INPUT -p tcp -d 20.0.0.1 --dport 81 -j DROP")
	do(t, "iptables -A INPUT -p tcp -d 20.0.0.1 --dport 82 -j REJECT --reject-with tcp-reset")
	do(t, "iptables -A INPUT -p tcp -d 20.0.0.1 --dport 83 -j REJECT --reject-with icmp-host-unreachable")
	answerNames(t, map[string]string{
		"silent": "silent", "broken": "SERVFAIL", "private": "10.0.0.1", "metadata": "169.254.169.254", "loopback": "127.0.0.1", "hole": "20.0.0.1",
	})
	newInjured(t, []*injury{
		{name: "a black hole", reason: "connect_timeout", endpoint: "http://20.0.0.1:81"},
		{name: "a black hole by name", reason: "connect_timeout", endpoint: "http://hole.example:81"},
		{name: "a reset", reason: "connect_refused", endpoint: "http://20.0.0.1:82"},
		{name: "unreachable", reason: "connect_refused", endpoint: "http://20.0.0.1:83"},
		{name: "no way there", reason: "connect_refused", endpoint: "http://20.0.0.2:80"},
		{name: "NXDOMAIN", reason: "dns_failed", endpoint: "http://absent.example"},
		{name: "SERVFAIL", reason: "dns_failed", endpoint: "http://broken.example"},
		{name: "a silent name server", reason: "dns_timeout", endpoint: "http://silent.example"},
		{name: "CP-01: a private address", reason: "address_refused", endpoint: "http://private.example"},
		{name: "CP-01: the metadata service", reason: "address_refused", endpoint: "http://metadata.example", conf: ", allow: [private, loopback]"},
		{name: "CP-01: this machine", reason: "address_refused", endpoint: "http://loopback.example", conf: ", allow: [private]"},
		{name: "CP-01: by the hosts file", reason: "address_refused", endpoint: "http://file.example"},
	}).run(t)
}

// No descriptor is left for the way to the portal: that is ours, and no portal is out for it.
func TestRS05WantOfDescriptorsHasItsReason(t *testing.T) {
	t.Parallel()
	b := newInjured(t, []*injury{
		{name: "no descriptor", reason: "local_resource", origin: says(okay + "Content-Length: 0\r\nConnection: close\r\n\r\n")},
	})
	pid := b.gateway.cmd.Process.Pid
	const n = 5
	var clients []net.Conn
	for range n + 1 {
		c := b.dial(t)
		b.put(c, 0, strings.Replace(get, "Connection: close\r\n", "", 1))
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		clients = append(clients, c)
	}
	var was unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was)
	if err == nil {
		err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 5, Max: was.Max}, nil)
	}
	if err != nil {
		t.Skipf("the limits of another process cannot be changed here: %v", err)
	}
	var trace string
	for _, c := range clients[:n] {
		b.put(c, 0, get)
		trace = b.hear(t, b.injuries[0], http.MethodGet, c)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	b.logged(t, []string{trace})
	b.counted(t)
	b.put(clients[n], 0, get)
	if resp, err := http.ReadResponse(bufio.NewReader(clients[n]), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("with descriptors again: %v, %v", resp, err)
	}
}

// There is one port for the way to a portal. While it is in use, that is a fault of ours; when a connection has it that only
// waits, it is given up for a request that may not take that.
func TestRS07WantOfPortsHasItsReason(t *testing.T) {
	if !namespaced(t) {
		return
	}
	do(t, "ip link set lo up")
	held := make(chan struct{})
	serve := func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.URL.Path == "/held" {
				close(held)
				_, _ = io.Copy(io.Discard, in)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, okay+"Content-Length: 0\r\n\r\n")
		}
	}
	conf := ", timeouts: {first_byte: 20s, keep: 20s}"
	b := newInjured(t, []*injury{{name: "no port", reason: "local_resource", origin: serve, conf: conf}, {name: "a port that waits", origin: serve, conf: conf}}, "loops: 1\n") // each loop has connections of its own
	var clients []net.Conn
	for range 6 {
		clients = append(clients, b.dial(t))
	}
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	if err := os.WriteFile(file, []byte("40000 40000"), 0o600); err != nil {
		t.Skipf("the range of ports cannot be changed here: %v", err)
	}
	form := "POST /" + json1 + "Content-Length: 4\r\n" + closes + "form"
	ok := func(c net.Conn, i int, request string) {
		t.Helper()
		b.put(c, i, request)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", resp, err)
		}
	}
	ok(clients[0], 1, get)
	time.Sleep(1100 * time.Millisecond) // a form takes no connection that has waited for so long
	ok(clients[1], 1, form)

	b.put(clients[2], 0, strings.Replace(get, "/ ", "/held ", 1))
	<-held
	var traces []string
	for _, c := range clients[3:] {
		b.put(c, 0, get)
		traces = append(traces, b.hear(t, b.injuries[0], http.MethodGet, c))
	}
	if err := os.WriteFile(file, []byte("32768 60999"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.injuries = b.injuries[:1]
	b.logged(t, traces[:1])
	b.counted(t)
	ok(b.dial(t), 0, get) // three times have put nobody out of service
}

// A fifth of all packets is lost on the way to a portal: what is asked gets there, and forms once.
func TestALossyNetworkDoublesNothing(t *testing.T) {
	if !namespaced(t) {
		return
	}
	do(t, "ip link set lo up")
	do(t, "iptables -A INPUT -p tcp -d 127.0.0.9 -m statistic --mode random --probability 0.2 -j DROP")
	l, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1000)
	portal := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			seen <- string(body)
		}
		_, _ = w.Write(body)
	})}
	go func() { _ = portal.Serve(l) }()
	t.Cleanup(func() { _ = portal.Close() })
	b := newInjured(t, []*injury{{endpoint: "http://" + l.Addr().String(), conf: ", timeouts: {connect: 50s, first_byte: 50s, idle: 50s}"}})
	client := ownClient(t)
	for i := range 40 {
		form := fmt.Sprintf("form %d", i)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.address+"/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "b0.gw.example.de"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != form {
			t.Errorf("%s: %d %q %v", form, resp.StatusCode, body, err)
		}
	}
	close(seen)
	times := map[string]int{}
	for form := range seen {
		if times[form]++; times[form] > 1 {
			t.Errorf("%s came %d times", form, times[form])
		}
	}
}
