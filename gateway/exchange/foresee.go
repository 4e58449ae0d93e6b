// SPDX-License-Identifier: EUPL-1.2

package exchange

// With thousands of backends nothing of one is in the processor's caches when its turn comes, and what a request touches there
// stands along chains of pointers. So it is asked from memory a step ahead: before a head is read, for what leads to the
// backend that it most likely names (Foresee); when it has been read, for what the request touches there; and before an answer
// is read, for what that does. A wrong guess costs what no guess would.

// Foresee says which authority the next request most likely names, before its head is read. Start follows, or a Foresee for
// another.
func Foresee(host Host, authority []byte) {
	s := host.Snapshot()
	likely := s.Resolver.Likely(authority)
	if uint(likely) < uint(len(s.Backends)) {
		s.Backends[likely].Near()
	}
	host.Scratch().likely = likely + 1
}

// foreseen returns the backend that the request most likely goes to, -1 if nobody has said, and asks for what it will touch.
func (x *Exchange) foreseen() int {
	s := x.host.Scratch()
	likely := s.likely - 1
	s.likely = 0
	if uint(likely) >= uint(len(x.snapshot.Backends)) {
		return -1
	}
	x.snapshot.Backends[likely].Expect()
	return likely
}

// UpstreamExpect says that the answer is about to be read.
func (x *Exchange) UpstreamExpect() {
	if x.backend != nil { // of a tunnel nobody counts anything there
		x.backend.Expect()
	}
}
