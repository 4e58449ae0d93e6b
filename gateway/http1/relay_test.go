// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// lineByLine is what AppendRequest writes, without looking at where anything stands.
func lineByLine(h *message.Head, target string) string {
	var b strings.Builder
	b.WriteString(string(h.MethodText) + " " + target + " HTTP/1.1\r\n")
	for _, f := range h.Fields {
		b.WriteString(string(f.Name) + ": " + string(f.Value) + "\r\n")
	}
	return b.String() + string(h.Own) + "\r\n"
}

// Names that stay, go, or are made to look as if they might, and what may stand around a value.
var (
	relayedNames = []string{
		"A", "Accept", "X-Long-Name-Of-More-Than-Thirty-Two-Octets", "x-set", "X-Gone-1", "User-Agent",
		"X-Forwarded-For", "x_forwarded_for", "X.Forwarded_For", "PV-ARS", "pv_ars", "Via", "Forwarded", "Proxy", "Keep-Alive", "Content_Length",
		"X-PVP-User", "X.PVP_User", "Max-Forwards", "TE", "Nominated", "Authorization",
	}
	relayedSpaces = []string{" ", " ", " ", " ", "", "\t", "  ", " \t"}
	relayedEnds   = []string{"", "", "", " ", "\t"}
	relayedValues = []string{"", "v", "a: b", ": ", "1.1 other", "for=1.2.3.4", "\xe4\xff", "x, \"y\"", "Content-Length: 5"}
)

// received is a request with fields of all kinds.
func received(random *rand.Rand) []byte {
	b := []byte("GET /a HTTP/1.1\r\n")
	at := random.IntN(6)
	for i := range 6 + random.IntN(6) {
		name, value := relayedNames[random.IntN(len(relayedNames))], relayedValues[random.IntN(len(relayedValues))]
		switch {
		case i == at:
			name, value = "Host", "gw.example"
		case random.IntN(16) == 0:
			name, value = "Connection", "nominated, te"
		}
		b = append(append(append(b, name...), ':'), relayedSpaces[random.IntN(len(relayedSpaces))]...)
		b = append(append(append(b, value...), relayedEnds[random.IntN(len(relayedEnds))]...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// However the lines of a request stood, and whatever of them goes: what is written is what the fields say, it reads back as
// that, nothing of what was to go is in it, and a copy of the head writes the same when the buffer is another's.
func TestWhatIsSentOnIsWhatTheFieldsSay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	edit, err := header.NewEdit([][2]string{{"X-Set", "ours"}}, []string{"x-gone-*"})
	if err != nil {
		t.Fatal(err)
	}
	limits := http1.DefaultLimits()
	sent := 0
	for range 30_000 {
		in := received(random)
		text := string(in)
		h := read(t, &limits, in)
		if h == nil {
			continue
		}
		r := header.Request{
			Host: []byte("b"), Via: []byte("gw"), For: []byte("192.0.2.1"), Proto: []byte("https"), OrigHost: h.Authority, ContentLength: -1,
			ARS: []byte("01"), Traceparent: []byte("00-x"), KnownSender: random.IntN(2) == 0, Scratch: make([]byte, 0, random.IntN(400)),
		}
		if random.IntN(2) == 0 {
			r.Edit = edit
		}
		if _, fault := r.Apply(h); fault != message.FaultNone {
			continue
		}
		want := lineByLine(h, "/t")
		copied := h.Clone()
		out := http1.AppendRequest(nil, h, []byte("/t"))
		if string(out) != want || string(in) != text {
			t.Fatalf("%q: sent %q, want %q", text, out, want)
		}
		for i := range in {
			in[i] = '!'
		}
		clear(r.Scratch[:cap(r.Scratch)])
		if again := http1.AppendRequest(nil, &copied, []byte("/t")); string(again) != want {
			t.Fatalf("%q: the copy writes %q, want %q", text, again, want)
		}
		readsBack(t, &limits, out, &copied, r.Edit != nil)
		sent++
	}
	if sent < 15_000 {
		t.Errorf("%d requests were sent on", sent)
	}
}

func read(t *testing.T, limits *http1.Limits, in []byte) *message.Head {
	t.Helper()
	var m http1.Server
	m.Init(limits)
	h := new(message.Head)
	h.Reset()
	n, ev, _ := m.Feed(in, h)
	if ev != http1.HeadDone {
		return nil
	}
	if n != len(in) {
		t.Fatalf("%q: %d octets of %d", in, n, len(in))
	}
	return h
}

// readsBack parses what was sent, and looks for the fields of h in it, and for what must not be there.
func readsBack(t *testing.T, limits *http1.Limits, out []byte, h *message.Head, edited bool) {
	t.Helper()
	got := read(t, limits, bytes.Clone(out))
	if got == nil || len(got.Fields) != len(h.Fields)+bytes.Count(h.Own, []byte("\r\n")) {
		t.Fatalf("%q is not %d fields and %q", out, len(h.Fields), h.Own)
	}
	for i, f := range got.Fields {
		if i < len(h.Fields) && (string(f.Name) != string(h.Fields[i].Name) || string(f.Value) != string(h.Fields[i].Value)) {
			t.Fatalf("%q: field %d is %q: %q, want %q: %q", out, i, f.Name, f.Value, h.Fields[i].Name, h.Fields[i].Value)
		}
		gone := bytes.HasPrefix(bytes.ToLower(f.Name), []byte("x-gone")) || message.EqualFold(f.Name, "x-set") && string(f.Value) != "ours"
		if f.ID == message.Alias || f.ID == message.Identity || f.ID == message.Connection || f.ID == message.TE || edited && gone {
			t.Fatalf("%q holds %q", out, f.Name)
		}
	}
}
