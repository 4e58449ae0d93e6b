// SPDX-License-Identifier: EUPL-1.2

package registrytest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// Poison is one way in which a bundle's file can be bad. None may ever be applied.
type Poison struct {
	Name   string
	Cause  source.Cause
	Damage func(good []byte) []byte // of a bundle with one signature; good is not changed
}

// Places of the form; package bundle says what is there.
const (
	headSize  = 64
	entrySize = 24
	sumSize   = sha256.Size
	sealSize  = sumSize + 8
	signature = 72
)

// Poisons are the kinds of damage to a file, whatever its sections mean. The list is the one that the table tests of this
// repository count.
func Poisons() []Poison {
	return slices.Concat(cutPoisons(), foreignPoisons(), flippedPoisons(), headPoisons(), tablePoisons(), metaPoisons(), sealPoisons())
}

// covered is the length of what the checksum is of.
func covered(good []byte) int { return int(binary.LittleEndian.Uint64(good[16:])) }

// cut takes bytes from the end.
func cutPoisons() []Poison {
	cut := func(name string, cause source.Cause, keep func(good []byte) int) Poison {
		return Poison{name, cause, func(good []byte) []byte { return slices.Clone(good[:keep(good)]) }}
	}
	return []Poison{
		cut("an empty file", source.CauseEmpty, func([]byte) int { return 0 }),
		cut("one byte", source.CauseTruncated, func([]byte) int { return 1 }),
		cut("half a head", source.CauseTruncated, func([]byte) int { return 40 }),
		cut("a head alone", source.CauseTruncated, func([]byte) int { return headSize }),
		cut("half the content", source.CauseTruncated, func(good []byte) int { return covered(good) / 2 }),
		cut("no seal", source.CauseTruncated, covered),
		cut("half a checksum", source.CauseTruncated, func(good []byte) int { return covered(good) + 16 }),
		cut("half a signature", source.CauseTruncated, func(good []byte) int { return len(good) - 32 }),
		cut("one byte missing", source.CauseTruncated, func(good []byte) int { return len(good) - 1 }),
	}
}

// foreignPoisons are other files.
func foreignPoisons() []Poison {
	text := func(name, text string) Poison {
		return Poison{name, source.CauseSchema, func([]byte) []byte { return []byte(text) }}
	}
	return []Poison{
		text("a page of a login", "<!DOCTYPE html><html><body>Bitte melden Sie sich an.</body></html>\n"+strings.Repeat(" ", 4096)),
		text("a csv", "leistung;area;url\n99050012104000;06;https://a.example/\n"),
		text("zeros", strings.Repeat("\x00", 4096)),
		{"a compressed bundle", source.CauseSchema, func(good []byte) []byte {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			if _, err := w.Write(good); err != nil {
				panic(err)
			}
			if err := w.Close(); err != nil {
				panic(err)
			}
			return b.Bytes()
		}},
		{"line ends changed", source.CauseSchema, func(good []byte) []byte { return bytes.ReplaceAll(good, []byte("\r\n"), []byte("\n")) }},
		{"bytes after the end", source.CauseSchema, func(good []byte) []byte { return slices.Concat(good, []byte("x")) }},
		{"a bundle twice", source.CauseSchema, func(good []byte) []byte { return slices.Concat(good, good) }},
	}
}

// flippedPoisons have the right length and wrong bytes.
func flippedPoisons() []Poison {
	flip := func(name string, place func(good []byte) int) Poison {
		return Poison{name, source.CauseChecksum, func(good []byte) []byte {
			bad := slices.Clone(good)
			bad[place(good)] ^= 0x10
			return bad
		}}
	}
	return []Poison{
		flip("a bit of the head", func([]byte) int { return 24 }),
		flip("a bit of the table", func([]byte) int { return headSize + 16 }),
		flip("a bit of the content", func(good []byte) int { return covered(good) / 2 }),
		flip("the last bit", func(good []byte) int { return covered(good) - 1 }),
		flip("a bit of the checksum", covered),
		{"a block of zeros", source.CauseChecksum, func(good []byte) []byte {
			bad := slices.Clone(good)
			clear(bad[headSize:covered(good)])
			return bad
		}},
		{"two blocks swapped", source.CauseChecksum, func(good []byte) []byte {
			bad := slices.Clone(good)
			copy(bad[headSize:128], good[128:192])
			copy(bad[128:192], good[headSize:128])
			return bad
		}},
	}
}

// resealed changes a bundle and makes the checksum fit again, as a wrong program would.
func resealed(name string, change func(content []byte)) Poison {
	return Poison{name, source.CauseSchema, func(good []byte) []byte {
		bad := slices.Clone(good)
		change(bad[:covered(good)])
		sum := sha256.Sum256(bad[:covered(good)])
		copy(bad[covered(good):], sum[:])
		return bad
	}}
}

func headPoisons() []Poison {
	set32 := func(name string, at int, v uint32) Poison {
		return resealed(name, func(c []byte) { binary.LittleEndian.PutUint32(c[at:], v) })
	}
	size := func(name string, cause source.Cause, of func(good []byte) uint64) Poison {
		return Poison{name, cause, func(good []byte) []byte {
			bad := slices.Clone(good)
			binary.LittleEndian.PutUint64(bad[16:], of(good))
			return bad
		}}
	}
	return []Poison{
		set32("version 0", 8, 0),
		set32("a version of the future", 8, 2),
		set32("no sections", 12, 0),
		set32("65 sections", 12, 65),
		set32("four billion sections", 12, 1<<32-1),
		set32("more sections than the file has room for", 12, 64),
		resealed("something in the unused head", func(c []byte) { c[63] = 1 }),
		size("a size of half of all numbers", source.CauseSchema, func([]byte) uint64 { return 1 << 63 }),
		size("the largest size", source.CauseSchema, func([]byte) uint64 { return 1<<64 - 64 }),
		size("a gigabyte in a small file", source.CauseTruncated, func([]byte) uint64 { return 1 << 30 }),
		size("a size that is no multiple of 64", source.CauseSchema, func(good []byte) uint64 { return uint64(covered(good)) - 1 }),
		size("a size of the head alone", source.CauseSchema, func([]byte) uint64 { return headSize }),
		size("a smaller size", source.CauseSchema, func(good []byte) uint64 { return uint64(covered(good)) - 64 }),
	}
}

// tablePoisons need a bundle of two sections or more, as every one is that has an index.
func tablePoisons() []Poison {
	length := func(name string, v uint64) Poison {
		return resealed(name, func(c []byte) { binary.LittleEndian.PutUint64(c[headSize+16:], v) })
	}
	return []Poison{
		length("a section longer than the file", 1<<20),
		length("a section of all numbers", 1<<64-1),
		length("a section whose end overflows", 1<<64-128),
		length("an empty section before bytes that belong to none", 0),
		resealed("tags in another order", func(c []byte) {
			first := slices.Clone(c[headSize : headSize+entrySize])
			copy(c[headSize:], c[headSize+entrySize:headSize+2*entrySize])
			copy(c[headSize+entrySize:], first)
		}),
		resealed("a tag twice", func(c []byte) { copy(c[headSize+entrySize:headSize+entrySize+16], c[headSize:headSize+16]) }),
		resealed("a section without a tag", func(c []byte) { clear(c[headSize : headSize+16]) }),
		resealed("a tag in capitals", func(c []byte) { c[headSize] -= 'a' - 'A' }),
		resealed("a tag with a zero inside", func(c []byte) { c[bytes.Index(c, []byte("meta\x00"))+1] = 0 }),
		resealed("hidden bytes between table and sections", func(c []byte) {
			n := binary.LittleEndian.Uint32(c[12:])
			c[headSize+int(n)*entrySize] = 1
		}),
		resealed("meta called otherwise", func(c []byte) {
			i := bytes.Index(c, []byte("meta\x00"))
			c[i+4] = 'x'
		}),
	}
}

// metaPoisons have every checksum right and facts that cannot be.
func metaPoisons() []Poison {
	replace := func(name, old, text string) Poison {
		return Poison{name, source.CauseSchema, func(good []byte) []byte {
			return withMeta(good, func(meta string) string {
				if !strings.Contains(meta, old) {
					panic(fmt.Sprintf("meta has no %s: %s", old, meta))
				}
				return strings.Replace(meta, old, text, 1)
			})
		}}
	}
	return []Poison{
		replace("an unknown key", `{"sequence":`, `{"more":1,"sequence":`),
		replace("a key twice", `{"sequence":`, `{"sequence":1,"sequence":`),
		replace("a key in capitals", `"sequence":`, `"Sequence":`),
		replace("a number that is none", `"services":`, `"services":NaN,"x":`),
		replace("a number too large", `"services":`, `"services":1e999,"x":`),
		replace("a negative count", `"quarantined":0`, `"quarantined":-1`),
		replace("a negative sequence", `"sequence":`, `"sequence":-`),
		replace("a count of nonsense", `"quarantined":0`, `"quarantined":9223372036854775807`),
		replace("Länder that do not add up", `"lands":[{"services":0`, `"lands":[{"services":7`),
		replace("17 Länder", `"lands":[`, `"lands":[{"services":0,"pages":0},`),
		replace("a day that is none", `"created":"2`, `"created":"x2`),
		replace("white space", `{"sequence":`, `{ "sequence":`),
		replace("a name with a line break", `"name":"`, `"name":"\n`),
		{"a source twice", source.CauseSchema, func(good []byte) []byte {
			return withMeta(good, func(meta string) string {
				head, list, _ := strings.Cut(meta, `"sources":[`)
				list = strings.TrimSuffix(list, "]}")
				return head + `"sources":[` + list + "," + list + "]}"
			})
		}},
		{"nothing but brackets", source.CauseSchema, func(good []byte) []byte {
			return withMeta(good, func(string) string { return strings.Repeat("[", 1<<19) })
		}},
		{"meta of two megabytes", source.CauseOversized, func(good []byte) []byte {
			return withMeta(good, func(meta string) string { return meta + strings.Repeat(" ", 2<<20) })
		}},
		{"text after meta", source.CauseSchema, func(good []byte) []byte {
			return withMeta(good, func(meta string) string { return meta + "{}" })
		}},
		{"no meta in meta", source.CauseSchema, func(good []byte) []byte {
			return withMeta(good, func(string) string { return "null" })
		}},
	}
}

// withMeta lays a bundle out anew with another text for meta. It writes the form a second time, from its description, so
// that the two are held together.
func withMeta(good []byte, change func(meta string) string) []byte {
	type section struct {
		tag, data string
	}
	var all []section
	n := int(binary.LittleEndian.Uint32(good[12:]))
	at := headSize + n*entrySize
	pad := func(n int) int { return -n & 63 }
	for i := range n {
		entry := good[headSize+i*entrySize:]
		at += pad(at)
		size := int(binary.LittleEndian.Uint64(entry[16:]))
		s := section{strings.TrimRight(string(entry[:16]), "\x00"), string(good[at : at+size])}
		if s.tag == "meta" {
			s.data = change(s.data)
		}
		all = append(all, s)
		at += size
	}
	out := slices.Clone(good[:headSize])
	for _, s := range all {
		var entry [entrySize]byte
		copy(entry[:], s.tag)
		binary.LittleEndian.PutUint64(entry[16:], uint64(len(s.data)))
		out = append(out, entry[:]...)
	}
	for _, s := range all {
		out = append(out, make([]byte, pad(len(out)))...)
		out = append(out, s.data...)
	}
	out = append(out, make([]byte, pad(len(out)))...)
	binary.LittleEndian.PutUint64(out[16:], uint64(len(out)))
	sum := sha256.Sum256(out)
	return append(append(out, sum[:]...), make([]byte, 8)...)
}

// sealPoisons are about signatures.
func sealPoisons() []Poison {
	count := func(name string, cause source.Cause, n uint64) Poison {
		return Poison{name, cause, func(good []byte) []byte {
			bad := slices.Clone(good)
			binary.LittleEndian.PutUint64(bad[covered(good)+sumSize:], n)
			return bad
		}}
	}
	unsigned := func(good []byte) []byte {
		bad := slices.Clone(good[:covered(good)+sealSize])
		clear(bad[covered(good)+sumSize:])
		return bad
	}
	return []Poison{
		count("a signature announced that is missing", source.CauseTruncated, 2),
		count("a signature that is not announced", source.CauseSchema, 0),
		count("four billion signatures", source.CauseSchema, 1<<32-1),
		count("a number of signatures with something above it", source.CauseSchema, 1<<32+1),
		{"the same signature twice", source.CauseSchema, func(good []byte) []byte {
			bad := slices.Concat(good, good[len(good)-signature:])
			bad[covered(good)+sumSize] = 2
			return bad
		}},
		{"signatures in another order", source.CauseSchema, func(good []byte) []byte {
			low := append(make([]byte, 8), good[len(good)-signature+8:]...)
			bad := slices.Concat(good, low)
			bad[covered(good)+sumSize] = 2
			return bad
		}},
		{"no signature", source.CauseSignature, unsigned},
		{"a signature of a stranger", source.CauseSignature, func(good []byte) []byte {
			b, err := bundle.Parse(unsigned(good))
			if err != nil {
				panic(err)
			}
			key, err := signing.Generate()
			if err != nil {
				panic(err)
			}
			if err := b.Sign(key); err != nil {
				panic(err)
			}
			var out bytes.Buffer
			if _, err := b.WriteTo(&out); err != nil {
				panic(err)
			}
			return out.Bytes()
		}},
		{"a stranger under a name that is trusted", source.CauseSignature, func(good []byte) []byte {
			bad := slices.Clone(good)
			clear(bad[len(bad)-64:])
			return bad
		}},
		{"a signature of another bundle", source.CauseSignature, func(good []byte) []byte {
			other := withMeta(good, func(meta string) string { return strings.Replace(meta, `{"sequence":`, `{"sequence":9`, 1) })
			copy(other[len(other)-8:], good[covered(good)+sumSize:])
			return append(other, good[len(good)-signature:]...)
		}},
	}
}

// Reseal makes the checksum fit what data says is covered; false if there is no room for one.
func Reseal(data []byte) bool {
	if len(data) < headSize+sealSize {
		return false
	}
	n := binary.LittleEndian.Uint64(data[16:])
	if n > uint64(len(data)-sealSize) {
		return false
	}
	sum := sha256.Sum256(data[:n])
	copy(data[n:], sum[:])
	return true
}
