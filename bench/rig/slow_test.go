// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// What a slow connection costs is told of attacks whose connections stay, be it nothing, and of no others.
func TestMemoryIsThatOfConnectionsThatStay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stays  bool
		octets int64
		want   string
	}{{true, 26_000, `"rss_bytes_per_slow_connection":6500,`}, {true, -1, `"rss_bytes_per_slow_connection":0,`}, {false, 26_000, ""}} {
		f := slowFigure{stays: c.stays}
		f.note(4, c.octets)
		b, err := json.Marshal(f)
		if text := string(b); err != nil || f.Open != 4 || !strings.Contains(text, c.want) || strings.Contains(text, "rss_") != c.stays {
			t.Errorf("stays %v: %s, %v, want %s", c.stays, b, err, c.want)
		}
	}
}
