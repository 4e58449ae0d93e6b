// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/quicraw"
)

const (
	// floodMemory is how much more memory the gateway may take at a flood's peak, octets, and handshakeMemory the same while
	// as many handshakes are under way as may be. What the heap grows to between two collections is in both.
	floodMemory, handshakeMemory = 24 * mib, 64 * mib
	// floodCPU is what a datagram of a flood may cost on average, and floodLeast what a flood may cost at least, for
	// machines are slow; both of processor time.
	floodCPU, floodLeast = 2 * time.Millisecond, time.Second
	// floodBurst is how many datagrams are sent before answers are read: a flood that does not fit the gateway's buffer is
	// none.
	floodBurst = 16
	floodPause = 500 * time.Microsecond
)

// quicFlood is what one of the corpus's further cases came to. Numbers that it does not have are 0.
type quicFlood struct {
	Case      string  `json:"case"`
	Sent      string  `json:"sent"`
	Came      string  `json:"came"`
	Skipped   string  `json:"skipped,omitempty"`
	Datagrams int     `json:"datagrams,omitempty"`
	GrownMiB  float64 `json:"memory_grown_mib"`
	CPUms     int64   `json:"cpu_ms"`
	// Amplification is how many octets came for each that was sent from an address that had not proved itself.
	Amplification float64 `json:"amplification,omitempty"`
	Handshakes    int     `json:"handshakes_begun,omitempty"`
	Retries       int     `json:"retries,omitempty"`
}

// floods runs h3/extra/7 to 11.
func (f *quicFigures) floods(ctx context.Context, q *quicBed) error {
	var wrong error
	for _, flood := range []struct {
		name, sent string
		memory     int64
		run        func(context.Context, *quicBed, *quicFlood) error
	}{
		{"h3/extra/7", "NEW_CONNECTION_IDs that retire one another, nothing acknowledged", floodMemory, retireFlood},
		{"h3/extra/8", "PATH_CHALLENGEs from the connection's address and from others", floodMemory, challengeFlood},
		{"h3/extra/9", "an ACK of nothing but the server's path probe", floodMemory, probeAck},
		{"h3/extra/10", "a forged ICMP message that the path takes 600 octets", floodMemory, tooBig},
		{"h3/extra/11", "first Initials from many addresses, and nothing after them", handshakeMemory, initialFlood},
	} {
		report := quicFlood{Case: flood.name, Sent: flood.sent}
		err := q.measured(&report, flood.memory, func() error { return flood.run(ctx, q, &report) })
		if why, ok := errors.AsType[skipped](err); ok {
			report.Skipped, err = why.Error(), nil
		}
		err = errors.Join(err, q.p.Dead(), q.healthy(ctx))
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", flood.name, err))
		}
		f.Floods = append(f.Floods, report)
	}
	return wrong
}

// measured notes what a flood costs, and fails if it takes more than memory, octets, or too much time.
func (q *quicBed) measured(report *quicFlood, memory int64, flood func() error) error {
	if err := q.p.ResetPeak(); err != nil {
		return err
	}
	before, _, err := q.p.RSS()
	if err != nil {
		return err
	}
	busy, err := proc.CPU(q.p.PID())
	if err != nil {
		return err
	}
	err = flood()
	_, peak, rssErr := q.p.RSS()
	spent, cpuErr := proc.CPU(q.p.PID())
	if err = errors.Join(err, rssErr, cpuErr); rssErr != nil || cpuErr != nil {
		return err
	}
	spent -= busy
	grown := max(peak-before, 0)
	report.CPUms, report.GrownMiB = spent.Milliseconds(), float64(grown)/mib
	if grown > memory {
		err = errors.Join(err, fmt.Errorf("%d MiB more memory, want %d at most", grown/mib, memory/mib))
	}
	if most := floodLeast + time.Duration(report.Datagrams)*floodCPU; spent > most {
		err = errors.Join(err, fmt.Errorf("%v of processor time, want %v at most", spent, most))
	}
	return err
}

// identifiers makes NEW_CONNECTION_ID frames with sequence numbers from first on; each retires all before if retire is set.
func identifiers(first, n uint64, retire bool) (frames []byte) {
	for sequence := first; sequence < first+n; sequence++ {
		prior := uint64(0)
		if retire {
			prior = sequence
		}
		frames = quicraw.AppendNewConnectionID(frames, sequence, prior, binary.BigEndian.AppendUint64(nil, sequence))
	}
	return frames
}

// pause reads what comes at a socket of a connection until nothing does for a moment.
func pause(c *quicraw.Conn, socket *net.UDPConn) error {
	for {
		err := c.ReceiveAt(socket, floodPause)
		if errors.Is(err, os.ErrDeadlineExceeded) || c.Closed() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// goesOn fails if the server does not answer on a connection any more.
func goesOn(c *quicraw.Conn) error {
	switch {
	case c.Closed() == nil && c.Alive():
		return nil
	case c.Closed() != nil:
		return c.Closed()
	default:
		return errors.New("the connection has fallen silent")
	}
}

// retireFlood has the server owe a RETIRE_CONNECTION_ID frame for each of ours, which it cannot send: its congestion window
// is full of what nobody acknowledges (CVE-2024-22189). It must give up.
func retireFlood(ctx context.Context, q *quicBed, report *quicFlood) error {
	c, err := q.connected(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	const perPacket, most = 32, 10_000
	c.Withhold = true
	for c.Closed() == nil && report.Datagrams < most {
		for range floodBurst {
			if _, err := c.Send(quicraw.OneRTT, identifiers(1+uint64(report.Datagrams)*perPacket, perPacket, true)); err != nil {
				return err
			}
			report.Datagrams++
		}
		if err := pause(c, c.Socket()); err != nil {
			return err
		}
	}
	if c.Closed() == nil {
		return fmt.Errorf("%d frames and the connection is still open", report.Datagrams*perPacket)
	}
	report.Came = fmt.Sprintf("%v after %d frames", c.Closed().Code, report.Datagrams*perPacket)
	return nil
}

// strangers is how many other addresses challenge; the server knows connection ids for fewer.
const strangers = 5

// challengeFlood challenges the server on its path and on others (CVE-2023-49295). Whatever it answers, it must not gather
// answers, nor send an address that it does not know more than three times what came from there (RFC 9000, section 8.2.2):
// quic-go fills probes up to 1200 octets.
func challengeFlood(ctx context.Context, q *quicBed, report *quicFlood) error {
	c, err := q.connected(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if _, err := fetch(c, 0); err != nil { // who has asked for something may stay longer
		return err
	}
	f := &challenges{c: c, sockets: []*net.UDPConn{c.Socket()}}
	for range strangers {
		s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		f.sockets = append(f.sockets, s)
	}
	if _, err := c.Send(quicraw.OneRTT, identifiers(1, 3, false)); err != nil {
		return err
	}
	c.Withhold = true
	for report.Datagrams < proof.Count(2_000, 30_000) && c.Closed() == nil {
		for range floodBurst {
			which := 0
			if n := report.Datagrams; n%2 == 1 {
				which = 1 + n/2%strangers
			}
			if err := f.ask(which); err != nil {
				return err
			}
			report.Datagrams++
		}
		if err := f.hear(); err != nil {
			return err
		}
	}
	for i, octets := range f.came[1:] {
		report.Amplification = max(report.Amplification, float64(octets)/float64(f.said[1+i]))
	}
	if report.Amplification > mostAmplified {
		return fmt.Errorf("an address was sent %.1f times what came from there", report.Amplification)
	}
	c.Withhold = false
	if err := goesOn(c); err != nil {
		return err
	}
	report.Came = fmt.Sprintf("%d PATH_RESPONSEs on its path, %d on others; the connection goes on", f.answers[0], f.answers[1])
	return nil
}

// challenges is a connection that asks from its own address, the first, and from others.
type challenges struct {
	c          *quicraw.Conn
	sockets    []*net.UDPConn
	said, came [1 + strangers]int // octets
	answers    [2]int             // on its path, and on others
}

func (f *challenges) ask(which int) error {
	n := 1
	if which == 0 {
		n = 130 // a packet full
	}
	packet, _, err := f.c.Seal(quicraw.OneRTT, bytes.Repeat(pathChallenge, n), 0)
	if err != nil {
		return err
	}
	f.said[which] += len(packet)
	return f.c.SendFrom(f.sockets[which], packet)
}

func (f *challenges) hear() error {
	for which, s := range f.sockets {
		f.c.Heard = func(_ quicraw.Level, _ uint64, got *quicraw.Frame) {
			if got.Kind == quicraw.FramePathResponse {
				f.answers[min(which, 1)]++
			}
		}
		before := f.c.Octets
		if err := pause(f.c, s); err != nil {
			return err
		}
		f.came[which] += f.c.Octets - before
	}
	return nil
}

var pathChallenge = append(frame(quicraw.FramePathChallenge), "8 octets"...)

// probeAck acknowledges nothing but the packet with which the server asks another address of ours (CVE-2025-29785).
func probeAck(ctx context.Context, q *quicBed, report *quicFlood) error {
	c, err := q.connected(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if _, err := c.Send(quicraw.OneRTT, identifiers(1, 3, false)); err != nil {
		return err
	}
	if err := pause(c, c.Socket()); err != nil {
		return err
	}
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	probes := map[uint64]bool{}
	c.Heard = func(_ quicraw.Level, number uint64, f *quicraw.Frame) {
		if f.Kind == quicraw.FramePathChallenge {
			probes[number] = true
		}
	}
	c.Withhold = true
	for end := time.Now().Add(holdTime); len(probes) == 0; {
		packet, _, err := c.Seal(quicraw.OneRTT, slices.Concat(pathChallenge, make([]byte, leastDatagram)), 0) // long enough for an answer
		if err != nil {
			return err
		}
		if err := c.SendFrom(other, packet); err != nil {
			return err
		}
		if err := c.ReceiveAt(other, time.Second); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if time.Now().After(end) {
			return errors.New("the server asks no new address whether it is there")
		}
	}
	for number := range probes {
		if _, err := c.Send(quicraw.OneRTT, quicraw.AppendAck(nil, number)); err != nil {
			return err
		}
	}
	c.Withhold = false
	if err := goesOn(c); err != nil {
		return err
	}
	report.Came = "the connection goes on"
	return nil
}
