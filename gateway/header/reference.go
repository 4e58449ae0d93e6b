// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"
	"strings"

	"github.com/pvgate/pvgate/gateway/message"
)

// Relative reports whether a reference names neither scheme nor authority (RFC
// 3986, section 4.2), as browsers see it, who take a backslash for a slash.
func Relative(ref []byte) bool {
	if len(ref) > 1 && isSlash(ref[0]) && isSlash(ref[1]) {
		return false
	}
	for i, c := range ref {
		switch {
		case c == ':':
			return i == 0
		case isLetter(c), i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return true
		}
	}
	return true
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// AppendResolved appends what a reference means that is relative to target, in
// origin form: path, query and fragment (RFC 3986, section 5.2). Dot segments end
// at the root.
func AppendResolved(dst, ref, target []byte) []byte {
	path, _, _ := bytes.Cut(target, question)
	switch {
	case len(ref) == 0 || ref[0] == '#':
		return append(append(dst, target...), ref...)
	case ref[0] == '?':
		return append(append(dst, path...), ref...)
	}
	end := bytes.IndexAny(ref, "?#")
	if end < 0 {
		end = len(ref)
	}
	root := len(dst)
	if !isSlash(ref[0]) {
		dst = appendSegments(dst, root, path[:bytes.LastIndexByte(path, '/')+1])
	}
	dst = appendSegments(dst, root, ref[:end])
	if len(dst) == root {
		dst = append(dst, '/')
	}
	return append(dst, ref[end:]...)
}

// appendSegments appends path to the path that begins at root and removes dot
// segments on the way (RFC 3986, section 5.2.4).
func appendSegments(dst []byte, root int, path []byte) []byte {
	if len(dst) == root {
		dst = append(dst, '/')
	}
	if len(path) > 0 && isSlash(path[0]) {
		path = path[1:]
	}
	for {
		i := bytes.IndexAny(path, `/\`)
		last := i < 0
		segment := path
		if !last {
			segment, path = path[:i], path[i+1:]
		}
		switch dots(segment) {
		case 1:
		case 2:
			up := len(dst) - 1 // of the slash that ends the path so far
			for up > root && dst[up-1] != '/' {
				up--
			}
			dst = dst[:max(up, root+1)]
		default:
			if dst = append(dst, segment...); !last {
				dst = append(dst, '/')
			}
		}
		if last {
			return dst
		}
	}
}

// dots returns 1 for ".", 2 for "..", percent-encoded or not, 0 for any other
// segment.
func dots(segment []byte) (n int) {
	for len(segment) > 0 {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && message.EqualFold(segment[:3], "%2e"):
			segment = segment[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}

// RefreshURL returns where in a Refresh value its address stands, as browsers
// read it (HTML, "shared declarative refresh steps"); from equals to if there is
// none.
func RefreshURL(value []byte) (from, to int) {
	n := len(value)
	i := skip(value, 0, " \t")
	i = skip(value, i, "0123456789.")
	j := skip(value, i, " \t")
	if j == n || j == i && value[j] != ';' && value[j] != ',' {
		return n, n
	}
	if value[j] == ';' || value[j] == ',' {
		j++
	}
	j = skip(value, j, " \t")
	if k := j + len("url"); k <= n && message.EqualFold(value[j:k], "url") {
		if k = skip(value, k, " \t"); k < n && value[k] == '=' {
			j = skip(value, k+1, " \t")
		}
	}
	if j < n && (value[j] == '"' || value[j] == '\'') {
		j++
		if end := bytes.IndexByte(value[j:], value[j-1]); end >= 0 {
			return j, j + end
		}
	}
	return j, n
}

// skip returns the first position from i on whose byte is none of set.
func skip(b []byte, i int, set string) int {
	for i < len(b) && strings.IndexByte(set, b[i]) >= 0 {
		i++
	}
	return i
}
