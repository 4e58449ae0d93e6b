// SPDX-License-Identifier: EUPL-1.2

package loop

// Buffer sizes of a loop's pools, in bytes. The largest holds one full read, its framing anew and a head.
const (
	ReadSize = 64 << 10
	small    = 4 << 10
	medium   = 20 << 10
	large    = ReadSize + 16<<10
)

// sizes are the capacities of buffers by class; keep bounds each free list, in buffers: what is beyond goes to the garbage
// collector. Every request holds a small one until the turn ends in which it came, and over HTTP/2 many come in a turn.
var (
	sizes = [...]int{small, medium, large}
	keep  = [...]int{1024, 256, 256}
)

// pool keeps free buffers of a loop by size. Owned by the loop's thread.
type pool struct {
	free [3][][]byte
	lent int // buffers taken and not given back
	// made is how many octets were allocated since grown was told last; nil: nobody is.
	made  int
	grown func(octets int)
}

// tellGrown is how many octets are allocated before anybody is told: what several loops keep to themselves must be little
// beside any limit, and telling is not for every buffer.
const tellGrown = 256 << 10

func class(n int) int {
	switch {
	case n <= small:
		return 0
	case n <= medium:
		return 1
	}
	return 2
}

// get returns an empty buffer of at least n bytes of capacity.
func (p *pool) get(n int) []byte {
	p.lent++
	c := class(n)
	if k := len(p.free[c]); k > 0 && n <= large {
		b := p.free[c][k-1]
		p.free[c] = p.free[c][:k-1]
		return b
	}
	n = max(n, sizes[c])
	if p.made += n; p.made >= tellGrown && p.grown != nil {
		p.grown(p.made)
		p.made = 0
	}
	return make([]byte, 0, n)
}

// put takes a buffer back; its owner must have dropped every slice of it. Odd sizes are left to the collector, so a
// hot path must not make them.
func (p *pool) put(b []byte) {
	p.lent--
	if c := class(cap(b)); cap(b) == sizes[c] && len(p.free[c]) < keep[c] {
		p.free[c] = append(p.free[c], b[:0])
	}
}

// Trim gives the buffers that nobody uses to the collector.
func (l *Loop) Trim() { l.pool.free = [len(l.pool.free)][][]byte{} }

// grow returns b with room for n more bytes, moved to a larger buffer if it has to be.
func (p *pool) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := append(p.get(len(b)+n), b...)
	p.put(b)
	return bigger
}
