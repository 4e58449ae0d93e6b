// SPDX-License-Identifier: EUPL-1.2

package simsys

import "syscall"

// pipe is what Splice goes through; both descriptors lead to it.
type pipe struct {
	in   []byte
	size int
}

// Pipes returns how many descriptors of pipes are open.
func (n *Net) Pipes() int { return len(n.pipes) }

// Pipe implements loop.Kernel.
func (k *Kernel) Pipe(size int) (read, write int32, got int, err syscall.Errno) {
	n := k.net
	if n.chance(n.faults.Exhausted) || n.exhausted() {
		return -1, -1, 0, syscall.EMFILE
	}
	p := &pipe{size: size}
	read = n.descriptor()
	n.pipes[read] = p
	write = n.descriptor()
	n.pipes[write] = p
	return read, write, size, 0
}

// Splice implements loop.Kernel: a read or a write, with the same faults, whose octets nobody sees.
func (k *Kernel) Splice(from, to int32, most int) (int, syscall.Errno) {
	n := k.net
	if p := n.pipes[to]; p != nil {
		if n.chance(n.faults.NoSplice) {
			return 0, syscall.EINVAL
		}
		b := make([]byte, min(most, p.size-len(p.in)))
		if len(b) == 0 {
			return 0, syscall.EAGAIN
		}
		got, err := k.Read(from, b)
		p.in = append(p.in, b[:got]...)
		return got, err
	}
	p := n.pipes[from]
	if p == nil {
		return 0, syscall.EBADF
	}
	sent, err := k.Write(to, p.in[:min(most, len(p.in))])
	p.in = p.in[sent:]
	return sent, err
}
