// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// prefixOneByOne is what Prefix says, octet by octet.
func (c Class) prefixOneByOne(b []byte) (n int) {
	for n < len(b) && c.Has(b[n]) {
		n++
	}
	return n
}

// member returns an octet of the class.
func (c Class) member() byte {
	for b := range 256 {
		if c.Has(byte(b)) && b != '\t' {
			return byte(b)
		}
	}
	return 0
}

func TestPrefixFindsEveryOctetAtEveryPlace(t *testing.T) {
	t.Parallel()
	for c := range allClasses {
		for length := range 70 { // two wide looks, a narrow one, and what is left
			b := bytes.Repeat([]byte{c.member()}, length)
			if got := c.Prefix(b); got != length {
				t.Fatalf("class %d: %d of %d octets that all belong to it", c, got, length)
			}
			for at := range b {
				for octet := range 256 {
					b[at] = byte(octet)
					if got, want := c.Prefix(b), c.prefixOneByOne(b); got != want {
						t.Fatalf("class %d, octet %#x at %d of %d: %d, want %d", c, octet, at, length, got, want)
					}
				}
				b[at] = c.member()
			}
		}
	}
}

// What stands behind the slice must not count, and must not be touched where nothing is.
func TestPrefixEndsWithTheSlice(t *testing.T) {
	t.Parallel()
	page := unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	for _, hole := range []int{0, 2} { // a fault before and behind the page
		if err := unix.Mprotect(memory[hole*page:(hole+1)*page], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	mine := memory[page : 2*page]
	for c := range allClasses {
		for j := range mine {
			mine[j] = c.member()
		}
		for from := range 80 {
			for n := range 80 {
				for _, b := range [][]byte{mine[from : from+n], mine[page-from-n : page-from]} {
					if got := c.Prefix(b); got != n {
						t.Fatalf("class %d: %d octets, %d from an end of the page: %d", c, n, from, got)
					}
				}
			}
		}
	}
}

func FuzzPrefix(f *testing.F) {
	f.Add([]byte("Accept-Language: de-DE,de;q=0.9\r\n"), uint8(0))
	f.Add([]byte("/svc/99000004007007/region/091000011000/1k?a=b"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, i uint8) {
		c := Class(i) % allClasses
		if got, want := c.Prefix(b), c.prefixOneByOne(b); got != want {
			t.Errorf("%q: %d, want %d", b, got, want)
		}
	})
}

func BenchmarkPrefix(b *testing.B) {
	value := []byte("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: */*\r\n")
	b.SetBytes(int64(Value.Prefix(value)))
	for b.Loop() {
		Value.Prefix(value)
	}
}
