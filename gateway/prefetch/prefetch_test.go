// SPDX-License-Identifier: EUPL-1.2

package prefetch

import (
	"bytes"
	"syscall"
	"testing"
	"unsafe"
)

// Whatever the pointer, nothing is read that could fault, and nothing is changed.
func TestAnyPointerIsGood(t *testing.T) {
	t.Parallel()
	All[[1024]byte](nil)
	First[byte](nil, 1<<12)
	Bytes(nil)
	page := syscall.Getpagesize()
	b, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(b) }()
	for i := range b {
		b[i] = byte(i)
	}
	before := bytes.Clone(b)
	for _, protection := range []int{syscall.PROT_READ | syscall.PROT_WRITE, syscall.PROT_READ, syscall.PROT_NONE} {
		if err := syscall.Mprotect(b[page:2*page], protection); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 1, page - 65, page - 64, page - 1, page, page + 63, 2*page - 1, 2 * page} {
			for _, n := range []uintptr{0, 1, 63, 64, 65, uintptr(page)} {
				First(&b[at], n)
				Bytes(b[at:min(at+int(n), len(b))])
			}
		}
	}
	if err := syscall.Mprotect(b[page:2*page], syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, before) {
		t.Error("the memory has changed")
	}
}

// The last line of the address space ends the asking too.
func TestTheEndOfTheAddressSpace(t *testing.T) {
	t.Parallel()
	for _, n := range []uintptr{0, 1, 63, 64, 4096} {
		for back := 1; back <= 64; back++ {
			lines(unsafe.Add(unsafe.Pointer(nil), -back), n)
		}
	}
}

// BenchmarkWalk is a walk through memory that no cache has, each step of which waits for the one before: with the next ones
// asked for, it has less to wait for.
func BenchmarkWalk(b *testing.B) {
	type line struct {
		zero int
		_    [120]byte
	}
	const n, step, ahead = 1 << 20, 40503, 8
	all := make([]line, n)
	for i := range all {
		all[i].zero = i >> 20
	}
	for _, asked := range []bool{false, true} {
		b.Run(map[bool]string{false: "waits", true: "asks"}[asked], func(b *testing.B) {
			at := 0
			for range b.N {
				if asked {
					First(&all[(at+ahead*step)%n], 8)
				}
				at = (at + step + all[at].zero) % n
			}
		})
	}
}
