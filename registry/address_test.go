// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"net/netip"
	"testing"
)

// CP-01: what a name may lead to, by policy.
func TestCP01AddressPolicy(t *testing.T) {
	names, private, loopback, literal := AddressPolicy{}, AddressPolicy{Private: true}, AddressPolicy{Loopback: true}, AddressPolicy{Literal: true}
	all := []AddressPolicy{names, private, loopback, literal}
	for address, allowed := range map[string][]AddressPolicy{
		"93.184.216.34": all, "2001:4860::8888": all, "::ffff:93.184.216.34": all, "64:ff9b::8.8.8.8": all,

		"10.0.0.1": {private, literal}, "172.31.0.1": {private, literal}, "192.168.0.1": {private, literal}, "100.64.0.1": {private, literal},
		"fd12::1": {private, literal}, "::ffff:10.0.0.1": {private, literal}, "64:ff9b::10.0.0.1": {private, literal}, "2002:a00:1::": {private, literal},

		"127.0.0.1": {loopback, literal}, "::1": {loopback, literal}, "::ffff:127.0.0.1": {loopback, literal}, "64:ff9b::127.0.0.1": {loopback, literal},

		"169.254.169.254": {literal}, "::ffff:169.254.169.254": {literal}, "64:ff9b::169.254.169.254": {literal}, "2002:a9fe:a9fe::": {literal},
		"fe80::1": {literal}, "fe80::1%eth0": {literal}, "fd00:ec2::254": {literal}, "100.100.100.200": {literal}, "192.0.0.192": {literal},
		"64:ff9b:1::1": {literal}, "203.0.113.1": {literal}, "240.0.0.1": {literal},

		"0.0.0.0": nil, "0.0.0.1": nil, "::": nil, "224.0.0.1": nil, "ff02::1": nil, "255.255.255.255": nil, "::ffff:0.0.0.0": nil,
		"64:ff9b::224.0.0.1": nil,
	} {
		for _, p := range all {
			want := false
			for _, q := range allowed {
				want = want || p == q
			}
			if kind := p.Refuses(netip.MustParseAddr(address)); (kind == "") != want {
				t.Errorf("%+v.Refuses(%s) = %q, want allowed %v", p, address, kind, want)
			}
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { names.Refuses(netip.MustParseAddr("fe80::1")) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
