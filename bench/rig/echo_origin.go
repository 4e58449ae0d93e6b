// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// fault is what a request asks the echo origin to do wrong; it travels in the field X-Fault.
type fault string

const (
	noFault   fault = "none"
	parks     fault = "park"    // answers late
	interims  fault = "interim" // sends 1xx first
	surplus   fault = "surplus" // sends a second answer nobody asked for
	bodied204 fault = "204"     // sends a body where none can be
	early     fault = "early"   // answers before the body has come, and for the last time
	hangsUp   fault = "hangup"  // closes without an answer
	cutsOff   fault = "cut"     // closes inside the body
	resets    fault = "reset"   // resets inside the body
)

// visible says that the client cannot get the whole answer.
func (f fault) visible() bool { return f == hangsUp || f == cutsOff || f == resets }

// innocent are the faults a client must not notice.
var innocent = [...]fault{noFault, parks, interims, surplus, bodied204, early}

// echoOrigin answers each request with its tag, on connections that it keeps, in whatever way X-Fault says.
type echoOrigin struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex // guards conns
	conns    map[net.Conn]bool
	closed   bool
}

func newEchoOrigin(address string) (*echoOrigin, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("echo origin: %w", err)
	}
	o := &echoOrigin{listener: l, conns: map[net.Conn]bool{}}
	o.wg.Add(1)
	go o.accept()
	return o, nil
}

func (o *echoOrigin) address() string { return o.listener.Addr().String() }

func (o *echoOrigin) close() {
	_ = o.listener.Close()
	o.mu.Lock()
	o.closed = true
	for c := range o.conns {
		_ = c.Close()
	}
	o.mu.Unlock()
	o.wg.Wait()
}

func (o *echoOrigin) accept() {
	defer o.wg.Done()
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		if o.closed {
			_ = c.Close()
		}
		o.conns[c] = true
		o.mu.Unlock()
		o.wg.Add(1)
		go func() {
			defer o.wg.Done()
			o.serve(c)
			_ = c.Close()
			o.mu.Lock()
			delete(o.conns, c)
			o.mu.Unlock()
		}()
	}
}

func (o *echoOrigin) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		f := fault(req.Header.Get("X-Fault"))
		tag := req.Header.Get("X-Tag")
		if f == early {
			_, _ = io.WriteString(c, strings.Replace(echoAnswer(req.Method, tag, false), "\r\n", "\r\nConnection: close\r\n", 1))
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, in) // what still comes; closing at once would reset and could take the answer along
			return
		}
		if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		if len(body) > 0 && !strings.HasPrefix(string(body), tag+"|") {
			tag = "the body is of another request" // the client will see that this is not its tag
		}
		if !echoFault(c, f, req.Method, tag, len(body)%2 == 1) {
			return
		}
	}
}

// echoFault answers; false ends the connection.
func echoFault(c net.Conn, f fault, method, tag string, chunked bool) bool {
	answer := echoAnswer(method, tag, chunked)
	switch f {
	case hangsUp:
		return false
	case cutsOff, resets:
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nX-Tag: "+tag+"\r\n\r\n"+tag)
		if f == resets {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		return false
	case parks:
		time.Sleep(time.Duration(5+len(tag)*3) * time.Millisecond) // the load itself: a slow portal
	case interims:
		answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer
	case surplus:
		answer += "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Tag: poison\r\n\r\npoison\n"
	case bodied204:
		answer = "HTTP/1.1 204 No Content\r\nX-Tag: " + tag + "\r\n\r\npoison in place of nothing"
	}
	_, err := io.WriteString(c, answer)
	return err == nil && f != surplus && f != bodied204
}

func echoAnswer(method, tag string, chunked bool) string {
	body := strings.Repeat(tag+"\n", 1+len(tag)%5)
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nX-Tag: " + tag + "\r\n")
	switch {
	case method == http.MethodHead:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	case chunked:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	return b.String()
}
