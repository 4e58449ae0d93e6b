// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

const (
	ownTrace    = "0123456789abcdef0123456789abcdef"
	givenTrace  = "0af7651916cd43dd8448eb211c80319c"
	givenSpan   = "b7ad6b7169203331"
	givenParent = "00-" + givenTrace + "-" + givenSpan + "-01"
)

// adopting gives a request with these field lines to Adopt.
func adopting(lines ...string) (r Request, states []string) {
	head := message.Head{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		head.Fields = append(head.Fields, message.Field{Name: []byte(name), Value: []byte(value), ID: message.Classify([]byte(name))})
	}
	r = Request{Head: &head, Trace: []byte(ownTrace)}
	r.Adopt()
	for _, f := range head.Fields {
		if f.ID == message.Tracestate {
			states = append(states, string(f.Value))
		}
	}
	return r, states
}

// W3C Trace Context, sections 3.2 and 4.3.
func TestATraceparentIsAdoptedOnlyIfValid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, given, want string }{
		{"version 00", givenParent, givenParent},
		{"not sampled", givenParent[:53] + "00", givenParent[:53] + "00"},
		{"a later version", "cc" + givenParent[2:], givenParent},
		{"a later version with more", "01" + givenParent[2:] + "-what.the.future.brings", givenParent},
		{"a later version's flags", "01" + givenParent[2:53] + "fe", givenParent[:53] + "00"},
		{"a later version's flags, sampled", "01" + givenParent[2:53] + "0b", givenParent},
		{"a later version with a longer field", "cc" + givenParent[2:] + ".x", ""},
		{"version ff", "ff" + givenParent[2:], ""},
		{"version 00 with more", givenParent + "-x", ""},
		{"version in capitals", "0A" + givenParent[2:], ""},
		{"version of one digit", givenParent[1:], ""},
		{"trace of zeros", "00-" + strings.Repeat("0", 32) + "-" + givenSpan + "-01", ""},
		{"parent of zeros", "00-" + givenTrace + "-0000000000000000-01", ""},
		{"capitals in the trace", strings.Replace(givenParent, "f7", "F7", 1), ""},
		{"capitals in the parent", strings.Replace(givenParent, "b7ad", "B7ad", 1), ""},
		{"capitals in the flags", givenParent[:53] + "0A", ""},
		{"no hex in the trace", strings.Replace(givenParent, "f7", "g7", 1), ""},
		{"no hex in the flags", givenParent[:53] + "zz", ""},
		{"no hyphen after the version", "00_" + givenParent[3:], ""},
		{"no hyphen after the trace", givenParent[:35] + "_" + givenParent[36:], ""},
		{"no hyphen after the parent", givenParent[:52] + "_" + givenParent[53:], ""},
		{"too short", givenParent[:54], ""},
		{"empty", "", ""},
		{"a list of two", givenParent + "," + givenParent, ""},
	} {
		r, _ := adopting("traceparent: " + tt.given)
		got := ""
		if r.adopted() {
			got = string(r.parent[:])
		}
		if got != tt.want {
			t.Errorf("%s: %q is adopted as %q, want %q", tt.name, tt.given, got, tt.want)
		}
		if want := givenTrace; tt.want == "" && string(r.Trace) != ownTrace || tt.want != "" && string(r.Trace) != want {
			t.Errorf("%s: the trace is %s", tt.name, r.Trace)
		}
	}
	if r, _ := adopting("traceparent: "+givenParent, "Traceparent: "+givenParent); r.adopted() || string(r.Trace) != ownTrace {
		t.Errorf("two traceparents: adopted %s", r.parent)
	}
	if r, _ := adopting(); r.adopted() {
		t.Error("adopted none at all")
	}
}

// W3C Trace Context, section 3.3.
func TestATracestateIsKeptOnlyIfValidAndWithItsTraceparent(t *testing.T) {
	t.Parallel()
	full := make([]string, maxStates)
	for i := range full {
		full[i] = fmt.Sprintf("k%d=v", i)
	}
	long := strings.Repeat("k", maxState)
	for _, tt := range []struct {
		name  string
		state []string
		keep  bool
	}{
		{"one", []string{"rojo=00f067aa0ba902b7"}, true},
		{"several fields", []string{"rojo=1", "congo=2,  0tenant@system = x"}, false},
		{"several fields, well-formed", []string{"rojo=1", "congo=2 \t,\t0tenant@system=x y", ""}, true},
		{"empty members", []string{",a=1,, ,b=2,"}, true},
		{"as many as may be", []string{strings.Join(full, ",")}, true},
		{"one too many", []string{strings.Join(full, ","), "more=v"}, false},
		{"long", []string{long + "=" + long}, true},
		{"key too long", []string{long + "k=v"}, false},
		{"value too long", []string{"k=" + long + "v"}, false},
		{"key twice", []string{"a=1,b=2", "a=3"}, false},
		{"no value", []string{"a="}, false},
		{"no key", []string{"=a"}, false},
		{"no equals sign", []string{"a"}, false},
		{"two equals signs", []string{"a=b=c"}, false},
		{"capital key", []string{"A=b"}, false},
		{"key begins with a sign", []string{"@a=b"}, false},
		{"no ASCII", []string{"a=ü"}, false},
	} {
		fields := []string{"traceparent: " + givenParent}
		for _, s := range tt.state {
			fields = append(fields, "tracestate: "+s)
		}
		r, got := adopting(fields...)
		if !r.adopted() {
			t.Errorf("%s: the traceparent is lost with its tracestate", tt.name)
		}
		if want := map[bool]int{true: len(tt.state)}[tt.keep]; len(got) != want {
			t.Errorf("%s: %q is kept, want %d fields", tt.name, got, want)
		}
		if _, got = adopting(fields[1:]...); len(got) != 0 {
			t.Errorf("%s: kept without a traceparent", tt.name)
		}
	}
}

func TestOurTraceparentIsItsOctetsInHex(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{})
	var id [24]byte
	for i := range 1000 {
		_, _ = random.Read(id[:])
		id[i%len(id)] = byte(i) // each octet there is
		var got [traceparentLen]byte
		nameParent(&got, &id)
		if want := fmt.Sprintf("00-%x-%x-00", id[:16], id[16:]); string(got[:]) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
