// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestRobotsAreObeyed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text    string
		refused string // paths
		allowed string
		delay   time.Duration
	}{
		"nothing":                      {"", "", "/ /a", 0},
		"nothing that is refused":      {"User-agent: *\nDisallow:\n", "", "/", 0},
		"all":                          {"User-agent: *\nDisallow: /\n", "/ /a", "", 0},
		"others":                       {"User-agent: googlebot\nDisallow: /\n", "", "/", 0},
		"us":                           {"User-agent: PVGATE-Links\nDisallow: /a\nUser-agent: *\nDisallow: /\n", "/a /ab", "/b", 0},
		"us with a version":            {"User-agent: pvgate-links/1.0\nDisallow: /a\n", "/a", "/b", 0},
		"not us":                       {"User-agent: pvgate\nDisallow: /\nUser-agent: pvgate-links-test\nDisallow: /\n", "", "/", 0},
		"us, who may all":              {"User-agent: *\nDisallow: /\n\nUser-agent: pvgate-links\n", "", "/", 0},
		"several in a group":           {"User-agent: a\nUser-agent: pvgate-links\nUser-agent: b\nDisallow: /a\n", "/a", "/b", 0},
		"two groups of ours":           {"User-agent: pvgate-links\nDisallow: /a\nUser-agent: b\nDisallow: /\nUser-agent: pvgate-links\nDisallow: /c\n", "/a /c", "/b", 0},
		"the longer one decides":       {"User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c\n", "/a /a/x /a/b/c", "/a/b /a/b/x", 0},
		"a tie is allowed":             {"User-agent: *\nAllow: /a\nDisallow: /a\n", "", "/a", 0},
		"stars":                        {"User-agent: *\nDisallow: /*/x*.php$\nDisallow: *?sid=\n", "/a/x1.php /b/c/x.php /a?sid=1", "/a/x.php5 /x.php /a?id=1", 0},
		"an end":                       {"User-agent: *\nDisallow: /a$\n", "/a", "/ab /a/", 0},
		"an end after a star":          {"User-agent: *\nDisallow: /*$\n", "/ /a", "", 0},
		"queries":                      {"User-agent: *\nDisallow: /a?b=1\n", "/a?b=1 /a?b=12", "/a /a?b=2", 0},
		"two spellings":                {"User-agent: *\nDisallow: /%7Ea/b%c3%bc\nDisallow: /ü/%41\n", "/~a/b%C3%BC /%C3%BC/A", "/a /%7ea", 0},
		"comments and line ends":       {"\ufeff# x\r\nUSER-AGENT : * # all\r\n disallow :/a # so\r\n\r\n", "/a", "/b", 0},
		"rules before a group":         {"Disallow: /\nUser-agent: *\nDisallow: /a\n", "/a", "/b", 0},
		"what nobody knows":            {"User-agent: *\nNoindex: /\nSitemap: https://x.example/\nDisallow: /a\n", "/a", "/b", 0},
		"a delay":                      {"User-agent: *\nCrawl-delay: 2.5\nDisallow: /a\n", "/a", "/b", 2500 * time.Millisecond},
		"a delay beyond all":           {"User-agent: *\nCrawl-delay: 1e300\n", "", "/", maxDelay},
		"delays that are none":         {"User-agent: *\nCrawl-delay: -1\nCrawl-delay: NaN\nCrawl-delay: x\n", "", "/", 0},
		"a line without an end":        {"User-agent: *\nDisallow: /" + strings.Repeat("a", 100_000), "/" + strings.Repeat("a", 8000), "/b", 0},
		"no text":                      {"\x00\x01\x02: :\n:\n\xff\n", "", "/", 0},
		"a page":                       {"<html><body>Disallow: /</body></html>", "", "/", 0},
		"more rules than anybody has":  {"User-agent: *\n" + strings.Repeat("Allow: /b\nDisallow: /a\n", 20_000), "/a /b", "", 0},
		"more for others than for us":  {"User-agent: x\n" + strings.Repeat("Disallow: /a\n", 20_000) + "User-agent: *\nDisallow: /c\n", "/c", "/a", 0},
		"what comes after half a MiB":  {strings.Repeat("# x\n", maxRobots/4) + "User-agent: *\nDisallow: /a\n", "", "/a", 0},
		"stars that cost other people": {"User-agent: *\nDisallow: " + strings.Repeat("*a", 2000) + "b$\n", "", "/" + strings.Repeat("a", 8000), 0},
	} {
		said := readRobots(strings.NewReader(tc.text))
		for _, path := range strings.Fields(tc.refused) {
			if said.allows(path) {
				t.Errorf("%s: %.50s is allowed", name, path)
			}
		}
		for _, path := range strings.Fields(tc.allowed) {
			if !said.allows(path) {
				t.Errorf("%s: %.50s is refused", name, path)
			}
		}
		if said.Delay != tc.delay {
			t.Errorf("%s: delay %v, want %v", name, said.Delay, tc.delay)
		}
	}
}

// A robots.txt of any length costs no more than what is read of it.
func TestRobotsWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]io.Reader{"rules": &again{text: "User-agent: *\nDisallow: /a\n"}, "one line": &again{text: "Disallow: /a"}, "zeros": &again{text: "\x00"}} {
		readRobots(r)
		if n := r.(*again).read; n > 2*maxRobots {
			t.Errorf("%s: %d bytes were read", name, n)
		}
	}
}

// again gives the same text without end.
type again struct {
	text string
	read int
}

func (a *again) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], a.text[a.read%len(a.text):])
		a.read++
	}
	a.read += n
	return n, nil
}

func FuzzRobots(f *testing.F) {
	f.Add("User-agent: *\nDisallow: /a*b$\nAllow: /%41\n", "/a?b")
	f.Fuzz(func(t *testing.T, text, path string) {
		said := readRobots(strings.NewReader(text))
		if said.allows(path) != said.allows(spelled(path)) || said.Delay < 0 || said.Delay > maxDelay {
			t.Errorf("%q and its other spelling are not the same, or the delay %v", path, said.Delay)
		}
	})
}
