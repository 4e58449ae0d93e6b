// SPDX-License-Identifier: EUPL-1.2

package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Unix(1763800000, 0)

// secrets are the keys of the senders 1, 2, …, in this order.
func secrets() []Sender {
	sequence := make([]byte, 32)
	for i := range sequence {
		sequence[i] = byte(i)
	}
	return []Sender{
		{"bund", 1, [][]byte{sequence, bytes.Repeat([]byte{0xff}, 100)}},
		{"hessen", 2, [][]byte{bytes.Repeat([]byte("x"), 64)}},
		{"hamburg", 3, nil},
	}
}

func testKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := NewKeys(secrets())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func secretOf(name string) []byte {
	for _, s := range secrets() {
		if s.Name == name {
			return s.Keys[0]
		}
	}
	return nil
}

func testMessage() *Message {
	return &Message{
		Method: []byte("POST"), Authority: []byte("gw.example.de"), Path: []byte("/leistung"), Query: []byte("a=b"), HasQuery: true,
		Leistung: []byte("99050012104000"), ARS: []byte("06"),
	}
}

// sign is written from the description, not from the code.
func sign(m *Message, name string, secret []byte, at time.Time) string {
	return signAt(m, name, secret, fmt.Sprint(at.Unix()))
}

func signAt(m *Message, name string, secret []byte, stamp string) string {
	target := string(m.Path)
	if m.HasQuery {
		target += "?" + string(m.Query)
	}
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{"pvgate-1", stamp, name, string(m.Method), string(m.Authority), target, string(m.Leistung), string(m.ARS), string(m.Language)} {
		fmt.Fprintf(mac, "%d:%s,", len(part), part)
	}
	return fmt.Sprintf("t=%s,key=%s,mac=%x", stamp, name, mac.Sum(nil))
}

func TestEveryKeyProvesItsSender(t *testing.T) {
	t.Parallel()
	k := testKeys(t)
	for _, s := range secrets() {
		for i, key := range s.Keys {
			got, o, _ := k.Verify([]byte(sign(testMessage(), s.Name, key, noon)), testMessage(), noon, nil)
			if got != s.Number || o != Valid {
				t.Errorf("key %d of %s: sender %d, outcome %d", i, s.Name, got, o)
			}
		}
	}
	// A key proves its own sender only, and one without keys is nobody.
	for _, name := range []string{"hessen", "hamburg", "berlin"} {
		if _, o, _ := k.Verify([]byte(sign(testMessage(), name, secretOf("bund"), noon)), testMessage(), noon, nil); o != Wrong {
			t.Errorf("%s with another's key: outcome %d", name, o)
		}
	}
}

// The example of the documentation, so that nobody changes what is signed without noticing.
func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	m := testMessage()
	const want = "8:pvgate-1,10:1763800000,4:bund,4:POST,13:gw.example.de,13:/leistung?a=b,14:99050012104000,2:06,0:,"
	if got := string(m.Append(nil, []byte("1763800000"), []byte("bund"))); got != want {
		t.Errorf("signed is %s, want %s", got, want)
	}
	const field = "t=1763800000,key=bund,mac=d6dbfb4574c0ab970325fb206d4bece5b7bc773e4d78cc5e2b9706911b81a94c"
	if got := sign(m, "bund", secretOf("bund"), noon); got != field {
		t.Errorf("got %s, want %s", got, field)
	}
}

func TestTheWindow(t *testing.T) {
	t.Parallel()
	k, field := testKeys(t), []byte(sign(testMessage(), "bund", secretOf("bund"), noon))
	for offset, want := range map[time.Duration]Outcome{
		0: Valid, Window: Valid, -Window: Valid, Window + time.Second: Untimely, -Window - time.Second: Untimely, 24 * time.Hour: Untimely, -50 * 365 * 24 * time.Hour: Untimely,
	} {
		if _, o, _ := k.Verify(field, testMessage(), noon.Add(offset), nil); o != want {
			t.Errorf("%v after signing: outcome %d, want %d", offset, o, want)
		}
	}
}

func TestRefusedFields(t *testing.T) {
	t.Parallel()
	k, good := testKeys(t), sign(testMessage(), "bund", secretOf("bund"), noon)
	mac := good[strings.Index(good, "mac=")+4:]
	for field, want := range map[string]Outcome{
		good: Valid, "": Malformed, "t": Malformed, "t=,key=bund,mac=" + mac: Malformed, strings.Replace(good, "t=", "t=0", 1): Wrong, " " + good: Malformed,
		strings.Replace(good, "t=", "t=-", 1): Malformed, strings.Replace(good, "t=17", "t=+17", 1): Malformed, strings.Replace(good, ",", ", ", 1): Malformed,
		"t=" + strings.Repeat("9", 12) + ",key=bund,mac=" + mac: Malformed, "t=" + strings.Repeat("9", 11) + ",key=bund,mac=" + mac: Untimely,
		strings.Replace(good, "bund", "hessen", 1): Wrong, strings.Replace(good, "bund", "nobody", 1): Wrong, strings.Replace(good, "bund", "", 1): Malformed,
		strings.Replace(good, "bund", strings.Repeat("a", 65), 1): Malformed, good + "0": Malformed, good[:len(good)-1]: Malformed, good + ",x=1": Malformed,
		strings.Replace(good, mac, strings.ToUpper(mac), 1): Malformed, strings.Replace(good, mac, strings.Repeat("0", 64), 1): Wrong, strings.Replace(good, mac, strings.Repeat("g", 64), 1): Malformed,
		"key=bund,t=1763800000,mac=" + mac: Malformed,
	} {
		if got, o, _ := k.Verify([]byte(field), testMessage(), noon, nil); o != want || o != Valid && got != 0 {
			t.Errorf("%q: sender %d, outcome %d, want %d", field, got, o, want)
		}
	}
}

// RT-06: whatever is signed is a tuple of lengths and values: no part can be moved into its neighbour, and none can be
// changed.
func TestRT06SignedPartsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	parts := func(m *Message) []*[]byte {
		return []*[]byte{&m.Method, &m.Authority, &m.Path, &m.Query, &m.Leistung, &m.ARS, &m.Language}
	}
	k, field := testKeys(t), []byte(sign(testMessage(), "bund", secretOf("bund"), noon))
	seen := map[string]string{}
	try := func(what string, m *Message) {
		text := string(m.Append(nil, []byte("1763800000"), []byte("bund")))
		if other, twice := seen[text]; twice {
			t.Errorf("%s is signed as %s is", what, other)
		}
		seen[text] = what
		if _, o, _ := k.Verify(field, m, noon, nil); o == Valid {
			t.Errorf("%s passes with the signature of another", what)
		}
	}
	n := len(parts(testMessage()))
	for i := range n {
		for _, add := range []string{"x", ",", ":", "0:,", ",2:06,"} {
			m := testMessage()
			p := parts(m)[i]
			*p = append(bytes.Clone(*p), add...)
			try(fmt.Sprintf("part %d with %q behind it", i, add), m)
		}
		if i == 0 || len(*parts(testMessage())[i]) == 0 {
			continue
		}
		for _, separator := range []string{"", ",", "1:"} {
			// What begins part i moves to the end of the one before.
			m := testMessage()
			before, p := parts(m)[i-1], parts(m)[i]
			*before = append(append(bytes.Clone(*before), separator...), (*p)[0])
			*p = (*p)[1:]
			try(fmt.Sprintf("part %d begun in the one before, with %q", i, separator), m)
		}
	}
	for i := 1; i < n; i++ {
		for _, separator := range []string{"", ",", ":", ",:", ",1:", "?"} {
			if separator == "?" && i == 3 {
				continue // a path ends at the first one
			}
			for _, moved := range [][2]string{{"x", "y" + separator + "z"}, {"x" + separator + "y", "z"}} {
				m := testMessage()
				*parts(m)[i-1], *parts(m)[i] = []byte(moved[0]), []byte(moved[1])
				try(fmt.Sprintf("parts %d, %d: %q", i-1, i, moved), m)
			}
		}
	}
	m := testMessage()
	m.HasQuery, m.Query = false, nil
	try("no query", m)
	m = testMessage()
	m.Query = nil
	try("an empty query", m)
	if len(seen) < 40 {
		t.Errorf("%d messages: this test sees nothing", len(seen))
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	k, m, scratch := testKeys(t), testMessage(), make([]byte, 0, 1024)
	good := []byte(sign(testMessage(), "bund", secretOf("bund"), noon))
	wrong := []byte(strings.Replace(string(good), "bund", "hessen", 1))
	if n := testing.AllocsPerRun(100, func() {
		if _, o, _ := k.Verify(good, m, noon, scratch); o != Valid {
			t.Fatal(o)
		}
		k.Verify(wrong, m, noon, scratch)
		k.Verify(m.Path, m, noon, scratch)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	k, m, scratch := testKeys(b), testMessage(), make([]byte, 0, 1024)
	good := []byte(sign(testMessage(), "bund", secretOf("bund"), noon))
	b.ReportAllocs()
	for b.Loop() {
		k.Verify(good, m, noon, scratch)
	}
}

func TestKeysThatProveNothing(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	for want, senders := range map[string][]Sender{
		"keeps":      {{"a", 1, [][]byte{key, key, key}}},
		"32":         {{"a", 1, [][]byte{key[:31]}}},
		"told from":  {{"a", 1, [][]byte{key}}, {"a", 2, [][]byte{key}}},
		"told from ": {{"a,b", 1, [][]byte{key}}},
		"cannot":     {{"", 1, [][]byte{key}}},
	} {
		if k, err := NewKeys(senders); err == nil || k != nil {
			t.Errorf("%s: taken", want)
		}
	}
	if k, err := NewKeys([]Sender{{"a", 1, nil}}); k != nil || err != nil {
		t.Error("no keys are some")
	}
}

// FuzzVerify holds that only what was signed passes, whatever the field and the parts are.
func FuzzVerify(f *testing.F) {
	good := sign(testMessage(), "bund", secretOf("bund"), noon)
	f.Add(good, "POST", "gw.example.de", "/leistung", "a=b")
	f.Add("t=1,key=,mac=", "", "", "", "")
	k := testKeys(f)
	f.Fuzz(func(t *testing.T, field, method, authority, path, query string) {
		m := testMessage()
		m.Method, m.Authority, m.Path, m.Query = []byte(method), []byte(authority), []byte(path), []byte(query)
		_, o, _ := k.Verify([]byte(field), m, noon, nil)
		if stamp, name, _, ok := split([]byte(field)); o == Valid && (!ok || field != signAt(m, string(name), secretOf(string(name)), string(stamp))) {
			t.Fatalf("%q passes", field)
		}
		if got, o, _ := k.Verify([]byte(sign(m, "hessen", secretOf("hessen"), noon)), m, noon, nil); o != Valid || got != 2 {
			t.Fatalf("what was signed is refused: %d", o)
		}
	})
}
