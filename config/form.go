// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// text decodes a scalar as text. YAML's own ideas of what a plain word means
// (number, boolean, date) never apply: a number loses its leading zeros on the
// way, so it must be quoted; a date stays the text that was written.
func (d *decoder) text(n *yaml.Node, p *Text, f *field) {
	p.Origin = d.at(n)
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, f, "text")
		return
	}
	switch n.Tag {
	case "!!str", "!!timestamp":
	case "!!int", "!!float":
		d.unquoted(n, f)
		return
	case "!!null":
		d.fail(n, "%s is empty; give it a value or remove the key", f.key)
		return
	case "!!bool":
		d.fail(n, "%s %s is a boolean; quote it: %q", f.key, n.Value, n.Value)
		return
	default:
		d.fail(n, "%s is %s; it must be text", f.key, n.Tag)
		return
	}
	if n.Value == "" {
		d.fail(n, "%s is empty; give it a value or remove the key", f.key)
		return
	}
	if problem := checkForm(f.is, n.Value); problem != "" {
		d.fail(n, "%s %q %s", f.key, n.Value, problem)
		return
	}
	p.V = n.Value
}

// unquoted reports a number where text belongs.
func (d *decoder) unquoted(n *yaml.Node, f *field) {
	becomes, differs := plainNumber(n)
	switch {
	case differs:
		d.fail(n, "%s %s is a number and would become %s; quote it: %q", f.key, n.Value, becomes, n.Value)
	case f.is == "digits":
		d.fail(n, "%s %s is a number and would lose digits; quote it: %q", f.key, n.Value, n.Value)
	default:
		d.fail(n, "%s %s is a number; quote it: %q", f.key, n.Value, n.Value)
	}
}

var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,9})$`)

// ranges are the forms of numbers: lowest and highest allowed.
var ranges = [...]struct {
	is     string
	lo, hi int
}{
	{"", math.MinInt32, math.MaxInt32},
	{"loops", 0, 1024},
	{"positive", 1, 10_000_000},
	{"bound", 0, 10_000_000},
	{"tie", -1000, 1000},
	{"priority", 0, 9},
	{"weight", 1, 100},
	{"days", 0, 3650},
	{"calls", 1, 64},
	{"failures", 1, 10},
}

func (d *decoder) number(n *yaml.Node, p *Int, f *field) {
	p.Origin = d.at(n)
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, f, "a whole number")
		return
	}
	v, err := strconv.Atoi(n.Value)
	if n.Tag != "!!int" || err != nil || !decimal.MatchString(n.Value) {
		d.fail(n, "%s %q is not a whole number; write plain digits without quotes", f.key, n.Value)
		return
	}
	for _, r := range ranges {
		if r.is == f.is && (v < r.lo || v > r.hi) {
			d.fail(n, "%s %d is out of range; it must be %d to %d", f.key, v, r.lo, r.hi)
			return
		}
	}
	p.V = v
}

func (d *decoder) boolean(n *yaml.Node, p *Bool, f *field) {
	p.Origin = d.at(n)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || (n.Value != "true" && n.Value != "false") {
		d.fail(n, "%s must be true or false, without quotes", f.key)
		return
	}
	p.V = n.Value == "true"
}

// spans are the forms of time spans: shortest and longest allowed, for others are typing errors.
var spans = [...]struct {
	is     string
	lo, hi time.Duration
	text   string
}{
	{"", time.Millisecond, 24 * time.Hour, "1ms to 24h"},
	{"orzero", time.Millisecond, 24 * time.Hour, "1ms to 24h"},
	{"pause", time.Second, time.Hour, "1s to 1h"},
	{"round", time.Second, 90 * 24 * time.Hour, "1s to 2160h"},
}

func (d *decoder) duration(n *yaml.Node, p *Duration, f *field) {
	p.Origin = d.at(n)
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, f, "a time span, such as 2s")
		return
	}
	if decimal.MatchString(n.Value) {
		d.fail(n, "%s %s has no unit; write %ss or %sms", f.key, n.Value, n.Value, n.Value)
		return
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		d.fail(n, "%s %q is no time span; write one such as 500ms, 2s or 1m30s", f.key, n.Value)
		return
	}
	for _, r := range spans {
		if r.is == f.is && (v < r.lo || v > r.hi) && (v != 0 || f.is != "orzero") {
			d.fail(n, "%s %s is out of range; it must be %s", f.key, n.Value, r.text)
			return
		}
	}
	p.V = v
}

var rateForm = regexp.MustCompile(`^([1-9][0-9]{0,7})/([smh])$`)

func (d *decoder) rate(n *yaml.Node, p *Rate, f *field) {
	p.Origin = d.at(n)
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, f, "a rate, such as 50/s")
		return
	}
	if decimal.MatchString(n.Value) {
		d.fail(n, "%s %s has no unit; write %s/s, %s/m or %s/h", f.key, n.Value, n.Value, n.Value, n.Value)
		return
	}
	m := rateForm.FindStringSubmatch(n.Value)
	if m == nil {
		d.fail(n, "%s %q is no rate; write requests per s, m or h, such as 50/s", f.key, n.Value)
		return
	}
	p.V.Count, _ = strconv.Atoi(m[1]) // eight digits at most: cannot fail
	switch m[2] {
	case "s":
		p.V.Per = time.Second
	case "m":
		p.V.Per = time.Minute
	default:
		p.V.Per = time.Hour
	}
}

var sizeForm = regexp.MustCompile(`^([1-9][0-9]{0,6})(MiB|GiB)$`)

// Octets is the number that a size means, 0 if it is none.
func Octets(size string) uint64 {
	m := sizeForm.FindStringSubmatch(size)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseUint(m[1], 10, 64) // seven digits at most: cannot fail
	n <<= 20
	if m[2] == "GiB" {
		n <<= 10
	}
	if n < leastMemory {
		return 0
	}
	return n
}

var shareForm = regexp.MustCompile(`^([0-9]{1,2}|100)%$`)

// Share is the part of one that a percentage means, -1 if it is none.
func Share(text string) float64 {
	m := shareForm.FindStringSubmatch(text)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1]) // three digits at most: cannot fail
	return float64(n) / 100
}

// leastMemory is less than what the process needs for itself.
const leastMemory = 64 << 20

var (
	labelForm    = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	timeForm     = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$`)
	langForm     = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)
	hostnameForm = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	mailForm     = regexp.MustCompile(`^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$`)
	protocolForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+(/[A-Za-z0-9!#$%&'*+.^_`|~-]+)?$")
	phoneForm    = regexp.MustCompile(`^\+?[0-9][0-9 /()-]{1,30}$`)
)

// isOrigin holds the form in which browsers serialise an origin (RFC 6454, section 6.2): compared byte for byte, any
// other spelling would never match.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !hostnameForm.MatchString(u.Hostname()) || s != u.Scheme+"://"+u.Host {
		return false
	}
	if u.Host == u.Hostname() {
		return true
	}
	usual := "443"
	if u.Scheme == "http" {
		usual = "80"
	}
	return u.Port() != "" && u.Port() != usual
}

// checkForm says what is wrong with a text and what to write instead, "" if
// nothing is. A form with | lists the allowed words.
func checkForm(is, s string) string {
	if strings.Contains(is, "|") {
		words := strings.Split(is, "|")
		for _, w := range words {
			if s == w {
				return ""
			}
		}
		last := len(words) - 1
		text := "is not allowed; write " + strings.Join(words[:last], ", ") + " or " + words[last]
		if near, ok := Nearest(s, words); ok {
			text = fmt.Sprintf("is not allowed; did you mean %q? (allowed: %s)", near, strings.Join(words, " "))
		}
		return text
	}
	for _, f := range forms {
		if f.is == is && !f.ok(s) {
			return f.problem
		}
	}
	return ""
}

// forms are the checks of a text's shape. Forms that are not here (digits,
// backend, offer, sender, path) are judged where their meaning is known.
var forms = [...]struct {
	is      string
	ok      func(string) bool
	problem string
}{
	{"host", isHost, "is no host name; write lower-case labels such as gw.example.de, without scheme or port"},
	{"hostname", isHost, "is no host name; write lower-case labels such as www.example.de, without scheme or port"},
	{"listenhost", isListenHost, "is no host name; write gw.example.de, *.gw.example.de, an address, or hosts: any"},
	{
		"servername", func(s string) bool { return isListenHost(s) && !strings.HasPrefix(s, "*") },
		"is no host name; write lower-case labels such as www.example.de, or an address",
	},
	{"size", func(s string) bool { return Octets(s) > 0 }, "is no size; write MiB or GiB, such as 512MiB, from 64MiB on"},
	{"https", func(s string) bool { return s == "https" }, "is nowhere to lead to; write https"},
	{"address", isAddress, "is no address to listen on; write host:port, such as 127.0.0.1:8080 or :8080"},
	{"loopback", isLoopback, "is not on the loopback interface; write 127.0.0.1:9180 or [::1]:9180"},
	{"network", isNetwork, "is no network; write a prefix such as 192.0.2.0/24 (no bits after it) or one address"},
	{"certname", isCertificateName, "is no certificate; write sha256: and 64 lower-case hexadecimal digits, or dns:NAME, uri:NAME, cn:NAME"},
	{"origin", isOrigin, "is no origin; write scheme and host as browsers do, https://portal.example.de, without a path and without the usual port"},
	{"separator", isSeparator, `is no separator; write one character, such as ";"`},
	{"share", shareForm.MatchString, "is no share; write 0% to 100%, such as 10%"},
	{"sourceurl", isSourceURL, "is no place to fetch from; write https://host/…, or http:// for loopback addresses only"},
	{"weburl", isWebURL, "is no web address; write https://host/…"},
	{"logfile", isLogFile, "is no place for a log; write off, stdout, stderr, or a path with a / in it, such as /var/log/pvgate/access.log"},
	{"httpsuri", isHTTPS, "is no https address; write https://host/…"},
	{"contacturi", isContact, "is no address to report to; write https://host/…, mailto:name@host or tel:+49-…"},
	{"keyuri", isKeyURI, "is no address of a key; write https://host/…, openpgp4fpr:… or dns:…"},
	{"authority", isAuthority, "is no host; write host or host:port"},
	{
		"abspath", func(s string) bool { return strings.HasPrefix(s, "/") && !strings.ContainsAny(s, " #\\") },
		"is no path; it begins with / and has no space, # or \\",
	},
	{
		"protocol", isProtocol,
		"is no protocol for Upgrade; write a name such as websocket, with its version if it has one (name/1); h2c, HTTP and TLS are never offered",
	},
	{"fieldvalue", isFieldValue, "is no value of a field; write at most 256 printable characters of ASCII"},
	{"time", timeForm.MatchString, "is no time; write YYYY-MM-DD, YYYY-MM-DD HH:MM (Europe/Berlin) or RFC 3339"},
	{"lang", langForm.MatchString, "is no language; write a tag such as de or en"},
	{"mail", mailForm.MatchString, "is no mail address; write name@host"},
	{"phone", phoneForm.MatchString, `is no telephone number; write digits, such as "115" or "+49 30 115"`},
	{"name", isName, "is no name; write 1 to 40 of a–z, 0–9 and -, no - first or last"},
	{
		"sendername", func(s string) bool { return isName(s) && s != "direct" },
		"is no sender name; write 1 to 40 of a–z, 0–9 and -, no - first or last, and not direct",
	},
	{
		"backendname", isBackendName,
		"is no backend name; it is a host label: 1 to 40 of a–z, 0–9 and -, no - first or last, no -- at 3–4, not www",
	},
}

func isName(s string) bool {
	return labelForm.MatchString(s) && s[0] != '-' && s[len(s)-1] != '-'
}

// isBackendName holds the grammar of CONFIG: the name becomes the first label
// of {backend}.{domain}, so it is a host label that is no A-label.
func isBackendName(s string) bool {
	return isName(s) && !(len(s) >= 4 && s[2:4] == "--") && s != "www"
}

func isHost(s string) bool { return len(s) <= 253 && hostnameForm.MatchString(s) }

func isListenHost(s string) bool {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Zone() == ""
	}
	return isHost(strings.TrimPrefix(s, "*."))
}

// isPublicName reports whether a name can be one of the public DNS: at least two labels, no wildcard, no address.
func isPublicName(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err != nil && isHost(s) && strings.Contains(s, ".")
}

func isAddress(s string) bool {
	host, port, ok := cutPort(s)
	if !ok {
		return false
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 || len(port) > 5 {
		return false
	}
	if host == "" || host == "localhost" {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}

func isLoopback(s string) bool {
	host, _, ok := cutPort(s)
	if !ok || !isAddress(s) {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && a.IsLoopback())
}

// cutPort splits host:port, with brackets around an IPv6 address.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i == len(s)-1 {
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1], port, true
	}
	return host, port, !strings.ContainsAny(host, ":[]")
}

func isNetwork(s string) bool {
	_, err := Network(s)
	return err == nil
}

// Network reads a prefix, or one address as the prefix that holds it alone.
func Network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p != p.Masked() {
		err = fmt.Errorf("%s has bits after the prefix", s)
	}
	return p, err
}

func isCertificateName(s string) bool {
	if digits, ok := strings.CutPrefix(s, "sha256:"); ok {
		return len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
	}
	kind, name, ok := strings.Cut(s, ":")
	return ok && name != "" && (kind == "dns" || kind == "uri" || kind == "cn")
}

func isSeparator(s string) bool {
	return len(s) == 1 && s != `"` && s != "\n" && s != "\r"
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isURL(s) && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(s, " {}")
}

// isSourceURL wants TLS wherever somebody could sit in between.
func isSourceURL(s string) bool {
	u, err := url.Parse(s)
	if !isWebURL(s) || err != nil || u.Fragment != "" || !isVisible(s) {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || err == nil && a.IsLoopback()
}

func isFieldValue(s string) bool {
	return len(s) <= 256 && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// isLogFile wants a / in a path: a bare word is more likely a mistaken keyword than a file.
func isLogFile(s string) bool {
	switch s {
	case "off", "stdout", "stderr":
		return true
	}
	return strings.Contains(s, "/") && !strings.HasSuffix(s, "/") && !strings.ContainsRune(s, 0)
}

// isHTTPS holds the form of RFC 9116's web addresses: visible ASCII, for each stands on a line of its own.
func isHTTPS(s string) bool {
	return strings.HasPrefix(s, "https://") && isWebURL(s) && isVisible(s)
}

func isContact(s string) bool {
	if name, ok := strings.CutPrefix(s, "mailto:"); ok {
		return mailForm.MatchString(name) && isVisible(s)
	}
	if number, ok := strings.CutPrefix(s, "tel:"); ok {
		return phoneForm.MatchString(number) && isVisible(s)
	}
	return isHTTPS(s)
}

func isKeyURI(s string) bool {
	for _, scheme := range [...]string{"openpgp4fpr:", "dns:"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return rest != "" && isVisible(s)
		}
	}
	return isHTTPS(s)
}

// isVisible reports that a text has nothing but visible ASCII, without a space.
func isVisible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

func isAuthority(s string) bool {
	if isListenHost(s) && !strings.HasPrefix(s, "*") {
		return true
	}
	host, port, ok := cutPort(s)
	n, err := strconv.Atoi(port)
	return ok && err == nil && n > 0 && n <= 65535 && isListenHost(host) && !strings.HasPrefix(host, "*")
}

// isProtocol refuses what would not become a tunnel of bytes but a second HTTP that nobody reads on the way, or a TLS
// that ends behind us.
func isProtocol(s string) bool {
	name, _, _ := strings.Cut(strings.ToLower(s), "/")
	return protocolForm.MatchString(s) && name != "h2c" && name != "h2" && name != "http" && name != "tls"
}

// isBund reports whether an area key is all zeros (R2).
func isBund(s string) bool { return s != "" && strings.Trim(s, "0") == "" }
