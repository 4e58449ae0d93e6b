// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// rekeyer is a client of TLS 1.3 that changes its keys and asks for ours to be changed as often as crypto/tls lets it: 16
// times for each piece of something else. Every time makes as much output as it was input.
type rekeyer struct {
	st  *stage
	end *simsys.End
	u   *simsys.Updater
	out []byte
}

func newRekeyer(t *testing.T) *rekeyer {
	t.Helper()
	st := newStageWith(t, func(o *Options) { o.Inline, o.Listen = true, []Listener{{TLS: simTLS(t)}} })
	st.net.SetCapacity(16 << 10)
	var keys bytes.Buffer
	config := simClientTLS(tls.VersionTLS13)
	config.KeyLogWriter = &keys
	r := &rekeyer{st: st, end: st.net.Dial(simFrom, simFront)}
	for c := r.end.Secure(config, false); !c.Done(); c.Pump() {
		st.settle()
	}
	var err error
	if r.u, err = simsys.NewUpdater(keys.String()); err != nil {
		t.Fatal(err)
	}
	return r
}

// say sends octets and takes none.
func (r *rekeyer) say(text string) {
	for piece := range slices.Chunk([]byte(text), 200) {
		r.out = append(r.out, r.u.Record(23, string(piece))...)
	}
	r.push()
}

func (r *rekeyer) push() (taken int) {
	for {
		n := r.end.Write(r.out)
		r.out = r.out[n:]
		taken += n
		if r.st.settle(); n == 0 || len(r.out) == 0 {
			return taken
		}
	}
}

// flood sends until nothing more is taken, at most limit octets, and returns how many those were.
func (r *rekeyer) flood(piece string, limit int, backend *simsys.End) (taken int) {
	for len(r.out) == 0 && taken < limit {
		r.out = append(r.out, r.u.Record(23, piece)...)
		for range 16 {
			r.out = append(r.out, r.u.Update()...)
		}
		taken += r.push()
		backend.Read()
	}
	return taken
}

// What changes of keys make for a client that takes nothing is bounded: it is not read any more. When it takes, it is.
func TestRS11KeyChangesOfAClientThatTakesNothingAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask, answer, piece string
		most               int // octets that may wait
	}{
		"in a body":   {"POST /a HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n", "", "1\r\nx\r\n", 64 << 10},
		"in a tunnel": {askSocket, agree, "x", 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRekeyer(t)
			r.say(c.ask)
			b := r.st.accept()
			b.Read()
			r.st.write(b, c.answer)
			// On the way in and on the way out the kernels hold something too, and a turn reads 64 KiB at most.
			most, limit := c.most+64<<10+2*r.st.net.Capacity(), 4<<20
			taken := r.flood(c.piece, limit, b)
			if taken < c.most || taken > most+most/4 {
				t.Errorf("%d octets were taken, want some %d and at most %d", taken, c.most, most+most/4)
			}
			if n := r.st.server.nodes[0].loop.Stats().Lent; n > 3 {
				t.Errorf("%d buffers are held", n)
			}
			for range 100 {
				r.end.Read() // crypto/tls would not bear it
				r.st.settle()
			}
			if r.push(); len(r.out) > 0 {
				t.Fatalf("after it took all, %d octets are not taken", len(r.out))
			}
			b.Read()
			r.say(c.piece)
			if got := string(b.Read()); got != c.piece {
				t.Errorf("after it took all, the backend got %q, want %q", got, c.piece)
			}
			r.end.Reset()
			r.st.settle()
			if n := r.st.server.nodes[0].loop.Stats(); n.Streams != 0 || n.Lent != 0 {
				t.Errorf("%d streams, %d buffers are left", n.Streams, n.Lent)
			}
		})
	}
}
