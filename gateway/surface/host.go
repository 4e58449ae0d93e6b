// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"fmt"
	"strings"

	"github.com/pvgate/pvgate/gateway/forwarded"
	"github.com/pvgate/pvgate/gateway/message"
)

// maxLabel is the longest backend name (a host label of the configuration).
const maxLabel = 40

// maxHost is the longest host name there is (RFC 1035, section 2.3.4).
const maxHost = 255

type listener struct {
	exact      []string // lower case
	suffixes   []string // ".gw.example.de" for "*.gw.example.de"
	any        bool
	subdomains bool // the hosts of all backends are this listener's
	fallback   int  // the default backend, -1 = none
	tls        bool
	redirect   bool // to a listener with TLS
	port       int
	senders    bool               // only senders we know are answered
	proxies    forwarded.Networks // whoever connects from there speaks for others
	// elsewhere is the same listener as clients behind trusted proxies see it, in plaintext and encrypted.
	elsewhere [2]*listener
	strict    []byte // Strict-Transport-Security; nil = none
	challenge func(token []byte) []byte
}

func (s *Surface) listener(o *Listener) (listener, error) {
	l := listener{
		any: o.Any, fallback: -1, tls: o.TLS, redirect: o.Redirect, port: o.Port, subdomains: o.Any,
		strict: []byte(o.StrictTransport), challenge: o.Challenge, senders: o.Senders, proxies: proxyNetworks(o.ProxyPeers),
	}
	hosts := o.Hosts
	if len(hosts) == 0 && !o.Any {
		if s.domain == "" {
			return l, fmt.Errorf("no hosts and no domain: nothing could be answered; name hosts or allow any")
		}
		hosts = []string{s.domain, "*." + s.domain}
	}
	for _, h := range hosts {
		h = strings.ToLower(h)
		if rest, ok := strings.CutPrefix(h, "*."); ok {
			l.subdomains = l.subdomains || rest == s.domain
			l.suffixes = append(l.suffixes, "."+rest)
		} else {
			l.exact = append(l.exact, h)
		}
	}
	if o.Default == "" {
		return l, nil
	}
	for i := range s.backends {
		if s.backends[i].Name == o.Default {
			l.fallback = i
		}
	}
	if l.fallback < 0 {
		return l, fmt.Errorf("default backend %q is not defined", o.Default)
	}
	if !s.backends[l.fallback].Proxy {
		return l, fmt.Errorf("default backend %q redirects; a default must be mode: proxy", o.Default)
	}
	return l, nil
}

type whose uint8

const (
	nobodys whose = iota
	entry
	backends
)

// whose says to whom the host of a request belongs. Hosts are compared as ASCII
// bytes without case, never as Unicode: a fullwidth or Kelvin letter is
// another host (CVE-2026-39821 was the opposite). likely is as in exchange.Request.
func (s *Surface) whose(l *listener, authority []byte, likely int) (whose, int) {
	if l.subdomains && s.writtenAs(authority, likely) {
		return backends, likely
	}
	host, _, _ := message.SplitAuthority(authority)
	if len(host) > maxHost {
		return nobodys, 0
	}
	if name, ok := s.belowDomain(host); ok && (l.subdomains || l.lists(host)) {
		if i, ok := s.label(name, likely); ok {
			return backends, i
		}
	}
	if l.any || l.lists(host) {
		return entry, 0
	}
	for _, suffix := range l.suffixes {
		// Below the domain there are backends only: a name that is none of theirs
		// is a mistake, not a second entry.
		if suffix[1:] != s.domain && len(host) > len(suffix) && message.EqualFold(host[len(host)-len(suffix):], suffix) {
			return entry, 0
		}
	}
	return nobodys, 0
}

// writtenAs reports whether an authority is the host of the backend at a place as it is written here, as nearly always where
// one is likely.
func (s *Surface) writtenAs(authority []byte, place int) bool {
	if uint(place) >= uint(len(s.backends)) || s.domain == "" {
		return false
	}
	l := &s.backends[place].label
	n := int(l[maxLabel])
	return n > 0 && len(authority) == n+1+len(s.domain) && len(authority) <= maxHost &&
		string(authority[:n]) == string(l[:n]) && authority[n] == '.' && string(authority[n+1:]) == s.domain
}

func (l *listener) lists(host []byte) bool {
	for _, h := range l.exact {
		if message.EqualFold(host, h) {
			return true
		}
	}
	return false
}

// belowDomain cuts ".{domain}" off a host. Nearly everybody writes it as it is written here.
func (s *Surface) belowDomain(host []byte) (name []byte, ok bool) {
	n := len(host) - len(s.domain) - 1
	if s.domain == "" || n < 1 || host[n] != '.' || string(host[n+1:]) != s.domain && !message.EqualFold(host[n+1:], s.domain) {
		return nil, false
	}
	return host[:n], true
}

// appendBase appends scheme and authority of an address of ours.
func (l *listener) appendBase(dst, authority []byte, host ...string) []byte {
	if l.tls {
		dst = append(dst, "https://"...)
	} else {
		dst = append(dst, "http://"...)
	}
	return l.appendAuthority(dst, authority, host...)
}

// appendAuthority appends the authority of an address of ours. Host comes from
// the configuration; of what the client sent only the digits of a port may get
// in, and only if the listener does not know its own.
func (l *listener) appendAuthority(dst, authority []byte, host ...string) []byte {
	for _, part := range host {
		dst = append(dst, part...)
	}
	return l.appendPort(dst, authority)
}

// appendPort appends the port of an address of ours unless it is the scheme's own.
func (l *listener) appendPort(dst, authority []byte) []byte {
	usual := 80
	if l.tls {
		usual = 443
	}
	switch _, port, _ := message.SplitAuthority(authority); {
	case l.port == usual:
	case l.port > 0:
		dst = append(dst, ':')
		dst = appendInt(dst, l.port)
	case len(port) > 0 && len(port) <= 5:
		dst = append(dst, ':')
		dst = append(dst, port...)
	}
	return dst
}

func appendInt(dst []byte, n int) []byte {
	if n >= 10 {
		dst = appendInt(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}
