// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"net/url"
	"strings"
	"testing"
)

// RFC 3986, section 5.4, as far as a reference is relative and a browser agrees.
func TestAppendResolved(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"g": "/b/c/g", "./g": "/b/c/g", "g/": "/b/c/g/", "/g": "/g", "?y": "/b/c/d;p?y", "g?y": "/b/c/g?y", "#s": "/b/c/d;p?q#s", "g#s": "/b/c/g#s",
		"g?y#s": "/b/c/g?y#s", ";x": "/b/c/;x", "g;x": "/b/c/g;x", "": "/b/c/d;p?q", ".": "/b/c/", "./": "/b/c/", "..": "/b/", "../": "/b/", "../g": "/b/g",
		"../..": "/", "../../": "/", "../../g": "/g", "../../../g": "/g", "../../../../g": "/g", "/./g": "/g", "/../g": "/g", "g.": "/b/c/g.", ".g": "/b/c/.g",
		"g..": "/b/c/g..", "..g": "/b/c/..g", "./../g": "/b/g", "./g/.": "/b/c/g/", "g/./h": "/b/c/g/h", "g/../h": "/b/c/h", "g;x=1/../y": "/b/c/y",
		"g?y/../x": "/b/c/g?y/../x", "g#s/../x": "/b/c/g#s/../x", "%2e%2E/g": "/b/g", ".%2e/%2e/g": "/b/g", `..\g`: "/b/g", "/a//b": "/a//b", "...": "/b/c/...",
	} {
		if got := string(AppendResolved(nil, []byte(ref), []byte("/b/c/d;p?q"))); got != want {
			t.Errorf("%q: got %q, want %q", ref, got, want)
		}
	}
	for target, want := range map[string]string{"/": "/g", "/d": "/g", "/d/": "/d/g", "*": "/g", "/?x/y": "/g", "//d": "//g"} {
		if got := string(AppendResolved([]byte("P"), []byte("g"), []byte(target))); got != "P"+want {
			t.Errorf("g at %q: got %q, want P%q", target, got, want)
		}
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"g": true, "/g": true, "": true, "?a:b": true, "#a:b": true, "./a:b": true, "a/b:c": true, "1a:b": true, ":a": true, "ä:b": true,
		"a:b": false, "http://x": false, "HTTPS:x": false, "a+-.1:b": false, "//x": false, `\\x`: false, `/\x`: false, `\/x`: false,
		"javascript:1": false, "mailto:a@b": false,
	} {
		if got := Relative([]byte(ref)); got != want {
			t.Errorf("%q: got %v, want %v", ref, got, want)
		}
	}
}

func TestRefreshURL(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"0;url=/a": "/a", "5; URL = '/a b' x": "/a b", `5;url="/a`: "/a", "0,/a": "/a", "0 url=/a": "/a", " 1.5 ;\turl=http://x/": "http://x/",
		"5": "", "5;": "", "": "", "x": "", "5x": "", "5;url=": "", "5;urla": "urla", ";/a": "/a", "5; url /a": "url /a",
	} {
		from, to := RefreshURL([]byte(value))
		if got := value[from:to]; got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

// What was resolved begins with one slash, has no dot segment left and does not leave the root.
func FuzzAppendResolved(f *testing.F) {
	for _, ref := range []string{"g", "../g", "/..//x", "?a", "#b", `..\..\x`, "%2e%2e/%2E", "a:b", "//x"} {
		f.Add(ref, "/b/c/d;p?q")
	}
	f.Fuzz(func(t *testing.T, ref, target string) {
		if !strings.HasPrefix(target, "/") || strings.Contains(target, "#") {
			return
		}
		got := string(AppendResolved([]byte("/_pv/b/a"), []byte(ref), []byte(target)))
		path, ok := strings.CutPrefix(got, "/_pv/b/a/")
		if !ok {
			t.Fatalf("%q at %q: %q is outside", ref, target, got)
		}
		if ref == "" || ref[0] == '?' || ref[0] == '#' {
			return // the path is the target's, as it is
		}
		path, _, _ = strings.Cut(path, "#")
		path, _, _ = strings.Cut(path, "?")
		for s := range strings.SplitSeq(path, "/") {
			if d := dots([]byte(s)); d > 0 {
				t.Errorf("%q at %q: %q has a dot segment", ref, target, got)
			}
		}
		if u, err := url.Parse("http://h" + got); err == nil && u.Host != "h" {
			t.Errorf("%q at %q: %q leads to %q", ref, target, got, u.Host)
		}
		from, to := RefreshURL([]byte(ref))
		if from < 0 || from > to || to > len(ref) {
			t.Errorf("%q: [%d:%d]", ref, from, to)
		}
	})
}
