// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/proof"
)

// Most that an idle connection may cost the gateway, bytes of resident memory.
const (
	idlePlain = 1 << 10
	idleTLS   = 12 << 10
	idleHTTP2 = 30 << 10
	// Over QUIC 55 KiB are measured: 38 of heap, of which quic-go and crypto/tls have all but 2, most for keys and for what the
	// handshake leaves behind, 11 of the stacks of three goroutines, and what lies between.
	idleHTTP3 = 60 << 10
)

// idleQUIC is how many times fewer connections of HTTP/3 there are than others: the gateway takes only so many.
const idleQUIC = 4

// idleFigures is what the idle rig measured.
type idleFigures struct {
	Connections int         `json:"connections"`
	Plain       *idleFigure `json:"plain"`
	TLS         *idleFigure `json:"tls"`
	HTTP2       *idleFigure `json:"h2"`
	HTTP3       *idleFigure `json:"h3"`
}

// idleFigure is about one protocol. The kernel's memory is that of the whole machine, so it holds both ends of each
// connection: the gateway's and the client's.
type idleFigure struct {
	BytesPerConnection  float64   `json:"rss_bytes_per_connection"`
	KernelPerConnection float64   `json:"kernel_slab_bytes_per_connection_both_ends"`
	At                  []int     `json:"at_connections"`
	RSSMiB              []float64 `json:"rss_mib"`
}

// idle opens connections that ask once and then wait, and measures how the gateway's resident memory grows with them:
// the slope of a straight line, so that what is there without any connection does not count.
func idle(ctx context.Context, b *bed) (any, error) {
	most, err := holdable()
	if err != nil {
		return nil, err
	}
	f := &idleFigures{Connections: min(proof.Count(6000, 12_000), most)}
	var errs [4]error
	f.Plain, errs[0] = b.idle(ctx, "plain", f.Connections, idlePlain)
	f.TLS, errs[1] = b.idle(ctx, "tls", f.Connections, idleTLS)
	f.HTTP2, errs[2] = b.idle(ctx, "h2", f.Connections, idleHTTP2)
	f.HTTP3, errs[3] = b.idle(ctx, "h3", f.Connections/idleQUIC, idleHTTP3)
	return f, errors.Join(errs[:]...)
}

// holdable is how many connections fit into the descriptors of a process, with some left for everything else.
func holdable() (int, error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("limit of descriptors: %w", err)
	}
	return int(min(r.Cur, 1<<20))/4*3 - 200, nil
}

func (b *bed) idle(ctx context.Context, how string, connections int, most float64) (*idleFigure, error) {
	back, stop, err := startOrigin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	start := b.secure
	if how == "plain" {
		start = b.gateway
	}
	p, address, err := start(ctx, back, "")
	if err != nil {
		return nil, err
	}
	f, err := idleSlope(ctx, p, address, how, connections)
	if err == nil && f.BytesPerConnection > most {
		err = fmt.Errorf("%s: an idle connection costs %.0f bytes, at most %.0f", how, f.BytesPerConnection, most)
	}
	return f, end(p, err)
}

func idleSlope(ctx context.Context, p *binary.Process, address, how string, connections int) (*idleFigure, error) {
	h, err := startHolder(ctx, address, how)
	if err != nil {
		return nil, err
	}
	f, err := idleSteps(p, h, connections)
	return f, errors.Join(err, h.end())
}

func idleSteps(p *binary.Process, h *holder, connections int) (*idleFigure, error) {
	const steps = 8
	f := &idleFigure{}
	var slab []float64
	for i := range steps + 1 {
		n, err := h.add(connections / (steps + 1))
		if err != nil {
			return f, err
		}
		if i == 0 {
			continue // what the first connections bring along is there once
		}
		time.Sleep(500 * time.Millisecond)
		now, _, err := p.RSS()
		if err != nil {
			return f, err
		}
		kernel, err := kernelSlab()
		if err != nil {
			return f, err
		}
		f.At, f.RSSMiB, slab = append(f.At, n), append(f.RSSMiB, float64(now)/mib), append(slab, float64(kernel)/mib)
	}
	m, err := p.Metrics()
	if err != nil {
		return f, err
	}
	if open, _ := m.Sum("pvgate_connections"); int(open) < f.At[len(f.At)-1] {
		return f, fmt.Errorf("%.0f connections are open, want %d", open, f.At[len(f.At)-1])
	}
	f.BytesPerConnection, f.KernelPerConnection = slope(f.At, f.RSSMiB)*mib, slope(f.At, slab)*mib
	return f, nil
}

// slope is that of the straight line with the least squares.
func slope(x []int, y []float64) float64 {
	var mx, my, over, under float64
	for i := range x {
		mx, my = mx+float64(x[i])/float64(len(x)), my+y[i]/float64(len(x))
	}
	for i := range x {
		over += (float64(x[i]) - mx) * (y[i] - my)
		under += (float64(x[i]) - mx) * (float64(x[i]) - mx)
	}
	return over / under
}

// kernelSlab is what the kernel holds in its slab caches, bytes.
func kernelSlab() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("kernel memory: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "Slab:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("kernel memory: /proc/meminfo has no Slab")
}
