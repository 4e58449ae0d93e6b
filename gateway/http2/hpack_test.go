// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/huffman"
	"github.com/pvgate/pvgate/gateway/message"
)

var noLimits = &message.HeadLimits{Line: 1 << 30, Head: 1 << 30, Fields: 1 << 30}

// head decodes a block as a head and writes it down.
func head(d *decoder, block []byte) (text string, ok bool) {
	var a message.Assembler
	var h message.Head
	a.Begin(&h, 2, noLimits)
	if _, ok = d.decode(block, &a, nil); !ok {
		return "", false
	}
	return written(&h, a.End(true)), true
}

func written(h *message.Head, cause message.HeadCause) string {
	if cause != message.HeadFine {
		return cause.String()
	}
	out := fmt.Sprintf("%s %s", h.MethodText, h.Target)
	for _, f := range h.Fields {
		out += fmt.Sprintf(" {%s: %s}", f.Name, f.Value)
	}
	return out
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 7541, appendix C: three requests on one connection, plain and with Huffman codes.
func TestExamplesOfTheRFC(t *testing.T) {
	t.Parallel()
	for name, blocks := range map[string][]string{
		"C.3": {
			"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"8286 84be 5808 6e6f 2d63 6163 6865",
			"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
		},
		"C.4": {
			"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
			"8286 84be 5886 a8eb 1064 9cbf",
			"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
		},
	} {
		d := &decoder{max: tableSize, budget: 1 << 30}
		for i, want := range []string{
			"GET / {host: www.example.com}",
			"GET / {host: www.example.com} {cache-control: no-cache}",
			"GET /index.html {host: www.example.com} {custom-key: custom-value}",
		} {
			if got, ok := head(d, unhex(t, blocks[i])); !ok || got != want {
				t.Errorf("%s.%d: got %v %q, want %q", name, i+1, ok, got, want)
			}
		}
		if d.table.size != 164 || d.table.count != 3 {
			t.Errorf("%s: table has %d octets in %d entries, want 164 in 3", name, d.table.size, d.table.count)
		}
	}
}

func TestBlocksThatAreNone(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]string{
		"index 0":                         "80",
		"index beyond the tables":         "be",
		"name beyond the tables":          "7e 01 61",
		"unfinished index":                "ff",
		"endless index":                   "ff 80 80 80 80 80 01",
		"index of many bits":              "ff ff ff ff 7f",
		"unfinished literal":              "40 01",
		"name longer than the block":      "40 05 61",
		"value longer than the block":     "40 01 61 05 62",
		"no value":                        "40 01 61",
		"size above what is allowed":      "3f e2 1f",
		"size behind a field":             "82 20",
		"padding of a code above 7 bits":  "00 82 1f ff 00",
		"padding that is no ones":         "00 81 00 00",
		"EOS":                             "00 84 ff ff ff ff 00",
		"string of nothing but padding 8": "00 81 ff 00",
	} {
		if _, ok := head(&decoder{max: tableSize, budget: 1 << 30}, unhex(t, block)); ok {
			t.Errorf("%s: %s was decoded", name, block)
		}
	}
	for name, block := range map[string]string{
		"size 0":        "20 82",
		"two sizes":     "20 3f e1 1f 82",
		"largest size":  "3f e1 1f 82",
		"never indexed": "10 01 61 01 62",
		"empty Huffman": "00 01 61 80",
	} {
		if _, ok := head(&decoder{max: tableSize, budget: 1 << 30}, unhex(t, block)); !ok {
			t.Errorf("%s: %s was not decoded", name, block)
		}
	}
}

// What does not fit empties the table; what the client lowers goes at once (RFC 7541, sections 4.3 and 4.4).
func TestTheTableEvicts(t *testing.T) {
	t.Parallel()
	d := &decoder{max: tableSize, budget: 1 << 30}
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	for i := range 100 {
		_ = e.WriteField(hpack.HeaderField{Name: fmt.Sprintf("name-%d", i), Value: strings.Repeat("v", 100)})
	}
	if _, ok := head(d, buf.Bytes()); !ok || d.table.size > tableSize || d.table.count != 29 {
		t.Errorf("%v: %d octets in %d entries", ok, d.table.size, d.table.count)
	}
	if _, ok := head(d, []byte{0x20}); !ok || d.table.count != 0 || d.table.size != 0 {
		t.Errorf("after size 0: %d octets in %d entries", d.table.size, d.table.count)
	}
	d = &decoder{max: tableSize, budget: 1 << 30}
	big := append([]byte{0x40, 1, 'a', 0x7f}, 0x81, 0x1f) // a value of 4096 octets
	big = append(big, bytes.Repeat([]byte("v"), 4096)...)
	if _, ok := head(d, append([]byte{0x40, 1, 'b', 1, 'c'}, big...)); !ok || d.table.count != 0 {
		t.Errorf("an entry larger than the table: %v, %d entries", ok, d.table.count)
	}
}

// decoders runs a sequence of blocks through both; the first octet of each block is its length.
func decoders(t *testing.T, in []byte) {
	t.Helper()
	ours := &decoder{max: tableSize, budget: 1 << 30}
	theirs := hpack.NewDecoder(tableSize, nil)
	theirs.SetAllowedMaxDynamicTableSize(tableSize)
	for len(in) > 0 {
		n := min(int(in[0]), len(in)-1)
		block := in[1 : 1+n]
		in = in[1+n:]
		var a message.Assembler
		var h message.Head
		a.Begin(&h, 2, noLimits)
		theirs.SetEmitFunc(func(f hpack.HeaderField) { a.Field([]byte(f.Name), []byte(f.Value)) })
		_, err := theirs.Write(block)
		if err == nil {
			err = theirs.Close()
		}
		want := written(&h, a.End(true))
		got, ok := head(ours, block)
		if ok != (err == nil) {
			if !ok && (ours.table == nil || ours.table.count == 0) {
				return // theirs lets a size behind a field pass if its table is empty
			}
			t.Fatalf("%x: ours %v, theirs %v", block, ok, err)
		}
		if !ok {
			return
		}
		if got != want {
			t.Fatalf("%x: ours is %q, theirs %q", block, got, want)
		}
		compareTables(t, ours, theirs, block)
	}
}

// compareTables asks their decoder for every entry of ours.
func compareTables(t *testing.T, ours *decoder, theirs *hpack.Decoder, block []byte) {
	t.Helper()
	var got []string
	count := 0
	if ours.table != nil {
		count = ours.table.count
	}
	var want []string
	for i := range count {
		e := ours.entry(len(static) + i)
		line := ours.table.copy(nil, e.at, int(e.name)+int(e.value))
		got = append(got, fmt.Sprintf("%q: %q", line[:e.name], line[e.name:]))
	}
	var index []byte
	for i := range count {
		index = appendInteger(index, 0x80, 7, len(static)+i)
	}
	theirs.SetEmitFunc(func(f hpack.HeaderField) { want = append(want, fmt.Sprintf("%q: %q", f.Name, f.Value)) })
	_, err := theirs.Write(index)
	if err == nil {
		err = theirs.Close()
	}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("behind %x: our table is %q, theirs %q, %v", block, got, want, err)
	}
	if _, err := theirs.Write(appendInteger(nil, 0x80, 7, len(static)+count)); err == nil {
		t.Fatalf("behind %x: their table has more than our %d entries", block, count)
	}
	_ = theirs.Close()
}

func FuzzDecoder(f *testing.F) {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	var seed []byte
	for i := range 5 {
		buf.Reset()
		for _, x := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":path", Value: fmt.Sprintf("/a/%d", i)},
			{Name: "accept-language", Value: "de-DE,de;q=0.9"},
			{Name: "cookie", Value: "a=\xff\x00~{}", Sensitive: i%2 == 0},
			{Name: "x-custom", Value: strings.Repeat("z", 10*i)},
		} {
			_ = e.WriteField(x)
		}
		seed = append(append(seed, byte(buf.Len())), buf.Bytes()...)
		f.Add(seed)
	}
	f.Add([]byte{4, 0x20, 0x3f, 0xe1, 0x1f})
	f.Fuzz(decoders)
}

func FuzzHuffman(f *testing.F) {
	f.Add([]byte("www.example.com"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xfc})
	f.Fuzz(func(t *testing.T, in []byte) {
		coded := hpack.AppendHuffmanString(nil, string(in))
		if out, ok := huffman.Append([]byte("kept"), coded); !ok || string(out) != "kept"+string(in) {
			t.Fatalf("%q: coded and decoded %q, %v", in, out, ok)
		}
		want, err := hpack.HuffmanDecodeToString(in)
		got, ok := huffman.Append(nil, in)
		if ok != (err == nil) || ok && string(got) != want {
			t.Fatalf("%x: got %q %v, want %q %v", in, got, ok, want, err)
		}
	})
}

// The fields of a head, decoded by us from what their encoder makes of them, are those that went in.
func FuzzHeadsSurviveTheEncoder(f *testing.F) {
	f.Add("accept", "*/*", "x", "y", uint8(3))
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string, rounds uint8) {
		var buf bytes.Buffer
		e := hpack.NewEncoder(&buf)
		d := &decoder{max: tableSize, budget: 1 << 30}
		for range rounds%8 + 1 {
			buf.Reset()
			var a message.Assembler
			var want, got message.Head
			limits := &message.HeadLimits{Line: 1 << 20, Head: 1 << 20, Fields: 100}
			a.Begin(&want, 2, limits)
			for _, x := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}, {n1, v1}, {n2, v2}, {n1, v2}} {
				_ = e.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]})
				a.Field([]byte(x[0]), []byte(x[1]))
			}
			cause := a.End(true)
			text := written(&want, cause)
			a.Begin(&got, 2, limits)
			if _, ok := d.decode(buf.Bytes(), &a, nil); !ok {
				t.Fatalf("%x was not decoded", buf.Bytes())
			}
			if text2 := written(&got, a.End(true)); text != text2 {
				t.Fatalf("got %q, want %q", text2, text)
			}
		}
	})
}

// What we encode, their decoder reads.
func FuzzEncoder(f *testing.F) {
	f.Add(200, "Content-Type", "text/html", "X-A", "b")
	f.Add(404, "set-cookie", "a=b", "Vary", "")
	f.Fuzz(func(t *testing.T, status int, n1, v1, n2, v2 string) {
		status = 100 + (status%900+900)%900
		want := []string{fmt.Sprintf(":status: %d", status)}
		b := appendStatus(nil, status)
		for _, x := range [][2]string{{n1, v1}, {n2, v2}} {
			field := message.Field{Name: []byte(x[0]), Value: []byte(x[1]), ID: message.Classify([]byte(x[0]))}
			b = appendField(b, &field)
			lower := []byte(x[0])
			for i := range lower {
				lower[i] = message.Lower(lower[i])
			}
			want = append(want, fmt.Sprintf("%s: %s", lower, x[1]))
		}
		got, err := hpack.NewDecoder(0, nil).DecodeFull(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range got {
			if line := f.Name + ": " + f.Value; line != want[i] {
				t.Fatalf("got %q, want %q", line, want[i])
			}
		}
	})
}

// H2-13: the table cannot be made larger than its 4096 octets, and filling and emptying it costs what the octets cost
// that do it.
func TestH213TableChurnIsLinear(t *testing.T) {
	t.Parallel()
	churn := func(entries int) (block []byte) {
		for i := range entries {
			block = append(block, 0x40, 2, byte('a'+i%26), byte('a'+i/26%26), 1, 'v') // evicts one as soon as the table is full
		}
		return block
	}
	least := func(entries int) time.Duration {
		best := time.Hour
		block := churn(entries)
		for range 20 {
			d := &decoder{max: tableSize, budget: 1 << 30}
			var a message.Assembler
			a.BeginTrailers(&message.HeadLimits{Head: 100, Fields: 1})
			best = min(best, cost(t, func() {
				if _, ok := d.decode(block, &a, make([]byte, 0, 1<<10)); !ok {
					t.Fatal("not decoded")
				}
			}))
			if d.table.size > tableSize || d.table.count > maxEntries {
				t.Fatalf("%d octets in %d entries", d.table.size, d.table.count)
			}
		}
		return best
	}
	if small, large := least(2_000), least(32_000); large > 16*4*small {
		t.Errorf("16 times the entries cost %v, against %v", large, small)
	}
	if _, ok := head(&decoder{max: tableSize, budget: 1 << 30}, []byte{0x3f, 0xe2, 0x1f}); ok {
		t.Error("the table grew beyond 4096 octets")
	}
}

// BenchmarkDecode decodes the head of a browser's first request, all literals with Huffman codes that become entries, and
// of a later one, all indexed; theirs stops at strings, ours goes on to a judged head.
func BenchmarkDecode(b *testing.B) {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	var blocks [2][]byte
	for i := range blocks {
		buf.Reset()
		for _, x := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: "gw.example.de"},
			{Name: ":path", Value: "/leistung/99050012104000"},
			{Name: "accept", Value: "text/html,application/xhtml+xml"},
			{Name: "accept-language", Value: "de-DE,de;q=0.9"},
			{Name: "user-agent", Value: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},
			{Name: "accept-encoding", Value: "gzip, deflate, br"},
			{Name: "sec-fetch-mode", Value: "navigate"},
			{Name: "cookie", Value: "session=0123456789abcdef"},
		} {
			_ = e.WriteField(x)
		}
		blocks[i] = bytes.Clone(buf.Bytes())
	}
	l := DefaultLimits()
	var sc Scratch
	for i, name := range []string{"literal", "indexed"} {
		b.Run(name+"/ours", func(b *testing.B) {
			d := &decoder{max: tableSize, budget: 1 << 30}
			sc.assembler.Begin(&sc.Head, 2, &l.HeadLimits)
			sc.text, _ = d.decode(blocks[0], &sc.assembler, sc.text[:0])
			b.ReportAllocs()
			for b.Loop() {
				sc.assembler.Begin(&sc.Head, 2, &l.HeadLimits)
				sc.text, _ = d.decode(blocks[i], &sc.assembler, sc.text[:0])
				if sc.assembler.End(true) != message.HeadFine {
					b.Fatal("refused")
				}
			}
		})
		b.Run(name+"/theirs", func(b *testing.B) {
			d := hpack.NewDecoder(tableSize, func(hpack.HeaderField) {})
			_, _ = d.Write(blocks[0])
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Write(blocks[i])
			}
		})
	}
}
