// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

// mortalRole makes of this program a backend that can be killed and stopped.
const mortalRole = "mortal"

const (
	// mortalEvery is the time between two requests to a backend, whether they are answered or not.
	mortalEvery = 5 * time.Millisecond
	// mortalWindow is how long a dead endpoint may cost requests; after that only those that try it may fail.
	mortalWindow = time.Second
	// goodTime is within what requests to another backend are answered.
	goodTime     = time.Second
	mortalTrials = 5
	mortalReturn = 10 * time.Second
)

// mortalFigures is what became of a backend's requests while one of its two endpoints was dead, and when it was back.
type mortalFigures struct {
	Death       string  `json:"death"`
	Requests    int     `json:"requests"`
	Window      int     `json:"failed_of_the_first_second"`
	Later       int     `json:"failed_later_while_dead"`
	Dip         int     `json:"failed_after_return"`
	ReturnShare float64 `json:"share_of_the_returned"`
	Others      float64 `json:"others_percent"`
}

// backendFigures is what the backends rig measured.
type backendFigures struct {
	Deaths []mortalFigures `json:"deaths"`
	// Slow is about ten backends of which one takes 5 s longer.
	SlowOthers float64 `json:"one_slow_others_percent"`
	SlowAsked  int     `json:"one_slow_others_requests"`
}

// mortal is a backend of a process of its own: it answers with its name.
func mortal(address string) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, mortalRole)
	})}
	return server.ListenAndServe()
}

// bornMortal starts one and waits until it answers.
func bornMortal(ctx context.Context, address string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], mortalRole, address)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			return cmd, c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("no backend at %s after 4 s", address)
}

// asked is one request and what came of it.
type asked struct {
	host  string
	began time.Time
	took  time.Duration
	body  string
	err   error
}

// askers sends requests to hosts of the gateway at a steady pace, however many are waiting.
type askers struct {
	address string
	client  *http.Client
	all     sync.WaitGroup

	mu   sync.Mutex
	done []asked
}

func newAskers(address string) *askers {
	return &askers{address: address, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// during asks all hosts for a while.
func (a *askers) during(d time.Duration, hosts ...string) {
	tick := time.NewTicker(mortalEvery)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		for _, h := range hosts {
			a.all.Go(func() { a.ask(h) })
		}
	}
}

func (a *askers) ask(host string) {
	q := asked{host: host, began: time.Now()}
	req, _ := http.NewRequest(http.MethodGet, "http://"+a.address+"/", nil)
	req.Host = host + ".pvgate.localhost"
	resp, err := a.client.Do(req)
	if err == nil {
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s %s", resp.Status, resp.Header.Get("PV-Reason"))
		}
		_ = resp.Body.Close()
		q.body = string(body)
	}
	q.err, q.took = err, time.Since(q.began)
	a.mu.Lock()
	a.done = append(a.done, q)
	a.mu.Unlock()
}

// take returns what has become of all requests since the last call.
func (a *askers) take() []asked {
	a.all.Wait()
	done := a.done
	a.done = nil
	return done
}

// backends kills one of two endpoints in several ways and lets it return, and makes one of ten backends slow (BE-01, BE-02,
// BE-03).
func backends(ctx context.Context, b *bed) (any, error) {
	f := &backendFigures{}
	var status, delay atomic.Int64
	status.Store(http.StatusOK)
	at := func(answer func(w http.ResponseWriter)) (string, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
		go func() { _ = server.Serve(l) }()
		context.AfterFunc(ctx, func() { _ = server.Close() })
		return l.Addr().String(), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	well, err1 := at(func(w http.ResponseWriter) { _, _ = io.WriteString(w, "well") })
	sick, err2 := at(func(w http.ResponseWriter) {
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, mortalRole)
	})
	slow, err3 := at(func(w http.ResponseWriter) {
		time.Sleep(time.Duration(delay.Load()))
		_, _ = io.WriteString(w, "slow")
	})
	l, err4 := net.Listen("tcp", "127.0.0.1:0") // for the port, which is free then
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	dead := l.Addr().String()
	_ = l.Close()
	config := fmt.Sprintf("listen: [{address: %q, hosts: any}]\nbackends:\n"+
		"  killed: {mode: proxy, endpoints: [\"http://%s\", \"http://%s\"], timeouts: {first_byte: 1s}}\n"+
		"  sick: {mode: proxy, endpoints: [\"http://%s\", \"http://%s\"]}\n", binary.AnyPort, dead, well, sick, well)
	for i := range 10 {
		to := well
		if i == 0 {
			to = slow
		}
		config += fmt.Sprintf("  b%d: {mode: proxy, endpoints: [\"http://%s\"]}\n", i, to)
	}
	cmd, err := bornMortal(ctx, dead)
	if err != nil {
		return nil, err
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, err
	}
	a := newAskers(p.Address(0))
	err = errors.Join(
		f.death(a, "5xx", "sick", func() error { status.Store(500); return nil }, func() error { status.Store(200); return nil }),
		f.death(a, "stopped", "killed", func() error { return cmd.Process.Signal(syscall.SIGSTOP) }, func() error { return cmd.Process.Signal(syscall.SIGCONT) }),
		f.death(a, "killed", "killed", func() error {
			err := cmd.Process.Kill()
			_ = cmd.Wait() // it says that it was killed
			return err
		}, func() (err error) { cmd, err = bornMortal(ctx, dead); return err }),
		f.oneSlow(a, &delay),
	)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return f, end(p, err)
}

// death is the life of one endpoint: well, dead, and back.
func (f *backendFigures) death(a *askers, how, host string, kill, revive func() error) error {
	a.during(time.Second/2, host, "b1")
	if err := unanswered(a.take(), how+": before"); err != nil {
		return err
	}
	m := mortalFigures{Death: how}
	died := time.Now()
	if err := kill(); err != nil {
		return err
	}
	a.during(time.Duration(proof.Count(3, 10))*time.Second, host, "b1")
	var others bystanders
	for _, q := range a.take() {
		switch {
		case q.host != host:
			others.count(q)
			continue
		case q.err == nil:
		case q.began.Sub(died) <= mortalWindow:
			m.Window++
		default:
			m.Later++
		}
		m.Requests++
	}
	if err := revive(); err != nil {
		return err
	}
	back := time.Now()
	a.during(time.Second, host, "b1")
	shared, returned := 0, 0
	for deadline := back.Add(mortalReturn); ; {
		for _, q := range a.take() {
			switch {
			case q.host != host:
				others.count(q)
			case q.err != nil:
				m.Dip++
			}
			if q.host == host && time.Since(q.began) < 2*time.Second {
				shared++
				if q.body == mortalRole {
					returned++
				}
			}
		}
		m.ReturnShare = float64(returned) / float64(max(shared, 1))
		if m.ReturnShare > .1 || time.Now().After(deadline) {
			break
		}
		shared, returned = 0, 0
		a.during(time.Second, host, "b1")
	}
	m.Others = others.percent()
	f.Deaths = append(f.Deaths, m)
	switch {
	case m.Later > mortalTrials:
		return fmt.Errorf("%s: %d requests that began later than %v after it failed", how, m.Later, mortalWindow)
	case m.Dip > 1: // one may have been trying it when it came back
		return fmt.Errorf("%s: %d requests failed after its return", how, m.Dip)
	case m.ReturnShare <= .1:
		return fmt.Errorf("%s: %v after its return it has %.0f %% of the requests", how, mortalReturn, 100*m.ReturnShare)
	case m.Others < 99.9:
		return fmt.Errorf("%s: %.2f %% of another backend's requests were answered", how, m.Others)
	}
	return nil
}

// bystanders counts the requests to another backend, and those of them that were not answered in good time.
type bystanders struct{ all, failed int }

func (b *bystanders) count(q asked) {
	b.all++
	if q.err != nil || q.took > goodTime {
		b.failed++
	}
}

func (b *bystanders) percent() float64 { return 100 * float64(b.all-b.failed) / float64(max(b.all, 1)) }

// oneSlow makes one of ten backends 5 s slower.
func (f *backendFigures) oneSlow(a *askers, delay *atomic.Int64) error {
	var hosts []string
	for i := range 10 {
		hosts = append(hosts, fmt.Sprintf("b%d", i))
	}
	delay.Store(int64(5 * time.Second))
	defer delay.Store(0)
	a.during(time.Duration(proof.Count(1, 20))*time.Second, hosts...)
	var others bystanders
	for _, q := range a.take() {
		if q.host != hosts[0] {
			others.count(q)
		}
	}
	f.SlowAsked, f.SlowOthers = others.all, others.percent()
	if f.SlowOthers < 99 {
		return fmt.Errorf("one slow backend of ten: %.2f %% of the others' requests were answered in time", f.SlowOthers)
	}
	return nil
}

// unanswered is the first request that failed, if one did.
func unanswered(all []asked, when string) error {
	for _, q := range all {
		if q.err != nil {
			return fmt.Errorf("%s: %w", when, q.err)
		}
	}
	return nil
}
