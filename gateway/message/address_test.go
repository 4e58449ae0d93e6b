// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"net/netip"
	"testing"
)

func addresses() []string {
	return []string{
		"192.0.2.7", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.00", "1..2.3", "1.2.3.4 ", "", ".", ":", "1", "::", "::1", "1::",
		"2001:db8::7", "2001:DB8:0:0:0:0:0:7", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2::3:4::5", "1:2:3:4:5:6:7",
		"::ffff:192.0.2.7", "::ffff:192.0.02.7", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "::1.2.3", "12345::", "::g", ":1", "1:", ":::", "fe80::1%eth0", "[::1]",
		"0:0:0:0:0:ffff:c000:207", "1::0:0:2", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "fffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	}
}

func same(t *testing.T, text string) {
	t.Helper()
	want, err := netip.ParseAddr(text)
	got, ok := ParseAddr([]byte(text))
	if wantOK := err == nil && want.Zone() == ""; ok != wantOK || ok && got != want {
		t.Errorf("%q: got %v %v, want %v %v", text, got, ok, want, wantOK)
	}
}

func TestAddressesAreReadAsTheStandardLibraryDoes(t *testing.T) {
	t.Parallel()
	for _, text := range addresses() {
		same(t, text)
	}
}

func TestParseAddrDoesNotAllocate(t *testing.T) {
	v4, v6, no := []byte("192.0.2.7"), []byte("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), []byte("2001:db8::g")
	if n := testing.AllocsPerRun(100, func() {
		ParseAddr(v4)
		ParseAddr(v6)
		ParseAddr(no)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, text := range addresses() {
		f.Add(text)
	}
	f.Fuzz(same)
}
