// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/pvgate/pvgate/gateway/message"
)

const tchar = "[!#$%&'*+.^_`|~0-9A-Za-z-]"

var (
	lineRE  = regexp.MustCompile(`^(` + tchar + `{1,24}) ([!$-;=@-\[\]_a-z~%&'()*+,?^` + "`" + `{|}]+) HTTP/1\.([01])$`)
	fieldRE = regexp.MustCompile(`^(` + tchar + `+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$`)
	hostRE  = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+(:[0-9]{0,5})?$`)
	// CONNECT, TRACE, and what belongs to RTSP and ICY.
	otherProtocols = regexp.MustCompile(`^(CONNECT|TRACE|ANNOUNCE|DESCRIBE|[GS]ET_PARAMETER|PAUSE|PLAY(_NOTIFY)?|RECORD|REDIRECT|SETUP|SOURCE|TEARDOWN)$`)

	digits = regexp.MustCompile(`^[0-9]+$`)
)

// naive judges a request head the slow and obvious way: cut at CRLF, regular
// expressions per line, rules one after the other. It says whether the head is
// acceptable and, if so, what its framing is. It knows no limits and no IPv6.
func naive(head string) (ok bool, length int64, chunked bool) {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n\x00") {
			return false, 0, false
		}
	}
	m := latin1(lineRE, lines[0])
	if m == nil || otherProtocols.MatchString(m[1]) {
		return false, 0, false
	}
	method, target, minor := m[1], m[2], m[3]
	values := map[string][]string{}
	for _, l := range lines[1:] {
		f := latin1(fieldRE, l)
		if f == nil {
			return false, 0, false
		}
		name := strings.ToLower(f[1])
		values[name] = append(values[name], f[2])
	}
	for _, e := range values["expect"] {
		if strings.ToLower(e) != "100-continue" {
			return false, 0, false
		}
	}
	hosts := values["host"]
	if len(hosts) > 1 || len(hosts) == 0 && minor == "1" || !naiveTarget(method, target, hosts) {
		return false, 0, false
	}
	lengths, codings := values["content-length"], values["transfer-encoding"]
	switch {
	case len(lengths)+len(codings) > 1:
		return false, 0, false
	case len(codings) == 1:
		return minor == "1" && strings.EqualFold(codings[0], "chunked") && len(codings[0]) == 7, -1, true
	case len(lengths) == 1:
		n, err := strconv.ParseInt(lengths[0], 10, 64)
		return err == nil && digits.MatchString(lengths[0]), n, false
	}
	return true, -1, false
}

func naiveTarget(method, target string, hosts []string) bool {
	path, _, _ := strings.Cut(target, "?")
	if strings.ContainsAny(path, "^`{|}") {
		return false
	}
	for _, h := range hosts {
		if !naiveHost(h) {
			return false
		}
	}
	if target == "*" {
		return method == "OPTIONS"
	}
	if target[0] == '/' {
		return true
	}
	scheme, rest, found := strings.Cut(path, "://")
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(scheme)]
	authority, _, _ := strings.Cut(rest, "/")
	if !found || port == "" || !naiveHost(authority) {
		return false
	}
	return len(hosts) == 0 || withPort(authority, port) == withPort(hosts[0], port)
}

func naiveHost(h string) bool {
	if strings.HasPrefix(h, "[") {
		return message.ValidAuthority([]byte(h)) // has an oracle of its own
	}
	_, port, _ := strings.Cut(h, ":")
	n, _ := strconv.Atoi(port)
	return hostRE.MatchString(h) && n <= 65535
}

func withPort(authority, port string) string {
	u := url.URL{Host: strings.ToLower(authority)}
	if p := u.Port(); p != "" {
		n, _ := strconv.Atoi(p)
		port = ":" + strconv.Itoa(n)
	}
	return u.Hostname() + port
}

// latin1 matches octets instead of UTF-8 sequences.
func latin1(re *regexp.Regexp, s string) []string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return re.FindStringSubmatch(b.String())
}
