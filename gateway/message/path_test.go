// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestNormalisePath(t *testing.T) {
	t.Parallel()
	const refusedPath = ""
	for _, c := range []struct {
		in, want string
		slash    bool
	}{
		{"/", "/", false},
		{"/leistung/99050012104000/06534", "/leistung/99050012104000/06534", false},
		{"/%6ceistung/%7Euser", "/leistung/~user", false},
		{"/a%c3%a4%2b", "/a%C3%A4%2B", false},
		{"/a;v=1//b;", "/a;v=1//b;", false},
		{"/%2561", "/%2561", false}, // decoded once, never twice
		{"/99%20050", "/99%20050", false},
		{"/a%0d%0ab", "/a%0D%0Ab", false},
		{"/.../a..b/c./.d", "/.../a..b/c./.d", false},
		{"/[a]", "/[a]", false},
		{"/a%2fb", "/a%2Fb", true},
		{"/a%2F", "/a%2F", true},
		{"", refusedPath, false},
		{"a", refusedPath, false},
		{"/.", refusedPath, false},
		{"/..", refusedPath, false},
		{"/a/./b", refusedPath, false},
		{"/a/../b", refusedPath, false},
		{"/a/%2e", refusedPath, false},
		{"/a/.%2E/b", refusedPath, false},
		{"/a/%2e%2e;x/b", refusedPath, false},
		{"/..;/b", refusedPath, false},
		{"/.;", refusedPath, false},
		{"/..%3b/b", refusedPath, false},
		{"/..%2fb", refusedPath, false},
		{"/a%2f..%2Fb", refusedPath, false},
		{"/a%2f.", refusedPath, false},
		{"/a\\b", refusedPath, false},
		{"/a%5cb", refusedPath, false},
		{"/a%5Cb", refusedPath, false},
		{"/a%00", refusedPath, false},
		{"/%", refusedPath, false},
		{"/%4", refusedPath, false},
		{"/%4g", refusedPath, false},
		{"/%u002e", refusedPath, false},
		{"/a b", refusedPath, false},
		{"/a\x00", refusedPath, false},
		{"/a\x7f", refusedPath, false},
		{"/ä", refusedPath, false},
		{"/a?b", refusedPath, false},
		{"/a#b", refusedPath, false},
	} {
		prefix := []byte("kept")
		out, slash, ok := NormalisePath(prefix, []byte(c.in))
		got := strings.TrimPrefix(string(out), "kept")
		if ok != (c.want != refusedPath) || got != c.want || slash != c.slash {
			t.Errorf("%q: got %q, %v, %v; want %q, %v", c.in, got, slash, ok, c.want, c.slash)
		}
	}
}

// Six ways in which backends have been seen to read a path. Whatever leaves
// NormalisePath must stay below a prefix in all of them if it is below it as
// text, or the prefix decides nothing.
func readings(p string) []string {
	once, err := url.PathUnescape(p)
	if err != nil {
		once = p
	}
	segments := strings.Split(p, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return []string{
		p,
		path.Clean(p),
		path.Clean(once),
		strings.ReplaceAll(p, "//", "/"),
		path.Clean(strings.ReplaceAll(p, `\`, "/")),
		path.Clean(strings.Join(segments, "/")),
	}
}

func below(p, prefix string) bool {
	return p == prefix || strings.HasPrefix(p, prefix+"/") || strings.HasPrefix(p, prefix+";")
}

func FuzzNormalisePath(f *testing.F) {
	for _, seed := range []string{
		"/public/a", "/public/../geheim", "/public/%2e%2e/geheim", "/public/..;a/geheim", "/public/..%2fgeheim", "/public/%2e%2e%5cgeheim",
		"/public//../geheim", "/public/;/../geheim", "/public/%252e%252e/geheim", "/public/%25%32%65/", "/public/.%00/geheim", "/public;x/..",
		"/public/%c0%ae%c0%ae/geheim", "/public/%2f..%2f..%2fgeheim", "/public/a%2f%2e%2e%2f..%3b/geheim",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, slash, ok := NormalisePath(nil, []byte(in))
		if !ok {
			return
		}
		if slash != strings.Contains(string(out), "%2F") {
			t.Errorf("%q: encoded slash %v, but the path is %q", in, slash, out)
		}
		again, _, ok := NormalisePath(nil, out)
		if !ok || string(again) != string(out) {
			t.Errorf("%q: normal form %q is not a fixed point: %q, %v", in, out, again, ok)
		}
		if len(out) > len(in) {
			t.Errorf("%q: grew to %q", in, out)
		}
		was, err1 := url.PathUnescape(in)
		is, err2 := url.PathUnescape(string(out))
		if err1 != nil || err2 != nil || was != is {
			t.Errorf("%q: means %q, but normalised %q", in, was, is)
		}
		if !below(string(out), "/public") {
			return
		}
		for i, r := range readings(string(out)) {
			if !below(r, "/public") {
				t.Errorf("%q: reading %d of %q is %q, outside", in, i, out, r)
			}
		}
	})
}

// The path corpus: a prefix that a path is below as text, it is below in every
// reading, or the path is refused.
func TestCorpusPaths(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds corpora/*.jsonl")
	}
	file, err := os.ReadFile(filepath.Join(material, "corpora", "path-normalisation.requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(file) {
		var c struct{ Name, Target string }
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		in, _, _ := strings.Cut(c.Target, "?")
		out, _, ok := NormalisePath(nil, []byte(in))
		if !ok {
			continue
		}
		for _, prefix := range []string{"/public", "/service-a"} {
			for i, r := range readings(string(out)) {
				if below(string(out), prefix) && !below(r, prefix) {
					t.Errorf("%s: %q: reading %d of %q is %q, outside %s", c.Name, in, i, out, r, prefix)
				}
			}
		}
	}
}

func TestNormalisePathDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	in := []byte("/leistung/99050012104000/065340014014/a%c3%a4/%7e.b")
	if n := testing.AllocsPerRun(100, func() { NormalisePath(buf, in) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkNormalisePath(b *testing.B) {
	buf := make([]byte, 0, 256)
	for _, c := range []struct{ name, in string }{
		{"plain", "/leistung/99050012104000/065340014014/antrag/start"},
		{"encoded", "/leistung/99%20050%20012%20104000/065340014014/%7euser/a%c3%a4.b"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			in := []byte(c.in)
			for b.Loop() {
				NormalisePath(buf, in)
			}
		})
	}
}
