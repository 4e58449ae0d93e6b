// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// nasty is what an operator might write, and with worse behind it a registry.
const nasty, worse = "Größe & <b>\"+'\\\u202e\x01\u2028 – ok", "\xff"

func TestARefusalIsTheAnswerOctetForOctet(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	backends := []*Backend{nil, {ID: "a"}, {ID: "hessen", Name: nasty, Contact: &Contact{Name: nasty, URL: "https://x.example/?a=1&b", Mail: "a+b@x.example", Phone: "+49 1"}}}
	areas := []*Area{nil, {Name: "Bund"}, {ARS: "065340014014", Name: nasty + worse, Level: 12}}
	since := time.Date(2026, 11, 22, 9, 30, 1, 0, time.FixedZone("CET", 3600))
	for _, code := range reason.All() {
		of := 3 * 3 * 2 * 2 * 2 * 2
		switch {
		case !Refuses(code):
			continue
		case code.RetryLater():
			of *= 2 * 2 * 2
		}
		for n := range of {
			pick := func(of int) int { i := n % of; n /= of; return i }
			a := &Answer{Reason: code, Backend: backends[pick(3)], Area: areas[pick(3)]}
			ask := &Ask{HTML: pick(2) > 0, Lang: reason.Lang(pick(2)), Trace: []byte(trace)}
			q := &Refusal{Reason: code, HTML: ask.HTML, Lang: ask.Lang, Trace: ask.Trace}
			if pick(2) > 0 {
				ask.Base = "https://gw.example.de:8443"
				q.Base = []byte(ask.Base)
			}
			if pick(2) > 0 {
				a.Leistung, a.Title = "99050012104000", nasty+worse
				q.Leistung, q.Title = []byte(a.Leistung), a.Title
			}
			if pick(2) > 0 { // only of those that ask to come back later, as the next two
				a.RetryAfter, q.RetryAfter = 4, 4
			}
			if pick(2) > 0 {
				a.Since, q.Since = since, since
			}
			if pick(2) > 0 {
				a.Source, q.Source = nasty, nasty
			}
			if a.Area != nil {
				q.ARS, q.AreaName, q.Level = []byte(a.Area.ARS), a.Area.Name, a.Area.Level
			}
			if a.Backend != nil {
				q.Portal = NewPortal(a.Backend)
			}
			if pick(2) > 0 {
				a.Limit = "50/s & more"
				q.Limit = NewLimit(a.Limit)
			}
			want := r.Answer(ask, a, nil)
			got, _ := r.Refuse(q, nil, nil, nil)
			if diff := cmp.Diff(fmt.Sprintf("%d %q\n%s", want.Status, want.Fields, want.Body), fmt.Sprintf("%d %q\n%s", got.Status, got.Fields, got.Body)); diff != "" {
				t.Fatalf("%v, html %v: %s", a.Reason, ask.HTML, diff)
			}
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	r := renderer(b)
	q := &Refusal{
		Reason: reason.BackendBusy, Trace: []byte(trace), Base: []byte("https://gw.example.de"), Leistung: []byte("99050012104000"), Title: "Gewerbe anmelden",
		ARS: []byte("065340014014"), AreaName: "Marburg, Universitätsstadt", Level: 12, Portal: NewPortal(&Backend{ID: "hessen", Name: "Land Hessen"}), RetryAfter: 3,
	}
	fields, body, scratch := make([]message.Field, 0, 20), make([]byte, 0, 4<<10), make([]byte, 0, 64)
	for _, html := range []bool{false, true} {
		b.Run(fmt.Sprintf("html=%v", html), func(b *testing.B) {
			q.HTML = html
			b.ReportAllocs()
			for b.Loop() {
				r.Refuse(q, fields, body, scratch)
			}
		})
	}
}
