// SPDX-License-Identifier: EUPL-1.2

package datahub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// hub is a Data Hub with so many rows that gives at most so many at once.
type hub struct {
	rows, most int
	refuse     int // pages larger than this are answered 413; 0 = none
	asked      []string
	// spoil may answer otherwise; it reports whether it did.
	spoil func(w http.ResponseWriter, page, size int) bool
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	number, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("size"))
	h.asked = append(h.asked, r.URL.RequestURI())
	if h.spoil != nil && h.spoil(w, number, size) {
		return
	}
	if h.refuse > 0 && size > h.refuse {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	h.page(w, number, min(size, h.most), h.rows)
}

func (h *hub) page(w http.ResponseWriter, number, size, total int) {
	rows := []map[string]any{}
	for i := number * size; i < min((number+1)*size, total); i++ {
		rows = append(rows, row(i))
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"totalElements": total, "totalPages": (total + size - 1) / size, "number": number, "size": size, "numberOfElements": len(rows),
		"first": number == 0, "last": (number+1)*size >= total, "content": rows, "sort": map[string]any{"sorted": true},
	})
}

func row(i int) map[string]any {
	m := map[string]any{
		"leika_key": fmt.Sprintf("99%09d000", i+1), "leika_name": fmt.Sprintf("Leistung %d; \"eins\"", i), "ars": "065340014014", "ars_name": nil,
		"ozgid": 10000 + i, "ozg_bezeichnung": "Elterngeld", "url": fmt.Sprintf("https://portal.example/%d?a=b,c", i), "online_status": "ok", "aktiv": "ja",
	}
	if i%3 == 1 {
		m["aktiv"], m["ozgid"] = nil, nil
	}
	if i%3 == 2 {
		m["aktiv"] = "nein"
	}
	return m
}

// fetch reads the hub by pages, and what came as Read does.
func (h *hub) fetch(t *testing.T, o source.Options) ([]registry.Entry, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Path, o.Areas = "hub", "hub.csv", areas
	var file bytes.Buffer
	export := server.URL + "/v1/dash/open-pvog/000000000000/export?filetype=csv&includeAbove=true&includeBelow=true"
	if err := Pages(context.Background(), PagesOptions{Options: o, URL: export, Do: server.Client().Do}, &file); err != nil {
		return nil, err
	}
	var got []registry.Entry
	if _, err := Read(context.Background(), &file, Options{Options: o}, func(e *registry.Entry) error {
		got = append(got, *e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got, nil
}

func TestPagesGiveWhatTheExportWould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, most, refuse, requests int }{
		{1, 5000, 0, 1},
		{1024, 5000, 0, 1}, // one full page
		{1025, 5000, 0, 2},
		{2500, 5000, 300, 1 + 1 + 10}, // 1024 and 512 are too much
		{2500, 100, 0, 25},            // the hub gives fewer than asked for
		{7, 3, 0, 3},
	} {
		h := &hub{rows: c.rows, most: c.most, refuse: c.refuse}
		got, err := h.fetch(t, source.Options{})
		if err != nil || len(got) != c.rows || len(h.asked) != c.requests {
			t.Errorf("%+v: %d entries by %d requests, %v", c, len(got), len(h.asked), err)
			continue
		}
		for i := range got {
			e := &got[i]
			if want := row(i); e.Leistung.String() != want["leika_key"] || e.URL != want["url"] || e.Title != want["leika_name"] || e.Inactive != (i%3 == 2) {
				t.Fatalf("%+v: entry %d is %+v", c, i, e)
			}
		}
		if want := "/v1/dash/open-pvog/000000000000?includeAbove=true&includeBelow=true&page=0&size=1024"; h.asked[0] != want {
			t.Errorf("asked %s, want %s", h.asked[0], want)
		}
	}
}

// A page that becomes too large in the middle is asked for in halves, which begin where it did.
func TestPagesShrinkInTheMiddle(t *testing.T) {
	t.Parallel()
	h := &hub{rows: 5000, most: 5000}
	h.spoil = func(w http.ResponseWriter, page, size int) bool {
		if page*size >= 2048 && size > 256 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return true
		}
		return false
	}
	got, err := h.fetch(t, source.Options{})
	if err != nil || len(got) != 5000 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i := range got {
		if d := cmp.Diff(row(i)["url"], any(got[i].URL)); d != "" {
			t.Fatalf("entry %d: %s", i, d)
		}
	}
}

// poison is what a hub may say instead of a page, with the cause it is refused for.
func poison() map[string]struct {
	cause source.Cause
	rows  int // most that are allowed; 0 = any
	spoil func(h *hub, w http.ResponseWriter, page, size int) bool
} {
	type kind = struct {
		cause source.Cause
		rows  int
		spoil func(h *hub, w http.ResponseWriter, page, size int) bool
	}
	second := func(spoil func(h *hub, w http.ResponseWriter)) func(*hub, http.ResponseWriter, int, int) bool {
		return func(h *hub, w http.ResponseWriter, page, _ int) bool {
			if page != 1 {
				return false
			}
			spoil(h, w)
			return true
		}
	}
	text := func(status int, kind, body string) func(*hub, http.ResponseWriter, int, int) bool {
		return second(func(_ *hub, w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	const good = "application/json"
	return map[string]kind{
		"an error":                {source.CauseUnreachable, 0, text(500, good, `{}`)},
		"a page of HTML":          {source.CauseSchema, 0, text(200, "text/html", `<html>`)},
		"no type":                 {source.CauseSchema, 0, text(200, "", `{}`)},
		"nothing":                 {source.CauseTruncated, 0, text(200, good, ``)},
		"garbage":                 {source.CauseSchema, 0, text(200, good, "\x00\x01\x02")},
		"JSON that breaks off":    {source.CauseTruncated, 0, text(200, good, `{"totalElements": 3000, "content": [{"leika_key": "99`)},
		"two documents":           {source.CauseSchema, 0, text(200, good, `{"totalElements":3000,"number":1,"size":1024,"last":false,"content":[]} {}`)},
		"a list":                  {source.CauseSchema, 0, text(200, good, `[]`)},
		"no figures":              {source.CauseSchema, 0, text(200, good, `{"content":[]}`)},
		"figures that are texts":  {source.CauseSchema, 0, text(200, good, `{"totalElements":"3000","number":1,"size":1024,"last":false}`)},
		"a key that is a number":  {source.CauseSchema, 0, text(200, good, `{"totalElements":3000,"number":1,"size":1024,"last":false,"content":[{"leika_key":99}]}`)},
		"an empty page":           {source.CauseTruncated, 0, text(200, good, `{"totalElements":3000,"number":1,"size":1024,"last":false,"content":[]}`)},
		"an end that is too soon": {source.CauseTruncated, 0, text(200, good, `{"totalElements":3000,"number":1,"size":1024,"last":true,"content":[]}`)},
		"another page":            {source.CauseSchema, 0, second(func(h *hub, w http.ResponseWriter) { h.page(w, 0, 1024, 3000) })},
		"another size":            {source.CauseSchema, 0, second(func(h *hub, w http.ResponseWriter) { h.page(w, 1, 1000, 3000) })},
		"another number of rows":  {source.CauseTruncated, 0, second(func(h *hub, w http.ResponseWriter) { h.page(w, 1, 1024, 2999) })},
		"fewer than none": {source.CauseOversized, 0, func(_ *hub, w http.ResponseWriter, _, _ int) bool {
			w.Header().Set("Content-Type", good)
			_, _ = w.Write([]byte(`{"totalElements":-1,"number":0,"size":1024,"last":false}`))
			return true
		}},
		"more rows than it says": {source.CauseSchema, 0, func(h *hub, w http.ResponseWriter, page, _ int) bool {
			var b strings.Builder
			for i := range 2000 {
				fmt.Fprintf(&b, `%s{"leika_key":"%d"}`, strings.Repeat(",", min(i, 1)), i)
			}
			w.Header().Set("Content-Type", good)
			fmt.Fprintf(w, `{"totalElements":3000,"number":%d,"size":1024,"last":false,"content":[%s]}`, page, &b)
			return true
		}},
		"too many rows":   {source.CauseOversized, 2999, func(*hub, http.ResponseWriter, int, int) bool { return false }},
		"rows too large":  {source.CauseOversized, 0, text(200, good, `{"totalElements":3000,"x":"`+strings.Repeat("x", maxPageBytes)+`"}`)},
		"always too much": {source.CauseOversized, 0, func(_ *hub, w http.ResponseWriter, _, _ int) bool { w.WriteHeader(413); return true }},
		"a body that is shorter than it says": {source.CauseTruncated, 0, second(func(_ *hub, w http.ResponseWriter) {
			w.Header().Set("Content-Type", good)
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"totalElements":3000`))
		})},
	}
}

func TestPoisonedPagesAreRefused(t *testing.T) {
	t.Parallel()
	for name, p := range poison() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hub{rows: 3000, most: 5000}
			h.spoil = func(w http.ResponseWriter, page, size int) bool { return p.spoil(h, w, page, size) }
			_, err := h.fetch(t, source.Options{MaxRows: p.rows})
			var r *source.Refusal
			if !errors.As(err, &r) || r.Cause != p.cause {
				t.Errorf("%v, want a refusal for %s", err, p.cause)
			}
		})
	}
}

func TestAnExportWithoutPagesIsRefused(t *testing.T) {
	t.Parallel()
	err := Pages(context.Background(), PagesOptions{Options: source.Options{Path: "hub"}, URL: "https://hub.example/all.csv"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "does not end in /export") {
		t.Errorf("%v", err)
	}
}
