// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A processor without AVX2 is hard to find, so its branch is taken by force: not beside other tests, for all read what is forced.
func TestPrefixIsTheSameOctetByOctet(t *testing.T) {
	had := wide
	t.Cleanup(func() { wide = had })
	page := unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	if err := unix.Mprotect(memory[page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for _, wide = range []bool{false, had} {
		for c := range allClasses {
			if n := c.Prefix(nil); n != 0 {
				t.Fatalf("AVX2 %v, class %d: %d of no octets", wide, c, n)
			}
			prefixUpTo(t, c, memory[page-96:page])
		}
	}
}

// prefixUpTo looks at runs that end at, and just before, the end of memory, with every octet in each run's last places.
func prefixUpTo(t *testing.T, c Class, memory []byte) {
	t.Helper()
	for i := range memory {
		memory[i] = c.member()
	}
	for _, behind := range []int{0, 1, 2, 14, 15, 16, 17} { // what a look reads beyond what counts, and more
		for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49} {
			b := memory[len(memory)-behind-n : len(memory)-behind]
			for at := max(0, n-18); at < n; at++ {
				for octet := range 256 {
					b[at] = byte(octet)
					if got, want := c.Prefix(b), c.prefixOneByOne(b); got != want {
						t.Fatalf("AVX2 %v, class %d, octet %#x at %d of %d, %d before a page's end: %d, want %d", wide, c, octet, at, n, behind, got, want)
					}
				}
				b[at] = c.member()
			}
		}
	}
}
