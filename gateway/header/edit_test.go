// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/message"
)

func edit(t testing.TB, set [][2]string, remove ...string) *Edit {
	t.Helper()
	e, err := NewEdit(set, remove)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEditsComeBetweenTheClientsFieldsAndOurs(t *testing.T) {
	t.Parallel()
	r := full()
	r.Edit = edit(t, [][2]string{{"X-Backend-Key", "7"}, {"Accept-Encoding", "identity"}, {"X-Empty", ""}}, "X-Drop", "User-Agent", "X-Internal-*")
	h := head(
		"Host: gw", "Connection: X-Backend-Key, X-Empty, close", "X-Backend-Key: forged", "x_backend.key: forged", "X_EMPTY: forged", "Accept-Encoding: br", "User-Agent: x",
		"x_drop: 1", "X-Dropped: kept", "X-Internal-A: 1", "X.Internal_: 1", "X-Internal: kept", "X-Forwarded-For: 6.6.6.6", "PV-Sender: forged",
	)
	if _, fault := r.Apply(h); fault != message.FaultNone {
		t.Fatal(fault)
	}
	got := lines(sent(h))
	want := []string{
		"Host: amt.internal:8080", "X-Dropped: kept", "X-Internal: kept", "X-Backend-Key: 7", "Accept-Encoding: identity", "X-Empty: ",
		"Via: 1.1 pvgate-gw.example",
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"PV-Sender: bund", "X-Forwarded-For: 192.0.2.7"} {
		if !strings.Contains(strings.Join(got, "\n"), name) {
			t.Errorf("no %s in %q", name, got)
		}
	}
}

// HD-08: an operator's pattern takes a portal's internal fields away, and nothing that is ours.
func TestHD08EditsOfResponses(t *testing.T) {
	t.Parallel()
	r := Response{Via: []byte("gw"), Trace: []byte("trace"), Date: []byte("today"), ContentLength: 2, Close: true}
	r.Edit = edit(t, [][2]string{{"X-Frame-Options", "DENY"}}, "Server", "X-Powered-By", "X-*", "Dat*", "Con*", "PV-*", "Via*")
	h := head("Server: IIS/6", "X-Internal-Host: 10.0.0.1", "x-powered-by: PHP", "X-Frame-Options: ALLOW", "Content-Type: text/html", "Date: then", "Content-Length: 2", "Etag: a")
	h.Status = 200
	got := lines(r.Apply(h))
	want := []string{"Date: then", "Etag: a", "X-Frame-Options: DENY", "Content-Length: 2", "Connection: close", "Via: 1.1 gw", "PV-Trace: trace"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Authorization", "Proxy", "Via", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Anything", "X-Real-IP", "True-Client-IP", "X-PVP-UserID", "Remote-User", "traceparent", "tracestate", "PV-Sender", "PV-Own", "pv_sender",
		"X_Forwarded_For", "Content.Length", "Expect", "Max-Forwards", "Early-Data", "Date", "Proxy-Status",
	} {
		if MaySet(name, "x") == nil || MayRemove(name) == nil {
			t.Errorf("%s: set %v, remove %v", name, MaySet(name, "x"), MayRemove(name))
		}
	}
	for _, name := range []string{"", "a b", "a:", "ä", "a\r\nX", "*", "X*"} {
		if MaySet(name, "x") == nil || MayRemove(name) == nil {
			t.Errorf("%q is taken as a name", name)
		}
	}
	if MaySet("X-*", "x") == nil {
		t.Error("a pattern is set")
	}
	for _, name := range []string{"Authorization", "Cookie", "Set-Cookie", "Location", "Content-Location", "Refresh", "Alt-Svc", "Strict-Transport-Security", "Set-Cookie2", "Clear-Site-Data"} {
		if MaySet(name, "x") == nil || MayRemove(name) != nil {
			t.Errorf("%s: set %v, remove %v; want removal only", name, MaySet(name, "x"), MayRemove(name))
		}
	}
	for _, value := range []string{"a\r\nX: y", "a\nb", "a\x00", " a", "a\t", "\x7f", strings.Repeat("a", maxEditValue+1)} {
		if MaySet("X-Own", value) == nil {
			t.Errorf("%.20q is taken as a value", value)
		}
	}
	for _, value := range []string{"", "a b", "ä", "a\tb", strings.Repeat("a", maxEditValue)} {
		if err := MaySet("X-Own", value); err != nil {
			t.Errorf("%.20q: %v", value, err)
		}
	}
	var many []string
	for i := range maxEdits + 1 {
		many = append(many, fmt.Sprintf("X-Own-%d", i))
	}
	if _, err := NewEdit(nil, many); err == nil {
		t.Error("more names than allowed are taken")
	}
	if _, err := NewEdit([][2]string{{"Host", "x"}}, nil); err == nil {
		t.Error("NewEdit takes what MaySet refuses")
	}
	if _, err := NewEdit(nil, []string{"Via"}); err == nil {
		t.Error("NewEdit takes what MayRemove refuses")
	}
}

func TestEditsDoNotAllocate(t *testing.T) {
	in := head("Host: gw.example:8443", "User-Agent: x", "Accept: */*", "X-Internal: 1", "X-Backend-Key: 2").Fields
	h := &message.Head{Minor: 1, Fields: make([]message.Field, 0, 32)}
	scratch := make([]byte, 0, 1024)
	r := full()
	r.Edit = edit(t, [][2]string{{"X-Backend-Key", "7"}}, "X-Int*")
	if n := testing.AllocsPerRun(100, func() {
		h.Fields = append(h.Fields[:0], in...)
		r.Scratch = scratch
		r.Apply(h)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
