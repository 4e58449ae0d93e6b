// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	echoClients = 32
	// echoGrowth is how much resident memory may grow after the first quarter of the run.
	echoGrowth = 16 * mib
)

// echoFigures is what the echo rig measured.
type echoFigures struct {
	Requests    int64   `json:"requests"`
	Own         int64   `json:"answered_with_their_own_tag"`
	Wrong       int64   `json:"answered_with_another_tag"`
	Faults      int64   `json:"origin_faults"`
	Aborts      int64   `json:"client_aborts"`
	Connections int64   `json:"client_connections"`
	Failed      int64   `json:"innocent_requests_failed"`
	GrowthMiB   float64 `json:"rss_growth_mib"`
	DescBefore  int     `json:"descriptors_before"`
	PerSecond   float64 `json:"requests_per_second"`
}

// echoRun is the state that the clients of one run share.
type echoRun struct {
	figures echoFigures
	address string
	left    atomic.Int64 // requests still to send
	mu      sync.Mutex   // guards figures and first
	first   error        // the first broken promise
}

func (r *echoRun) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = err
	}
}

func echo(ctx context.Context, b *bed) (any, error) {
	// Several endpoints, so that closed connections do not use up the ports to one.
	var endpoints []string
	for i := range 4 {
		o, err := newEchoOrigin(fmt.Sprintf("127.0.0.%d:0", 1+i))
		if err != nil {
			return nil, err
		}
		defer o.close()
		endpoints = append(endpoints, fmt.Sprintf("%q", "http://"+o.address()))
	}
	config := fmt.Sprintf("listen: [{address: %q, hosts: any, default: origin}]\nbackends:\n  origin: {mode: proxy, endpoints: [%s]}\n",
		binary.AnyPort, strings.Join(endpoints, ", "))
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, err
	}
	r := &echoRun{address: p.Address(0)}
	return &r.figures, end(p, r.measure(ctx, p, b.seed))
}

func (r *echoRun) measure(ctx context.Context, p *binary.Process, seed uint64) error {
	base, err := p.FDs()
	if err != nil {
		return err
	}
	r.figures.DescBefore = base
	start := time.Now()
	total := int64(proof.Count(20_000, 1_000_000))
	r.send(ctx, seed, total/4)
	early, _, err := p.RSS()
	if err != nil {
		return err
	}
	r.send(ctx, seed+1, total-total/4)
	r.figures.PerSecond = float64(r.figures.Requests) / time.Since(start).Seconds()
	late, _, err := p.RSS()
	if err != nil {
		return err
	}
	r.figures.GrowthMiB = float64(late-early) / mib
	err = r.first
	if r.figures.Wrong > 0 {
		err = errors.Join(err, fmt.Errorf("%d answers belong to other requests", r.figures.Wrong))
	}
	if r.figures.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d innocent requests failed", r.figures.Failed))
	}
	if late-early > echoGrowth {
		err = errors.Join(err, fmt.Errorf("resident memory grew by %d MiB, from %d", (late-early)/mib, early/mib))
	}
	return errors.Join(err, descriptorsReturn(p, base), ctx.Err())
}

// send runs the clients until count requests were sent.
func (r *echoRun) send(ctx context.Context, seed uint64, count int64) {
	r.left.Store(count)
	var wg sync.WaitGroup
	for i := range echoClients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := &echoClient{run: r, id: i, rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
			for ctx.Err() == nil && r.left.Add(-1) >= 0 {
				c.step()
			}
			c.hangUp()
			r.mu.Lock()
			r.figures.add(&c.figures)
			r.mu.Unlock()
		}()
	}
	wg.Wait()
}

func (f *echoFigures) add(o *echoFigures) {
	f.Requests += o.Requests
	f.Own += o.Own
	f.Wrong += o.Wrong
	f.Faults += o.Faults
	f.Aborts += o.Aborts
	f.Connections += o.Connections
	f.Failed += o.Failed
}

// echoClient is one client: one connection at a time, replaced when it is spoilt.
type echoClient struct {
	run     *echoRun
	id      int
	rnd     *rand.Rand
	conn    net.Conn
	in      *bufio.Reader
	serial  int
	figures echoFigures
}

func (c *echoClient) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// echoRequest is one request on its way.
type echoRequest struct {
	tag, method string
	fault       fault
	text        string
}

// make invents a request: GET, HEAD, or POST with length, chunked or with an expectation.
func (c *echoClient) make() echoRequest {
	c.serial++
	q := echoRequest{tag: fmt.Sprintf("%d-%d", c.id, c.serial), method: http.MethodGet, fault: noFault}
	switch n := c.rnd.IntN(100); {
	case n < 4:
		q.fault = []fault{hangsUp, cutsOff, resets}[c.rnd.IntN(3)]
	case n < 16:
		q.fault = innocent[c.rnd.IntN(len(innocent))]
	}
	body := ""
	framing := ""
	switch c.rnd.IntN(6) {
	case 0:
		q.method = http.MethodHead
	case 1, 2:
		q.method = http.MethodPost
		body = q.tag + "|" + strings.Repeat("x", c.rnd.IntN(8000))
		framing = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	case 3:
		q.method = http.MethodPost
		text := q.tag + "|" + strings.Repeat("y", 1+c.rnd.IntN(3000))
		cut := c.rnd.IntN(len(text))
		if cut == 0 {
			cut = 1
		}
		body = fmt.Sprintf("%x\r\n%s\r\n", cut, text[:cut])
		if cut < len(text) {
			body += fmt.Sprintf("%x\r\n%s\r\n", len(text)-cut, text[cut:])
		}
		body += "0\r\n\r\n"
		framing = "Transfer-Encoding: chunked\r\n"
	}
	q.text = fmt.Sprintf("%s /echo/%s HTTP/1.1\r\nHost: gw.example\r\nX-Tag: %s\r\nX-Fault: %s\r\n%s\r\n%s", q.method, q.tag, q.tag, q.fault, framing, body)
	return q
}

// step sends one request, or some in one go, and reads the answers; now and then it leaves in the middle of it.
func (c *echoClient) step() {
	if c.conn == nil {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+c.id))}, Timeout: 10 * time.Second}
		conn, err := d.Dial("tcp", c.run.address)
		if err != nil {
			c.figures.Failed++
			c.run.broken(err)
			return
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
		c.figures.Connections++
	}
	batch := []echoRequest{c.make()}
	if c.rnd.IntN(10) == 0 && batch[0].fault == noFault {
		for range 1 + c.rnd.IntN(3) {
			if q := c.make(); q.fault == noFault && q.method != http.MethodPost {
				batch = append(batch, q)
			}
		}
	}
	c.run.left.Add(-int64(len(batch) - 1))
	c.figures.Requests += int64(len(batch))
	var text strings.Builder
	for _, q := range batch {
		text.WriteString(q.text)
		if q.fault != noFault {
			c.figures.Faults++
		}
	}
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if c.rnd.IntN(40) == 0 {
		c.abort(text.String())
		return
	}
	if _, err := io.WriteString(c.conn, text.String()); err != nil && batch[0].fault == noFault {
		c.fail(batch[0], err)
		return
	}
	for _, q := range batch {
		if !c.read(q) {
			return
		}
	}
}

// abort leaves: inside the request, after it, or inside the answer; politely or by a reset.
func (c *echoClient) abort(text string) {
	c.figures.Aborts++
	switch c.rnd.IntN(3) {
	case 0:
		_, _ = io.WriteString(c.conn, text[:1+c.rnd.IntN(len(text))])
	case 1:
		_, _ = io.WriteString(c.conn, text)
	case 2:
		_, _ = io.WriteString(c.conn, text)
		_, _ = c.in.ReadByte()
	}
	if c.rnd.IntN(2) == 0 {
		_ = c.conn.(*net.TCPConn).SetLinger(0)
	}
	c.hangUp()
}

func (c *echoClient) fail(q echoRequest, err error) {
	c.hangUp()
	if q.fault.visible() {
		return
	}
	c.figures.Failed++
	c.run.broken(fmt.Errorf("%s %s with fault %s: %w", q.method, q.tag, q.fault, err))
}

// read takes one answer and compares it with its request; false when the connection is spent.
func (c *echoClient) read(q echoRequest) bool {
	res, err := http.ReadResponse(c.in, &http.Request{Method: q.method})
	if err != nil {
		c.fail(q, err)
		return false
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	tag := res.Header.Get("X-Tag")
	switch {
	case tag != "" && tag != q.tag, strings.Trim(strings.ReplaceAll(string(body), q.tag+"\n", ""), "\n") != "" && tag != "" && err == nil:
		c.figures.Wrong++
		c.run.broken(fmt.Errorf("%s %s (fault %s) got the answer of %q: %.100q", q.method, q.tag, q.fault, tag, body))
	case err != nil:
		c.fail(q, err)
		return false
	case tag == q.tag && !q.fault.visible():
		c.figures.Own++
	case !q.fault.visible():
		c.fail(q, fmt.Errorf("status %d, %s", res.StatusCode, res.Header.Get("PV-Reason")))
		return false
	}
	if res.Close {
		c.hangUp()
		return false
	}
	return true
}
