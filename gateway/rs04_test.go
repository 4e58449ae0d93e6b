// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// RS-04: a portal that goes on promising an answer is given up after a few promises, large or small, and its connection is
// not used again.
func TestRS04InterimFloods(t *testing.T) {
	t.Parallel()
	flood := ""
	g, origin := gatewaytest.Standard(t, func(*gatewaytest.Seen) string { return flood + gatewaytest.OK("late") })
	for _, tt := range []struct {
		name, interim string
		n, status     int
	}{
		{"none", "", 0, 200},
		{"some", "HTTP/1.1 102 Processing\r\n\r\n", 3, 200},
		{"1000 of 102", "HTTP/1.1 102 Processing\r\n\r\n", 1000, 502},
		{"a large 103", "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 100_000) + "\r\n\r\n", 1, 502},
	} {
		flood = strings.Repeat(tt.interim, tt.n)
		a := g.Ask(t, hessenHost, "GET /")
		if a.Status != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.name, a.Status, a.Reason(), tt.status)
		}
	}
	flood = ""
	if a := g.Ask(t, hessenHost, "GET /"); a.Status != 200 || a.Body != "late" {
		t.Errorf("after the floods: got %d %q (%d requests were seen)", a.Status, a.Body, len(origin.Requests()))
	}
}
