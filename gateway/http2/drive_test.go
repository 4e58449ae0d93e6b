// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/pvgate/pvgate/gateway/message"
)

// What a client says, frame by frame, right or wrong.

func frameOf(kind, flags byte, id uint32, payload ...byte) []byte {
	return append(appendFrame(nil, len(payload), kind, flags, id), payload...)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// block encodes "name: value" lines joined by "|", without any table.
func block(lines string) (b []byte) {
	for line := range strings.SplitSeq(lines, "|") {
		at := strings.Index(line[1:], ": ") + 1
		b = appendInteger(append(b, 0), 0, 7, at)
		b = append(b, line[:at]...)
		b = appendInteger(b, 0, 7, len(line)-at-2)
		b = append(b, line[at+2:]...)
	}
	return b
}

const (
	getLines  = ":method: GET|:scheme: https|:authority: a|:path: /"
	postLines = ":method: POST|:scheme: https|:authority: a|:path: /"
)

func headers(id uint32, flags byte, lines string) []byte {
	return frameOf(typeHeaders, flags|flagEndHeaders, id, block(lines)...)
}

func get(id uint32) []byte { return headers(id, flagEndStream, getLines) }

func post(id uint32, more string) []byte { return headers(id, 0, postLines+more) }

func dataOf(id uint32, flags byte, text string) []byte {
	return frameOf(typeData, flags, id, []byte(text)...)
}

func reset(id uint32) []byte { return frameOf(typeReset, 0, id, u32(uint32(Cancel))...) }

func windowUpdate(id, more uint32) []byte { return frameOf(typeWindowUpdate, 0, id, u32(more)...) }

func setting(pairs ...uint32) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(binary.BigEndian.AppendUint16(b, uint16(pairs[i])), u32(pairs[i+1])...)
	}
	return frameOf(typeSettings, 0, 0, b...)
}

func priority(id, on uint32) []byte { return frameOf(typePriority, 0, id, append(u32(on), 16)...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// greeting is what every connection begins with.
func greeting() []byte { return append([]byte(Preface), setting()...) }

func testLimits() *Limits {
	l := DefaultLimits()
	l.HeadLimits = message.HeadLimits{Line: 200, Head: 1000, Fields: 10, Body: 1 << 20}
	return &l
}

// driver plays the connection around a machine: it keeps what is not used yet, and notes what comes out.
type driver struct {
	t       *testing.T
	m       Server
	sc      Scratch
	now     int64
	pending []byte
	out     []byte // of the machine, not yet looked at
	events  []string
	data    strings.Builder
	dataOf  Stream
	live    map[Stream]bool
	on      func(d *driver, ev Event, st Stream, data []byte) // what is done about an event
}

func newDriver(t *testing.T, l *Limits) *driver {
	t.Helper()
	d := &driver{t: t, dataOf: NoStream, live: map[Stream]bool{}, now: 1e9}
	d.m.Init(l)
	d.m.AppendPreface(nil)
	return d
}

// feed gives the machine a piece. Each call sees a buffer of its own that is overwritten after it, so a machine that kept
// a slice would be found out.
func (d *driver) feed(piece []byte) {
	d.t.Helper()
	d.pending = append(d.pending, piece...)
	for {
		buf := bytes.Clone(d.pending)
		n, ev, st, data := d.m.Feed(buf, d.now, &d.sc)
		if ev != More && (ev != Data || st != d.dataOf) {
			d.flush()
		}
		d.note(ev, st, data)
		if d.on != nil {
			d.on(d, ev, st, data)
		}
		d.invariants()
		for i := range buf {
			buf[i] = 0xdb
		}
		d.pending = d.pending[n:]
		if ev == More || ev == Failed {
			return
		}
	}
}

func (d *driver) note(ev Event, st Stream, data []byte) {
	d.t.Helper()
	switch ev {
	case More:
	case HeadDone:
		h := &d.sc.Head
		text := fmt.Sprintf("head %d %s %s", st, h.MethodText, h.Target)
		if h.ContentLength >= 0 {
			text += fmt.Sprintf(" len=%d", h.ContentLength)
		}
		if h.Chunked {
			text += " chunked"
		}
		d.events = append(d.events, text)
		d.live[st] = true
	case Data:
		d.data.Write(data)
		d.dataOf = st
	case End:
		d.events = append(d.events, fmt.Sprintf("end %d", st))
	case Refused:
		d.events = append(d.events, fmt.Sprintf("refused %d %s", st, d.m.Cause()))
		d.live[st] = true
	case Reset:
		d.events = append(d.events, fmt.Sprintf("reset %d", st))
	case Broken:
		d.events = append(d.events, fmt.Sprintf("broken %d %s", st, d.m.Cause()))
	case Writable:
		d.events = append(d.events, fmt.Sprintf("writable %d", st))
	case Failed:
		if text := "fail " + d.m.Cause(); len(d.events) == 0 || d.events[len(d.events)-1] != text {
			d.events = append(d.events, text)
		}
	}
	if ev != More && ev != Failed && (ev != Writable || st != NoStream) && !d.live[st] {
		d.t.Fatalf("%v for place %d, which is nobody's", ev, st)
	}
}

func (d *driver) flush() {
	if d.data.Len() > 0 {
		d.events = append(d.events, fmt.Sprintf("data %d %s", d.dataOf, d.data.String()))
		d.data.Reset()
	}
	d.dataOf = NoStream
}

func (d *driver) done(st Stream) {
	d.m.Done(st)
	delete(d.live, st)
}

// answer sends a whole answer and gives the place back.
func (d *driver) answer(st Stream, body string) {
	d.out = d.m.AppendHead(d.out, st, 200, nil, body == "")
	if body != "" {
		d.out, _ = d.m.AppendData(d.out, st, []byte(body), true)
	}
	d.done(st)
}

// invariants must hold after every step.
func (d *driver) invariants() {
	d.t.Helper()
	m := &d.m
	if m.Live() != len(d.live) && !m.failed {
		d.t.Fatalf("%d streams are live, %d were told", m.Live(), len(d.live))
	}
	if m.Live() > m.limits.Streams || len(m.streams.ids) > m.limits.Streams || len(m.block) > 2*m.limits.Head || len(m.control) > maxControl+64 {
		d.t.Fatalf("live %d, places %d, block %d, control %d", m.Live(), len(m.streams.ids), len(m.block), len(m.control))
	}
	if m.failed {
		return
	}
	held := 0
	for i := range m.streams.all {
		x := &m.streams.all[i]
		if held += x.held; m.streams.ids[i] == 0 && *x != (stream{}) {
			d.t.Fatalf("a free place is not clean: %+v", x)
		}
		if x.window > maxWindow || x.room < 0 && x.closed == notEnded || x.held < 0 {
			d.t.Fatalf("windows: %+v", x)
		}
	}
	if m.current != NoStream && held < m.left {
		d.t.Fatalf("%d octets are to come, %d are accounted for", m.left, held)
	}
	if total := m.room + m.owed + held; total != max(m.limits.Window, initialWindow) {
		d.t.Fatalf("window: %d open, %d owed, %d held, together %d", m.room, m.owed, held, total)
	}
}

// said returns what the machine has appended, as their framer reads it.
func (d *driver) said() string {
	d.t.Helper()
	d.out = d.m.AppendControl(d.out)
	text := frames(d.t, d.out)
	d.out = nil
	return text
}

func frames(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	f := xhttp2.NewFramer(nil, bytes.NewReader(b))
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("their framer: %v in %x", err, b)
			}
			return strings.Join(out, "; ")
		}
		id := fr.Header().StreamID
		switch fr := fr.(type) {
		case *xhttp2.SettingsFrame:
			if fr.IsAck() {
				out = append(out, "settings ack")
			} else {
				out = append(out, "settings")
			}
		case *xhttp2.WindowUpdateFrame:
			out = append(out, fmt.Sprintf("window %d +%d", id, fr.Increment))
		case *xhttp2.RSTStreamFrame:
			out = append(out, fmt.Sprintf("reset %d %v", id, fr.ErrCode))
		case *xhttp2.GoAwayFrame:
			out = append(out, fmt.Sprintf("goaway %d %v", fr.LastStreamID, fr.ErrCode))
		case *xhttp2.PingFrame:
			out = append(out, fmt.Sprintf("ping ack=%v %x", fr.IsAck(), fr.Data))
		case *xhttp2.HeadersFrame:
			out = append(out, fmt.Sprintf("headers %d end=%v", id, fr.StreamEnded()))
		case *xhttp2.ContinuationFrame:
			out = append(out, fmt.Sprintf("continuation %d", id))
		case *xhttp2.DataFrame:
			out = append(out, fmt.Sprintf("data %d %d end=%v", id, len(fr.Data()), fr.StreamEnded()))
		default:
			t.Fatalf("unexpected frame %v", fr)
		}
	}
}

// cuts returns ways to cut input into pieces: whole, octet by octet, in threes and in the middle of most frames.
func cuts(b []byte) [][][]byte {
	all := [][][]byte{{b}}
	for _, size := range []int{1, 3, 10, 17} {
		var pieces [][]byte
		for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			pieces = append(pieces, rest[:min(size, len(rest))])
		}
		all = append(all, pieces)
	}
	return all
}
