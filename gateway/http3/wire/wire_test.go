// SPDX-License-Identifier: EUPL-1.2

package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/message"
)

func limits() *wire.Limits { return &wire.Limits{Section: 4096, Overhead: 1024} }

func frame(kind uint64, payload ...byte) []byte {
	b := wire.AppendVarint(nil, kind)
	b = wire.AppendVarint(b, uint64(len(payload)))
	return append(b, payload...)
}

// drive feeds a stream in pieces of at most step octets and tells what it found.
func drive(in []byte, step int) string {
	var r wire.Request
	r.Init(limits())
	var told strings.Builder
	content := 0
	var rest []byte
	for len(in) > 0 || len(rest) > 0 {
		k := min(step, len(in))
		rest = append(rest, in[:k]...)
		in = in[k:]
		for {
			n, ev, data := r.Feed(rest)
			rest = rest[n:]
			switch ev {
			case wire.More:
			case wire.Data:
				content += len(data)
				continue
			case wire.Failed:
				return fmt.Sprintf("%s%d failed %v", told.String(), content, r.Code())
			case wire.TooLarge:
				return told.String() + "too large"
			default:
				fmt.Fprintf(&told, "%d:%s ", ev, data)
				continue
			}
			break
		}
		if k == 0 {
			break
		}
	}
	return fmt.Sprintf("%s%d end %v", told.String(), content, r.End(rest))
}

func TestRequestStreams(t *testing.T) {
	head, data := frame(1, 'H'), frame(0, 'a', 'b', 'c')
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"head alone", head, "1:H 0 end none"},
		{"content in two frames", slicesOf(head, data, data), "1:H 6 end none"},
		{"trailers", slicesOf(head, data, frame(1, 'T')), "1:H 3:T 3 end none"},
		{"nothing", nil, "0 end request-incomplete"},
		{"an unknown frame first", slicesOf(frame(0x21, 1, 2, 3), head), "1:H 0 end none"},
		{"unknown frames everywhere", slicesOf(head, frame(0x21), data, frame(0x40, 9), frame(1, 'T'), frame(0x21, 1)), "1:H 3:T 3 end none"},
		{"DATA first", data, "0 failed frame-unexpected"},
		{"DATA behind trailers", slicesOf(head, frame(1, 'T'), data), "1:H 3:T 0 failed frame-unexpected"},
		{"HEADERS behind trailers", slicesOf(head, frame(1, 'T'), head), "1:H 3:T 0 failed frame-unexpected"},
		{"CANCEL_PUSH", slicesOf(head, frame(3, 0)), "1:H 0 failed frame-unexpected"},
		{"SETTINGS", frame(4), "0 failed frame-unexpected"},
		{"PUSH_PROMISE", slicesOf(head, frame(5, 0, 0)), "1:H 0 failed frame-unexpected"},
		{"GOAWAY", frame(7, 0), "0 failed frame-unexpected"},
		{"MAX_PUSH_ID", frame(13, 0), "0 failed frame-unexpected"},
		{"PRIORITY of HTTP/2", frame(2, 0), "0 failed frame-unexpected"},
		{"PING of HTTP/2", slicesOf(head, frame(6, 0)), "1:H 0 failed frame-unexpected"},
		{"WINDOW_UPDATE of HTTP/2", frame(8, 0), "0 failed frame-unexpected"},
		{"CONTINUATION of HTTP/2", frame(9, 0), "0 failed frame-unexpected"},
		{"end inside a frame's header", slicesOf(head, []byte{0}), "1:H 0 end frame"},
		{"end inside HEADERS", head[:2], "0 end frame"},
		{"end inside DATA", slicesOf(head, data[:3]), "1:H 1 end frame"},
		{"end inside an unknown frame", slicesOf(head, frame(0x21, 1, 2)[:3]), "1:H 0 end frame"},
		{"a head over the limit", append(wire.AppendVarint([]byte{1}, 4097), 'x'), "too large"},
		{"a frame of 2^62 octets that nobody knows", append(head, append([]byte{0x21}, bytes.Repeat([]byte{0xff}, 8)...)...), "1:H 0 failed excessive-load"},
		{"many empty DATA frames", slicesOf(head, bytes.Repeat(frame(0), 513)), "1:H 0 failed excessive-load"},
		{"many frames that nobody knows", slicesOf(head, bytes.Repeat(frame(0x21, 1), 342)), "1:H 0 failed excessive-load"},
		{"many DATA frames of one octet", slicesOf(head, bytes.Repeat(frame(0, 1), 5000)), "1:H 5000 end none"},
	} {
		for _, step := range []int{1, 2, 3, 7, 1 << 20} {
			if got := drive(c.in, step); got != c.want {
				t.Errorf("%s by %d: got %q, want %q", c.name, step, got, c.want)
			}
		}
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestControlStreams(t *testing.T) {
	settings := frame(4, 1, 0, 0x40, 0x64, 5)
	for _, c := range []struct {
		name string
		in   []byte
		want wire.Code
	}{
		{"settings", settings, wire.None},
		{"empty settings", frame(4), wire.None},
		{"and PRIORITY_UPDATE", slicesOf(settings, frame(0xf0700, 0, 'u', '=', '1')), wire.None},
		{"something else first", frame(0x21), wire.MissingSettings},
		{"GOAWAY first", frame(7, 0), wire.MissingSettings},
		{"a second SETTINGS", slicesOf(settings, settings), wire.FrameUnexpected},
		{"DATA", slicesOf(settings, frame(0, 1)), wire.FrameUnexpected},
		{"HEADERS", slicesOf(settings, frame(1, 1)), wire.FrameUnexpected},
		{"PUSH_PROMISE", slicesOf(settings, frame(5, 1)), wire.FrameUnexpected},
		{"PING of HTTP/2", slicesOf(settings, frame(6, 1)), wire.FrameUnexpected},
		{"a setting of HTTP/2", frame(4, 2, 0), wire.SettingsError},
		{"MAX_CONCURRENT_STREAMS", frame(4, 3, 0), wire.SettingsError},
		{"INITIAL_WINDOW_SIZE", frame(4, 4, 0), wire.SettingsError},
		{"MAX_FRAME_SIZE", frame(4, 5, 0), wire.SettingsError},
		{"a setting twice", frame(4, 6, 0, 6, 0), wire.SettingsError},
		{"extended CONNECT 2", frame(4, 8, 2), wire.SettingsError},
		{"half a setting", frame(4, 6), wire.FrameError},
		{"a long SETTINGS", wire.AppendVarint([]byte{4}, 1<<20), wire.ExcessiveLoad},
		{"GOAWAY", slicesOf(settings, frame(7, 4), frame(7, 0)), wire.None},
		{"GOAWAY that grows", slicesOf(settings, frame(7, 0), frame(7, 4)), wire.IDError},
		{"GOAWAY of two numbers", slicesOf(settings, frame(7, 0, 0)), wire.FrameError},
		{"GOAWAY of none", slicesOf(settings, frame(7)), wire.FrameError},
		{"MAX_PUSH_ID", slicesOf(settings, frame(13, 1), frame(13, 1)), wire.None},
		{"MAX_PUSH_ID that shrinks", slicesOf(settings, frame(13, 1), frame(13, 0)), wire.IDError},
		{"CANCEL_PUSH", slicesOf(settings, frame(3, 0)), wire.IDError},
		{"many frames that nobody knows", slicesOf(settings, bytes.Repeat(frame(0x21), 9000)), wire.ExcessiveLoad},
		{"many GOAWAY", slicesOf(settings, bytes.Repeat(frame(7, 0), 9000)), wire.ExcessiveLoad},
		{"a long frame that nobody knows", slicesOf(settings, []byte{0x21}, wire.AppendVarint(nil, 1<<61)), wire.ExcessiveLoad},
	} {
		for _, step := range []int{1, 3, 1 << 20} {
			var control wire.Control
			var rest []byte
			var got wire.Code
			for in := c.in; len(in) > 0 && got == wire.None; {
				k := min(step, len(in))
				rest = append(rest, in[:k]...)
				in = in[k:]
				var n int
				n, got = control.Feed(rest)
				rest = rest[n:]
				if len(rest) > wire.MaxControlFrame {
					t.Fatalf("%s: %d octets kept", c.name, len(rest))
				}
			}
			if got != c.want {
				t.Errorf("%s by %d: got %v, want %v", c.name, step, got, c.want)
			}
		}
	}
}

func TestRequestsEarnPriorities(t *testing.T) {
	var c wire.Control
	if _, code := c.Feed(frame(4)); code != wire.None {
		t.Fatal(code)
	}
	for range 100_000 {
		c.Earn(64)
		if _, code := c.Feed(frame(0xf0700, []byte("\x00u=1, i")...)); code != wire.None {
			t.Fatal(code)
		}
	}
}

func TestInstructions(t *testing.T) {
	for _, c := range []struct {
		name    string
		decoder bool
		in      []byte
		want    wire.Code
	}{
		{"capacity of nothing", false, []byte{0x20}, wire.None},
		{"capacity above ours", false, []byte{0x3f, 0x45}, wire.QPACKEncoderStreamError},
		{"insertion", false, []byte{0xc0, 1, 'x'}, wire.QPACKEncoderStreamError},
		{"insertion with a name", false, []byte{0x41, 'x', 1, 'y'}, wire.QPACKEncoderStreamError},
		{"duplicate", false, []byte{0}, wire.QPACKEncoderStreamError},
		{"flood", false, bytes.Repeat([]byte{0x20}, 5000), wire.ExcessiveLoad},
		{"cancellation", true, []byte{0x40, 0x7f, 0xff, 0x10}, wire.None},
		{"increment of nothing", true, []byte{0}, wire.QPACKDecoderStreamError},
		{"increment", true, []byte{1}, wire.QPACKDecoderStreamError},
		{"acknowledgment", true, []byte{0x80}, wire.QPACKDecoderStreamError},
		{"a number without end", true, append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, 12)...), wire.QPACKDecoderStreamError},
	} {
		for _, step := range []int{1, 1 << 20} {
			i := wire.Instructions{Decoder: c.decoder}
			var rest []byte
			var got wire.Code
			for in := c.in; len(in) > 0 && got == wire.None; {
				k := min(step, len(in))
				rest = append(rest, in[:k]...)
				in = in[k:]
				var n int
				n, got = i.Feed(rest)
				rest = rest[n:]
			}
			if got != c.want {
				t.Errorf("%s by %d: got %v, want %v", c.name, step, got, c.want)
			}
		}
	}
}

// ours and theirs decode a section, to "name: value" lines or "bad".
func ours(in []byte) string {
	var s wire.Section
	s.Begin(in)
	var b strings.Builder
	for {
		l, done, code := s.Next()
		if code != wire.None {
			return "bad"
		}
		if done {
			return b.String()
		}
		if l.Static && message.Classify(l.Name) != l.ID {
			return "wrong ID of " + string(l.Name)
		}
		fmt.Fprintf(&b, "%s: %s\n", l.Name, l.Value)
	}
}

func theirs(in []byte) string {
	next := qpack.NewDecoder().Decode(in)
	var b strings.Builder
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			return "bad"
		}
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
}

func encode(lines ...[2]string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, l := range lines {
		_ = e.WriteField(qpack.HeaderField{Name: l[0], Value: l[1]})
	}
	return b.Bytes()
}

var sections = [][]byte{
	encode([2]string{":method", "GET"}, [2]string{":path", "/leistung/99050012104000/06"}, [2]string{":scheme", "https"}, [2]string{":authority", "gw.example.de"}),
	encode([2]string{"x-ä", "\xff\x00"}, [2]string{"", ""}, [2]string{"cookie", strings.Repeat("a=b; ", 60)}),
	{0, 0},
	{0, 0, 0xc0},
	{0, 0, 0xff, 35},
	{0, 0, 0xff, 36}, // the last one, and one too many
	{1, 0},
	{0, 0x80},
	{0, 0x7f, 0xff},
	{0},
	{},
	{0, 0, 0x80},
	{0, 0, 0x10},
	{0, 0, 0x40, 0},
	{0, 0, 0x00, 0}, // references to a dynamic table
	{0, 0, 0x21, 'a'},
	{0, 0, 0x27, 0, 'a'},
	{0, 0, 0x29, 0x1f, 0},
	{0, 0, 0x51, 0x81, 0x1f},
	{0, 0, 0x51, 0x81, 0xff},
	{0, 0, 0x51, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
}

func TestSections(t *testing.T) {
	for _, in := range sections {
		if got, want := ours(in), theirs(in); got != want && !lenient(in) {
			t.Errorf("% x: got %q, want %q", in, got, want)
		}
	}
	all := []byte{0, 0}
	for i := range 99 {
		all = append(all, indexed(i)...)
	}
	if got, want := ours(all), theirs(all); got != want || strings.Count(got, "\n") != 99 {
		t.Errorf("static table: got %s, want %s", got, want)
	}
}

func indexed(i int) []byte {
	if i < 63 {
		return []byte{0xc0 | byte(i)}
	}
	return []byte{0xff, byte(i - 63)}
}

// lenient is what the decoders read differently: a base before the beginning is wrong, any other has no meaning where
// nothing refers to it (RFC 9204, section 4.5.1.2).
func lenient(in []byte) bool { return len(in) > 1 && in[1] != 0 }

func TestResponses(t *testing.T) {
	fields := []message.Field{
		{Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 11:00:00 GMT"), ID: message.Date},
		{Name: []byte("Connection"), Value: []byte("close"), ID: message.Connection},
		{Name: []byte("X-Long-Name-Of-Mine"), Value: bytes.Repeat([]byte("v"), 200)},
		{Name: []byte("Content-Type"), Value: nil, ID: message.ContentType},
		{Name: []byte("Set-Cookie"), Value: []byte("a=b"), ID: message.SetCookie},
	}
	for status := 100; status < 600; status++ {
		out := wire.AppendResponse([]byte("before"), status, fields)[6:]
		kind, k, _ := quicvarint.Parse(out)
		size, m, err := quicvarint.Parse(out[k:])
		if kind != 1 || err != nil || int(size) != len(out)-k-m {
			t.Fatalf("frame %d of %d octets (%v), %d there", kind, size, err, len(out)-k-m)
		}
		want := fmt.Sprintf(":status: %d\ndate: Sat, 21 Nov 2026 11:00:00 GMT\nx-long-name-of-mine: %s\ncontent-type: \nset-cookie: a=b\n", status, strings.Repeat("v", 200))
		if got := theirs(out[k+m:]); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	for id := range message.FieldSet(64) {
		f := message.Field{Name: []byte("x"), Value: []byte("1"), ID: message.FieldID(id)}
		out := wire.AppendResponse(nil, 200, []message.Field{f})
		if got := theirs(out[5:]); strings.Contains(got, "\nx: ") {
			continue
		} else if name, _, _ := strings.Cut(strings.TrimPrefix(got, ":status: 200\n"), ":"); name != "" && message.Classify([]byte(name)) != f.ID {
			t.Errorf("field %d goes out as %q", id, name)
		}
	}
}

func TestVarints(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 16383, 16384, 1<<30 - 1, 1 << 30, 1<<62 - 1} {
		b := wire.AppendVarint(nil, v)
		if got, n := wire.Varint(b); got != v || n != len(b) || n != quicvarint.Len(v) {
			t.Errorf("%d: got %d in %d octets", v, got, n)
		}
		if _, n := wire.Varint(b[:len(b)-1]); n != 0 {
			t.Errorf("%d cut short: got %d octets", v, n)
		}
	}
}

// TestH204QPACKBomb is what H2-04 asks, for QPACK: an octet on the wire becomes a long line, again and again. What is decoded
// costs no memory beyond the wire's, and the head's limit ends it.
func TestH204QPACKBomb(t *testing.T) {
	bomb := append([]byte{0, 0}, bytes.Repeat([]byte{0xff, 22}, 16_000)...) // content-security-policy
	var a message.Assembler
	var h message.Head
	l := message.HeadLimits{Line: 8 << 10, Head: 32 << 10, Fields: 100}
	lines := 0
	var s wire.Section
	decode := func() {
		lines = 0
		a.Begin(&h, 3, &l)
		for s.Begin(bomb); !a.Failed(); lines++ {
			f, done, _ := s.Next()
			if done {
				t.Fatal("to its end")
			}
			a.Known(f.Name, f.Value, f.ID)
		}
	}
	decode()
	if n := testing.AllocsPerRun(10, decode); n != 0 || lines > 101 {
		t.Errorf("got %v allocations and %d lines, want 0 and 101 at most", n, lines)
	}
}
