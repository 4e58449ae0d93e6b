// SPDX-License-Identifier: EUPL-1.2

package conn

import "testing"

// The host is seen where it comes first, whole and as it is usually spelled; all else is no guess, and nothing is read beyond what
// is there.
func TestLikelyHost(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: b.gw.example\r\nAccept: */*\r\n\r\n": "b.gw.example",
		"GET / HTTP/1.1\r\nHost: b.gw.example:8080\r\n\r\n":           "b.gw.example:8080",
		"GET / HTTP/1.1\r\nHost: \r\n\r\n":                            "",
		"GET / HTTP/1.1\r\nAccept: */*\r\nHost: b.gw.example\r\n\r\n": "",
		"GET / HTTP/1.1\r\nhost: b.gw.example\r\n\r\n":                "",
		"GET / HTTP/1.1\r\nHost: b.gw.exam":                           "",
		"GET / HTTP/1.1\r\nHost:":                                     "",
		"GET / HTTP/1.1\r\n":                                          "",
		"GET /":                                                       "",
		"":                                                            "",
	} {
		b := []byte(request)
		if got := likelyHost(b[:len(b):len(b)]); string(got) != want {
			t.Errorf("%q: got %q, want %q", request, got, want)
		}
	}
}
