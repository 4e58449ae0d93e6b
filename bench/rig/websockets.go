// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	openWebSockets = 1000
	// askedWebSockets are asked after each reload, others each time.
	askedWebSockets = 40
	webSocketTime   = 20 * time.Second
)

// webSocketFigures is what the websockets rig measured.
type webSocketFigures struct {
	Open     int     `json:"websockets"`
	Reloads  int     `json:"reloads"`
	Messages int     `json:"messages_echoed"`
	Failed   int     `json:"failed"`
	EarlyMiB float64 `json:"rss_mib_early"`
	LateMiB  float64 `json:"rss_mib_late"`
	Routines [2]int  `json:"goroutines_early_late"`
}

// websockets reloads while a thousand WebSockets are open, each time with another configuration: all stay, and memory too.
func websockets(ctx context.Context, b *bed) (any, error) {
	back, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer back.Close()
	go echoWebSockets(back)
	config := func(i int) string {
		return fmt.Sprintf("listen: [{address: %q, hosts: any, default: origin}]\nbackends:\n"+
			"  origin: {mode: proxy, endpoints: [\"http://%s\"], limits: {in_flight: %d}, tunnels: {max: 2000}}\n", binary.AnyPort, back.Addr(), 100+i%2)
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config(0)})
	if err != nil {
		return nil, err
	}
	f := &webSocketFigures{}
	return f, end(p, f.run(p, config))
}

func (f *webSocketFigures) run(p *binary.Process, config func(int) string) error {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range openWebSockets {
		c, err := dialWebSocket(p.Address(0))
		if err != nil {
			return err
		}
		open = append(open, c)
		f.Open++
	}
	total := proof.Count(50, 1000)
	m := newSteady(p, total)
	var all error
	for i := 1; i <= total && all == nil; i++ {
		if all = errors.Join(p.Configure(config(i)), p.ReloadByAdmin()); all != nil {
			break
		}
		f.Reloads++
		asked := open[i*askedWebSockets%openWebSockets:]
		if i == total {
			asked = open
		}
		for j, c := range asked {
			if i < total && j == askedWebSockets {
				break
			}
			if err := echoed(c, fmt.Sprintf("message %d of %d", i, j)); err != nil {
				f.Failed++
				all = errors.Join(all, err)
			}
			f.Messages++
		}
		all = errors.Join(all, m.look(i))
	}
	f.EarlyMiB, f.LateMiB, f.Routines = m.mib(m.early), m.mib(m.late), m.routines
	return errors.Join(all, m.verdict())
}

// steady watches memory and goroutines over many rounds.
type steady struct {
	p           *binary.Process
	total       int
	early, late int64 // highest resident memory in the second and in the last tenth, octets
	routines    [2]int
}

func newSteady(p *binary.Process, total int) *steady { return &steady{p: p, total: total} }

func (m *steady) look(i int) error {
	second, last := i > m.total/10 && i <= m.total/5, i > m.total-m.total/10
	if !second && !last {
		return nil
	}
	now, _, err := m.p.RSS()
	if second {
		m.early = max(m.early, now)
	} else {
		m.late = max(m.late, now)
	}
	if i != m.total/5 && i != m.total {
		return err
	}
	all, merr := m.p.Metrics()
	n, _ := all.Sum("go_goroutines")
	m.routines[i/m.total] = int(n)
	return errors.Join(err, merr)
}

func (m *steady) mib(octets int64) float64 { return float64(octets) / mib }

// goroutineGrowth is how many goroutines more there may be at the end: of those who read the metrics, and of timers.
const goroutineGrowth = 10

func (m *steady) verdict() error {
	var errs error
	if m.late > m.early+reloadGrowth {
		errs = fmt.Errorf("resident memory grew from %d to %d MiB", m.early/mib, m.late/mib)
	}
	if m.routines[1] > m.routines[0]+goroutineGrowth {
		errs = errors.Join(errs, fmt.Errorf("%d goroutines at first, %d at the end", m.routines[0], m.routines[1]))
	}
	return errs
}

// webSocketKey is any key of 16 octets.
const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// dialWebSocket opens a WebSocket. What passes through it is none of the gateway's business, so it is no frames here.
func dialWebSocket(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, webSocketTime)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(webSocketTime)); err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", tlsHost, webSocketKey)
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 1<<10), nil) //nolint:bodyclose // a 101 has none
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("status %d, %s", res.StatusCode, res.Header.Get("PV-Reason"))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func echoed(c net.Conn, text string) error {
	if err := c.SetDeadline(time.Now().Add(webSocketTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("sent %q, got %q", text, got)
	}
	return nil
}

// echoWebSockets is a backend that agrees to every WebSocket and sends back what it gets.
func echoWebSockets(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			in := bufio.NewReaderSize(c, 1<<10)
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
			_, _ = io.Copy(c, in)
		}()
	}
}
