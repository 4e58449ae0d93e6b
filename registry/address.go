// SPDX-License-Identifier: EUPL-1.2

package registry

import "net/netip"

// AddressPolicy says to which addresses a backend may be connected. It is asked for each address just before the
// connect, so that a name that changes its address in between gains nothing. The zero value is for endpoints that
// are named: public addresses only.
type AddressPolicy struct {
	Private  bool // allow: [private]: RFC 1918, ULA and the shared addresses of RFC 6598 too
	Loopback bool // allow: [loopback]: this machine too
	Literal  bool // the operator wrote the address: all that can be a backend's
}

// Refuses names the kind of an address to which no connection may be made, "" for others.
func (p AddressPolicy) Refuses(a netip.Addr) (kind string) {
	kind = SpecialAddress(a)
	switch kind {
	case "", "unspecified", "multicast", "broadcast":
	case "loopback":
		if p.Loopback || p.Literal {
			return ""
		}
	case "private", "shared":
		if p.Private || p.Literal {
			return ""
		}
	default:
		if p.Literal {
			return ""
		}
	}
	return kind
}

// SpecialAddress names the kind of an address that is not public, "" for public ones. An IPv4 address inside an IPv6
// address (mapped, NAT64, 6to4) counts as the IPv4 address.
func SpecialAddress(a netip.Addr) string {
	a = a.WithZone("").Unmap()
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a):
			return SpecialAddress(netip.AddrFrom4([4]byte(b[12:])))
		case sixToFour.Contains(a):
			return SpecialAddress(netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	for i := range specialPrefixes {
		if specialPrefixes[i].prefix.Contains(a) {
			return specialPrefixes[i].kind
		}
	}
	return ""
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// specialPrefixes are the IANA special-purpose address registries (RFC 6890 and its updates), as far as a portal cannot
// be there, and where clouds have their metadata services among them. The first that contains an address names it.
var specialPrefixes = [...]struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"}, // metadata services of clouds too
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "special-purpose"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "special-purpose"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "reserved"},                 // IPv4-compatible, long deprecated
	{netip.MustParsePrefix("64:ff9b:1::/48"), "special-purpose"}, // NAT64 of the network's own: an IPv4 address is inside, nobody knows where
	{netip.MustParsePrefix("100::/64"), "discard"},
	{netip.MustParsePrefix("2001::/23"), "special-purpose"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("5f00::/16"), "special-purpose"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "metadata"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "private"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}
