// SPDX-License-Identifier: EUPL-1.2

// Package accesslog writes one line of JSON for each finished exchange, away from the loops.
//
// The calls to know: [Start] begins a log, [Log.NewRing] gives a loop its ring, [Ring.Record] notes an exchange,
// [Log.Reopen] follows a file that was moved away, [Log.Close] writes what is left.
//
// A ring has one producer, a loop, which never waits: when the ring is full, because the disk does not keep up, the line
// is dropped and counted. Its one consumer is the log's goroutine, which renders and writes in batches. A ring holds
// closed words, numbers and names from the configuration; an address is cut before it gets in. What a client wrote, a
// path, a query, a field, is not there, so no line can say it.
//
// It deliberately has no other format, no filter and no rotation of its own (logrotate and SIGUSR1 do that).
package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
)

const (
	// batchBytes is from when on rendered lines are written.
	batchBytes = 64 << 10
	// A ring of ringSize lines is filled in one pause by 80 000 requests a second.
	pause    = 50 * time.Millisecond // between two looks at rings that were almost empty
	dense    = 10 * time.Millisecond // and at rings that were not
	ringSize = 4096
	// stride is how many lines are rendered before others may use the processor, about 100 µs.
	stride = 256
)

// Options configures a [Log].
type Options struct {
	// Open opens the destination, at the start and at each [Log.Reopen].
	Open func() (io.WriteCloser, error)
	// Notes is the closed list of what [exchange.Record.Note] may say; anything else is left out. How a tunnel ended is
	// told as a note, too.
	Notes []string
	// Events is told when writing begins to fail, and when it works again.
	Events *slog.Logger
}

// Log is an access log. Its methods are safe for concurrent use.
type Log struct {
	open   func() (io.WriteCloser, error)
	events *slog.Logger
	notes  []string
	noted  map[string]uint8
	names  atomic.Pointer[[]string]
	// sockets are the endpoints that are Unix sockets.
	sockets sockets
	lost    atomic.Uint64 // lines that were rendered and could not be written
	reopen  chan struct{}
	quit    chan struct{}
	done    chan struct{}

	// mu guards rings, and adding to sockets.
	mu    sync.Mutex
	rings []*Ring

	// Of the goroutine in run.
	out     io.WriteCloser
	batch   []byte
	lines   int    // in batch
	spare   []byte // for a batch after a torn line
	torn    bool   // the destination ends within a line
	failing bool
	clock   clock
	places  places
}

// File returns an Options.Open that appends to a file, which is created readable for its group at most.
func File(path string) func() (io.WriteCloser, error) {
	return func() (io.WriteCloser, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640) }
}

// endsTorn reports whether a destination is a file that ends within a line: the disk was full, or a process was killed.
func endsTorn(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], st.Size()-1)
	return err == nil && last[0] != '\n'
}

// Stream returns an Options.Open for a destination that is open already and stays so.
func Stream(w io.Writer) func() (io.WriteCloser, error) {
	return func() (io.WriteCloser, error) { return nopCloser{w}, nil }
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Start opens the destination and begins to write. Close ends it.
func Start(o Options) (*Log, error) {
	out, err := o.Open()
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	l := &Log{
		open: o.Open, events: o.Events, notes: notes(o.Notes), noted: map[string]uint8{}, out: out, torn: endsTorn(out),
		reopen: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		batch: make([]byte, 0, batchBytes+stride*lineBytes),
	}
	for i, note := range l.notes {
		l.noted[note] = uint8(i)
	}
	l.SetBackends(nil)
	go l.run()
	return l, nil
}

// notes are what a line's note may be: nothing, then the ends of tunnels by their number, then what else there is.
func notes(causes []string) []string {
	all := []string{""}
	for end := exchange.NoTunnel + 1; end < exchange.TunnelEnds; end++ {
		all = append(all, "tunnel-"+end.String())
	}
	return append(all, causes...)
}

// NewRing returns a ring for one producer.
func (l *Log) NewRing() *Ring {
	r := &Ring{noted: l.noted, sockets: &l.sockets, entries: make([]entry, ringSize)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rings = append(l.rings, r)
	return r
}

// SetBackends tells the names by [exchange.Record.Backend]. Names are only ever added, so that a line that waits in a
// ring keeps its own. The slice belongs to the log from now on.
func (l *Log) SetBackends(names []string) { l.names.Store(&names) }

// AddSockets tells the URLs of endpoints that are Unix sockets. What has been told once stays, for lines that wait.
func (l *Log) AddSockets(urls []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets.add(urls)
}

// Reopen opens the destination anew: the file has been moved away. It returns at once.
func (l *Log) Reopen() {
	select {
	case l.reopen <- struct{}{}:
	default: // one is due already
	}
}

// Dropped returns how many lines have been lost: the ring was full, or writing failed.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lost.Load()
	for _, r := range l.rings {
		n += r.dropped.Load()
	}
	return n
}

// Close writes what is left; the producers have ended. It gives up when ctx ends: a disk that has stopped must not keep
// the process.
func (l *Log) Close(ctx context.Context) error {
	close(l.quit)
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("access log: %w with lines left to write", context.Cause(ctx))
	}
}

// run drains the rings until Close.
func (l *Log) run() {
	defer close(l.done)
	timer := time.NewTimer(pause)
	for {
		select {
		case <-l.quit:
			l.drain()
			if err := l.out.Close(); err != nil {
				l.events.Error("access log: closing failed", "error", err.Error())
			}
			return
		case <-l.reopen:
			l.drain() // what happened before belongs to the old file
			l.renew()
		case <-timer.C:
			next := pause
			if most := l.drain(); most > ringSize/16 {
				next = dense
			}
			timer.Reset(next)
		}
	}
}

// drain empties the rings once and returns the most that one of them held.
func (l *Log) drain() (most uint64) {
	l.mu.Lock()
	rings := l.rings // only ever appended to
	l.mu.Unlock()
	for _, r := range rings {
		most = max(most, l.empty(r))
	}
	l.write()
	return most
}

func (l *Log) empty(r *Ring) (n uint64) {
	from := r.tail.Load()
	to := r.head.Load()
	names := *l.names.Load() // after head: whoever noted a backend had told its name before
	for at := from; at != to; at++ {
		l.batch = r.entries[at%ringSize].append(l.batch, l, names)
		l.lines++
		if at%stride == stride-1 || at+1 == to {
			r.tail.Store(at + 1)
			if len(l.batch) >= batchBytes {
				l.write()
			}
			runtime.Gosched()
		}
	}
	return to - from
}

// write writes the batch. Of a batch that cannot be written whole the lines that are not there are counted; there is no
// second attempt, for the next batch is one.
func (l *Log) write() {
	if l.lines == 0 {
		return
	}
	batch := l.batch
	if l.torn {
		batch = append(append(l.spare[:0], '\n'), batch...) // ends the line that was cut off
		l.spare = batch
	}
	n, err := l.out.Write(batch)
	n = max(n, 0)
	switch {
	case err == nil && l.failing:
		l.failing = false
		l.events.Info("access log: writing works again", "dropped", l.Dropped())
	case err != nil:
		whole := bytes.Count(batch[:n], newline)
		if l.torn && n > 0 {
			whole--
		}
		if n > 0 && n < len(batch) && batch[n-1] != '\n' && batch[n] == '\n' {
			whole++ // it lacks only its end, which the next batch begins with
		}
		l.lost.Add(uint64(l.lines - whole))
		if !l.failing {
			l.failing = true
			l.events.Error("access log: writing failed; lines are dropped", "error", err.Error())
		}
	}
	if n > 0 {
		l.torn = batch[n-1] != '\n'
	}
	l.batch, l.lines = l.batch[:0], 0
}

var newline = []byte("\n")

// renew opens the destination anew; the old one stays if that fails.
func (l *Log) renew() {
	out, err := l.open()
	if err != nil {
		l.events.Error("access log: reopening failed; the old file is written on", "error", err.Error())
		return
	}
	if err := l.out.Close(); err != nil {
		l.events.Warn("access log: closing the old file failed", "error", err.Error())
	}
	l.out, l.torn = out, endsTorn(out) // it may be the same file
	l.events.Info("access log: reopened")
}
