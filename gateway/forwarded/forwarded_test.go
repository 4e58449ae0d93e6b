// SPDX-License-Identifier: EUPL-1.2

package forwarded

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func trusted() Networks {
	return Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
}

// show is a client as text: address|host|proto|before.
func show(c Client) string {
	addr := "-"
	if c.Addr.IsValid() {
		addr = c.Addr.String()
	}
	return fmt.Sprintf("%s|%s|%s|%s", addr, AppendText(nil, c.Host), c.Proto, c.Before)
}

func forwardedLists() map[string]string {
	return map[string]string{
		"":              "-|||",
		" , ,":          "-|||",
		"for=192.0.2.7": "192.0.2.7|||",
		"For=192.0.2.7;PROTO=https;Host=gw.example": "192.0.2.7|gw.example|https|",
		"for=192.0.2.7; host=\"gw.example:8443\"":   "192.0.2.7|gw.example:8443||",
		`for="192.0.2.7:4711"`:                      "192.0.2.7|||",
		`for="192.0.2.7:_port"`:                     "192.0.2.7|||",
		`for="[2001:db8::7]"`:                       "2001:db8::7|||",
		`for="[2001:db8::7]:4711"`:                  "2001:db8::7|||",
		`for="\[2001:db8::7\]"`:                     "2001:db8::7|||",
		`for="[::ffff:192.0.2.7]"`:                  "192.0.2.7|||",
		// The right-most hop that is not trusted counts, with what its own proxy said of it.
		"for=6.6.6.6;host=evil, for=192.0.2.7;host=a;proto=https, for=10.0.0.2;host=b;proto=http": "192.0.2.7|a|https|for=6.6.6.6;host=evil",
		`for=6.6.6.6,, for=192.0.2.7 ,for="[2001:db8:1::1]"`:                                      "192.0.2.7|||for=6.6.6.6",
		"for=10.0.0.3;proto=https, for=10.0.0.2":                                                  "10.0.0.3||https|",
		// A hop that nobody tells ends the search: what stands left of it is the client's word.
		"for=6.6.6.6, for=unknown, for=10.0.0.2":      "-|||for=6.6.6.6",
		"for=6.6.6.6, for=_hidden;proto=https":        "-||https|for=6.6.6.6",
		"for=6.6.6.6, proto=https":                    "-||https|for=6.6.6.6",
		"for=6.6.6.6, for=2001:db8::7":                "invalid",
		`for=6.6.6.6, for="2001:db8::7"`:              "-|||for=6.6.6.6",
		`for=6.6.6.6, for="[192.0.2.7]"`:              "-|||for=6.6.6.6",
		`for=6.6.6.6, for="[2001:db8::7"`:             "-|||for=6.6.6.6",
		`for=6.6.6.6, for="[2001:db8::7]4711"`:        "-|||for=6.6.6.6",
		`for=6.6.6.6, for="192.0.2.7:"`:               "-|||for=6.6.6.6",
		`for=6.6.6.6, for="192.0.2.7:123456"`:         "-|||for=6.6.6.6",
		`for=6.6.6.6, for="192.0.2.7:x"`:              "-|||for=6.6.6.6",
		`for=6.6.6.6, for="192.0.2.7:_"`:              "-|||for=6.6.6.6",
		`for=6.6.6.6, for=""`:                         "-|||for=6.6.6.6",
		"for=" + strings.Repeat("1", 100):             "-|||",
		`for="a,b;c=\"d\"" , for=192.0.2.7`:           `192.0.2.7|||for="a,b;c=\"d\""`,
		`by=_x;for=192.0.2.7;secret="a;b,c";x=`:       "invalid",
		`by=_x;for=192.0.2.7;secret="a;b,c";x=1;`:     "192.0.2.7|||",
		";;for=192.0.2.7;;host=a":                     "192.0.2.7|a||",
		"for=192.0.2.7;for=6.6.6.6":                   "invalid",
		"for=192.0.2.7;FOR=6.6.6.6":                   "invalid",
		"proto=http;for=192.0.2.7;proto=https":        "invalid",
		"host=a;host=b":                               "invalid",
		"by=a;by=b":                                   "invalid",
		`for="192.0.2.7`:                              "invalid",
		`for="192.0.2.7\`:                             "invalid",
		`for="192.0.2.7\"`:                            "invalid",
		`for="6.6.6.6, for=192.0.2.7`:                 "invalid",
		"for":                                         "invalid",
		"for=":                                        "invalid",
		"=192.0.2.7":                                  "invalid",
		"for =192.0.2.7":                              "invalid",
		"for= 192.0.2.7":                              "invalid",
		"for=[::1]":                                   "invalid",
		"for=192.0.2.7 proto=https":                   "invalid",
		"for=192.0.2.7:80":                            "invalid",
		"for=\"a\x00\"":                               "invalid",
		"for=\"a\\\x00\"":                             "invalid",
		"for=192.0.2.7;host=\"a\xc3\xa4\";proto=\"\"": "192.0.2.7|a\xc3\xa4|\"\"|",
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for list, want := range forwardedLists() {
		c, ok := Read([]byte(list), trusted())
		got := show(c)
		if !ok {
			got = "invalid"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", list, got, want)
		}
		if ok != Valid([]byte(list)) {
			t.Errorf("%q: Read says %v, Valid does not", list, ok)
		}
	}
}

func TestReadX(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hops, host, proto, want string }{
		{"", "", "", "-|||"},
		{"", "gw.example", "https", "-|gw.example|https|"},
		{"192.0.2.7", "gw.example", "https", "192.0.2.7|gw.example|https|"},
		{"192.0.2.7:4711", "", "", "192.0.2.7|||"},
		{"2001:db8::7", "", "", "2001:db8::7|||"},
		{"[2001:db8::7]:4711", "", "", "2001:db8::7|||"},
		{"::ffff:192.0.2.7", "", "", "192.0.2.7|||"},
		{"6.6.6.6, 192.0.2.7", "", "", "192.0.2.7|||6.6.6.6"},
		{"6.6.6.6,192.0.2.7,10.0.0.2", "", "", "192.0.2.7|||6.6.6.6"},
		{"192.0.2.7, 10.0.0.2, 2001:db8:1::5", "", "", "192.0.2.7|||"},
		{"10.0.0.3, 10.0.0.2", "", "", "10.0.0.3|||"},
		{"6.6.6.6, unknown, 10.0.0.2", "", "", "-|||6.6.6.6"},
		{"<script>, 192.0.2.7", "", "", "192.0.2.7|||<script>"},
		{"6.6.6.6, \"192.0.2.7\"", "", "", "-|||6.6.6.6"},
		// One value speaks for all hops; several must be as many as the hops.
		{"6.6.6.6, 192.0.2.7, 10.0.0.2", "evil, a, b", "http, https, http", "192.0.2.7|a|https|6.6.6.6"},
		{"6.6.6.6, 192.0.2.7, 10.0.0.2", "evil, a", "https", "192.0.2.7||https|6.6.6.6"},
		{"192.0.2.7", "evil, a", "http,https", "192.0.2.7|||"},
	} {
		if got := show(ReadX([]byte(c.hops), []byte(c.host), []byte(c.proto), trusted())); got != c.want {
			t.Errorf("%q %q %q: got %s, want %s", c.hops, c.host, c.proto, got, c.want)
		}
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	list, hops, one, networks := []byte(`for="[2001:db8::7]";host="a:1", for=10.0.0.2`), []byte("192.0.2.7, 10.0.0.2"), []byte("https"), trusted()
	if n := testing.AllocsPerRun(100, func() {
		Read(list, networks)
		ReadX(hops, nil, one, networks)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzRead holds that a client cannot reach over what a trusted proxy appends: whatever stands before it, a valid
// element of a stranger at the end is the client, and everything else is Before.
func FuzzRead(f *testing.F) {
	for list := range forwardedLists() {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		c, ok := Read([]byte(list), trusted())
		if ok != Valid([]byte(list)) || !ok && (c.Addr.IsValid() || c.Host != nil) {
			t.Fatalf("Read %v %s, Valid %v", ok, show(c), !ok)
		}
		if len(c.Before) > 0 && !Valid(c.Before) {
			t.Fatalf("before %q", c.Before)
		}
		after, okAfter := Read([]byte(list+", for=192.0.2.7;proto=https"), trusted())
		if okAfter != ok {
			t.Fatalf("%v with an element more, %v without", okAfter, ok)
		}
		if ok && (after.Addr != netip.MustParseAddr("192.0.2.7") || string(after.Proto) != "https" || after.Host != nil) {
			t.Fatalf("the element appended is read as %s", show(after))
		}
		x := ReadX([]byte(list+", 192.0.2.7"), nil, nil, trusted())
		if x.Addr != netip.MustParseAddr("192.0.2.7") {
			t.Fatalf("the hop appended is read as %s", show(x))
		}
	})
}
