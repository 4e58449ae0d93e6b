// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	// upgradeClients are of each kind; each pauses for upgradePause after an answer, so that two processes of the gateway
	// and all clients fit two cores.
	upgradeClients = 3
	upgradePause   = 2 * time.Millisecond
	// crowdClients open a connection for each request and do not pause: always some of them wait to be accepted.
	crowdClients = 24
	// restTime is how long a connection may have been without a request before a client opens another one: the gateway
	// ends those that have rested for 500 ms.
	restTime = 250 * time.Millisecond
	// upgradeTime bounds one upgrade, drain included, and one request.
	upgradeTime = 60 * time.Second
)

// upgradeFigures is what the upgrade rig measured.
type upgradeFigures struct {
	Upgrades int                     `json:"upgrades"`
	Refused  int                     `json:"successors_that_failed"`
	Longest  float64                 `json:"longest_answer_ms"`
	Clients  map[string]*upgradeLoad `json:"clients"`

	scene atomic.Value // string: what goes on, and in which process
}

// upgradeLoad is the account of one kind of client.
type upgradeLoad struct {
	Requests    int64 `json:"requests"`
	Failed      int64 `json:"failed"`
	Retried     int64 `json:"retried"`
	Backend     int64 `json:"at_backend"`
	Connections int64 `json:"connections"`

	ask   func(*upgradeLoad) upgradeClient
	first error
	most  time.Duration
}

// upgradeClient sends one request after the other.
type upgradeClient interface {
	post() error
	to(path string) error // post, elsewhere
	close()
}

// upgrade lets one process follow another under load of every version of HTTP, with kept and with new connections. No
// request may fail; one of HTTP/3 may be sent a second time, on a new connection. Successors that end, hang, or refuse the
// configuration cost nothing. What clients count, the backend counts too.
func upgrade(ctx context.Context, b *bed) (any, error) {
	var counts sync.Map // by path, of *atomic.Int64
	back, address, err := countingBackend(&counts)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	built, err := filepath.Abs(b.binary)
	if err != nil {
		return nil, err
	}
	link := filepath.Join(dir, "pvgate")
	if err := os.Symlink(built, link); err != nil {
		return nil, err
	}
	at := *b
	at.binary = link
	p, plain, config, err := at.bothListeners(ctx, address, dir)
	if err != nil {
		return nil, err
	}
	f := &upgradeFigures{Clients: upgradeClientsOf(plain, p.Address(1))}
	err = f.under(ctx, &counts, func() error { return f.upgrades(ctx, p, link, built, config) })
	return f, end(p, err)
}

// countingBackend answers every request and counts it by its path.
func countingBackend(counts *sync.Map) (*http.Server, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if d, err := time.ParseDuration(strings.TrimPrefix(r.URL.Path, "/slow/")); err == nil {
			time.Sleep(d)
		}
		n, _ := counts.LoadOrStore(r.URL.Path, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		_, _ = io.WriteString(w, upgradeAnswer)
	})}
	go func() { _ = s.Serve(l) }()
	return s, l.Addr().String(), nil
}

const upgradeAnswer = "applied"

// upgrades makes successors, good and bad ones.
func (f *upgradeFigures) upgrades(ctx context.Context, p *binary.Process, link, built, config string) error {
	script := func(text string) func() error {
		return func() error {
			return errors.Join(os.Remove(link), os.WriteFile(link, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
		}
	}
	good := func() error { return errors.Join(os.Remove(link), os.Symlink(built, link), p.Configure(config)) }
	const soon, atLast = 500 * time.Millisecond, 20 * time.Second // a busy machine takes its time over a start
	bad := []struct {
		name, want string
		within     time.Duration
		make       func() error
	}{
		{"ends", "has ended before it was ready", atLast, script("exit 1")},
		{"hangs", "is not ready within", soon, script("exec sleep 60")},
		{"refuses the configuration", "unknown key", atLast, func() error { return errors.Join(good(), p.Configure("no_such_key: 1\n"+config)) }},
	}
	total := proof.Count(3, 20)
	for i := range total + len(bad) {
		if i%2 == 1 && i/2 < len(bad) {
			c := &bad[i/2]
			if err := c.make(); err != nil {
				return err
			}
			f.scene.Store(fmt.Sprintf("process %d, and a successor that %s, since %s", p.PID(), c.name, time.Now().Format("15:04:05.000")))
			refused, err := p.Upgrade(ctx, c.within)
			if err != nil {
				return fmt.Errorf("a successor that %s: %w", c.name, err)
			}
			if !strings.Contains(refused, c.want) {
				return fmt.Errorf("a successor that %s: got %q, want %q in it", c.name, refused, c.want)
			}
			f.Refused++
			if err := good(); err != nil {
				return err
			}
			continue
		}
		within, cancel := context.WithTimeout(ctx, upgradeTime)
		f.scene.Store(fmt.Sprintf("upgrade %d from process %d since %s", f.Upgrades+1, p.PID(), time.Now().Format("15:04:05.000")))
		refused, err := p.Upgrade(within, upgradeTime/2)
		cancel()
		if err != nil || refused != "" {
			return fmt.Errorf("upgrade %d: %s %w", f.Upgrades+1, refused, err)
		}
		f.Upgrades++
	}
	return nil
}

// under runs something under load, and judges the load.
func (f *upgradeFigures) under(ctx context.Context, counts *sync.Map, what func() error) error {
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards the loads
	for name, l := range f.Clients {
		n, pause := upgradeClients, upgradePause
		if name == "h1-new" {
			n, pause = crowdClients, 0
		}
		for range n {
			wg.Go(func() { l.run(loadCtx, &mu, l.ask(l), name == "h3", pause, &f.scene) })
		}
	}
	time.Sleep(200 * time.Millisecond)
	err := what()
	time.Sleep(200 * time.Millisecond)
	stop()
	wg.Wait()
	for name, l := range f.Clients {
		if n, ok := counts.Load("/" + name); ok {
			l.Backend = n.(*atomic.Int64).Load()
		}
		f.Longest = max(f.Longest, float64(l.most)/1e6)
		if l.Failed > 0 || l.Requests == 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d of %d requests failed; first: %w", name, l.Failed, l.Requests, l.first))
		}
		if surplus := l.Backend - l.Requests; surplus < 0 || surplus > l.Retried {
			err = errors.Join(err, fmt.Errorf("%s: clients have %d answers, the backend counts %d requests", name, l.Requests, l.Backend))
		}
	}
	return err
}

func (l *upgradeLoad) run(ctx context.Context, mu *sync.Mutex, c upgradeClient, retries bool, pause time.Duration, scene *atomic.Value) {
	defer c.close()
	for ctx.Err() == nil {
		start := time.Now()
		err := c.post()
		retried := err != nil && retries
		if retried {
			c.close()
			err = c.post()
		}
		took := time.Since(start)
		mu.Lock()
		l.Requests++
		l.most = max(l.most, took)
		if retried {
			l.Retried++
		}
		if err != nil {
			l.Failed++
			if l.first == nil {
				l.first = fmt.Errorf("%s, %v: %w", time.Now().Format("15:04:05.000"), scene.Load(), err)
			}
		}
		mu.Unlock()
		time.Sleep(pause)
	}
}

// upgradeClientsOf are the kinds of clients.
func upgradeClientsOf(plain, secure string) map[string]*upgradeLoad {
	stock := func(name string, t func() http.RoundTripper) *upgradeLoad {
		return &upgradeLoad{ask: func(*upgradeLoad) upgradeClient { return &stockClient{url: "https://" + secure + "/" + name, make: t} }}
	}
	raw := func(name, address string, secure *tls.Config, fresh bool) *upgradeLoad {
		return &upgradeLoad{ask: func(l *upgradeLoad) upgradeClient {
			return &rawClient{path: "/" + name, address: address, secure: secure, fresh: fresh, load: l}
		}}
	}
	return map[string]*upgradeLoad{
		"h1":      raw("h1", plain, nil, false),
		"h1-new":  raw("h1-new", plain, nil, true),
		"tls":     raw("tls", secure, holdSecure("http/1.1"), false),
		"tls-new": raw("tls-new", secure, holdSecure("http/1.1"), true),
		"h2": stock("h2", func() http.RoundTripper {
			t := &http.Transport{TLSClientConfig: holdSecure("h2"), Protocols: new(http.Protocols)}
			t.Protocols.SetHTTP2(true)
			return t
		}),
		"h3": stock("h3", func() http.RoundTripper { return &http3.Transport{TLSClientConfig: holdSecure(http3.NextProtoH3)} }),
	}
}

// rawClient speaks HTTP/1.1 itself: a stock client would send again in silence what it finds refused.
type rawClient struct {
	path, address string
	secure        *tls.Config
	fresh         bool // a connection for each request
	load          *upgradeLoad
	conn          net.Conn
	in            *bufio.Reader
	since         time.Time // of the last answer

	// What is told of a connection that failed.
	from          net.Addr
	dialed        time.Time
	stood, sent   time.Duration // after that, it stood, and the last request was sent
	rested        time.Duration // before that
	answers, read int           // whole answers, and octets read
}

// story is what has become of the connection: whose fault a failure is, can be told from when it came.
func (c *rawClient) story() string {
	return fmt.Sprintf("from %v, dialed %v ago, stood after %v, request sent at %v, %d answers and %d octets read before",
		c.from, time.Since(c.dialed), c.stood, c.sent, c.answers, c.read)
}

// counted is a connection that counts what is read for its client's story.
type counted struct {
	net.Conn
	by *rawClient
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.by.read += n
	return n, err
}

func (c *rawClient) post() error {
	if c.conn != nil && (c.fresh || time.Since(c.since) > restTime) {
		c.close()
	}
	if c.conn == nil {
		c.dialed, c.read, c.answers = time.Now(), 0, 0
		conn, err := net.DialTimeout("tcp", c.address, holdTime)
		if err != nil {
			return fmt.Errorf("after %v: %w", time.Since(c.dialed), err)
		}
		c.from, c.stood = conn.LocalAddr(), time.Since(c.dialed)
		conn = counted{conn, c}
		if c.secure != nil {
			conn = tls.Client(conn, c.secure)
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
		atomic.AddInt64(&c.load.Connections, 1)
	}
	res, err := c.once() //nolint:bodyclose // read to its end already
	if err != nil {
		c.close()
		if c.answers > 0 && c.rested > restTime {
			return c.post() // this client was stopped between its look at the clock and its request; the backend counts
		}
		return fmt.Errorf("%w: %s", err, c.story())
	}
	c.answers++
	if c.since = time.Now(); res.Close {
		c.close()
	}
	return nil
}

func (c *rawClient) to(path string) error {
	c.path = path
	return c.post()
}

func (c *rawClient) once() (*http.Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(upgradeTime)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c.conn, "POST "+c.path+" HTTP/1.1\r\nHost: "+tlsHost+"\r\nUser-Agent: rig\r\nContent-Length: 4\r\n\r\nform"); err != nil {
		return nil, err
	}
	c.sent, c.rested = time.Since(c.dialed), time.Since(c.since)
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	return res, applied(res)
}

func (c *rawClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// stockClient is Go's client, or quic-go's.
type stockClient struct {
	url  string
	make func() http.RoundTripper
	t    http.RoundTripper
}

func (c *stockClient) post() error {
	if c.t == nil {
		c.t = c.make()
	}
	ctx, cancel := context.WithTimeout(context.Background(), upgradeTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader([]byte("form")))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "rig")
	res, err := c.t.RoundTrip(r)
	if err != nil {
		return err
	}
	return applied(res)
}

func (c *stockClient) to(path string) error {
	c.url = c.url[:strings.LastIndexByte(c.url, '/')] + path
	return c.post()
}

func (c *stockClient) close() {
	switch t := c.t.(type) {
	case *http.Transport:
		t.CloseIdleConnections()
	case *http3.Transport:
		_ = t.Close()
	}
	c.t = nil
}

// applied reads an answer, which must be the backend's.
func applied(res *http.Response) error {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != upgradeAnswer) {
		err = fmt.Errorf("status %d, %s: %.200q", res.StatusCode, res.Header.Get("PV-Reason"), body)
	}
	return err
}
