// SPDX-License-Identifier: EUPL-1.2

package registry

import "net/netip"

// Target is a URL in its parts, as written except for the host.
type Target struct {
	Scheme   string // "https" or "http"
	Host     string // lower case, without port; IPv6 with brackets
	Port     string // "" if absent
	Path     string // "" or begins with "/"
	Query    string // without "?"
	Fragment string // without "#"
	HasQuery bool
	HasFrag  bool
}

// ParseTarget reads an absolute http or https URL strictly (RFC 3986, ASCII). It never repairs anything.
func ParseTarget(raw string) (Target, error) { panic("not yet") }

// URLPolicy says which URLs of a registry may become targets. The zero value allows https to any public host.
type URLPolicy struct {
	AllowHTTP    bool     // allow: [http]
	AllowPrivate bool     // allow: [private]: private, loopback, link-local and other special addresses
	Hosts        []string // if not empty, only these: "www.example.de" or "*.example.de"
	Self         []string // the gateway's own hosts, in the same form: never a target
}

// Check gives "" if the URL may be a target, else the cause in words for operators.
func (p *URLPolicy) Check(raw string) (cause string) { panic("not yet") }

// SpecialAddress names the kind of an address that is not public ("private", "loopback", …), "" for public ones.
func SpecialAddress(a netip.Addr) string { panic("not yet") }
