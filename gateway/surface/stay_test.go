// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/message"
)

// stayer is a call at a listener with TLS, for a backend with two sticky endpoints.
func stayer(t testing.TB, secrets ...byte) (*call, *backend) {
	t.Helper()
	var raw [][handover.KeySize]byte
	for _, s := range secrets {
		raw = append(raw, [handover.KeySize]byte{s})
	}
	keys, err := handover.NewKeys(raw...)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{Backend: Backend{Name: "b", Sticky: []string{"http://10.0.0.1", "http://10.0.0.2"}}}
	b.stays = newStays(keys, b)
	return &call{l: &listener{tls: true}, r: &exchange.Request{Head: &message.Head{}}, p: &exchange.Plan{}}, b
}

// bears has the request bear a Cookie field.
func (c *call) bears(cookie string) {
	c.r.Head.Fields = []message.Field{{Name: []byte("Cookie"), Value: []byte(cookie), ID: message.Cookie}}
	*c.p = exchange.Plan{}
}

// TestStayOutlivesARotationOfKeys: what the key before has made counts, and is made anew.
func TestStayOutlivesARotationOfKeys(t *testing.T) {
	_, old := stayer(t, 1)
	c, b := stayer(t, 2, 1)
	c.bears(stayOfHost + "=" + string(old.stays.marks[1][0]))
	if c.stay(b); c.p.Stay != 2 || !c.p.StayOld {
		t.Errorf("got place %d, old %v, want 2, true", c.p.Stay, c.p.StayOld)
	}
	c.bears(stayOfHost + "=" + string(b.stays.marks[1][0]))
	if c.stay(b); c.p.Stay != 2 || c.p.StayOld {
		t.Errorf("got place %d, old %v, want 2, false", c.p.Stay, c.p.StayOld)
	}
	other, foreign := stayer(t, 3)
	other.bears(stayOfHost + "=" + string(old.stays.marks[1][0]))
	if other.stay(foreign); other.p.Stay != 0 {
		t.Error("a mark by a key that is gone counts")
	}
}

func TestStayDoesNotAllocate(t *testing.T) {
	c, b := stayer(t, 1, 2)
	c.bears("a=b; " + stayOfHost + "=" + string(b.stays.marks[0][0]))
	if n := testing.AllocsPerRun(100, func() { c.stay(b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzStay: only a mark of ours leads anywhere, whatever else the field holds.
func FuzzStay(f *testing.F) {
	_, b := stayer(f, 1)
	mark := string(b.stays.marks[0][0])
	for _, seed := range []string{mark, mark + "=", "\"" + mark + "\"", mark[1:], "", "; " + stayOfHost, mark + "\x00", "x; " + stayOfHost + "=" + mark} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, b := stayer(t, 1)
		c.bears(stayOfHost + "=" + value)
		c.stay(b)
		if c.p.Stay < 0 || c.p.Stay > 2 {
			t.Fatalf("place %d", c.p.Stay)
		}
		if c.p.Stay > 0 && !bytes.Contains([]byte(value), b.stays.marks[c.p.Stay-1][0]) {
			t.Errorf("%q leads to place %d", value, c.p.Stay)
		}
	})
}
