// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	onceBackends = 1000            // each with its own client, so that a pause is that of a connection
	onceIdle     = 2 * time.Second // after which the portal closes a connection that waits
)

// onceFigures is what the once rig measured.
type onceFigures struct {
	Forms      int64            `json:"forms"`
	Failed     int64            `json:"failed"`
	Doubled    int64            `json:"doubled"`
	Closed     int64            `json:"idle_connections_closed_by_the_portal"`
	DyingForms int64            `json:"forms_to_dying_portals"`
	Applied    map[string]int64 `json:"of_them_applied_by_phase"`
	Answered   map[string]int64 `json:"of_them_answered_by_phase"`
	Deaths     map[string]int64 `json:"deaths_by_phase"`
	DyingTwice int64            `json:"of_them_applied_twice"`
}

// portal counts forms by their tag, and closes or dies as it is told.
type portal struct {
	listener net.Listener
	phase    string // of its death, "" for none
	mu       sync.Mutex
	rnd      *rand.Rand
	applied  map[string]int
	closed   int64 // idle connections
	deaths   int64
	wg       sync.WaitGroup
}

// The phases in which portals die.
var phases = [...]string{"before accept", "after accept", "in the head", "in the body", "before the answer"}

func newPortal(phase string, seed uint64) (*portal, error) {
	l, err := net.Listen("tcp", binary.AnyPort)
	if err != nil {
		return nil, err
	}
	p := &portal{listener: l, phase: phase, rnd: rand.New(rand.NewPCG(seed, 1)), applied: map[string]int{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *portal) close() {
	_ = p.listener.Close()
	p.wg.Wait()
}

// early reports that connections die before a form comes.
func (p *portal) early() bool { return p.phase == phases[0] || p.phase == phases[1] }

// dies says whether this connection is one that dies early, and counts it: one in two.
func (p *portal) dies() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rnd.IntN(2) > 0 {
		return false
	}
	p.deaths++
	return true
}

// life is how many forms a connection of a dying portal answers first: none, one or two, so that every phase is met often.
func (p *portal) life() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rnd.IntN(3)
}

func (p *portal) died() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaths++
}

func (p *portal) accept() {
	for {
		if p.phase == phases[0] {
			time.Sleep(5 * time.Millisecond) // connections wait in the kernel's queue, and die there
		}
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.phase == phases[0] && p.dies() {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
			continue
		}
		p.wg.Go(func() {
			p.serve(c)
			_ = c.Close()
		})
	}
}

// serve answers forms until the connection has waited long enough, or dies.
func (p *portal) serve(c net.Conn) {
	if p.phase == phases[1] && p.dies() {
		return
	}
	in := bufio.NewReader(c)
	for left := p.life(); ; left-- {
		last := p.phase != "" && left <= 0
		dies := last && !p.early()
		_ = c.SetReadDeadline(time.Now().Add(onceIdle))
		if dies && p.phase == phases[2] {
			if _, err := in.Peek(20); err == nil {
				p.died()
			}
			return
		}
		req, err := http.ReadRequest(in)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				p.mu.Lock()
				p.closed++
				p.mu.Unlock()
			}
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if dies && p.phase == phases[3] {
			_, _ = io.ReadFull(req.Body, make([]byte, 4))
			p.died()
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		tag, _, _ := strings.Cut(string(body), "|")
		p.mu.Lock()
		p.applied[tag]++
		p.mu.Unlock()
		if dies {
			p.died()
			return
		}
		end := ""
		if last { // the next one is drawn anew
			end = "Connection: close\r\n"
		}
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", end, len(tag), tag); err != nil || last {
			return
		}
	}
}

// twice counts what was applied, and what more than once.
func (p *portal) twice() (applied, twice int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.applied {
		if applied++; n > 1 {
			twice++
		}
	}
	return applied, twice
}

// once sends forms, each at most once: over connections that a portal closes after 2 s, with random pauses, where none
// may fail; and to portals that die in five phases of a form, from clients of HTTP/1.1, TLS and HTTP/2.
func once(ctx context.Context, b *bed) (any, error) {
	dir, err := os.MkdirTemp("", "pvgate-rig-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := cert.Write(dir, tlsHost); err != nil {
		return nil, err
	}
	steady, err := newPortal("", b.seed)
	if err != nil {
		return nil, err
	}
	defer steady.close()
	config := fmt.Sprintf("domain: %s\nlisten:\n  - {address: %q}\n  - {address: %q, tls: {cert: %q, key: %q}}\nbackends:\n", tlsHost,
		binary.AnyPort, binary.AnyPort, filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile))
	entry := "  %s: {mode: proxy, isolation: path, endpoints: [\"http://%s\"]}\n"
	for i := range onceBackends {
		config += fmt.Sprintf(entry, fmt.Sprintf("steady%d", i), steady.listener.Addr())
	}
	var dying []*portal
	for i, phase := range phases {
		p, err := newPortal(phase, b.seed+uint64(i))
		if err != nil {
			return nil, err
		}
		defer p.close()
		dying = append(dying, p)
		config += fmt.Sprintf(entry, fmt.Sprintf("dying%d", i), p.listener.Addr())
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, err
	}
	f := &onceFigures{Applied: map[string]int64{}, Answered: map[string]int64{}, Deaths: map[string]int64{}}
	r := &onceRun{figures: f, plain: p.Address(0), secure: p.Address(1), seed: b.seed}
	return f, end(p, r.measure(ctx, steady, dying))
}

type onceRun struct {
	figures       *onceFigures
	plain, secure string
	seed          uint64
	mu            sync.Mutex // guards figures and first
	first         error
}

func (r *onceRun) measure(ctx context.Context, steady *portal, dying []*portal) error {
	var wg sync.WaitGroup
	each := proof.Count(5, 100)
	wg.Go(func() { r.pauses(ctx, each) })
	wg.Go(func() { r.deaths(ctx, dying, proof.Count(100, 2000)) })
	wg.Wait()
	f := r.figures
	var applied int64
	applied, f.Doubled = steady.twice()
	steady.mu.Lock()
	f.Closed = steady.closed
	steady.mu.Unlock()
	for _, p := range dying {
		n, twice := p.twice()
		f.Applied[p.phase] = n
		f.DyingTwice += twice
		p.mu.Lock()
		f.Deaths[p.phase] = p.deaths
		p.mu.Unlock()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case f.Failed > 0:
		return fmt.Errorf("%d of %d forms failed, the first: %w", f.Failed, f.Forms, r.first)
	case f.Doubled+f.DyingTwice > 0 || applied != f.Forms:
		return fmt.Errorf("%d and %d forms were applied twice, %d of %d once", f.Doubled, f.DyingTwice, applied, f.Forms)
	case f.Closed < f.Forms/20:
		return fmt.Errorf("the portal closed %d connections of %d forms: this rig sees nothing", f.Closed, f.Forms)
	}
	for _, phase := range phases {
		if least := int64(proof.Count(20, 1000)); f.Deaths[phase] < least {
			return fmt.Errorf("%s: %d connections died, at least %d should: this rig sees too little", phase, f.Deaths[phase], least)
		}
		if f.Answered[phase] == 0 || f.Answered[phase] == f.DyingForms/int64(len(phases)) {
			return fmt.Errorf("%s: %d of %d answered: this rig sees nothing", phase, f.Answered[phase], f.DyingForms/int64(len(phases)))
		}
	}
	return nil
}

// pauses sends forms by as many clients as there are backends, with pauses around the second below which a connection is
// used again, around the two at which the portal closes it, and others.
func (r *onceRun) pauses(ctx context.Context, each int) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: onceBackends, MaxIdleConns: onceBackends}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range onceBackends {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(r.seed, uint64(i)))
			for n := range each {
				pause := time.Duration(rnd.Int64N(int64(3 * time.Second)))
				switch rnd.IntN(3) {
				case 0:
					pause = time.Second + time.Duration(rnd.Int64N(int64(100*time.Millisecond))) - 50*time.Millisecond
				case 1:
					pause = onceIdle + time.Duration(rnd.Int64N(int64(20*time.Millisecond))) - 10*time.Millisecond
				}
				select {
				case <-time.After(pause): // the load itself
				case <-ctx.Done():
					return
				}
				tag := fmt.Sprintf("%d-%d", i, n)
				err := r.post(ctx, client, "http://"+r.plain, fmt.Sprintf("steady%d", i), tag)
				r.mu.Lock()
				if r.figures.Forms++; err != nil {
					r.figures.Failed++
					r.first = errors.Join(r.first, err)
				}
				r.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// deaths sends forms to dying portals.
func (r *onceRun) deaths(ctx context.Context, dying []*portal, each int) {
	var wg sync.WaitGroup
	for k, base := range []string{"http://" + r.plain, "https://" + r.secure, "https://" + r.secure} {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: tlsHost} //nolint:gosec // its own certificate
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: k == 2, MaxIdleConnsPerHost: 16}}
		defer client.CloseIdleConnections()
		for i, p := range dying {
			for w := range 4 {
				wg.Go(func() {
					for n := range each / 4 {
						err := r.post(ctx, client, base, fmt.Sprintf("dying%d", i), fmt.Sprintf("%d-%d-%d-%d", k, i, w, n))
						r.mu.Lock()
						if r.figures.DyingForms++; err == nil {
							r.figures.Answered[p.phase]++
						}
						r.mu.Unlock()
					}
				})
			}
		}
	}
	wg.Wait()
}

// post sends a form; it is an error if the answer is not its own.
func (r *onceRun) post(ctx context.Context, client *http.Client, base, backend, tag string) error {
	body := tag + "|" + strings.Repeat("x", 200+len(tag)*100)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/_pv/b/"+backend+"/form", struct{ io.Reader }{strings.NewReader(body)}) // which nobody can repeat
	if err != nil {
		return err
	}
	req.Host, req.ContentLength = tlsHost, int64(len(body))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	if resp.StatusCode != http.StatusOK || string(got) != tag {
		return fmt.Errorf("%s: %d %s %.60q", tag, resp.StatusCode, resp.Header.Get("PV-Reason"), got)
	}
	return nil
}
