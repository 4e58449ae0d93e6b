// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	h := message.Head{Method: message.GET, Fields: fields("Host", "amt.example", "X", ""), Own: []byte("Via: 1.1 gw\r\n")}
	want := "kept GET /a?b HTTP/1.1\r\nHost: amt.example\r\nX: \r\nVia: 1.1 gw\r\n\r\n"
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
		if line, n := row(h.Fields[i:i+1], 0); n > 0 {
			asTheyAre++
			if got, want := string(line), string(h.Fields[i].Name)+": "+string(h.Fields[i].Value)+"\r\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if asTheyAre != 3 { // Host, A, L
		t.Errorf("%d fields written from where they stand, want 3", asTheyAre)
	}
	if lines, n := row(h.Fields, 0); string(lines) != "Host: a\r\nA: b\r\n" || n != 2 {
		t.Errorf("%d fields in a row, %q", n, lines)
	}
	h.Fields[1].Value = []byte("other") // what is changed stands elsewhere
	h.Fields[2].Value = h.Fields[2].Value[:0]
	want := "GET / HTTP/1.1\r\nHost: a\r\nA: other\r\nC: \r\nE: f\r\nG: h\r\nI: j\r\nK: \r\nL: m: n\r\n\r\n"
	if got := string(AppendRequest(nil, &h, []byte("/"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever stands where, what is written is what the fields say.
func TestRunsOfFieldsAreWrittenAsTheFieldsSay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	copied := 0
	for range 20_000 {
		all, text := someFields(random)
		var want []byte
		for _, f := range all {
			want = append(append(append(append(want, f.Name...), ": "...), f.Value...), "\r\n"...)
		}
		if len(all) > 0 {
			_, n := row(all, 0)
			copied += n
		}
		before := string(text)
		if got := appendFields([]byte("kept"), all); string(got) != "kept"+string(want) || string(text) != before {
			t.Fatalf("%q of %q: got %q, want %q", lines(all), text, got, want)
		}
	}
	if copied < 1000 {
		t.Errorf("%d fields stood in rows", copied)
	}
}

// someFields returns fields of a text that holds lines: most where they stand, one behind the other, others dropped, changed, in
// another order or twice, of a capacity that ends anywhere.
func someFields(random *rand.Rand) (all []message.Field, text []byte) {
	separators, ends := []string{": ", ": ", ": ", ":", ":\t", " :"}, []string{"\r\n", "\r\n", "\r\n", "\n", " \r\n", ""}
	type span struct{ name, colon, value, end int }
	var spans []span
	for range random.IntN(8) {
		s := span{name: len(text)}
		text = append(text, "Name"[:1+random.IntN(4)]...)
		s.colon = len(text)
		text = append(text, separators[random.IntN(len(separators))]...)
		s.value = len(text)
		text = append(text, "value"[:random.IntN(6)]...)
		s.end = len(text)
		text = append(text, ends[random.IntN(len(ends))]...)
		spans = append(spans, s)
	}
	text = slices.Clip(text)
	for _, s := range spans {
		limit := len(text)
		if random.IntN(8) == 0 {
			limit = s.colon + random.IntN(len(text)-s.colon+1)
		}
		f := message.Field{Name: text[s.name:s.colon:limit], Value: text[s.value:s.end]}
		switch random.IntN(12) {
		case 0:
			continue
		case 1:
			f.Value = []byte("other")
		case 2:
			f.Name = []byte("Other")
		case 3:
			f.Value = f.Value[:len(f.Value)/2]
		case 4:
			all = append(all, f)
		case 5:
			f.Name = f.Name[:0]
		}
		all = append(all, f)
	}
	if n := len(all); n > 1 && random.IntN(4) == 0 {
		i, j := random.IntN(n), random.IntN(n)
		all[i], all[j] = all[j], all[i]
	}
	return all, text
}

func lines(all []message.Field) (out []string) {
	for _, f := range all {
		out = append(out, string(f.Name)+": "+string(f.Value))
	}
	return out
}

// What was received in a row goes out in one piece, what stands between and is not passed on excepted.
func TestARowIsCopiedAtOnce(t *testing.T) {
	t.Parallel()
	row := []byte("A: b\r\nC: d\r\nE: f\r\n")
	of := func(at int) message.Field { return message.Field{Name: row[at : at+1], Value: row[at+3 : at+4]} }
	for _, c := range []struct {
		fields []message.Field
		want   string
	}{
		{[]message.Field{of(0), of(6), of(12)}, "A: b\r\nC: d\r\nE: f\r\n"},
		{[]message.Field{of(0), of(12)}, "A: b\r\nE: f\r\n"},
		{[]message.Field{of(6), of(0), of(12)}, "C: d\r\nA: b\r\nE: f\r\n"},
		{[]message.Field{of(12), of(0)}, "E: f\r\nA: b\r\n"},
		{[]message.Field{of(0), of(0)}, "A: b\r\nA: b\r\n"},
	} {
		if got := string(appendFields(nil, c.fields)); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
