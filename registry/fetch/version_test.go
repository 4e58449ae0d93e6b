// SPDX-License-Identifier: EUPL-1.2

package fetch

import (
	"bytes"
	"net/http"
	"testing"
	"time"
)

// Two changes within one second have one date. A date that is young when it is told says nothing later (RFC 9110, 8.8.2.2).
func TestAYoungDateTellsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age   time.Duration
		etag  string
		date  bool
		known bool
	}{
		"young":              {age: 10 * time.Second, date: true},
		"of the future":      {age: -time.Hour, date: true},
		"old":                {age: 2 * time.Minute, date: true, known: true},
		"old by nobody":      {age: 2 * time.Minute},
		"young, with a tag":  {age: 0, etag: `"a"`, date: true, known: true},
		"undated, with one":  {age: 0, etag: `"a"`, known: true},
		"exactly old enough": {age: time.Minute, date: true, known: true},
	} {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		f := served(t, func(w http.ResponseWriter, r *http.Request) {
			if w.Header()["Date"] = nil; c.date {
				w.Header().Set("Date", now.Format(http.TimeFormat))
			}
			if c.etag != "" {
				w.Header().Set("ETag", c.etag)
			}
			http.ServeContent(w, r, "x.pvb", now.Add(-c.age), bytes.NewReader(content()))
		})
		first, err := Get(t.Context(), f, Version{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := Get(t.Context(), f, first.Version)
		if err != nil || (again.Path == "") != c.known {
			t.Errorf("%s: %+v, %v after %+v", name, again, err, first.Version)
		}
	}
}
