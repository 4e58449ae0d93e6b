// SPDX-License-Identifier: EUPL-1.2

package handover

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
)

const now = 1_795_000_000

func secret(b byte) [KeySize]byte { return [KeySize]byte(bytes.Repeat([]byte{b}, KeySize)) }

func keys(t testing.TB, secrets ...[KeySize]byte) *Keys {
	t.Helper()
	k, err := NewKeys(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func context(t testing.TB, leistung, area, sender, backend string) *Context {
	t.Helper()
	c := &Context{}
	var err error
	if leistung != "" {
		if c.Leistung, err = registry.ParseLeistung(leistung); err != nil {
			t.Fatal(err)
		}
	}
	if area != "" {
		if c.Area, err = registry.ParseARS(area); err != nil {
			t.Fatal(err)
		}
		c.HaveArea = true
	}
	if !c.SetNames([]byte(sender), []byte(backend)) {
		t.Fatal("names are too long")
	}
	return c
}

func contexts(t testing.TB) []*Context {
	t.Helper()
	long := strings.Repeat("a", MaxName)
	return []*Context{
		{},
		context(t, "99050012104000", "065340014014", "direct", "hessen"),
		context(t, "99050012104000", "06", "hessen", "hessen"),
		context(t, "99050012104000", "00", "bund", "a"),
		context(t, "99050012104000", "", "direct", "hessen"),
		context(t, "01000000000001", "010530032032", long, long),
	}
}

func TestWhatWasSealedOpens(t *testing.T) {
	t.Parallel()
	k := keys(t, secret(1))
	for i, c := range contexts(t) {
		for _, kind := range []Kind{Link, Cookie} {
			text := k.Seal([]byte("x"), kind, c, now)
			if text[0] != 'x' || len(text)-1 > MaxText {
				t.Fatalf("%d: %d bytes, want at most %d behind what was there", i, len(text)-1, MaxText)
			}
			var got Context
			if fault := k.Open(kind, text[1:], &got, now+Valid-1); fault != None || got != *c {
				t.Errorf("%d %d: fault %d, got %+v, want %+v", i, kind, fault, got, *c)
			}
		}
	}
}

// The MAC is HMAC-SHA-256 as package hmac has it.
func TestMACIsHMAC(t *testing.T) {
	t.Parallel()
	key := secret(7)
	derive := hmac.New(sha256.New, key[:])
	derive.Write([]byte(label))
	for _, n := range []int{0, 1, 55, 56, 64, maxRaw} {
		m := bytes.Repeat([]byte{0xA5}, n)
		h := hmac.New(sha256.New, derive.Sum(nil))
		h.Write(m)
		k := keys(t, secret(7))
		if got := sum(&k.keys[0], m); !bytes.Equal(got[:], h.Sum(nil)[:macSize]) {
			t.Errorf("%d bytes: not what package hmac says", n)
		}
	}
}

func TestALinkIsGoodForAMinute(t *testing.T) {
	t.Parallel()
	k, c := keys(t, secret(1)), contexts(t)[1]
	link, cookie := k.Seal(nil, Link, c, now), k.Seal(nil, Cookie, c, now)
	for _, tt := range []struct {
		after int64
		want  Fault
	}{{0, None}, {59, None}, {60, Expired}, {1e6, Expired}, {-skew, None}, {-skew - 1, Expired}} {
		var got Context
		if fault := k.Open(Link, link, &got, now+tt.after); fault != tt.want || fault != None && got != (Context{}) {
			t.Errorf("link after %d s: got %d, want %d", tt.after, fault, tt.want)
		}
		if fault := k.Open(Cookie, cookie, &got, now+tt.after); fault != None {
			t.Errorf("cookie after %d s: got %d", tt.after, fault)
		}
	}
}

// A link that was shared or logged does not turn into a cookie without end.
func TestOneKindIsNotTakenForTheOther(t *testing.T) {
	t.Parallel()
	k, c := keys(t, secret(1)), contexts(t)[1]
	var got Context
	if k.Open(Cookie, k.Seal(nil, Link, c, now), &got, now) != Forged || k.Open(Link, k.Seal(nil, Cookie, c, now), &got, now) != Forged {
		t.Error("opened as the other kind")
	}
}

// No bit of a text can be changed, no other text can be made of it.
func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	k, c := keys(t, secret(1), secret(2)), contexts(t)[1]
	good := k.Seal(nil, Cookie, c, now)
	raw, err := encoding.DecodeString(string(good))
	if err != nil {
		t.Fatal(err)
	}
	var got Context
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			if k.Open(Cookie, encoding.AppendEncode(nil, bad), &got, now) != Forged || got != (Context{}) {
				t.Errorf("byte %d, bit %d: opened", i, bit)
			}
		}
	}
	for name, bad := range map[string]string{
		"nothing": "", "padded": base64.URLEncoding.EncodeToString(raw), "cut": string(good[:len(good)-4]), "longer": string(good) + "AAAA",
		"line end": string(good[:4]) + "\n" + string(good[4:]), "a quote": `"` + string(good) + `"`, "endless": strings.Repeat("A", 1<<16),
	} {
		if k.Open(Cookie, []byte(bad), &got, now) != Forged {
			t.Errorf("%s: opened", name)
		}
	}
	other := keys(t, secret(3)).Seal(nil, Cookie, c, now)
	if k.Open(Cookie, other, &got, now) != Forged {
		t.Error("opened with a key that is not ours")
	}
}

// What is in a cookie says nothing about when or for whom it was made.
func TestCookiesOfTwoPersonsAreTheSame(t *testing.T) {
	t.Parallel()
	k, c := keys(t, secret(1)), contexts(t)[1]
	if !bytes.Equal(k.Seal(nil, Cookie, c, now), k.Seal(nil, Cookie, c, now+12345)) {
		t.Error("two cookies for the same question differ")
	}
}

// Rotation: a new key is first known to all nodes, then signs, then the old one goes.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	c := contexts(t)[1]
	before, known, signs, after := keys(t, secret(1)), keys(t, secret(1), secret(2)), keys(t, secret(2), secret(1)), keys(t, secret(2))
	var got Context
	for i, step := range [][2]*Keys{{before, known}, {known, before}, {known, signs}, {signs, known}, {signs, after}, {after, signs}} {
		if fault := step[1].Open(Cookie, step[0].Seal(nil, Cookie, c, now), &got, now); fault != None {
			t.Errorf("step %d: fault %d", i, fault)
		}
	}
	if after.Open(Cookie, before.Seal(nil, Cookie, c, now), &got, now) != Forged {
		t.Error("a key that was taken away still opens")
	}
}

func TestNewKeysTakesOneOrTwo(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		k, err := NewKeys([][KeySize]byte{secret(1), secret(2), secret(3)}[:n]...)
		if good := n == 1 || n == 2; good != (err == nil) || good != (k != nil) {
			t.Errorf("%d keys: %v", n, err)
		}
	}
}

func TestOpenAndSealDoNotAllocate(t *testing.T) {
	k, c := keys(t, secret(1), secret(2)), contexts(t)[1]
	old := keys(t, secret(2)).Seal(nil, Cookie, c, now)
	forged := keys(t, secret(3)).Seal(nil, Cookie, c, now)
	dst := make([]byte, 0, MaxText)
	var got Context
	if n := testing.AllocsPerRun(100, func() {
		k.Open(Cookie, old, &got, now)
		k.Open(Cookie, forged, &got, now)
		dst = k.Seal(dst[:0], Link, c, now)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// What opens is exactly what Seal would write: a context has one spelling.
func FuzzOpen(f *testing.F) {
	k := keys(f, secret(1))
	for _, c := range contexts(f) {
		f.Add(k.Seal(nil, Cookie, c, now), false)
		f.Add(k.Seal(nil, Link, c, now), false)
		raw, _ := encoding.DecodeString(string(k.Seal(nil, Cookie, c, now)))
		f.Add(raw[:len(raw)-macSize], true)
	}
	f.Fuzz(func(t *testing.T, text []byte, sign bool) {
		if sign { // past the MAC, where the fuzzer would never get
			if len(text) > maxRaw-macSize {
				return
			}
			mac := sum(&k.keys[0], text)
			text = encoding.AppendEncode(nil, append(bytes.Clone(text), mac[:]...))
		}
		for _, kind := range []Kind{Link, Cookie} {
			var c Context
			switch k.Open(kind, text, &c, now) {
			case None:
				again := k.Seal(nil, kind, &c, now)
				raw, _ := encoding.DecodeString(string(text))
				if kind == Cookie && raw[2]|raw[3]|raw[4]|raw[5] == 0 && !bytes.Equal(again, text) {
					t.Errorf("%q opens, and is written %q", text, again)
				}
			default:
				if c != (Context{}) {
					t.Errorf("%q is refused, and something was read of it", text)
				}
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := keys(b, secret(1))
	text := k.Seal(nil, Cookie, contexts(b)[1], now)
	var c Context
	b.ReportAllocs()
	for b.Loop() {
		if k.Open(Cookie, text, &c, now) != None {
			b.Fatal("refused")
		}
	}
}
