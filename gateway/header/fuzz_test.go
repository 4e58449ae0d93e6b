// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

// FuzzRequest feeds field sections, one field a line, and checks what a backend
// may rely on whatever the client sent.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"Host: a\nX: 1", "Connection: x-forwarded-for, host\nX-Forwarded-For: 1.1.1.1", "PV_ARS: 1\npv-ars: 2\nPV.ARS: 3",
		"Via: 1.1 gw", "Via: 1.1 a (b, c), 1.1 d", "Forwarded: for=\"a", "Content-Length: 1\nTransfer-Encoding: chunked",
		"Connection: a\nA: 1\nConnection: b\nB: 2", "X-PVP-UserID: a\nX_PVP_UserID: b", "Content-Type: a\nContent-Type: b",
		"connection: keep-alive, te, upgrade\nupgrade: h2c\nte: trailers",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, in string, known bool) {
		var text []string
		for _, l := range strings.Split(in, "\n") {
			name, value, found := strings.Cut(l, ":")
			if found && name != "" && message.Token.All([]byte(name)) && message.Value.All([]byte(value)) {
				text = append(text, l)
			}
		}
		h := head(text...)
		nominated := map[string]bool{}
		for i := range h.Fields {
			if h.Fields[i].ID == message.Connection {
				for m, rest := message.NextMember(h.Fields[i].Value); m != nil; m, rest = message.NextMember(rest) {
					nominated[strings.ToLower(string(m))] = true
				}
			}
		}
		r := full()
		r.KnownSender, r.Chunked = known, true
		if _, fault := r.Apply(h); fault == message.FaultNone {
			checkRequest(t, h, &r, nominated)
		}
	})
}

func checkRequest(t *testing.T, h *message.Head, r *Request, nominated map[string]bool) {
	t.Helper()
	ours := map[string]string{
		"host": string(r.Host), "transfer-encoding": "chunked", "pv-leistung": string(r.Leistung), "pv-ars": string(r.ARS),
		"pv-area-level": string(r.Level), "pv-sender": string(r.Sender), "pv-oe": string(r.OE), "pv-language": string(r.Language),
		"traceparent": string(r.Traceparent), "x-forwarded-proto": string(r.Proto), "x-forwarded-host": string(r.OrigHost),
	}
	count := map[string]int{}
	fields := sent(h)
	for i := range fields {
		f := &fields[i]
		name := strings.ToLower(string(f.Name))
		count[name]++
		if want, owned := ours[name]; owned && string(f.Value) != want {
			t.Errorf("%s: got %q, want ours, %q", name, f.Value, want)
		}
		suffix := ""
		switch mapped := strings.NewReplacer("_", "-", ".", "-").Replace(name); {
		case name == "via":
			suffix = "1.1 " + string(r.Via)
		case name == "forwarded":
			suffix = ";proto=" + string(r.Proto)
		case name == "x-forwarded-for":
			suffix = string(r.For)
		case ours[name] == "" && (strings.HasPrefix(mapped, "pv-") || strings.HasPrefix(mapped, "x-forwarded-") || strings.HasPrefix(mapped, "x-pvp-")):
			t.Errorf("%s passed", f.Name)
		case message.Classify(f.Name) == message.FieldOther && nominated[name] && name != "close" && name != "keep-alive" && name != "upgrade" && name != "te":
			t.Errorf("%s passed though Connection names it", f.Name)
		case name == "connection" || name == "content-length" || name == "upgrade" || name == "te" || name == "trailer" || name == "keep-alive":
			t.Errorf("%s passed", f.Name)
		}
		if !bytes.HasSuffix(f.Value, []byte(suffix)) {
			t.Errorf("%s: %q does not end with ours, %q", name, f.Value, suffix)
		}
	}
	for name := range ours {
		if count[name] != 1 {
			t.Errorf("%s: %d times, want once", name, count[name])
		}
	}
	for _, name := range []string{"via", "forwarded", "x-forwarded-for"} {
		if count[name] != 1 {
			t.Errorf("%s: %d times, want once", name, count[name])
		}
	}
	if h.Fields[0].ID != message.Host {
		t.Errorf("first is %s, want Host", h.Fields[0].Name)
	}
}
