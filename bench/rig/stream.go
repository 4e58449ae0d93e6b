// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	maxResident = 64 * mib
	bodySize    = int64(1 << 30)
	// maxHeld bounds what may be on its way in kernel buffers and the gateway when one side does not read: the kernel
	// takes up to 4 MiB per socket to send and 6 MiB to receive.
	maxHeld = 48 * mib
)

// streamFigures is what the stream rig measured.
type streamFigures struct {
	PeakMiB   map[string]float64 `json:"peak_rss_mib"`
	Seconds   map[string]float64 `json:"seconds"`
	HeldMiB   map[string]float64 `json:"held_mib_when_paused"`
	BodyBytes int64              `json:"body_bytes"`
}

// pattern is a body whose every byte says where it belongs, so that a lost, repeated or moved piece is noticed.
type pattern struct{ at, size int64 }

func octet(at int64) byte { return byte(at ^ at>>8 ^ at>>16 ^ at>>24) }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at))
	for i := range b[:n] {
		b[i] = octet(p.at + int64(i))
	}
	p.at += int64(n)
	return n, nil
}

// checked counts and checks a body as it is written.
type checked struct{ at int64 }

func (c *checked) Write(b []byte) (int, error) {
	for i, got := range b {
		if want := octet(c.at + int64(i)); got != want {
			return i, fmt.Errorf("byte %d of the body is %02x, want %02x", c.at+int64(i), got, want)
		}
	}
	c.at += int64(len(b))
	return len(b), nil
}

// streamOrigin gives and takes bodies: GET /length and /chunked give one, PUT anything takes one and says its size;
// /stuck takes nothing until released.
type streamOrigin struct {
	sent    atomic.Int64 // of the body being given
	release chan struct{}
}

func (o *streamOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/stuck":
		select {
		case <-o.release:
		case <-r.Context().Done():
			return
		}
		fallthrough
	case r.Method == http.MethodPut:
		var c checked
		if _, err := io.Copy(&c, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, "%d", c.at)
	default:
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(bodySize))
		}
		p := &pattern{size: bodySize}
		buf := make([]byte, 64<<10)
		for {
			n, err := p.Read(buf)
			if errors.Is(err, io.EOF) {
				return
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			o.sent.Store(p.at)
		}
	}
}

func stream(ctx context.Context, b *bed) (any, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &streamOrigin{release: make(chan struct{})}
	server := &http.Server{Handler: o, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	p, address, err := b.gateway(ctx, listener.Addr().String(), "")
	if err != nil {
		return nil, err
	}
	f := &streamFigures{PeakMiB: map[string]float64{}, Seconds: map[string]float64{}, HeldMiB: map[string]float64{}, BodyBytes: bodySize}
	var all error
	measure := func(name string, run func() error) {
		if ctx.Err() != nil {
			return
		}
		start := time.Now()
		err := errors.Join(p.ResetPeak(), run())
		_, peak, rssErr := p.RSS()
		f.PeakMiB[name], f.Seconds[name] = float64(peak)/mib, time.Since(start).Seconds()
		if peak >= maxResident {
			err = errors.Join(err, fmt.Errorf("peak memory %d MiB, must stay below %d", peak/mib, maxResident/mib))
		}
		if err = errors.Join(err, rssErr); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", name, err))
		}
	}
	url := "http://" + address
	measure("download with length", func() error { return download(ctx, url+"/length") })
	measure("download chunked", func() error { return download(ctx, url+"/chunked") })
	measure("upload with length", func() error { return upload(ctx, url+"/take", bodySize) })
	measure("upload chunked", func() error { return upload(ctx, url+"/take", -1) })
	measure("slow client", func() error { return slowClient(ctx, address, o, f) })
	measure("slow backend", func() error { return slowBackend(ctx, address, o, f) })
	return f, end(p, all)
}

func download(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var c checked
	if _, err := io.Copy(&c, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || c.at != bodySize {
		return fmt.Errorf("status %d, %d bytes of %d", res.StatusCode, c.at, bodySize)
	}
	return nil
}

// upload sends the body with its length, or chunked if length is -1.
func upload(ctx context.Context, url string, length int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, &pattern{size: bodySize})
	if err != nil {
		return err
	}
	req.ContentLength = length
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if string(answer) != fmt.Sprint(bodySize) {
		return fmt.Errorf("status %d, the origin took %.100q of %d bytes", res.StatusCode, answer, bodySize)
	}
	return nil
}

// slowClient asks for the whole body and reads nothing: the origin must come to a stop after what the buffers on the way
// hold, and go on when the client reads.
func slowClient(ctx context.Context, address string, o *streamOrigin, f *streamFigures) error {
	o.sent.Store(0)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /length HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	held, err := standstill(ctx, o.sent.Load)
	if err != nil {
		return err
	}
	f.HeldMiB["client"] = float64(held) / mib
	if held > maxHeld {
		return fmt.Errorf("the origin could send %d MiB to a client that reads nothing", held/mib)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, held+32*mib); err != nil {
		return fmt.Errorf("after the pause: %w", err)
	}
	return nil
}

// slowBackend sends a body to an origin that reads nothing: the client must come to a stop; released, all arrives.
func slowBackend(ctx context.Context, address string, o *streamOrigin, f *streamFigures) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	const size = 256 * mib
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(conn, "PUT /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", int64(size))
		p := &pattern{size: size}
		buf := make([]byte, 64<<10)
		for err == nil && p.at < size {
			n, _ := p.Read(buf)
			_, err = conn.Write(buf[:n])
			sent.Store(p.at)
		}
		done <- err
	}()
	held, err := standstill(ctx, sent.Load)
	close(o.release)
	if err != nil {
		return err
	}
	f.HeldMiB["backend"] = float64(held) / mib
	if held > maxHeld {
		return fmt.Errorf("the client could send %d MiB to an origin that reads nothing", held/mib)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("after the pause: %w", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil || string(answer[:12]) != "HTTP/1.1 200" {
		return fmt.Errorf("after the pause: %w, answer %.100q", err, answer[:n])
	}
	return nil
}

// standstill waits until a count that has begun does not move for a second, and returns it.
func standstill(ctx context.Context, count func() int64) (int64, error) {
	last, since := int64(0), time.Now()
	begin := since
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		now := count()
		switch {
		case now != last:
			last, since = now, time.Now()
		case last > 0 && time.Since(since) > time.Second:
			return last, nil
		}
		if time.Since(begin) > 30*time.Second {
			return 0, fmt.Errorf("never came to a stop: %d MiB in 30 s", last/mib)
		}
	}
}
