// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// labelled is a surface with backends of these names, of which each is new.
func labelled(t interface{ Fatalf(string, ...any) }, names []string) *Surface {
	s := &Surface{labels: newLabels(len(names))}
	for _, name := range names {
		b := backend{}
		b.label, _ = labelOf(name)
		if !s.enter(&b.label) {
			t.Fatalf("%q was there already", name)
		}
		s.backends = append(s.backends, b)
	}
	return s
}

// wantsLabel fails unless the table says of a name what a map says.
func wantsLabel(t interface{ Fatalf(string, ...any) }, s *Surface, model map[string]int, name []byte) {
	want, there := model[string(asciiLower(name))]
	if got, ok := s.label(name, -1); ok != there || ok && got != want {
		t.Fatalf("%q: got %d, %v, want %d, %v", name, got, ok, want, there)
	}
}

func asciiLower(name []byte) []byte {
	name = bytes.Clone(name)
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
	return name
}

// Whatever names there are and whatever is asked for, the table knows what a map knows.
func TestLabelsAreAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c0-]{1,5}|[a-z0-9-]{1,40}`), 0, 60, rapid.ID[string]).Draw(t, "names")
		s, model := labelled(t, names), map[string]int{}
		for i, name := range names {
			model[name] = i
		}
		for _, name := range names {
			wantsLabel(t, s, model, []byte(name))
			wantsLabel(t, s, model, []byte(strings.ToUpper(name)))
			near := []byte(name)
			at := rapid.IntRange(0, len(near)-1).Draw(t, "at")
			near[at] = rapid.Byte().Draw(t, "octet")
			wantsLabel(t, s, model, near)
			wantsLabel(t, s, model, near[:at])
			wantsLabel(t, s, model, append(near, 0))
			wantsLabel(t, s, model, append([]byte(name), near...))
		}
		for range 20 {
			wantsLabel(t, s, model, rapid.SliceOfN(rapid.Byte(), 0, maxLabel+2).Draw(t, "other"))
		}
	})
}

// A name of NULs is no shorter name that ends in them.
func TestLabelsHaveALength(t *testing.T) {
	t.Parallel()
	s := labelled(t, []string{"b", strings.Repeat("x", maxLabel)})
	for name, want := range map[string]bool{
		"b": true, "B": true, "b\x00": false, "\x00": false, "": false, strings.Repeat("x", maxLabel): true,
		strings.Repeat("x", maxLabel-1): false, strings.Repeat("x", maxLabel+1): false, strings.Repeat("x", maxLabel) + "\x28": false,
	} {
		if _, ok := s.label([]byte(name), -1); ok != want {
			t.Errorf("%q: found %v", name, ok)
		}
	}
	own, _ := labelOf("B")
	if s.enter(&own) {
		t.Error("a name was entered twice")
	}
}

// Names whose entries meet are told apart, also those whose tags are the same.
func TestLabelsThatMeet(t *testing.T) {
	t.Parallel()
	const n = 8000
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("b", i))
	}
	s := labelled(t, names)
	moved := 0
	for i, name := range names {
		if got, ok := s.label([]byte(name), -1); !ok || got != i {
			t.Fatalf("%s: got %d, %v", name, got, ok)
		}
		home := int(maphash.String(s.labels.seed, name)) & (len(s.labels.slots) - 1)
		if s.labels.slots[home].place != uint32(i)+1 {
			moved++
		}
		if _, ok := s.label([]byte(name+"x"), -1); ok {
			t.Fatalf("%sx was found", name)
		}
	}
	if moved == 0 {
		t.Error("no two of them have met")
	}
	// Where the tag is the same too, only the name is left to tell them apart.
	s = labelled(t, []string{"b0", "other"})
	hash := maphash.String(s.labels.seed, "b0")
	clear(s.labels.slots)
	for i := range 2 { // the other's entry first
		s.labels.slots[(int(hash)+1-i)&(len(s.labels.slots)-1)] = slot{tag: uint32(hash >> 32), place: uint32(i) + 1}
	}
	if got, ok := s.label([]byte("b0"), -1); !ok || got != 0 {
		t.Errorf("behind an entry of the same tag: got %d, %v", got, ok)
	}
}

// Most backends are guessed by their hosts, whoever asks; and whatever was guessed, the label decides.
func TestAGuessDecidesNothing(t *testing.T) {
	t.Parallel()
	const n = 1000
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("b", i))
	}
	s := labelled(t, names)
	s.domain = "gw.example"
	right := 0
	for i, name := range names {
		if s.Likely([]byte(strings.ToUpper(name)+".GW.example:8080")) == i {
			right++
		}
		for _, likely := range []int{-2, -1, 0, i, (i + 1) % n, n} {
			if got, ok := s.label([]byte(name), likely); !ok || got != i {
				t.Fatalf("%s, guess %d: got %d, %v", name, likely, got, ok)
			}
			if got, ok := s.label([]byte(name+"x"), likely); ok {
				t.Fatalf("%sx, guess %d: got %d", name, likely, got)
			}
		}
	}
	s.backends = append(s.backends, backend{}) // without a host of its own
	if got, ok := s.label(nil, n); ok {
		t.Errorf("no name, guess %d: got %d", n, got)
	}
	if right < n*8/10 {
		t.Errorf("%d of %d were guessed", right, n)
	}
	for _, nobody := range []string{"", "gw.example", ".gw.example", "b1.other.example", "b1", "[::1]:80", strings.Repeat("b", 300) + ".gw.example"} {
		if got := s.Likely([]byte(nobody)); got != -1 {
			t.Errorf("%q: got %d", nobody, got)
		}
	}
}

// A host that is written as it is here is known at once, and nothing else is: without a guess all is as it is with one.
func TestAGuessedHostIsComparedWhole(t *testing.T) {
	t.Parallel()
	s := labelled(t, []string{"b0", "b1", "b"})
	s.backends = append(s.backends, backend{}) // without a host of its own
	for _, domain := range []string{"gw.example", strings.Repeat("d.", 126) + "e", ""} {
		s.domain = domain
		for _, l := range []listener{{subdomains: true}, {subdomains: true, any: true}, {any: true}, {exact: []string{"b1.gw.example"}}, {}} {
			for _, host := range []string{
				"b0.", "b1.", "b.", "B1.", "b2.", ".", "", "b1x.", "xb1.", "b1..", "b1-", "x.b1.", "b1.x", "b1\x00.", strings.Repeat("b", maxLabel) + ".",
			} {
				for _, authority := range []string{host + domain, strings.ToUpper(host + domain), host + domain + ":80", host + domain + ".", host + "x" + domain, host, host + strings.Repeat("x", len(domain))} {
					want, which := s.whose(&l, []byte(authority), -1)
					for likely := -2; likely <= len(s.backends); likely++ {
						if got, at := s.whose(&l, []byte(authority), likely); got != want || at != which {
							t.Errorf("%q, guess %d: got %d, %d, want %d, %d", authority, likely, got, at, want, which)
						}
					}
				}
			}
		}
	}
	s.domain = "gw.example"
	if !s.writtenAs([]byte("b1.gw.example"), 1) || s.writtenAs([]byte("b1.gw.example"), 0) {
		t.Error("a host as it is written here is not known")
	}
}

// What is asked from memory ahead of time is what stands there.
func TestTouchedIsWhatRequestsTouch(t *testing.T) {
	t.Parallel()
	prefix, _ := reflect.TypeFor[backend]().FieldByName("prefix")
	if got := prefix.Offset + prefix.Type.Size(); got != touched {
		t.Errorf("prefix ends at %d, touched is %d", got, touched)
	}
}
