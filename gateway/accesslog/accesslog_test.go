// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is 2026-11-22T11:00:00.123456789Z.
const noon = 1795345200_123456789

// fields are the contract's, in its order.
const fields = "time trace_id proto method status reason note fault sender land kreis leistung backend endpoint mode " +
	"bytes_in bytes_out ms_total ms_backend ms_queue attempt snapshot ip_prefix ua_class"

// sink is a destination in memory that can be made to fail or to hang.
type sink struct {
	mu    sync.Mutex
	text  bytes.Buffer
	opens int
	room  int // octets it takes until it fails; negative: all
	gate  chan struct{}
}

func (s *sink) open() (io.WriteCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	return s, nil
}

func (s *sink) Write(b []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room < 0 {
		return s.text.Write(b)
	}
	n := min(s.room, len(b))
	s.room -= n
	s.text.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (s *sink) Close() error { return nil }

func (s *sink) make(room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = room
}

func start(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Events == nil {
		o.Events = slog.New(slog.DiscardHandler)
	}
	l, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func end(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// logged is what a log makes of records.
func logged(t testing.TB, records ...*exchange.Record) string {
	t.Helper()
	s := &sink{room: -1}
	l := start(t, Options{Open: s.open, Notes: []string{"bare-lf", "truncated"}})
	l.SetBackends([]string{"hessen", "marburg"})
	l.AddSockets([]string{"unix:/run/a\"b.sock"})
	l.AddSockets([]string{"unix:/run/portal.sock"})
	r := l.NewRing()
	for _, rec := range records {
		r.Record(rec, noon)
	}
	end(t, l)
	return s.text.String()
}

func proxied() *exchange.Record {
	return &exchange.Record{
		Status: 200, Land: 6, Sender: 1, Backend: 1, BytesIn: 200, BytesOut: 1 << 33, Total: 12_345_678, Upstream: 11_000_999, Forwarded: true,
		Method: message.POST, Proxied: true, Attempts: 1, Agent: exchange.AgentBrowser, Kreis: 6534, Key: 99050012104000 + 1,
		SenderName: []byte("hessen-portal"), Trace: []byte("0af7651916cd43dd8448eb211c80319c"),
		Peer: netip.MustParseAddr("198.51.100.77"), Endpoint: netip.MustParseAddrPort("10.6.0.11:8443"), Snapshot: [8]byte([]byte("7f3a9c1e")),
	}
}

// The contract's line, character by character: what reads it may rely on the order, too.
func TestALineHasTheContractsFields(t *testing.T) {
	t.Parallel()
	refused := &exchange.Record{Status: 400, Reason: reason.BadRequest, Land: exchange.LandNone, Backend: -1, Note: "bare-lf", Peer: netip.MustParseAddr("2001:db8:1:2:3:4:5:6")}
	led := &exchange.Record{Protocol: exchange.HTTP2, Status: 303, Reason: reason.Handover, Backend: exchange.BackendOther, Land: 0, Peer: netip.MustParseAddr("::ffff:192.0.2.9"), Endpoint: netip.MustParseAddrPort("[fd00::8]:80")}
	upgraded := &exchange.Record{Status: 101, Land: exchange.LandNone, Backend: 0, Proxied: true, Tunnel: exchange.TunnelIdle, Method: message.GET, Attempts: 1, Total: 3_600e9}
	local := &exchange.Record{Status: 200, Land: exchange.LandNone, Backend: 0, Proxied: true, Socket: "unix:/run/portal.sock", Attempts: 1}
	stranger := &exchange.Record{Status: 200, Land: exchange.LandNone, Backend: 0, Proxied: true, Socket: "unix:/run/other.sock", Attempts: 1}
	odd := &exchange.Record{Status: 299, Land: 255, Backend: 7, Note: "made up", Method: 200, Agent: 200, Total: -5}
	const want = `{"time":"2026-11-22T11:00:00.123Z","trace_id":"0af7651916cd43dd8448eb211c80319c","proto":"h1","method":"POST","status":200,"reason":"none","note":"","fault":"none","sender":"hessen-portal","land":"06","kreis":"06534","leistung":"99050012104000","backend":"marburg","endpoint":"10.6.0.11:8443","mode":"proxy","bytes_in":200,"bytes_out":8589934592,"ms_total":12.345,"ms_backend":11.000,"ms_queue":0.000,"attempt":1,"snapshot":"7f3a9c1e","ip_prefix":"198.51.100.0/24","ua_class":"browser"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h1","method":"OTHER","status":400,"reason":"bad_request","note":"bare-lf","fault":"client","sender":"","land":"none","kreis":"","leistung":"","backend":"","endpoint":"","mode":"none","bytes_in":0,"bytes_out":0,"ms_total":0.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":0,"snapshot":"","ip_prefix":"2001:db8:1::/48","ua_class":"none"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h2","method":"OTHER","status":303,"reason":"handover","note":"","fault":"none","sender":"","land":"00","kreis":"","leistung":"","backend":"other","endpoint":"[fd00::8]:80","mode":"redirect","bytes_in":0,"bytes_out":0,"ms_total":0.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":0,"snapshot":"","ip_prefix":"192.0.2.0/24","ua_class":"none"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h1","method":"GET","status":101,"reason":"none","note":"tunnel-idle","fault":"none","sender":"","land":"none","kreis":"","leistung":"","backend":"hessen","endpoint":"","mode":"proxy","bytes_in":0,"bytes_out":0,"ms_total":3600000.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":1,"snapshot":"","ip_prefix":"","ua_class":"none"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h1","method":"OTHER","status":200,"reason":"none","note":"","fault":"none","sender":"","land":"none","kreis":"","leistung":"","backend":"hessen","endpoint":"unix:/run/portal.sock","mode":"proxy","bytes_in":0,"bytes_out":0,"ms_total":0.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":1,"snapshot":"","ip_prefix":"","ua_class":"none"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h1","method":"OTHER","status":200,"reason":"none","note":"","fault":"none","sender":"","land":"none","kreis":"","leistung":"","backend":"hessen","endpoint":"","mode":"proxy","bytes_in":0,"bytes_out":0,"ms_total":0.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":1,"snapshot":"","ip_prefix":"","ua_class":"none"}
{"time":"2026-11-22T11:00:00.123Z","trace_id":"","proto":"h1","method":"OTHER","status":299,"reason":"none","note":"","fault":"none","sender":"","land":"none","kreis":"","leistung":"","backend":"","endpoint":"","mode":"redirect","bytes_in":0,"bytes_out":0,"ms_total":0.000,"ms_backend":0.000,"ms_queue":0.000,"attempt":0,"snapshot":"","ip_prefix":"","ua_class":"other"}
`
	got := logged(t, proxied(), refused, led, upgraded, local, stranger, odd)
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for line := range strings.Lines(got) {
		dec := json.NewDecoder(strings.NewReader(line))
		_, _ = dec.Token()
		var names []string
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name.(string))
			_, _ = dec.Token()
		}
		if d := cmp.Diff(strings.Fields(fields), names); d != "" {
			t.Errorf("-contract +line\n%s", d)
		}
	}
}

// OB-01: whatever a record holds, its line is one line of valid JSON, and of a bounded length.
func TestOB01WhateverARecordHoldsItIsOneLine(t *testing.T) {
	t.Parallel()
	hostile := []string{"\n", "\r\n", "\"", "\\", "\x00", "\x1b[31m", "\u2028", "\u202e", "\xff", "</script>", `","status":200,"x":"`, strings.Repeat("x", 1<<20)}
	check := func(t rapid.TB, rec *exchange.Record, now int64, backend string) {
		r := Ring{noted: map[string]uint8{"": 0}, entries: make([]entry, ringSize)}
		r.Record(rec, now)
		line := r.entries[0].append(nil, &Log{notes: notes(nil)}, []string{backend, "b"})
		if len(line) > lineBytes || bytes.Count(line, newline) != 1 || line[len(line)-1] != '\n' || !json.Valid(line) {
			t.Fatalf("%d bytes: %.600q", len(line), line)
		}
		for _, c := range line[:len(line)-1] {
			if c < ' ' || c > '~' {
				t.Fatalf("octet %#x in %.600q", c, line)
			}
		}
	}
	for _, text := range hostile {
		rec := &exchange.Record{Note: text, SenderName: []byte(text), Trace: []byte(text)}
		copy(rec.Snapshot[:], text)
		check(t, rec, noon, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) []byte {
			return []byte(rapid.OneOf(rapid.SampledFrom(hostile), rapid.StringN(0, 100, 400)).Draw(t, label))
		}
		word := rapid.Uint64()
		rec := &exchange.Record{
			Status: rapid.Int().Draw(t, "status"), Reason: reason.Code(word.Draw(t, "reason")), Land: uint8(word.Draw(t, "land")), Backend: rapid.IntRange(-3, 3).Draw(t, "backend"),
			BytesIn: rapid.Int64().Draw(t, "in"), BytesOut: rapid.Int64().Draw(t, "out"), Total: rapid.Int64().Draw(t, "total"), Upstream: rapid.Int64().Draw(t, "upstream"),
			Method: message.Method(word.Draw(t, "method")), Proxied: rapid.Bool().Draw(t, "proxied"), Attempts: uint8(word.Draw(t, "attempts")), Agent: exchange.Agent(word.Draw(t, "agent")),
			Kreis: uint32(word.Draw(t, "kreis")), Key: word.Draw(t, "key"), Note: string(text("note")), SenderName: text("sender"), Trace: text("trace"),
		}
		copy(rec.Snapshot[:], text("snapshot"))
		check(t, rec, rapid.Int64Range(0, 1<<62).Draw(t, "now"), string(text("backend")))
	})
}

// OB-01: an address is cut before it is in the ring: nothing behind it, a core dump included, has the rest.
func TestOB01AnAddressIsCutBeforeTheRing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		for _, a := range []netip.Addr{netip.AddrFrom16([16]byte(raw)), netip.AddrFrom4([4]byte(raw)), netip.AddrFrom16([16]byte(append(append(make([]byte, 10), 0xff, 0xff), raw[:4]...)))} {
			var e, whole entry
			e.cut(a)
			bits := 48
			if a.Unmap().Is4() {
				bits = 24
			}
			p, err := a.Unmap().Prefix(bits)
			if err != nil {
				t.Fatal(err)
			}
			whole.cut(p.Addr())
			if e != whole {
				t.Fatalf("%v leaves more than %v: %v", a, p, e.prefix)
			}
			if got := string(e.appendPrefix(nil)); got != p.String() {
				t.Fatalf("%v is shown as %s, want %v", a, got, p)
			}
		}
	})
}

// A destination that hangs costs lines, which are counted, and never a loop's time.
func TestAStuckWriterCostsLinesAndNobodysTime(t *testing.T) {
	t.Parallel()
	s := &sink{room: -1, gate: make(chan struct{})}
	l := start(t, Options{Open: s.open})
	rings := []*Ring{l.NewRing(), l.NewRing()}
	const each = 3 * ringSize
	for range each {
		for _, r := range rings {
			r.Record(proxied(), noon) // would hang here
		}
	}
	if n := l.Dropped(); n < 2*(each-2*ringSize) {
		t.Errorf("%d lines dropped of %d with room for %d", n, 2*each, 2*ringSize)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing a log that hangs: %v", err)
	}
	close(s.gate)
	<-l.done
	if got := uint64(strings.Count(s.text.String(), "\n")) + l.Dropped(); got != 2*each {
		t.Errorf("%d lines written and %d dropped, %d noted", got-l.Dropped(), l.Dropped(), 2*each)
	}
}

// What is written and what is counted as dropped are together what was noted, wherever the disk was full.
func TestAFullDiskCostsLinesAndTearsNone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := &sink{room: -1}
		var events bytes.Buffer
		l := &Log{events: slog.New(slog.NewJSONHandler(&events, nil)), notes: notes(nil), out: s}
		l.SetBackends(nil)
		r := l.NewRing()
		noted := uint64(0)
		for range rapid.IntRange(1, 8).Draw(rt, "batches") {
			s.make(rapid.OneOf(rapid.Just(-1), rapid.IntRange(0, 2000)).Draw(rt, "room"))
			n := rapid.IntRange(0, 5).Draw(rt, "lines")
			for range n {
				r.Record(proxied(), noon)
			}
			noted += uint64(n)
			l.drain()
		}
		s.make(-1)
		r.Record(proxied(), noon)
		l.drain()
		written := uint64(0)
		for line := range strings.Lines(s.text.String()) {
			if json.Valid([]byte(line)) && strings.HasSuffix(line, "}\n") {
				written++
			} else if strings.Contains(line, "}{") {
				rt.Fatalf("two lines in one: %s", line)
			}
		}
		if written+l.Dropped() != noted+1 {
			rt.Fatalf("%d written, %d dropped, %d noted", written, l.Dropped(), noted+1)
		}
		if fails, works := strings.Count(events.String(), "writing failed"), strings.Count(events.String(), "works again"); fails != works {
			rt.Fatalf("%d failures and %d recoveries told:\n%s", fails, works, events.String())
		}
	})
}

func TestReopenFollowsAFileThatWasMovedAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	l := start(t, Options{Open: File(path)})
	r := l.NewRing()
	first := proxied()
	r.Record(first, noon)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v %v, want a file with mode 0640", info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not reopened")
		}
	}
	second := proxied()
	second.Status = 201
	r.Record(second, noon)
	end(t, l)
	for file, status := range map[string]string{path + ".1": `"status":200`, path: `"status":201`} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), status) {
			t.Errorf("%s: %v, %s", file, err, text)
		}
	}
}

// A file that ends within a line, after a kill or a full disk, goes on with a line of its own; also when it is opened anew
// without having been moved away.
func TestAFileThatEndsWithinALineGoesOnWithAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	tear := func() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"time":"20`); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	tear()
	l := start(t, Options{Open: File(path)})
	r := l.NewRing()
	r.Record(proxied(), noon)
	end(t, l)
	tear()
	o := &Log{open: File(path), events: slog.New(slog.DiscardHandler), notes: notes(nil), out: nopCloser{io.Discard}}
	o.SetBackends(nil)
	r = o.NewRing()
	o.renew()
	r.Record(proxied(), noon)
	o.drain()
	_ = o.out.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for line := range strings.Lines(string(text)) {
		got = append(got, json.Valid([]byte(line)))
	}
	if !slices.Equal(got, []bool{false, true, false, true}) {
		t.Errorf("lines that are whole: %v, in\n%s", got, text)
	}
}

// A file that cannot be opened anew leaves the old one in use.
func TestReopenThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	s := &sink{room: -1}
	var events bytes.Buffer
	l := start(t, Options{Events: slog.New(slog.NewJSONHandler(&events, nil)), Open: func() (io.WriteCloser, error) {
		if s.opens > 0 {
			return nil, errors.New("no")
		}
		return s.open()
	}})
	r := l.NewRing()
	l.Reopen()
	r.Record(proxied(), noon)
	end(t, l)
	if strings.Count(s.text.String(), "\n") != 1 || l.Dropped() != 0 {
		t.Errorf("%d dropped, written: %s", l.Dropped(), s.text.String())
	}
	if _, err := Start(Options{Open: File(t.TempDir() + "/none/access.log")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log in a folder that is not there: %v", err)
	}
}

// Two loops write while the log reads: with -race, and every line whole and once.
func TestLoopsAndLogShareRingsWithoutLocks(t *testing.T) {
	t.Parallel()
	s := &sink{room: -1}
	l := start(t, Options{Open: s.open})
	const each = 50_000
	var loops sync.WaitGroup
	for i := range 2 {
		r := l.NewRing()
		loops.Go(func() {
			for n := range each {
				rec := proxied()
				rec.BytesIn = int64(i*each + n)
				r.Record(rec, noon)
				if n%1000 == 0 {
					l.SetBackends([]string{"a", fmt.Sprintf("b%d", n)})
				}
			}
		})
	}
	loops.Wait()
	end(t, l)
	seen := map[string]bool{}
	for line := range strings.Lines(s.text.String()) {
		var got struct {
			BytesIn json.Number `json:"bytes_in"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if seen[string(got.BytesIn)] {
			t.Fatalf("line %s stands twice", got.BytesIn)
		}
		seen[string(got.BytesIn)] = true
	}
	if uint64(len(seen))+l.Dropped() != 2*each {
		t.Errorf("%d lines and %d dropped, %d noted", len(seen), l.Dropped(), 2*each)
	}
}
