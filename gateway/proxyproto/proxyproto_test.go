// SPDX-License-Identifier: EUPL-1.2

package proxyproto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// v2 builds a header of version 2; command and family as on the wire.
func v2(command, family byte, body ...byte) []byte {
	b := append(bytes.Clone(signature), version2|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func inet(tlvs ...byte) []byte {
	return v2(commandProxy, 0x11, append([]byte{192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb}, tlvs...)...)
}

func inet6(addr string, tlvs ...byte) []byte {
	from, to := netip.MustParseAddr(addr).As16(), netip.MustParseAddr("2001:db8::1").As16()
	body := append(append(from[:], to[:]...), 0xdc, 0x04, 0x01, 0xbb)
	return v2(commandProxy, 0x21, append(body, tlvs...)...)
}

// sealed is a header with its checksum.
func sealed(header []byte) []byte {
	b := append(bytes.Clone(header), tlvCRC32C, 0, 4, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-lengthV2))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc(b, len(b)-4))
	return b
}

type example struct {
	name, in, want string // want is the source, "" = none, "invalid", "more"
}

func examples() []example {
	long := strings.Repeat("x", 60)
	return []example{
		{"v1, IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7:56324"},
		{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "[2001:db8::7]:56324"},
		{"v1, a mapped address is an IPv4 address", "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7:1"},
		{"v1, longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"v1, unknown", "PROXY UNKNOWN\r\n", ""},
		{"v1, unknown with addresses", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
		{"v1, port 0", "PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n", "192.0.2.7:0"},
		{"v1, the longest that is read", "PROXY UNKNOWN " + long + strings.Repeat("x", 31) + "\r\n", ""},
		{"v1, longer", "PROXY UNKNOWN " + long + strings.Repeat("x", 32) + "\r\n", "invalid"},
		{"v1, endless", "PROXY TCP4 " + strings.Repeat("1", 200), "invalid"},
		{"v1, no end yet", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r", "more"},
		{"v1, bare LF", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n", "invalid"},
		{"v1, CR alone", "PROXY TCP4 192.0.2.7\r198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, two spaces", "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, trailing space", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n", "invalid"},
		{"v1, five words", "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", "invalid"},
		{"v1, seven words", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n", "invalid"},
		{"v1, no family", "PROXY \r\n", "invalid"},
		{"v1, no word", "PROXY\r\n", "invalid"},
		{"v1, UDP", "PROXY UDP4 192.0.2.7 198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, lower case", "proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, the other family", "PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n", "invalid"},
		{"v1, the other family in 6", "PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, octal", "PROXY TCP4 192.0.02.7 198.51.100.1 56324 443\r\n", "invalid"},
		{"v1, a zone", "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n", "invalid"},
		{"v1, brackets", "PROXY TCP6 [::1] ::1 56324 443\r\n", "invalid"},
		{"v1, port too high", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n", "invalid"},
		{"v1, port with zero", "PROXY TCP4 192.0.2.7 198.51.100.1 0443 443\r\n", "invalid"},
		{"v1, port with sign", "PROXY TCP4 192.0.2.7 198.51.100.1 +443 443\r\n", "invalid"},
		{"v1, no port", "PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n", "invalid"},

		{"v2, IPv4", string(inet()), "192.0.2.7:56324"},
		{"v2, IPv6", string(inet6("2001:db8::7")), "[2001:db8::7]:56324"},
		{"v2, a mapped address", string(inet6("::ffff:192.0.2.7")), "192.0.2.7:56324"},
		{"v2, local", string(v2(commandLocal, 0)), ""},
		{"v2, local with addresses", string(append(v2(commandLocal, 0x11)[:14], append([]byte{0, 12}, inet()[16:]...)...)), ""},
		{"v2, local with anything", string(v2(commandLocal, 0, 1, 2, 3)), ""},
		{"v2, unspec", string(v2(commandProxy, 0)), ""},
		{"v2, unspec with anything", string(v2(commandProxy, 0, 1, 2, 3)), ""},
		{"v2, Unix socket", string(v2(commandProxy, 0x31, make([]byte, 216)...)), ""},
		{"v2, datagrams", string(append(append(bytes.Clone(signature), 0x21, 0x12, 0, 12), inet()[16:]...)), ""},
		{"v2, TLVs", string(inet(0x04, 0, 2, 0, 0, 0x01, 0, 2, 'h', '2', 0xe0, 0, 0)), "192.0.2.7:56324"},
		{"v2, checksum", string(sealed(inet(0x04, 0, 1, 0))), "192.0.2.7:56324"},
		{"v2, checksum before others", string(sealedThen(0x04, 0, 1, 0)), "192.0.2.7:56324"},
		{"v2, checksum of IPv6", string(sealed(inet6("2001:db8::7"))), "[2001:db8::7]:56324"},
		{"v2, wrong checksum", string(inet(tlvCRC32C, 0, 4, 1, 2, 3, 4)), "invalid"},
		{"v2, short checksum", string(inet(tlvCRC32C, 0, 3, 1, 2, 3)), "invalid"},
		{"v2, two checksums", string(sealed(sealed(inet()))), "invalid"},
		{"v2, cut TLV", string(inet(0x04, 0, 2, 0)), "invalid"},
		{"v2, cut TLV head", string(inet(0x04, 0)), "invalid"},
		{"v2, short addresses", string(v2(commandProxy, 0x11, 192, 0, 2, 7)), "invalid"},
		{"v2, short Unix addresses", string(v2(commandProxy, 0x31, make([]byte, 108)...)), "invalid"},
		{"v2, version 3", string(append(append(bytes.Clone(signature), 0x31, 0x11, 0, 12), inet()[16:]...)), "invalid"},
		{"v2, version 3 at once", string(append(bytes.Clone(signature), 0x31)), "invalid"},
		{"v2, command 2", string(append(append(bytes.Clone(signature), 0x22, 0x11, 0, 12), inet()[16:]...)), "invalid"},
		{"v2, family 4", string(append(append(bytes.Clone(signature), 0x21, 0x41, 0, 12), inet()[16:]...)), "invalid"},
		{"v2, transport 3", string(append(append(bytes.Clone(signature), 0x21, 0x13, 0, 12), inet()[16:]...)), "invalid"},
		{"v2, family without transport", string(append(append(bytes.Clone(signature), 0x21, 0x10, 0, 12), inet()[16:]...)), "invalid"},
		{"v2, too long", string(append(append(bytes.Clone(signature), 0x21, 0x11), 0xff, 0xff)), "invalid"},
		{"v2, not all yet", string(inet()[:20]), "more"},
		{"v2, no length yet", string(inet()[:15]), "more"},

		{"nothing yet", "", "more"},
		{"a letter", "P", "more"},
		{"a line end", "\r\n", "more"},
		{"HTTP", "GET / HTTP/1.1\r\n", "invalid"},
		{"POST", "POST / HTTP/1.1\r\n", "invalid"},
		{"TLS", "\x16\x03\x01\x02\x00", "invalid"},
		{"almost version 2", "\r\n\r\n\x00\r\nQUIX\n!\x11\x00\x0c", "invalid"},
	}
}

// sealedThen is an IPv4 header with a checksum and TLVs behind it.
func sealedThen(tlvs ...byte) []byte {
	b := append(append(inet(), tlvCRC32C, 0, 4, 0, 0, 0, 0), tlvs...)
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-lengthV2))
	at := lengthV2 + 12 + 3
	binary.BigEndian.PutUint32(b[at:], crc(b, at))
	return b
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, e := range examples() {
		got, n := outcome([]byte(e.in))
		if got != e.want {
			t.Errorf("%s: got %q, want %q", e.name, got, e.want)
		}
		if n > 0 && n != len(e.in) {
			t.Errorf("%s: %d of %d bytes", e.name, n, len(e.in))
		}
	}
}

func outcome(b []byte) (string, int) {
	h, n, err := Parse(b)
	switch {
	case err != nil:
		return "invalid", 0
	case n == 0:
		return "more", 0
	case !h.Source.IsValid():
		return "", n
	}
	return h.Source.String(), n
}

// What stands behind a header is not read, and a header means the same however its bytes come.
func TestHeadersComeInPieces(t *testing.T) {
	t.Parallel()
	for _, e := range examples() {
		in := []byte(e.in)
		if e.want == "more" {
			continue
		}
		if got, n := outcome(append(bytes.Clone(in), "GET / HTTP/1.1\r\n"...)); got != e.want || n > len(in) {
			t.Errorf("%s with more behind it: %q, %d bytes", e.name, got, n)
		}
		for k := range in {
			switch got, _ := outcome(in[:k]); got {
			case "more":
			case "invalid":
				if e.want != "invalid" {
					t.Errorf("%s: refused after %d bytes of %d", e.name, k, len(in))
				}
			default:
				t.Errorf("%s: %q after %d bytes of %d", e.name, got, k, len(in))
			}
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	v1, v6, tlv := []byte(examples()[3].in), inet6("2001:db8::7"), sealed(inet())
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{v1, v6, tlv} {
			if _, n, err := Parse(b); n == 0 || err != nil {
				t.Fatal(n, err)
			}
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzParse holds what no input may change: nothing read beyond Max, no header found in a part of an invalid one, and
// the same outcome with more bytes behind it.
func FuzzParse(f *testing.F) {
	for _, e := range examples() {
		f.Add([]byte(e.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, n, err := Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		switch {
		case n < 0 || n > len(b) || n > Max || err != nil && n != 0:
			t.Fatalf("%d bytes of %d, %v", n, len(b), err)
		case err == nil && n == 0 && len(b) >= Max:
			t.Fatal("wants more than Max")
		case h.Source.Addr().Is4In6() || h.Source.Addr().Zone() != "":
			t.Fatalf("source %v", h.Source)
		case err == nil && n == 0:
			return
		}
		again, m, errAgain := Parse(append(bytes.Clone(b), "\r\nPROXY \x00\x0a"...))
		if n > 0 && (again != h || m != n || errAgain != nil) {
			t.Fatalf("with more behind it %v %d %v, before %v %d", again, m, errAgain, h, n)
		}
		if err != nil && errAgain == nil && m > 0 {
			t.Fatal("what was refused is a header with more bytes behind it")
		}
	})
}
