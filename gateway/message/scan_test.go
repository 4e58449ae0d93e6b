// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// scanOneByOne is ScanName octet by octet.
func scanOneByOne(line []byte) (n int, id FieldID) {
	for n < len(line) && Token.Has(line[n]) {
		n++
	}
	return n, classifyText(bytes.ToLower(line[:n]))
}

// classifyText names the field of a name in lower case, and finds the spellings of others that a backend would mistake for it.
func classifyText(name []byte) FieldID {
	of := func(name []byte) FieldID {
		var buf [maxKnown]byte
		copy(buf[:], name)
		return classify(&buf, len(name))
	}
	if id := of(name); id != FieldOther {
		return id
	}
	if meant := bytes.ReplaceAll(bytes.ReplaceAll(name, []byte("_"), []byte("-")), []byte("."), []byte("-")); !bytes.Equal(meant, name) && of(meant) != FieldOther {
		return Alias
	}
	return FieldOther
}

func TestScanNameIsTheSameOneByOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{
		"Accept-Language", "X-Forwarded-Host", "x_forwarded_for", "PV-ARS", "TE", "Sec-WebSocket-Key1", "", "Proxy-Authentication-Info-And-More-Than-That",
		"PV-a_b", "X-Forwarded-Something_Other", "X.PVP_User-And.What-Stands-Behind_It", "x-remote_user", "a_b",
	}
	for range 300_000 {
		line := append([]byte(names[r.IntN(len(names))]), ": value"...)
		for range r.IntN(3) {
			line[r.IntN(len(line))] = byte(r.IntN(256))
		}
		line = line[:r.IntN(len(line)+1)]
		n, id := ScanName(line)
		wantN, wantID := scanOneByOne(line)
		if n != wantN || id != wantID {
			t.Fatalf("%q: %d %d, want %d %d", line, n, id, wantN, wantID)
		}
	}
	for c := range 256 { // every octet at every place of a word
		for at := range 10 {
			line := []byte("abcDEF-hij")
			line[at] = byte(c)
			if n, _ := ScanName(line); (n > at) != Token.Has(byte(c)) {
				t.Errorf("%q: octet %#x at %d", line, c, at)
			}
		}
	}
}
