// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Target is a URL in its parts, as written except for the case of scheme and host.
type Target struct {
	Scheme   string // "https" or "http"
	Host     string // lower case, without port and without a final dot; IPv6 in brackets
	Port     string // "" if absent
	Path     string // "" or begins with "/"
	Query    string // without "?"
	Fragment string // without "#"
	HasQuery bool
	HasFrag  bool
}

// maxURL bounds a target: longer ones do not get through browsers and portals.
const maxURL = 8192

// ParseTarget reads an absolute http or https URL strictly: RFC 3986, ASCII, no userinfo. It repairs nothing, because
// what it accepts is sent byte for byte and must mean the same to every reader of URLs. It does not allocate if it
// succeeds and scheme and host are in lower case.
func ParseTarget(raw string) (Target, error) {
	if raw == "" {
		return Target{}, errors.New("no URL")
	}
	if len(raw) > maxURL {
		return Target{}, fmt.Errorf("longer than %d bytes", maxURL)
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f:
			return Target{}, fmt.Errorf("byte %#02x at %d; in a URL it is written %%%02X", c, i, c)
		case strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return Target{}, fmt.Errorf("%q at %d; in a URL it is written %%%02X", c, i, c)
		}
	}
	var t Target
	scheme, rest, ok := strings.Cut(raw, "://")
	if t.Scheme = strings.ToLower(scheme); !ok || t.Scheme != "https" && t.Scheme != "http" {
		return Target{}, errors.New("scheme is not https; want https://…")
	}
	rest, t.Fragment, t.HasFrag = strings.Cut(rest, "#")
	rest, t.Query, t.HasQuery = strings.Cut(rest, "?")
	authority := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, t.Path = rest[:i], rest[i:]
	}
	if err := t.setAuthority(authority); err != nil {
		return Target{}, err
	}
	return t, checkPercent(rest[len(authority):], t.Query, t.Fragment)
}

func checkPercent(texts ...string) error {
	for _, s := range texts {
		for i := strings.IndexByte(s, '%'); i >= 0; i = strings.IndexByte(s, '%') {
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return errors.New("a % without two hexadecimal digits")
			}
			s = s[i+3:]
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (t *Target) setAuthority(s string) error {
	if strings.IndexByte(s, '@') >= 0 {
		return errors.New("user information (…@) before the host")
	}
	var host, port string
	var hasPort bool
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return errors.New("the bracket of the IPv6 address is not closed")
		}
		host, port = s[:end+1], s[end+1:]
		if port != "" && port[0] != ':' {
			return fmt.Errorf("%q is no host", clip(s))
		}
		port, hasPort = strings.CutPrefix(port, ":")
	} else {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %q is not 1 to 65535", clip(port))
		}
	}
	t.Port = port
	t.Host = strings.ToLower(strings.TrimSuffix(host, "."))
	if err := checkHost(t.Host); err != nil {
		return err
	}
	return nil
}

// checkHost wants a DNS name, an IPv4 address in one of the spellings that readers of URLs know, or an IPv6 address in
// brackets.
func checkHost(h string) error {
	if _, literal, err := hostAddress(h); literal || err != nil {
		return err
	}
	if h == "" {
		return errors.New("no host")
	}
	if len(h) > 253 {
		return errors.New("the host is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("host %q has an empty, too long or wrongly hyphenated label", clip(h))
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("host %q has the character %q", clip(h), c)
			}
		}
	}
	return nil
}

// hostAddress reads a host that is an address. Browsers take any host whose last label is a number for IPv4 ("0",
// "2130706433", "0x7f.1", "127.1"), so it is one here too, and must then be readable as one.
func hostAddress(h string) (a netip.Addr, literal bool, err error) {
	if strings.HasPrefix(h, "[") {
		a, err = netip.ParseAddr(strings.Trim(h, "[]"))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return a, true, fmt.Errorf("%q is no IPv6 address", clip(h))
		}
		return a, true, nil
	}
	last := h[strings.LastIndexByte(h, '.')+1:]
	if _, ok := ipv4Number(last); last == "" || !ok && strings.Trim(last, "0123456789") != "" {
		return a, false, nil
	}
	parts := strings.Split(h, ".")
	var sum uint64
	for i, p := range parts {
		n, ok := ipv4Number(p)
		limit := uint64(256)
		if i == len(parts)-1 && len(parts) <= 4 {
			limit = 1 << (8 * (5 - len(parts)))
		}
		if !ok || len(parts) > 4 || n >= limit {
			return a, true, fmt.Errorf("%q is no host: its last part is a number, but it is no IPv4 address", clip(h))
		}
		if i == len(parts)-1 {
			sum = sum<<(8*(5-len(parts))) | n
		} else {
			sum = sum<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true, nil
}

// ipv4Number reads a part of an IPv4 address as readers of URLs do: 0x is hexadecimal, a leading 0 octal.
func ipv4Number(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		if s, base = hex, 16; s == "" {
			return 0, true
		}
	} else if len(s) > 1 && s[0] == '0' {
		s, base = s[1:], 8
	}
	n, err := strconv.ParseUint(s, base, 32)
	return n, err == nil
}

// URLPolicy says which URLs of a registry may become targets. The zero value allows https to any public host. Safe for
// concurrent use as long as nobody writes to it.
type URLPolicy struct {
	AllowHTTP    bool     // allow: [http]
	AllowPrivate bool     // allow: [private]: private, loopback, link-local and other special addresses, localhost
	Hosts        []string // if not empty, only these: "www.example.de" or "*.example.de"
	Self         []string // the gateway's own hosts, in the same form: never a target
}

// Check gives "" if the URL may be a target, else the cause in words for operators.
func (p *URLPolicy) Check(raw string) (cause string) {
	t, err := ParseTarget(raw)
	if err != nil {
		return err.Error()
	}
	return p.CheckTarget(&t)
}

// CheckTarget is [URLPolicy.Check] for a URL that has been read.
func (p *URLPolicy) CheckTarget(t *Target) (cause string) {
	if t.Scheme != "https" && !p.AllowHTTP {
		return "http is not allowed; want https, or allow: [http] at the source"
	}
	if MatchHost(p.Self, t.Host) {
		return "host " + clip(t.Host) + " is the gateway itself"
	}
	if !p.AllowPrivate {
		if kind := specialHost(t.Host); kind != "" {
			return "host " + clip(t.Host) + " is " + kind + "; allow: [private] at the source would permit it"
		}
	}
	if len(p.Hosts) > 0 && !MatchHost(p.Hosts, t.Host) {
		return "host " + clip(t.Host) + " is not in the source's hosts"
	}
	return ""
}

// MatchHost says whether host (lower case, no port) is in list. "*.example.de" stands for every name below example.de,
// not for example.de itself.
func MatchHost(list []string, host string) bool {
	for _, h := range list {
		if below, ok := strings.CutPrefix(h, "*."); ok {
			n := len(host) - len(below)
			if n > 1 && host[n-1] == '.' && strings.EqualFold(host[n:], below) {
				return true
			}
		} else if strings.EqualFold(host, h) {
			return true
		}
	}
	return false
}

func specialHost(h string) string {
	if h == "localhost" || strings.HasSuffix(h, ".localhost") { // RFC 6761 section 6.3
		return "this machine"
	}
	a, literal, err := hostAddress(h)
	if !literal || err != nil {
		return ""
	}
	switch kind := SpecialAddress(a); kind {
	case "":
		return ""
	case "unspecified":
		return "an unspecified address"
	default:
		return "a " + kind + " address"
	}
}
