// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Seen is one request as it reached an origin.
type Seen struct {
	Line   string   // request line
	Fields []string // field lines as they were sent
	Body   string
}

// Values returns the values of all fields with this name, compared without case.
func (s *Seen) Values(name string) []string {
	var values []string
	for _, line := range s.Fields {
		if n, v, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return values
}

// Get returns the value of a field that stands once; "" if it is absent, and a text no field can have if it stands more
// than once.
func (s *Seen) Get(name string) string {
	switch v := s.Values(name); len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	default:
		return strings.Join(v, "\n")
	}
}

// Target returns the request target.
func (s *Seen) Target() string {
	_, rest, _ := strings.Cut(s.Line, " ")
	target, _, _ := strings.Cut(rest, " ")
	return target
}

// Script answers a request with the bytes to send; "" closes the connection without a word, and so does an answer that
// says Connection: close behind it.
type Script func(*Seen) string

// OK is an answer of 200 with a body and further field lines.
func OK(body string, fields ...string) string { return Respond("200 OK", body, fields...) }

// Respond is an answer with a status, a body and further field lines.
func Respond(status, body string, fields ...string) string {
	head := append([]string{"HTTP/1.1 " + status}, fields...)
	head = append(head, "Content-Length: "+strconv.Itoa(len(body)), "", "")
	return strings.Join(head, "\r\n") + body
}

// Origin is a scripted backend on the loopback.
type Origin struct {
	Addr string

	mu     sync.Mutex // guards what stands below
	seen   []*Seen
	script Script
}

// NewOrigin starts an origin, which ends with the test. A nil script answers 200 with "ok".
func NewOrigin(t testing.TB, script Script) *Origin {
	t.Helper()
	return NewOriginOn(t, Listen(t), script)
}

// NewSecureOrigin is NewOrigin over TLS.
func NewSecureOrigin(t testing.TB, config *tls.Config, script Script) *Origin {
	t.Helper()
	return NewOriginOn(t, tls.NewListener(Listen(t), config), script)
}

// Listen opens a port of the loopback.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// NewOriginOn is NewOrigin on a listener, which it closes.
func NewOriginOn(t testing.TB, ln net.Listener, script Script) *Origin {
	t.Helper()
	if script == nil {
		script = func(*Seen) string { return OK("ok") }
	}
	o := &Origin{Addr: ln.Addr().String(), script: script}
	var conns sync.WaitGroup
	open := map[net.Conn]bool{}
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			if open == nil { // the test has ended
				_ = c.Close()
			} else {
				open[c] = true
			}
			o.mu.Unlock()
			conns.Go(func() {
				o.serve(c)
				o.mu.Lock()
				delete(open, c)
				o.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		o.mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		open = nil
		o.mu.Unlock()
		conns.Wait()
	})
	return o
}

// Answer changes the script.
func (o *Origin) Answer(script Script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.script = script
}

// Requests returns what has arrived so far.
func (o *Origin) Requests() []*Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*Seen(nil), o.seen...)
}

// Forget drops what has arrived so far.
func (o *Origin) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = nil
}

// Last returns the request that arrived last.
func (o *Origin) Last(t testing.TB) *Seen {
	t.Helper()
	all := o.Requests()
	if len(all) == 0 {
		t.Fatal("nothing has reached the origin")
	}
	return all[len(all)-1]
}

func (o *Origin) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		s, err := readRequest(r)
		if err != nil {
			return
		}
		o.mu.Lock()
		o.seen = append(o.seen, s)
		script := o.script
		o.mu.Unlock()
		answer := script(s)
		if _, err := io.WriteString(c, answer); err != nil || answer == "" || strings.Contains(answer, "\r\nConnection: close\r\n") {
			return
		}
	}
}

// readRequest reads what a gateway may send; that it is well-formed beyond this is for the corpora to judge.
func readRequest(r *bufio.Reader) (*Seen, error) {
	s := new(Seen)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			break
		}
		if s.Line == "" {
			s.Line = line
		} else {
			s.Fields = append(s.Fields, line)
		}
	}
	var body io.Reader
	switch length, err := strconv.ParseInt(s.Get("Content-Length"), 10, 64); {
	case s.Get("Transfer-Encoding") == "chunked":
		body = httputil.NewChunkedReader(r)
	case err == nil:
		body = io.LimitReader(r, length)
	default:
		return s, nil
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if s.Get("Transfer-Encoding") != "" {
		if _, err := r.ReadString('\n'); err != nil { // the empty line after the last chunk
			return nil, err
		}
	}
	s.Body = string(b)
	return s, nil
}
