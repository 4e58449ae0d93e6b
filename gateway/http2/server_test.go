// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/message"
)

// Each case is what a client sends behind its preface and SETTINGS, what comes of it, and what the machine says to it
// behind its acknowledgement. Unless the case says otherwise, nobody answers.
var sequences = []struct {
	name   string
	in     []byte
	want   string
	said   string
	answer bool // requests are answered as soon as they have ended
}{
	// Section 4: frames.
	{name: "GET", in: get(1), want: "head 0 GET /; end 0"},
	{name: "two streams", in: join(get(1), get(3)), want: "head 0 GET /; end 0; head 1 GET /; end 1"},
	{name: "POST", in: join(post(1, "|content-length: 5"), dataOf(1, flagEndStream, "hello")), want: "head 0 POST / len=5; data 0 hello; end 0"},
	{name: "POST without a length", in: join(post(1, ""), dataOf(1, 0, "hel"), dataOf(1, flagEndStream, "lo")), want: "head 0 POST / chunked; data 0 hello; end 0"},
	{name: "an empty DATA ends", in: join(post(1, ""), dataOf(1, 0, "hello"), dataOf(1, flagEndStream, "")), want: "head 0 POST / chunked; data 0 hello; end 0"},
	{
		name: "interleaved bodies", in: join(post(1, ""), post(3, ""), dataOf(1, 0, "a"), dataOf(3, 0, "b"), dataOf(1, flagEndStream, "c"), dataOf(3, flagEndStream, "d")),
		want: "head 0 POST / chunked; head 1 POST / chunked; data 0 a; data 1 b; data 0 c; end 0; data 1 d; end 1",
	},
	{name: "unknown frames are passed over", in: join(frameOf(0xbe, 0xff, 7, []byte("anything")...), get(1), frameOf(0xff, 0, 0)), want: "head 0 GET /; end 0"},
	{name: "undefined flags are ignored", in: join(frameOf(typePing, 0xfe, 0, []byte("12345678")...), headers(1, flagEndStream|0x40, getLines)), want: "head 0 GET /; end 0", said: "ping ack=true 3132333435363738"},
	{name: "the reserved bit is ignored", in: headers(1<<31|1, flagEndStream, getLines), want: "head 0 GET /; end 0"},
	{name: "frame too large", in: appendFrame(nil, maxFrame+1, typeData, 0, 1), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{
		name: "padding", in: join(frameOf(typeHeaders, flagEndHeaders|flagPadded, 1, join([]byte{3}, block(postLines), []byte("xxx"))...), frameOf(typeData, flagPadded|flagEndStream, 1, 2, 'h', 'i', 0, 0)),
		want: "head 0 POST / chunked; data 0 hi; end 0",
	},
	{name: "nothing but padding", in: join(post(1, ""), frameOf(typeData, flagPadded, 1, 2, 0, 0), frameOf(typeData, flagPadded|flagEndStream, 1, 0)), want: "head 0 POST / chunked; end 0"},
	{name: "padding as long as the frame", in: join(post(1, ""), frameOf(typeData, flagPadded, 1, 4, 'h', 'i', 0)), want: "head 0 POST / chunked; fail h2-padding", said: "goaway 1 PROTOCOL_ERROR"},
	{name: "padding longer than the frame", in: join(post(1, ""), frameOf(typeData, flagPadded, 1, 255)), want: "head 0 POST / chunked; fail h2-padding", said: "goaway 1 PROTOCOL_ERROR"},
	{name: "padding longer than the head", in: frameOf(typeHeaders, flagEndHeaders|flagPadded, 1, 9, 0x82), want: "fail h2-padding", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "padded DATA without a length of padding", in: join(post(1, ""), frameOf(typeData, flagPadded, 1)), want: "head 0 POST / chunked; fail h2-frame-size", said: "goaway 1 FRAME_SIZE_ERROR"},
	{name: "padded HEADERS without a length of padding", in: frameOf(typeHeaders, flagPadded, 1), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "HEADERS too short for its priority", in: frameOf(typeHeaders, flagPriority|flagEndHeaders, 1, 0, 0, 0), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},

	// Section 4.3: header blocks.
	{
		name: "a head in pieces", in: join(frameOf(typeHeaders, flagEndStream, 1, block(getLines)[:7]...), frameOf(typeContinuation, 0, 1), frameOf(typeContinuation, 0, 1, block(getLines)[7:20]...), frameOf(typeContinuation, flagEndHeaders, 1, block(getLines)[20:]...)),
		want: "head 0 GET /; end 0",
	},
	{name: "DATA between the pieces", in: join(frameOf(typeHeaders, 0, 1, block(postLines)...), dataOf(1, 0, "x")), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "CONTINUATION of another stream", in: join(frameOf(typeHeaders, 0, 1, block(postLines)...), frameOf(typeContinuation, flagEndHeaders, 3)), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "PING between the pieces", in: join(frameOf(typeHeaders, 0, 1, block(postLines)...), frameOf(typePing, 0, 0, []byte("12345678")...)), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "an unknown frame between the pieces", in: join(frameOf(typeHeaders, 0, 1, block(postLines)...), frameOf(0x42, 0, 1)), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "HEADERS between the pieces", in: join(frameOf(typeHeaders, 0, 1, block(postLines)...), get(3)), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "CONTINUATION of nothing", in: frameOf(typeContinuation, flagEndHeaders, 1, block(getLines)...), want: "fail h2-frame-order", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "CONTINUATION behind the end of a head", in: join(post(1, ""), frameOf(typeContinuation, flagEndHeaders, 1)), want: "head 0 POST / chunked; fail h2-frame-order", said: "goaway 1 PROTOCOL_ERROR"},
	{name: "no encoding of anything", in: frameOf(typeHeaders, flagEndHeaders|flagEndStream, 1, 0x80), want: "fail h2-compression", said: "goaway 1 COMPRESSION_ERROR"},
	{name: "no encoding of anything on a stream that is over", in: join(get(1), reset(1), frameOf(typeHeaders, flagEndHeaders, 1, 0x80)), want: "head 0 GET /; end 0; reset 0; fail h2-compression", said: "goaway 1 COMPRESSION_ERROR"},

	// Section 5.1: states of streams.
	{name: "DATA on an idle stream", in: dataOf(1, 0, "x"), want: "fail h2-idle-stream", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "RST_STREAM on an idle stream", in: reset(1), want: "fail h2-idle-stream", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "WINDOW_UPDATE on an idle stream", in: windowUpdate(1, 100), want: "fail h2-idle-stream", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "WINDOW_UPDATE on a stream of ours", in: join(get(3), windowUpdate(2, 100)), want: "head 0 GET /; end 0; fail h2-idle-stream", said: "goaway 3 PROTOCOL_ERROR"},
	{name: "PRIORITY on an idle stream", in: join(priority(5, 3), get(1)), want: "head 0 GET /; end 0"},
	{name: "DATA behind the end", in: join(get(1), dataOf(1, 0, "x")), want: "head 0 GET /; end 0; broken 0 h2-stream-closed", said: "reset 1 STREAM_CLOSED"},
	{name: "HEADERS behind the end", in: join(get(1), get(1)), want: "head 0 GET /; end 0; broken 0 h2-stream-closed", said: "reset 1 STREAM_CLOSED"},
	{name: "DATA behind our reset is ignored", in: join(get(1), dataOf(1, 0, "x"), dataOf(1, 0, "y"), dataOf(1, flagEndStream, "")), want: "head 0 GET /; end 0; broken 0 h2-stream-closed", said: "reset 1 STREAM_CLOSED"},
	{name: "RST_STREAM", in: join(get(1), reset(1)), want: "head 0 GET /; end 0; reset 0"},
	{name: "RST_STREAM twice", in: join(get(1), reset(1), reset(1)), want: "head 0 GET /; end 0; reset 0"},
	{name: "RST_STREAM in a body", in: join(post(1, ""), dataOf(1, 0, "x"), reset(1)), want: "head 0 POST / chunked; data 0 x; reset 0"},
	{name: "DATA behind the client's own reset", in: join(post(1, ""), reset(1), dataOf(1, 0, "x")), want: "head 0 POST / chunked; reset 0", said: "reset 1 STREAM_CLOSED"},
	{name: "HEADERS behind the client's own reset", in: join(post(1, ""), reset(1), get(1)), want: "head 0 POST / chunked; reset 0", said: "reset 1 STREAM_CLOSED"},
	{name: "WINDOW_UPDATE and PRIORITY behind a reset", in: join(post(1, ""), reset(1), windowUpdate(1, 1), priority(1, 3)), want: "head 0 POST / chunked; reset 0"},
	{name: "DATA when both sides have ended", answer: true, in: join(get(1), dataOf(1, 0, "x")), want: "head 0 GET /; end 0; fail h2-stream-closed", said: "headers 1 end=true; goaway 1 STREAM_CLOSED"},
	{name: "HEADERS when both sides have ended", answer: true, in: join(get(1), get(1)), want: "head 0 GET /; end 0; fail h2-stream-closed", said: "headers 1 end=true; goaway 1 STREAM_CLOSED"},
	{name: "what may come when both sides have ended", answer: true, in: join(get(1), windowUpdate(1, 1), reset(1), priority(1, 3), get(3)), want: "head 0 GET /; end 0; head 0 GET /; end 0", said: "headers 1 end=true; headers 3 end=true"},

	// Section 5.1.1: identifiers.
	{name: "an even identifier", in: get(2), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "a lower identifier", in: join(get(5), get(3)), want: "head 0 GET /; end 0; fail h2-stream-id", said: "goaway 5 PROTOCOL_ERROR"},
	{name: "the highest identifier", in: join(get(1<<31-1), get(1)), want: "head 0 GET /; end 0; fail h2-stream-id", said: "goaway 2147483647 PROTOCOL_ERROR"},
	{name: "stream 0", in: headers(0, flagEndStream, getLines), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "DATA on stream 0", in: dataOf(0, 0, "x"), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "RST_STREAM on stream 0", in: reset(0), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "PRIORITY on stream 0", in: priority(0, 1), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},

	// Sections 6.1 and 8.1.1: bodies.
	{name: "body longer than its length", in: join(post(1, "|content-length: 3"), dataOf(1, 0, "hell")), want: "head 0 POST / len=3; broken 0 length-mismatch", said: "reset 1 PROTOCOL_ERROR"},
	{name: "bodies longer than their length", in: join(post(1, "|content-length: 3"), dataOf(1, 0, "he"), dataOf(1, 0, "ll")), want: "head 0 POST / len=3; data 0 he; broken 0 length-mismatch", said: "reset 1 PROTOCOL_ERROR"},
	{name: "body shorter than its length", in: join(post(1, "|content-length: 3"), dataOf(1, flagEndStream, "he")), want: "head 0 POST / len=3; data 0 he; broken 0 length-mismatch", said: "reset 1 PROTOCOL_ERROR"},
	{name: "no body of some length", in: join(post(1, "|content-length: 3"), dataOf(1, flagEndStream, "")), want: "head 0 POST / len=3; broken 0 length-mismatch", said: "reset 1 PROTOCOL_ERROR"},
	{name: "trailers end a body too early", in: join(post(1, "|content-length: 3"), headers(1, flagEndStream, "x: y")), want: "head 0 POST / len=3; broken 0 length-mismatch", said: "reset 1 PROTOCOL_ERROR"},
	{name: "length 0, ended by DATA", in: join(post(1, "|content-length: 0"), dataOf(1, flagEndStream, "")), want: "head 0 POST / len=0; end 0"},
	{name: "trailers", in: join(post(1, ""), dataOf(1, 0, "x"), headers(1, flagEndStream, "x-checksum: abc")), want: "head 0 POST / chunked; data 0 x; end 0"},
	{name: "trailers that do not end", in: join(post(1, ""), headers(1, 0, "x: y")), want: "head 0 POST / chunked; broken 0 h2-trailers-open", said: "reset 1 PROTOCOL_ERROR"},
	{name: "pseudo-field in trailers", in: join(post(1, ""), headers(1, flagEndStream, ":path: /")), want: "head 0 POST / chunked; broken 0 pseudo-order", said: "reset 1 PROTOCOL_ERROR"},
	{name: "too many trailers", in: join(post(1, ""), headers(1, flagEndStream, "x: y"+strings.Repeat("|x: y", 10))), want: "head 0 POST / chunked; broken 0 too-many-fields"},

	// Sections 6.3 to 6.9: the other frames.
	{name: "PRIORITY of another length", in: join(get(1), frameOf(typePriority, 0, 1, 0)), want: "head 0 GET /; end 0; broken 0 h2-frame-size", said: "reset 1 FRAME_SIZE_ERROR"},
	{name: "PRIORITY of another length on an idle stream", in: frameOf(typePriority, 0, 1, 0), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "PRIORITY on itself", in: join(get(1), priority(1, 1)), want: "head 0 GET /; end 0; broken 0 h2-self-dependency", said: "reset 1 PROTOCOL_ERROR"},
	{name: "HEADERS that depend on themselves", in: frameOf(typeHeaders, flagPriority|flagEndHeaders|flagEndStream, 1, join(u32(1<<31|1), []byte{9}, block(getLines))...), want: "refused 0 h2-self-dependency", said: "reset 1 PROTOCOL_ERROR"},
	{name: "HEADERS that depend on others", in: frameOf(typeHeaders, flagPriority|flagEndHeaders|flagEndStream, 1, join(u32(3), []byte{9}, block(getLines))...), want: "head 0 GET /; end 0"},
	{name: "RST_STREAM of another length", in: join(get(1), frameOf(typeReset, 0, 1, 0)), want: "head 0 GET /; end 0; fail h2-frame-size", said: "goaway 1 FRAME_SIZE_ERROR"},
	{name: "SETTINGS of another length", in: frameOf(typeSettings, 0, 0, 1, 2, 3), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "acknowledgement with settings", in: frameOf(typeSettings, flagAck, 0, 0, 3, 0, 0, 0, 1), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "SETTINGS on a stream", in: frameOf(typeSettings, 0, 1), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "push neither on nor off", in: setting(settingPush, 2), want: "fail h2-settings", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "initial window too large", in: setting(settingInitialWindow, 1<<31), want: "fail h2-settings", said: "goaway 0 FLOW_CONTROL_ERROR"},
	{name: "frames too small", in: setting(settingMaxFrame, maxFrame-1), want: "fail h2-settings", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "frames too large", in: setting(settingMaxFrame, 1<<24), want: "fail h2-settings", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "settings of no meaning", in: setting(0xbeef, 1, settingTableSize, 1<<32-1, settingMaxConcurrentStreams, 0, settingMaxHeaderListSize, 0), want: "", said: "settings ack"},
	{name: "PUSH_PROMISE", in: frameOf(typePushPromise, flagEndHeaders, 1, 0, 0, 0, 2), want: "fail h2-push", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "PING", in: frameOf(typePing, 0, 0, []byte("12345678")...), said: "ping ack=true 3132333435363738"},
	{name: "PING that answers", in: frameOf(typePing, flagAck, 0, []byte("12345678")...)},
	{name: "PING of another length", in: frameOf(typePing, 0, 0, []byte("1234567")...), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "PING on a stream", in: frameOf(typePing, 0, 1, []byte("12345678")...), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "GOAWAY", in: join(get(1), frameOf(typeGoAway, 0, 0, join(u32(0), u32(0), []byte("bye"))...), get(3)), want: "head 0 GET /; end 0; head 1 GET /; end 1"},
	{name: "GOAWAY on a stream", in: frameOf(typeGoAway, 0, 1, make([]byte, 8)...), want: "fail h2-stream-id", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "GOAWAY too short", in: frameOf(typeGoAway, 0, 0, 0), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "WINDOW_UPDATE of another length", in: frameOf(typeWindowUpdate, 0, 0, 0, 0, 1), want: "fail h2-frame-size", said: "goaway 0 FRAME_SIZE_ERROR"},
	{name: "WINDOW_UPDATE of nothing", in: windowUpdate(0, 0), want: "fail h2-zero-increment", said: "goaway 0 PROTOCOL_ERROR"},
	{name: "WINDOW_UPDATE of nothing on a stream", in: join(get(1), windowUpdate(1, 0)), want: "head 0 GET /; end 0; broken 0 h2-zero-increment", said: "reset 1 PROTOCOL_ERROR"},
	{name: "window above its largest", in: windowUpdate(0, 1<<31-1), want: "fail h2-window-overflow", said: "goaway 0 FLOW_CONTROL_ERROR"},
	{name: "a stream's window above its largest", in: join(get(1), windowUpdate(1, 1<<31-1)), want: "head 0 GET /; end 0; broken 0 h2-window-overflow", said: "reset 1 FLOW_CONTROL_ERROR"},
	{name: "window at its largest", in: join(get(1), windowUpdate(1, 1<<31-1-65535), windowUpdate(0, 1<<31-1-65535)), want: "head 0 GET /; end 0"},
	{name: "SETTINGS that make a window too large", in: join(get(1), windowUpdate(1, 1000), setting(settingInitialWindow, 1<<31-1)), want: "head 0 GET /; end 0; fail h2-window-overflow", said: "settings ack; goaway 1 FLOW_CONTROL_ERROR"},

	// Section 8: what heads are made of is message.Assembler's; here is what follows from it.
	{name: "malformed", in: headers(1, flagEndStream, getLines+"|connection: close"), want: "refused 0 connection-field", said: "reset 1 PROTOCOL_ERROR"},
	{name: "the stream behind it", in: join(headers(1, flagEndStream, getLines+"|X: y"), get(3)), want: "refused 0 upper-case-name; head 1 GET /; end 1", said: "reset 1 PROTOCOL_ERROR"},
	{name: "malformed, with a body", in: join(headers(1, 0, postLines+"|X: y"), dataOf(1, flagEndStream, "GET /hidden")), want: "refused 0 upper-case-name", said: "reset 1 PROTOCOL_ERROR"},
	{name: "refused, with a body", in: join(headers(1, 0, postLines+"|expect: cake"), dataOf(1, 0, "GET /hidden"), dataOf(1, flagEndStream, "x")), want: "refused 0 expectation"},
	{name: "refused, with less than its length", in: join(headers(1, 0, postLines+"|expect: cake|content-length: 9"), dataOf(1, flagEndStream, "x"), headers(3, 0, postLines+"|expect: cake|content-length: 9"), headers(3, flagEndStream, "x: y")), want: "refused 0 expectation; refused 1 expectation"},
	{name: "refused, with trailers", in: join(headers(1, 0, postLines+"|expect: cake"), headers(1, flagEndStream, "x: y")), want: "refused 0 expectation"},
	{name: "body over its limit", in: post(1, "|content-length: 1048577"), want: "refused 0 body-too-large"},
	{name: "head over its limit", in: headers(1, flagEndStream, getLines+"|x: "+strings.Repeat("y", 1000)), want: "refused 0 head-too-large"},
}

func (d *driver) play(pieces [][]byte, answer bool) (events, said string) {
	d.t.Helper()
	if answer {
		d.on = func(d *driver, ev Event, st Stream, _ []byte) {
			if ev == End {
				d.answer(st, "")
			}
		}
	}
	d.feed(greeting())
	if got := d.said(); got != "settings ack" {
		d.t.Fatalf("to the greeting: %q", got)
	}
	for _, p := range pieces {
		d.feed(p)
	}
	d.flush()
	return strings.Join(d.events, "; "), d.said()
}

// Every case in every cut: the verdict may not depend on the segments in which the octets happen to arrive.
func TestFramesInAnyPieces(t *testing.T) {
	t.Parallel()
	for _, c := range sequences {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range cuts(c.in) {
				events, said := newDriver(t, testLimits()).play(pieces, c.answer)
				if events != c.want || said != c.said {
					t.Fatalf("%d pieces, first of %d octets:\n got %q, said %q\nwant %q, said %q", len(pieces), len(pieces[0]), events, said, c.want, c.said)
				}
			}
		})
	}
}

// Whatever a stream was refused for, its place is free after Done, and its end is told to the client.
func TestDoneEndsWhatIsOpen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   []byte
		act  func(d *driver)
		said string
	}{
		{"answered before the request has ended", post(1, ""), func(d *driver) { d.answer(0, "early") }, "headers 1 end=false; data 1 5 end=true; reset 1 NO_ERROR"},
		{"not answered", get(1), func(d *driver) { d.done(0) }, "reset 1 INTERNAL_ERROR"},
		{"answered by half", get(1), func(d *driver) {
			d.out = d.m.AppendHead(d.out, 0, 200, nil, false)
			d.out, _ = d.m.AppendData(d.out, 0, []byte("half"), false)
			d.done(0)
		}, "headers 1 end=false; data 1 4 end=false; reset 1 INTERNAL_ERROR"},
		{"reset by us", get(1), func(d *driver) {
			d.m.Reset(0, Cancel)
			d.answer(0, "nobody reads this")
		}, "reset 1 CANCEL"},
		{"reset by the client", join(get(1), reset(1)), func(d *driver) { d.answer(0, "nobody reads this") }, ""},
		{"an interim answer", get(1), func(d *driver) {
			d.out = d.m.AppendHead(d.out, 0, 100, nil, false)
			d.answer(0, "x")
		}, "headers 1 end=false; headers 1 end=false; data 1 1 end=true"},
		{"an empty end", get(1), func(d *driver) {
			d.out = d.m.AppendHead(d.out, 0, 200, nil, false)
			d.out, _ = d.m.AppendData(d.out, 0, nil, true)
			d.done(0)
		}, "headers 1 end=false; data 1 0 end=true"},
	} {
		d := newDriver(t, testLimits())
		d.play([][]byte{c.in}, false)
		c.act(d)
		if got := d.said(); got != c.said || d.m.Live() != 0 {
			t.Errorf("%s: said %q, want %q; %d live", c.name, got, c.said, d.m.Live())
		}
		d.events = nil
		d.feed(get(3))
		if got := strings.Join(d.events, "; "); got != "head 0 GET /; end 0" {
			t.Errorf("%s: then %q", c.name, got)
		}
	}
}

// A stream that is given back in the middle of a frame takes the rest of it along.
func TestTheRestOfAFrameIsNobodys(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.play([][]byte{post(1, ""), dataOf(1, flagEndStream, "hello, world")[:15]}, false)
	d.done(0)
	d.feed(dataOf(1, flagEndStream, "hello, world")[15:])
	d.feed(get(3))
	d.flush()
	if got, want := strings.Join(d.events, "; "), "head 0 POST / chunked; data 0 hello,; head 0 GET /; end 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrefacesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"HTTP/1.1":        "GET / HTTP/1.1\r\n\r\n",
		"another preface": strings.Replace(Preface, "SM", "XX", 1),
		"no SETTINGS":     Preface + string(get(1)),
		"an ack first":    Preface + string(frameOf(typeSettings, flagAck, 0)),
		"no octet of it":  "\x16\x03\x01",
	} {
		for _, pieces := range cuts([]byte(in)) {
			d := newDriver(t, testLimits())
			for _, p := range pieces {
				d.feed(p)
			}
			if got := strings.Join(d.events, "; "); !strings.HasPrefix(got, "fail h2-") || !strings.Contains(d.said(), "PROTOCOL_ERROR") {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

// The server's preface says what is allowed, and nothing that it does not mean.
func TestServerPreface(t *testing.T) {
	t.Parallel()
	var m Server
	l := testLimits()
	m.Init(l)
	f := xhttp2.NewFramer(nil, bytes.NewReader(m.AppendPreface(nil)))
	fr, err := f.ReadFrame()
	s, ok := fr.(*xhttp2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("%v %v", fr, err)
	}
	got := ""
	_ = s.ForeachSetting(func(x xhttp2.Setting) error {
		got += fmt.Sprintf("%d=%d ", x.ID, x.Val)
		return nil
	})
	if want := "3=100 6=1000 9=1 "; got != want {
		t.Errorf("settings %q, want %q", got, want)
	}
	if fr, err = f.ReadFrame(); err != nil || fr.(*xhttp2.WindowUpdateFrame).Increment != uint32(l.Window-65535) {
		t.Errorf("%v %v", fr, err)
	}
}

// The client's window is opened as the octets are taken, and only then: a backend that takes nothing stops the client.
func TestTheWindowOpensAsOctetsAreConsumed(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.Window = 1 << 17
	l.Body = 0
	d := newDriver(t, l)
	d.play([][]byte{post(1, "")}, false)
	full := strings.Repeat("x", maxFrame)
	for range 3 {
		d.feed(dataOf(1, 0, full))
	}
	d.feed(dataOf(1, 0, full[:maxFrame-1])) // the window is shut now
	if got := d.said(); got != "" {
		t.Errorf("the window was opened although nothing was consumed: %q", got)
	}
	d.m.Consumed(0, 30_000)
	if got := d.said(); got != "" {
		t.Errorf("less than half: %q", got)
	}
	d.m.Consumed(0, 3_000)
	if got := d.said(); got != "window 0 +33000; window 1 +33000" {
		t.Errorf("more than half: %q", got)
	}
	d.feed(dataOf(1, 0, full))
	d.feed(dataOf(1, 0, full))
	d.feed(dataOf(1, 0, full[:233])) // 33001 octets: one too many
	d.flush()
	if got := d.events[len(d.events)-1]; got != "broken 0 h2-window-exceeded" {
		t.Errorf("beyond the window: %q", got)
	}
	if got := d.said(); !strings.Contains(got, "reset 1 FLOW_CONTROL_ERROR") {
		t.Errorf("said %q", got)
	}
	d.done(0)
	d.invariants() // what was not consumed has been given back
}

// The connection's window bounds all streams together.
func TestTheConnectionsWindowBoundsAllStreams(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.Window = 1 << 17
	d := newDriver(t, l)
	d.play(nil, false)
	full := strings.Repeat("x", maxFrame)
	for id := uint32(1); id <= 5; id += 2 {
		d.feed(post(id, ""))
		for range 3 {
			if d.feed(dataOf(id, 0, full)); d.m.failed {
				break
			}
		}
	}
	d.flush()
	if got := d.events[len(d.events)-1]; got != "fail h2-window-exceeded" {
		t.Errorf("%q", got)
	}
	if got := d.said(); got != "goaway 5 FLOW_CONTROL_ERROR" {
		t.Errorf("said %q", got)
	}
}

func TestAnswersStayWithinTheWindows(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	body := bytes.Repeat([]byte("y"), 100_000)
	d.play([][]byte{setting(settingInitialWindow, 20_000), get(1), get(3)}, false)
	d.events = nil
	d.out = d.m.AppendHead(d.out, 0, 200, nil, false)
	var n int
	if d.out, n = d.m.AppendData(d.out, 0, body, true); n != 20_000 || d.m.Room(0) != 0 {
		t.Errorf("%d octets in a window of 20000; room for %d", n, d.m.Room(0))
	}
	if got, want := d.said(), "headers 1 end=false; data 1 16384 end=false; data 1 3616 end=false"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	d.feed(setting(settingInitialWindow, 15_000)) // below zero: -5000
	d.feed(windowUpdate(1, 5_000))
	if got := strings.Join(d.events, "; "); got != "" || d.m.Room(0) != 0 {
		t.Errorf("a window of 0 made %q, room for %d", got, d.m.Room(0))
	}
	d.feed(windowUpdate(1, 1))
	if got := strings.Join(d.events, "; "); got != "writable 0" || d.m.Room(0) != 1 {
		t.Errorf("%q, room for %d", got, d.m.Room(0))
	}
	d.events = nil
	d.feed(setting(settingInitialWindow, 70_000))
	if got := strings.Join(d.events, "; "); got != "writable -1" || d.m.Room(0) != 45535 {
		t.Errorf("%q, room for %d, want what the connection has left", got, d.m.Room(0))
	}
	if d.out, n = d.m.AppendData(d.out, 0, body[20_000:], true); n != 45535 {
		t.Errorf("%d octets in the connection's window of 45535", n)
	}
	d.said()
	d.events = nil
	d.feed(windowUpdate(0, 100_000))
	if got := strings.Join(d.events, "; "); got != "writable -1" {
		t.Errorf("%q", got)
	}
	if d.out, n = d.m.AppendData(d.out, 0, body[65535:], true); n != 9466 || d.m.Room(0) != 0 {
		t.Errorf("%d octets, room for %d", n, d.m.Room(0))
	}
	d.feed(windowUpdate(1, 1<<20))
	d.said()
	if d.out, n = d.m.AppendData(d.out, 0, body[75001:], true); n != 24999 || d.m.Open(0) {
		t.Errorf("%d octets, open %v", n, d.m.Open(0))
	}
	if got, want := d.said(), "data 1 16384 end=false; data 1 8615 end=true"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// What the machine has to say comes before what is appended: a client must know that its settings count before it sees
// frames that follow from them.
func TestControlFramesComeFirst(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.play([][]byte{get(1), setting(settingInitialWindow, 100_000)}, false)
	d = newDriver(t, testLimits())
	d.feed(append(greeting(), get(1)...))
	d.feed(frameOf(typePing, 0, 0, []byte("12345678")...))
	d.answer(0, "x")
	if got, want := d.said(), "settings ack; ping ack=true 3132333435363738; headers 1 end=false; data 1 1 end=true"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestHeadsOfAnswers(t *testing.T) {
	t.Parallel()
	field := func(name, value string) message.Field {
		return message.Field{Name: []byte(name), Value: []byte(value), ID: message.Classify([]byte(name))}
	}
	fields := []message.Field{
		field("Content-Type", "text/html"), field("Connection", "close"), field("Transfer-Encoding", "chunked"), field("Keep-Alive", "5"), field("Upgrade", "h2c"),
		field("Proxy-Connection", "x"), field("Set-Cookie", "a=b"), field("ETag", `"x"`), field("X-Own", "1"), field("Location", "/a"),
	}
	d := newDriver(t, testLimits())
	d.play([][]byte{get(1), setting(settingTableSize, 0, settingTableSize, 4096)}, false)
	d.said()
	for i, want := range []string{
		":status: 404, content-type: text/html, set-cookie: a=b!, etag: \"x\", x-own: 1, location: /a",
		":status: 302, content-type: text/html, set-cookie: a=b!, etag: \"x\", x-own: 1, location: /a",
	} {
		status := []int{404, 302}[i]
		d.feed(get(uint32(3 + 2*i)))
		out := d.m.AppendHead(nil, Stream(i+1), status, fields, true)
		if update := out[headerLen] == sizeZero; update != (i == 0) {
			t.Errorf("head %d begins with an update of the table's size: %v", i, update)
		}
		got, err := hpack.NewDecoder(4096, nil).DecodeFull(out[headerLen:])
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range got {
			line := f.Name + ": " + f.Value
			if f.Sensitive {
				line += "!"
			}
			lines = append(lines, line)
		}
		if text := strings.Join(lines, ", "); text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// A head that is longer than a frame goes out in several.
func TestLongHeadsOfAnswersAreCut(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, maxFrame - 20, maxFrame, 3 * maxFrame, 100_000} {
		d := newDriver(t, testLimits())
		d.play([][]byte{get(1)}, false)
		value := strings.Repeat("v", size)
		d.out = d.m.AppendHead(nil, 0, 200, []message.Field{{Name: []byte("x"), Value: []byte(value)}}, true)
		f := xhttp2.NewFramer(nil, bytes.NewReader(d.out))
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.MaxHeaderListSize = 1 << 20
		fr, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		h := fr.(*xhttp2.MetaHeadersFrame)
		if !h.StreamEnded() || h.RegularFields()[0].Value != value {
			t.Errorf("%d octets: %v", size, h)
		}
	}
}

func TestGoAwayTwice(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.play([][]byte{get(1)}, false)
	d.m.GoAway(false, NoError)
	d.feed(get(3)) // was on its way
	d.m.GoAway(true, NoError)
	d.m.GoAway(true, NoError)
	d.feed(join(get(5), post(7, ""), dataOf(7, flagEndStream, "x"))) // comes too late, and is asked for again elsewhere
	d.answer(0, "a")
	d.answer(1, "b")
	if got, want := strings.Join(d.events, "; "), "head 0 GET /; end 0; head 1 GET /; end 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := d.said(), "goaway 2147483647 NO_ERROR; goaway 3 NO_ERROR; headers 1 end=false; data 1 1 end=true; headers 3 end=false; data 3 1 end=true"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestIdleConnectionsAreSmall(t *testing.T) {
	t.Parallel()
	d := newDriver(t, testLimits())
	d.play(nil, false)
	for i := range uint32(100) {
		d.feed(get(2*i + 1))
	}
	for st := range Stream(100) {
		d.answer(st, "x")
	}
	d.said()
	if !d.m.Idle() || d.m.streams.all != nil || cap(d.m.control) > keepControl || d.m.decoder.table != nil {
		t.Errorf("idle %v, %d places, %d octets of control, a table %v", d.m.Idle(), cap(d.m.streams.all), cap(d.m.control), d.m.decoder.table != nil)
	}
	if n := sizeOf[Server](); n > 640 {
		t.Errorf("Server: %d octets, want at most 640", n)
	}
	if n := sizeOf[dynamicTable](); n > 6<<10 {
		t.Errorf("dynamicTable: %d octets, want at most 6 KiB", n)
	}
}

func TestEventsAndCausesHaveNames(t *testing.T) {
	t.Parallel()
	for e := More; e <= Failed; e++ {
		if e.String() == "" || e.String() == "Event?" {
			t.Errorf("event %d has no name", e)
		}
	}
	if Event(99).String() != "Event?" {
		t.Error("an event that is none has a name")
	}
	for _, c := range Causes() {
		if c == "" {
			t.Error("a cause has no text")
		}
	}
	for a := NotAbused; a < Abuses; a++ {
		if a.String() == "" {
			t.Errorf("abuse %d has no name", a)
		}
	}
}
