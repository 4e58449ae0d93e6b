// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"strings"
	"testing"
)

// 7: an answer that changes the protocol is an answer too: its cookies are of the backend's own host.
func TestContract7CookiesOfA101AreOfItsHost(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(askSocket)
	b := st.accept()
	b.Read()
	st.write(b, strings.TrimSuffix(agree, "\r\n")+"Set-Cookie: a=b; Domain=gw.example.de; Path=/\r\nAlt-Svc: h3=\":1\"\r\n\r\n")
	got := string(e.Read())
	if !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(got, "\r\nSet-Cookie: a=b; Path=/\r\n") || strings.Contains(got, "Alt-Svc") {
		t.Errorf("the client got %q", got)
	}
}
