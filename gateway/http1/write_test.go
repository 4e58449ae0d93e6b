// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

func fields(pairs ...string) []message.Field {
	var f []message.Field
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, message.Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1]), ID: message.Classify([]byte(pairs[i]))})
	}
	return f
}

func TestAppendRequest(t *testing.T) {
	t.Parallel()
	h := message.Head{Method: message.GET, Fields: fields("Host", "amt.example", "X", "")}
	want := "kept GET /a?b HTTP/1.1\r\nHost: amt.example\r\nX: \r\n\r\n"
	if got := string(AppendRequest([]byte("kept "), &h, []byte("/a?b"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.MethodText = []byte("REPORT")
	if got := string(AppendRequest(nil, &h, []byte("*"))); !strings.HasPrefix(got, "REPORT * HTTP/1.1\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestAppendResponse(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
		431: "HTTP/1.1 431 Request Header Fields Too Large\r\nA: b\r\n\r\n",
		505: "HTTP/1.1 505 HTTP Version Not Supported\r\nA: b\r\n\r\n",
		599: "HTTP/1.1 599 \r\nA: b\r\n\r\n",
		218: "HTTP/1.1 218 \r\nA: b\r\n\r\n",
	} {
		if got := string(AppendResponse(nil, status, fields("A", "b"))); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
	for _, status := range []int{-1, 0, 99, 600, 1000} {
		if got := Reason(status); got != "" {
			t.Errorf("%d: got %q, want no reason", status, got)
		}
	}
}

func TestAppendChunk(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65536} {
		data := strings.Repeat("x", n)
		if got, want := string(AppendChunk(nil, []byte(data))), fmt.Sprintf("%x\r\n%s\r\n", n, data); got != want {
			t.Errorf("%d octets: got %.20q…, want %.20q…", n, got, want)
		}
	}
	if got := AppendChunk([]byte("a"), nil); string(got) != "a" {
		t.Errorf("no data: got %q; an empty chunk ends the body", got)
	}
}

// What our writer writes, our reader reads as it was meant.
func TestWrittenHeadsAreRead(t *testing.T) {
	t.Parallel()
	h := message.Head{Method: message.POST, Fields: fields("Host", "amt.example", "A", "b\tc", "Transfer-Encoding", "chunked")}
	b := AppendRequest(nil, &h, []byte("/a"))
	b = AppendChunk(b, []byte("hello"))
	b = append(b, LastChunk...)
	if got, want := transcript(newServer(testLimits()), b), "POST /a amt.example 1.1 chunked {A: b\tc}; data hello; end"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for status := 200; status < 600; status++ {
		if status == 204 || status == 304 {
			continue
		}
		b := append(AppendResponse(nil, status, fields("Content-Length", "1")), 'x')
		if got, want := transcript(newClient(testLimits(), false, false), b), fmt.Sprintf("%d 1.1 len=1; data x; end; reusable", status); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWritersDoNotAllocate(t *testing.T) {
	h := message.Head{Method: message.GET, Fields: fields("Host", "amt.example", "A", "b")}
	buf := make([]byte, 0, 1024)
	target, data := []byte("/a"), []byte("hello")
	if n := testing.AllocsPerRun(100, func() {
		AppendRequest(buf, &h, target)
		AppendResponse(buf, 200, h.Fields)
		AppendChunk(buf, data)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestFieldsWrittenFromWhereTheyStandAreTheSame(t *testing.T) {
	t.Parallel()
	head := "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC:d\r\nE:  f\r\nG: h \r\nI: \tj\r\nK:\r\nL: m: n\r\n\r\n"
	var s Server
	limits := DefaultLimits()
	s.Init(&limits)
	var h message.Head
	if n, ev, _ := s.Feed([]byte(head), &h); n == 0 || ev != HeadDone {
		t.Fatalf("fed %d, event %v", n, ev)
	}
	asTheyAre := 0
	for i := range h.Fields {
		if f := &h.Fields[i]; asReceived(f) != nil {
			asTheyAre++
			if got, want := string(asReceived(f)), string(f.Name)+": "+string(f.Value)+"\r\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if asTheyAre != 3 { // Host, A, L
		t.Errorf("%d fields written from where they stand, want 3", asTheyAre)
	}
	h.Fields[1].Value = []byte("other") // what is changed stands elsewhere
	h.Fields[2].Value = h.Fields[2].Value[:0]
	want := "GET / HTTP/1.1\r\nHost: a\r\nA: other\r\nC: \r\nE: f\r\nG: h\r\nI: j\r\nK: \r\nL: m: n\r\n\r\n"
	if got := string(AppendRequest(nil, &h, []byte("/"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
