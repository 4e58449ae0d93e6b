// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// attack repeats what next makes, one call of Feed each, until the connection fails or all is sent. Requests are neither
// answered nor given back unless the test says what is done. It returns how many rounds that took.
func attack(t *testing.T, d *driver, rounds int, next func(i int) []byte) int {
	t.Helper()
	d.feed(greeting())
	for i := range rounds {
		d.events = d.events[:0]
		if d.feed(next(i)); d.m.failed {
			return i + 1
		}
		d.m.AppendControl(nil)
	}
	return rounds
}

// calmed checks that the connection was closed as it should be, for what it should be.
func calmed(t *testing.T, d *driver, want Abuse) {
	t.Helper()
	if d.m.Abuse() != want || !strings.HasSuffix(d.said(), "ENHANCE_YOUR_CALM") || d.m.Cause() != "h2-abuse" {
		t.Errorf("abuse %v, want %v; cause %q", d.m.Abuse(), want, d.m.Cause())
	}
}

func id(i int) uint32 { return uint32(2*i + 1) }

// H2-01: a stream that is reset counts until its exchange has ended, however slowly that ends; and who resets stream
// after stream is closed.
func TestH201RapidReset(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	most := 0
	d.on = func(d *driver, _ Event, _ Stream, _ []byte) { most = max(most, d.m.Live()) }
	if n := attack(t, d, 20_000, func(i int) []byte { return join(get(id(i)), reset(id(i))) }); n > 300 {
		t.Errorf("closed after %d streams", n)
	}
	calmed(t, d, RapidReset)
	if most > d.m.limits.Streams {
		t.Errorf("%d streams at once", most)
	}

	// As fast as exchanges end, too.
	d = newDriver(t, testLimits())
	d.on = func(d *driver, ev Event, st Stream, _ []byte) {
		if ev == Reset {
			d.done(st)
		}
	}
	if n := attack(t, d, 20_000, func(i int) []byte { return join(get(id(i)), reset(id(i))) }); n > 300 {
		t.Errorf("closed after %d streams", n)
	}
	calmed(t, d, RapidReset)
}

// H2-01: without a single abuse of the budget, the places are bounded by exchanges and not by what the client thinks.
func TestH201AResetStreamKeepsItsPlace(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.Streams = 3
	d := newDriver(t, l)
	d.feed(greeting())
	d.said()
	for i := range 4 {
		d.feed(join(get(id(i)), reset(id(i))))
	}
	if got := d.said(); got != "reset 7 REFUSED_STREAM" || d.m.Live() != 3 {
		t.Errorf("said %q, %d live", got, d.m.Live())
	}
	d.done(1)
	d.events = nil
	d.feed(get(9))
	if got := strings.Join(d.events, "; "); got != "head 1 GET /; end 1" {
		t.Errorf("got %q", got)
	}
}

// A page that is left resets all its streams at once, again and again; that is no abuse.
func TestLeavingAPageIsNoAbuse(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.on = func(d *driver, ev Event, st Stream, _ []byte) {
		if ev == Reset {
			d.done(st)
		}
	}
	d.feed(greeting())
	stream := 0
	for range 50 {
		first := stream
		for ; stream < first+60; stream++ {
			d.feed(get(id(stream)))
		}
		for i := first; i < stream; i++ {
			d.feed(reset(id(i)))
		}
		d.now += 4e9
	}
	if d.m.failed {
		t.Errorf("closed: %s, %v", d.m.Cause(), d.m.Abuse())
	}
}

// H2-02: what makes us reset a stream costs as much as resetting it.
func TestH202MadeYouReset(t *testing.T) {
	t.Parallel()
	long := join(post(1, "|content-length: 1"), dataOf(1, 0, "xx"))
	of := func(frames []byte, i int) []byte { // the same on another stream
		out := bytes.Clone(frames)
		for at := 0; at < len(out); {
			copy(out[at+5:], u32(id(i)))
			at += headerLen + (int(out[at])<<16 | int(out[at+1])<<8 | int(out[at+2]))
		}
		return out
	}
	for name, frames := range map[string][]byte{
		"WINDOW_UPDATE of nothing":        join(get(1), windowUpdate(1, 0)),
		"WINDOW_UPDATE that overflows":    join(get(1), windowUpdate(1, 1<<31-1)),
		"DATA on a half-closed stream":    join(get(1), dataOf(1, 0, "x")),
		"HEADERS on a half-closed stream": join(get(1), get(1)),
		"PRIORITY of another length":      join(get(1), frameOf(typePriority, 0, 1, 0)),
		"body longer than its length":     long,
		"malformed head":                  headers(1, flagEndStream, getLines+"|X: y"),
	} {
		for _, slow := range []bool{false, true} {
			d := newDriver(t, testLimits())
			if !slow {
				d.on = func(d *driver, ev Event, st Stream, _ []byte) {
					if ev == Broken || ev == Refused {
						d.done(st)
					}
				}
			}
			if n := attack(t, d, 20_000, func(i int) []byte { return of(frames, i) }); n > 300 {
				t.Errorf("%s: closed after %d streams", name, n)
			}
			if want := ProvokedReset; !slow {
				calmed(t, d, want)
			}
		}
	}
	// The sixth: a dependency of a stream on itself.
	d := newDriver(t, testLimits())
	d.on = func(d *driver, ev Event, st Stream, _ []byte) {
		if ev == Broken {
			d.done(st)
		}
	}
	if n := attack(t, d, 20_000, func(i int) []byte { return join(get(id(i)), priority(id(i), id(i))) }); n > 300 {
		t.Errorf("self-dependency: closed after %d streams", n)
	}
	calmed(t, d, ProvokedReset)
}

// H2-03: a header block that does not end is not kept beyond twice what a head may be, nor in how many frames it likes.
func TestH203ContinuationFlood(t *testing.T) {
	t.Parallel()
	huffman := hpack.AppendHuffmanString(nil, strings.Repeat("a", 800))
	for name, piece := range map[string][]byte{
		"plain":   bytes.Repeat([]byte{0, 1, 'x', 1, 'y'}, 100),
		"Huffman": append(appendInteger([]byte{0, 1, 'x'}, 0x80, 7, len(huffman)), huffman...),
		"empty":   nil,
	} {
		d := newDriver(t, testLimits())
		sent := 0
		attack(t, d, 20_000, func(i int) []byte {
			b := frameOf(typeContinuation, 0, 1, piece...)
			if i == 0 {
				b = append(frameOf(typeHeaders, 0, 1, block(getLines)...), b...)
			}
			sent += len(b)
			return b
		})
		calmed(t, d, ContinuationFlood)
		if limit := 2*d.m.limits.Head + len(piece) + 300; sent > limit {
			t.Errorf("%s: closed after %d octets, want at most %d", name, sent, limit)
		}
	}
}

// bomb returns a head that refers so often to one entry of the table, which it makes first.
func bomb(stream uint32, first bool, entryLen, references int) []byte {
	b := []byte{0x82, 0x87, 0x84, 0x01, 1, 'a'} // GET, https, /, :authority a
	if first {
		b = append(b, 0x40, 1, 'x')
		b = appendInteger(b, 0, 7, entryLen)
		b = append(b, bytes.Repeat([]byte("v"), entryLen)...)
	}
	b = append(b, bytes.Repeat([]byte{0x80 | 62}, references)...)
	return frameOf(typeHeaders, flagEndHeaders|flagEndStream, stream, b...)
}

// H2-04: references of one octet to an entry of kilobytes. Neither their number nor the octets they stand for are kept
// beyond the limits, for one head and for all of a connection.
func TestH204HeaderBomb(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	for _, c := range []struct {
		name            string
		entry, refs     int
		cause           string
		text, heads     int
		streams, served int
	}{
		{"many references", 10, 16_000, "too-many-fields", 4 << 10, 100 << 10, 100, 0},
		{"large entry", 4000, 60, "head-too-large", 40 << 10, 4 << 20, 100, 0},
		{"as much as is allowed", 3000, 9, "", 32 << 10, 512 << 10, 100, 18},
	} {
		d := newDriver(t, &l)
		d.feed(greeting())
		for i := range c.streams {
			d.feed(bomb(id(i), i == 0, c.entry, c.refs))
		}
		served, refused := 0, 0
		for _, e := range d.events {
			switch {
			case strings.HasPrefix(e, "head "):
				served++
			case strings.HasSuffix(e, c.cause) && strings.HasPrefix(e, "refused "):
				refused++
			}
		}
		if cap(d.sc.text) > 2*c.text || d.m.streams.heads > l.Heads {
			t.Errorf("%s: %d octets of text, %d of heads", c.name, cap(d.sc.text), d.m.streams.heads)
		}
		if served != c.served || c.cause != "" && refused == 0 {
			t.Errorf("%s: %d served, want %d; %d refused", c.name, served, c.served, refused)
		}
	}
	d := newDriver(t, &l)
	d.feed(append(greeting(), bomb(1, true, 4000, 100)...)) // far more than any head may be
	calmed(t, d, HeaderBomb)
}

// H2-01: who resets what it asks is served after all others long before it is closed, and soon like them if it was a page that
// was left.
func TestH201WhoWastesTimeIsKnownBefore(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.on = func(d *driver, ev Event, st Stream, _ []byte) {
		if ev == Reset {
			d.done(st)
		}
	}
	d.feed(greeting())
	if d.m.Wasteful() {
		t.Fatal("wasteful at once")
	}
	for i := range 150 {
		d.feed(append(get(id(i)), reset(id(i))...))
		if !d.m.Wasteful() || d.m.failed {
			t.Fatalf("after %d resets: wasteful %v, failed %v", i+1, d.m.Wasteful(), d.m.failed)
		}
	}
	d.now += 150 * costReset * refill
	d.feed(get(id(150)))
	if d.m.Wasteful() {
		t.Fatal("wasteful for ever")
	}
}

// H2-04: references to a long name, each with a value of nothing, are two octets; they may enter it into the table again.
func TestH204NameBomb(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	for name, reference := range map[string][]byte{"as entries": {0x40 | 62, 0}, "not as entries": {0x0f, 62 - 15, 0}} {
		d := newDriver(t, &l)
		b := append(block(getLines), 0x40)
		b = append(appendInteger(b, 0, 7, 4000), bytes.Repeat([]byte("n"), 4000)...)
		b = append(append(b, 0), bytes.Repeat(reference, 4000)...)
		d.feed(greeting())
		d.feed(frameOf(typeHeaders, flagEndHeaders|flagEndStream, 1, b...))
		if calmed(t, d, HeaderBomb); cap(d.sc.text) > 100<<10 {
			t.Errorf("%s: %d octets of text", name, cap(d.sc.text))
		}
	}
}

// H2-04: crumbs of a cookie are fields like others.
func TestH204CookieCrumbs(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	d := newDriver(t, &l)
	b := []byte{0x82, 0x87, 0x84, 0x01, 1, 'a', 0x60, 3, 'a', '=', 'b'}
	b = append(b, bytes.Repeat([]byte{0x80 | 62}, 16_000)...)
	d.feed(greeting())
	d.feed(frameOf(typeHeaders, flagEndHeaders|flagEndStream, 1, b...))
	if got := strings.Join(d.events, "; "); got != "refused 0 too-many-fields" {
		t.Errorf("got %q", got)
	}
}

// H2-04: a window that is opened octet by octet is no reason for WINDOW_UPDATE frames.
func TestH204WindowDrip(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	body := make([]byte, 1<<20)
	d.feed(append([]byte(Preface), setting(settingInitialWindow, 0)...))
	d.feed(get(1))
	d.out = d.m.AppendHead(nil, 0, 200, nil, false)
	rounds := 0
	for ; rounds < 100_000 && !d.m.failed; rounds++ {
		d.feed(windowUpdate(1, 1))
		var n int
		if d.out, n = d.m.AppendData(nil, 0, body, true); n > 1 {
			t.Fatalf("%d octets for one", n)
		}
		body = body[n:]
	}
	if rounds > 2000 {
		t.Errorf("closed after %d octets", rounds)
	}
	calmed(t, d, WindowUpdateFlood)
}

// A client that takes a large answer opens its window again for every few octets; that is no abuse.
func TestEagerWindowUpdatesAreNoAbuse(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 4096, maxFrame} {
		d := newDriver(t, testLimits())
		d.feed(append(greeting(), get(1)...))
		d.out = d.m.AppendHead(nil, 0, 200, nil, false)
		body := make([]byte, size)
		for range 20_000 {
			if _, n := d.m.AppendData(nil, 0, body, false); n != size {
				t.Fatalf("%d of %d octets", n, size)
			}
			for left := size; left > 0; left -= 4096 {
				d.feed(join(windowUpdate(0, uint32(min(left, 4096))), windowUpdate(1, uint32(min(left, 4096)))))
			}
		}
		if d.m.failed {
			t.Errorf("frames of %d octets: %v", size, d.m.Abuse())
		}
	}
}

// H2-05: floods of frames that ask for nothing. What we have to say to them is bounded even if nobody takes it.
func TestH205Floods(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, frame []byte
		want         Abuse
	}{
		"PING":                              {nil, frameOf(typePing, 0, 0, []byte("12345678")...), PingFlood},
		"PING that answers":                 {nil, frameOf(typePing, flagAck, 0, []byte("12345678")...), PingFlood},
		"SETTINGS":                          {nil, setting(), SettingsFlood},
		"SETTINGS with windows":             {nil, setting(settingInitialWindow, 1, settingInitialWindow, 100), SettingsFlood},
		"acknowledged SETTINGS":             {nil, frameOf(typeSettings, flagAck, 0), SettingsFlood},
		"PRIORITY":                          {nil, priority(3, 1), PriorityFlood},
		"unknown frames":                    {nil, frameOf(0x33, 0, 0), PriorityFlood},
		"unknown frames that are not empty": {nil, frameOf(0x33, 0, 0, 1, 2, 3), PriorityFlood},
		"GOAWAY":                            {nil, frameOf(typeGoAway, 0, 0, make([]byte, 8)...), PriorityFlood},
		"RST_STREAM":                        {join(get(1), reset(1)), reset(1), RapidReset},
		"empty DATA":                        {post(1, ""), dataOf(1, 0, ""), EmptyFrames},
		"DATA of padding":                   {post(1, ""), frameOf(typeData, flagPadded, 1, 1, 0), EmptyFrames},
		"DATA on a stream we reset":         {join(get(1), dataOf(1, 0, "x")), dataOf(1, 0, "x"), PriorityFlood},
		"DATA on a stream that is over":     {join(post(1, ""), reset(1)), dataOf(1, 0, "x"), ProvokedReset},
		"WINDOW_UPDATE":                     {nil, windowUpdate(0, 1), WindowUpdateFlood},
		"WINDOW_UPDATE on a stream":         {get(1), windowUpdate(1, 1), WindowUpdateFlood},
		"WINDOW_UPDATE on one that is over": {join(get(1), reset(1)), windowUpdate(1, 1), WindowUpdateFlood},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, testLimits())
			queue := 0
			d.on = func(d *driver, _ Event, _ Stream, _ []byte) { queue = max(queue, len(d.m.control)) }
			d.feed(greeting())
			d.feed(c.first)
			flood := bytes.Repeat(c.frame, 1_000_000)
			var n int
			var ev Event
			took := cost(t, func() {
				n, ev, _, _ = d.m.Feed(flood, d.now, &d.sc)
				for ev == Data || ev == Broken || ev == Writable {
					var k int
					k, ev, _, _ = d.m.Feed(flood[n:], d.now, &d.sc)
					n += k
				}
			})
			if ev != Failed || n > 3000*len(c.frame) {
				t.Errorf("%v after %d frames", ev, n/len(c.frame))
			}
			if len(d.m.control) > maxControl {
				t.Errorf("%d octets are queued", len(d.m.control))
			}
			if d.m.Abuse() != c.want {
				t.Errorf("abuse %v, want %v", d.m.Abuse(), c.want)
			}
			if took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// H2-05: requests behind the final GOAWAY are not served, but cost the same to decode.
func TestH205RequestsBehindTheEnd(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.m.GoAway(true, NoError)
	if n := attack(t, d, 20_000, func(i int) []byte { return get(id(i)) }); n > 3000 {
		t.Errorf("closed after %d", n)
	}
	calmed(t, d, PriorityFlood)
}

// H2-06: a field without a name is malformed.
func TestH206EmptyNames(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.on = func(d *driver, ev Event, st Stream, _ []byte) {
		if ev == Refused {
			if d.m.Cause() != "bad-name" {
				t.Errorf("cause %q", d.m.Cause())
			}
			d.done(st)
		}
	}
	lines := append(block(getLines), bytes.Repeat([]byte{0x40, 0, 0}, 20)...)
	if n := attack(t, d, 20_000, func(i int) []byte { return frameOf(typeHeaders, flagEndHeaders|flagEndStream, id(i), lines...) }); n > 300 {
		t.Errorf("closed after %d streams", n)
	}
	calmed(t, d, ProvokedReset)
}

// H2-07: a body in frames of one octet costs more than it carries; one in frames of some hundred does not.
func TestH207TinyData(t *testing.T) {
	t.Parallel()
	send := func(size int) int {
		l := testLimits()
		l.Body = 0
		d := newDriver(t, l)
		d.on = func(d *driver, ev Event, st Stream, data []byte) {
			if ev == Data {
				d.m.Consumed(st, len(data))
			}
		}
		d.feed(append(greeting(), post(1, "")...))
		frame := dataOf(1, 0, strings.Repeat("x", size))
		for i := range 1 << 20 / size {
			d.data.Reset()
			if d.feed(frame); d.m.failed {
				calmed(t, d, EmptyFrames)
				return i + 1
			}
			d.m.AppendControl(nil)
		}
		return 0
	}
	if n := send(1); n == 0 || n > 1100 {
		t.Errorf("one octet each: closed after %d frames", n)
	}
	if n := send(smallData); n != 0 {
		t.Errorf("%d octets each: closed after %d frames", smallData, n)
	}
}

// H2-08: what is appended for a client that opens no window is nothing, and says so: whoever feeds us stops there.
func TestH208AShutWindowTakesNothing(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.feed(append([]byte(Preface), setting(settingInitialWindow, 0)...))
	for i := range 10 {
		d.feed(get(id(i)))
		d.out = d.m.AppendHead(d.out, Stream(i), 200, nil, false)
		var n int
		if d.out, n = d.m.AppendData(d.out, Stream(i), make([]byte, 1<<20), true); n != 0 || d.m.Room(Stream(i)) != 0 {
			t.Errorf("took %d octets", n)
		}
	}
	if len(d.out) > 1000 {
		t.Errorf("%d octets", len(d.out))
	}
}

// H2-14: CONNECT is refused before anything of it is told, and what comes behind it is nobody's.
func TestH214Connect(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.feed(greeting())
	d.said()
	d.feed(join(headers(1, 0, ":method: CONNECT|:authority: evil.example:443"), dataOf(1, 0, "GET /hidden HTTP/1.1\r\n\r\n"), dataOf(1, flagEndStream, "x")))
	d.flush()
	if got := strings.Join(d.events, "; "); got != "refused 0 method-refused" {
		t.Errorf("got %q", got)
	}
	d.answer(0, "")
	if got := d.said(); got != "headers 1 end=true" {
		t.Errorf("said %q", got)
	}
}

// Memory of one connection, however hostile, is bounded by what the limits add up to.
func TestMemoryOfAConnectionIsBounded(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	d := newDriver(t, &l)
	d.feed(greeting())
	for i := range 120 {
		d.feed(bomb(id(i), i == 0, 3000, 8))
	}
	d.feed(frameOf(typeHeaders, 0, id(200), make([]byte, maxFrame)...))
	m := &d.m
	size := int(sizeOf[Server]()) + cap(m.streams.ids)*4 + cap(m.streams.all)*int(sizeOf[stream]()) + cap(m.control) + cap(m.block) + int(sizeOf[dynamicTable]())
	if size > 64<<10 {
		t.Errorf("%d octets: %s", size, fmt.Sprint(cap(m.streams.ids), cap(m.control), cap(m.block)))
	}
}
