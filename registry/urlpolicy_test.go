// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestURLPolicyRefusesWhatIsNoPublicPortal(t *testing.T) {
	t.Parallel()
	p := URLPolicy{Self: []string{"gw.example.de", "*.gw.example.de"}}
	for raw, want := range map[string]string{ // "" = allowed
		"https://www.marburg.de/buergerservice/online/angebot/gewerbemeldungen-online-900000005-23001.html": "",
		"https://bafoeg-digital.de":                                                "",
		"https://www.augsburg.de/x#/at-ausbildung":                                 "",
		"https://sh.digitalebaugenehmigung.de/flensburg/?gebiets_id=&pstId=&a=8;b": "",
		"HTTPS://WWW.Marburg.DE./x":                                                "",
		"https://8.8.8.8/":                                                         "",
		"https://[2001:4860::8888]:8443/":                                          "",
		"https://xn--kln-sna.de:443/?a#b":                                          "",
		"https://a_b.example.de/":                                                  "",

		"":                                "no URL",
		"http://www.marburg.de/":          "http is not allowed",
		"ftp://www.marburg.de/":           "scheme is not https",
		"//www.marburg.de/":               "scheme is not https",
		"www.marburg.de":                  "scheme is not https",
		"javascript:alert(1)//://x":       "scheme is not https",
		"https:///x":                      "no host",
		"https://user@www.marburg.de/":    "user information",
		"https://a:b@www.marburg.de/":     "user information",
		"https://good.de\\@evil.de/":      `'\\' at 15`,
		"https://www.marburg.de/a b":      "byte 0x20",
		"https://www.marburg.de/\r\nX: y": "byte 0x0d",
		"https://www.marburg.de/ä":        "byte 0xc3 at 23; in a URL it is written %C3",
		"https://www.marburg.de/%zz":      "a % without",
		"https://www.marburg.de/?a=%4":    "a % without",
		"https://www.marburg.de/\"x":      `'"' at`,
		"https://www.marburg.de:0/":       "port",
		"https://www.marburg.de:65536/":   "port",
		"https://www.marburg.de:/":        "port",
		"https://www.marburg.de:+443/":    "port",
		"https://www..de/":                "label",
		"https://-x.de/":                  "label",
		"https://x%41.de/":                "character '%'",

		"https://gw.example.de/leistung":      "the gateway itself",
		"https://GW.example.de./leistung":     "the gateway itself",
		"https://marburg.gw.example.de:8443/": "the gateway itself",

		"https://10.0.0.8/":                 "a private address",
		"https://127.0.0.1/":                "a loopback address",
		"https://127.1/":                    "a loopback address",
		"https://0/":                        "an unspecified address",
		"https://2130706433/":               "a loopback address",
		"https://0x7f000001/":               "a loopback address",
		"https://0x7f.1/":                   "a loopback address",
		"https://017700000001/":             "a loopback address",
		"https://0177.0.0.01/":              "a loopback address",
		"https://[::ffff:127.0.0.1]/":       "a loopback address",
		"https://[::ffff:7f00:1]/":          "a loopback address",
		"https://[::1]/":                    "a loopback address",
		"https://[::]/":                     "an unspecified address",
		"https://[::127.0.0.1]/":            "a reserved address",
		"https://[64:ff9b::10.0.0.1]/":      "a private address",
		"https://[2002:7f00:1::]/":          "a loopback address",
		"https://[fe80::1]/":                "a link-local address",
		"https://[fd00::1]/":                "a private address",
		"https://169.254.169.254/latest":    "a link-local address",
		"https://192.168.178.1./":           "a private address",
		"https://100.64.0.1/":               "a shared address",
		"https://localhost/":                "this machine",
		"https://x.LOCALHOST./":             "this machine",
		"https://1.2.3.4.5/":                "no IPv4 address",
		"https://256.1.1.1/":                "no IPv4 address",
		"https://1.2.3.09/":                 "no IPv4 address",
		"https://a.1/":                      "no IPv4 address",
		"https://99999999999/":              "no IPv4 address",
		"https://[fe80::1%25eth0]/":         "no IPv6 address",
		"https://[127.0.0.1]/":              "no IPv6 address",
		"https://[::1/":                     "not closed",
		"https://[::1]x/":                   "is no host",
		"https://" + "a/" + long(9000, "a"): "longer than 8192",
	} {
		got := p.Check(raw)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("Check(%.80q) = %q, want %q", raw, got, want)
		}
	}
}

func long(n int, s string) string { return strings.Repeat(s, n) }

func TestURLPolicyAllowsWhatTheSourceSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    URLPolicy
		raw  string
		want string
	}{
		{URLPolicy{AllowHTTP: true}, "http://www.marburg.de/", ""},
		{URLPolicy{AllowHTTP: true}, "http://10.0.0.8/", "private"},
		{URLPolicy{AllowPrivate: true}, "https://10.0.0.8/", ""},
		{URLPolicy{AllowPrivate: true}, "https://localhost:8443/", ""},
		{URLPolicy{AllowPrivate: true}, "http://10.0.0.8/", "http is not allowed"},
		{URLPolicy{AllowPrivate: true, AllowHTTP: true}, "http://2130706433/", ""},
		{URLPolicy{AllowPrivate: true, Self: []string{"127.0.0.1"}}, "https://127.0.0.1/", "itself"},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://www.marburg.de/", ""},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://WWW.marburg.de:444/", ""},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://a.b.hessen.de/", ""},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://hessen.de/", "not in the source's hosts"},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://evilhessen.de/", "not in the source's hosts"},
		{URLPolicy{Hosts: []string{"www.marburg.de", "*.hessen.de"}}, "https://www.augsburg.de/", "not in the source's hosts"},
	} {
		if got := c.p.Check(c.raw); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v.Check(%s) = %q, want %q", c.p, c.raw, got, c.want)
		}
	}
}

func TestTargetParts(t *testing.T) {
	t.Parallel()
	got, err := ParseTarget("HTTPS://WWW.Marburg.DE:8443/a//b;c?d=e?f#g?h#i")
	want := Target{"https", "www.marburg.de", "8443", "/a//b;c", "d=e?f", "g?h#i", true, true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseTargetDoesNotAllocate(t *testing.T) {
	p := URLPolicy{Self: []string{"*.gw.example.de"}, Hosts: []string{"*.marburg.de"}}
	if n := testing.AllocsPerRun(100, func() {
		if p.Check("https://www.marburg.de/a?b#c") != "" {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSpecialAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"8.8.8.8": "", "2a00:1450::1": "", "64:ff9b::8.8.8.8": "", "2002:808:808::1": "",
		"127.0.0.1": "loopback", "::ffff:10.1.2.3": "private", "fe80::1%eth0": "link-local", "255.255.255.255": "broadcast",
	} {
		if got := SpecialAddress(netip.MustParseAddr(text)); got != want {
			t.Errorf("SpecialAddress(%s) = %q, want %q", text, got, want)
		}
	}
}

// FuzzURLPolicy holds the reader against Go's: whatever is accepted must be the same host and port there.
func FuzzURLPolicy(f *testing.F) {
	for _, s := range []string{"https://www.marburg.de:1/a?b#c", "https://[::1]/", "https://127.1", "https://a@b", "https://x\\y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var p URLPolicy
		if p.Check(raw) != "" {
			return
		}
		got, _ := ParseTarget(raw)
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("%q: accepted, but %v", raw, err)
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if host != strings.Trim(got.Host, "[]") || u.Port() != got.Port || u.User != nil || u.Scheme != "https" {
			t.Fatalf("%q: %+v, but Go reads %q %q", raw, got, host, u.Port())
		}
		if a, err := netip.ParseAddr(host); err == nil && SpecialAddress(a) != "" {
			t.Fatalf("%q: accepted", raw)
		}
	})
}
