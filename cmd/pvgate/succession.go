// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/listen"
	"github.com/pvgate/pvgate/gateway/systemd"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// One process of pvgate follows another one without a connection being lost. The predecessor starts the successor with
// duplicates of its listening sockets and one end of a line, on which both say:
//
//	predecessor                 successor
//	legacy: sockets, keys   →   builds all that serve builds
//	                        ←   ready: nothing can fail any more, nobody is served yet
//	serve                   →   accepts; its admin listener answers
//	                        ←   serving
//	drains
//	datagrams               →   reads UDP: two readers of one socket would take each other's packets
//	ends                    →   (the line's end)
//
// Until it says serve, the predecessor kills a successor that fails or is late, and goes on as if there had been none. A
// listening socket is closed only by the last process that has it, so no queue is ever lost.

// predecessorVariable names the descriptor of a successor's end of the line.
const predecessorVariable = "PVGATE_PREDECESSOR"

// lineFD is that descriptor; those after it are the sockets.
const lineFD = 3

// step is what is said.
type step string

const (
	stepLegacy    step = "legacy"
	stepReady     step = "ready"
	stepFailed    step = "failed"
	stepServe     step = "serve"
	stepServing   step = "serving"
	stepDatagrams step = "datagrams"
)

// lineTime is how long a process may take to say or do what needs no time.
const lineTime = 10 * time.Second

// saying is one line of JSON.
type saying struct {
	Step    step     `json:"step"`
	Error   string   `json:"error,omitempty"`   // of failed
	Sockets []string `json:"sockets,omitempty"` // of legacy: the names of descriptors lineFD+1 and on
	Keys    *keys    `json:"keys,omitempty"`    // of legacy
}

// keys are those that no file holds: what was sealed with them stays good.
type keys struct {
	Context [handover.KeySize]byte `json:"context"` // of the handover context
	Secret  [32]byte               `json:"secret"`  // of stateless resets and address tokens of QUIC
	Tickets []tlsconn.Key          `json:"tickets,omitempty"`
}

func randomKeys() *keys {
	k := &keys{}
	_, _ = rand.Read(k.Context[:]) // never fails (crypto/rand)
	_, _ = rand.Read(k.Secret[:])
	return k
}

// dialogue is one end of what two processes say to each other.
type dialogue struct {
	conn net.Conn
	in   *json.Decoder
}

// newDialogue takes over a descriptor.
func newDialogue(fd uintptr) (*dialogue, error) {
	f := os.NewFile(fd, "line")
	c, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("line to the other process: %w", err)
	}
	return &dialogue{c, json.NewDecoder(c)}, nil
}

func (l *dialogue) say(s saying) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = l.conn.SetWriteDeadline(time.Now().Add(lineTime))
	}
	if err == nil {
		_, err = l.conn.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("say %s: %w", s.Step, err)
	}
	return nil
}

// hear waits until ctx ends for what comes next, which must be the wanted step.
func (l *dialogue) hear(ctx context.Context, want step) (saying, error) {
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Now()) })()
	var s saying
	if err := l.in.Decode(&s); err != nil {
		return s, errors.Join(context.Cause(ctx), err)
	}
	if s.Step == stepFailed {
		return s, errors.New(s.Error)
	}
	if s.Step != want {
		return s, fmt.Errorf("it says %q and not %q", s.Step, want)
	}
	return s, nil
}

// birth is what a process was started with.
type birth struct {
	sockets     *listen.Inherited
	keys        *keys
	predecessor *predecessor // nil if it follows none
	systemd     *systemd.Notifier
	program     []string // how to start its successor; nil: there can be none
}

// predecessor is the process that this one follows.
type predecessor struct {
	line  *dialogue
	pid   int
	ended chan struct{} // closed when it has
}

// born finds out what this process was started with.
func born(ctx context.Context) (*birth, error) {
	b := &birth{keys: randomKeys(), systemd: systemd.NewNotifier(os.Getenv, os.Getpid())}
	passed, err := systemd.Sockets(os.Getenv, os.Getpid())
	if err != nil {
		return nil, err
	}
	if os.Getenv(predecessorVariable) == strconv.Itoa(lineFD) {
		l, err := newDialogue(lineFD)
		if err != nil {
			return nil, err
		}
		b.predecessor = &predecessor{line: l, pid: os.Getppid(), ended: make(chan struct{})}
		legacy, err := l.hear(ctx, stepLegacy)
		if err != nil {
			return nil, fmt.Errorf("hear of the legacy: %w", err)
		}
		if legacy.Keys != nil {
			b.keys = legacy.Keys
		}
		for i, name := range legacy.Sockets {
			passed = append(passed, listen.Passed{FD: lineFD + 1 + i, Name: name})
		}
	}
	b.sockets, err = listen.Inherit(passed)
	return b, err
}

// opened is called when everything is built and open and nobody is served: a successor says so, and waits for its turn.
func (b *birth) opened(ctx context.Context) error {
	left := b.sockets.Left()
	b.sockets.Close()
	p := b.predecessor
	if p == nil {
		if left != "" {
			return fmt.Errorf("of the sockets that systemd has passed no listener has the address of %s; add one, or take it out of pvgate.socket", left)
		}
		return nil
	}
	if err := p.line.say(saying{Step: stepReady}); err != nil {
		return err
	}
	if _, err := p.line.hear(ctx, stepServe); err != nil {
		return fmt.Errorf("the predecessor does not want it: %w", err)
	}
	return nil
}

// serves tells everybody who waits for it that this process serves, and listens to the predecessor until that has ended, or
// until what it returns is called.
func (b *birth) serves(s *service) (end func()) {
	p := b.predecessor
	if p != nil { // first: it waits, and clients are here already
		if err := p.line.say(saying{Step: stepServing}); err != nil {
			s.log.Error("the predecessor does not hear that this process serves", "error", err.Error())
		}
	}
	s.tell(b.systemd.Ready("serves snapshot " + s.server.Snapshot().ID))
	if p == nil {
		return func() {}
	}
	go p.follow(s)
	return func() {
		_ = p.line.conn.SetReadDeadline(time.Now())
		<-p.ended
	}
}

// failed tells the predecessor why this process cannot follow it.
func (b *birth) failed(err error) {
	if b.predecessor != nil {
		_ = b.predecessor.line.say(saying{Step: stepFailed, Error: err.Error()}) // the exit code says it too
	}
}

// follow reads UDP when the predecessor does no more, and hears of its end.
func (p *predecessor) follow(s *service) {
	_, err := p.line.hear(context.Background(), stepDatagrams) // or it has died, and reads nothing either
	if rerr := s.server.ReadDatagrams(); rerr != nil {
		s.log.Error("HTTP/3 is not served", "error", rerr.Error())
	}
	if err == nil {
		_, _ = p.line.hear(context.Background(), "") // nothing comes but the end
	}
	_ = p.line.conn.Close()
	close(p.ended)
	s.log.Info("the predecessor has ended", "pid", p.pid)
}

// draining reports whether the predecessor is still there.
func (p *predecessor) draining() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}
