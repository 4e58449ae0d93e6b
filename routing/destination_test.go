// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// A destination is asked for only where a target has a place for it, also where it is refused for want of one.
func TestTargetsThatWantADestinationSaySo(t *testing.T) {
	t.Parallel()
	const wants, needs, plain = "99050012104000", "99102013104000", "99049001001000"
	f := newFixture(t)
	for key, url := range map[string]string{
		wants: "https://a.example/x?d={destination_id}", needs: "https://a.example/{destination_id}/x", plain: "https://a.example/{leistung}",
	} {
		f.entry(key, "06", url, file("routes.d/06.yaml", 1, 1), func(e *registry.Entry) { e.Template = true })
	}
	table, problems := routing.Compile(f.in)
	if table == nil {
		t.Fatal(problems)
	}
	for key, want := range map[string]struct {
		without routing.Verdict
		asks    bool
		url     string
	}{
		wants:            {routing.Handover, true, "https://a.example/x?d=7f"},
		needs:            {routing.TargetRefused, true, "https://a.example/7f/x"},
		plain:            {routing.Handover, false, "https://a.example/" + plain},
		"99012070006001": {routing.UnknownLeistung, false, ""},
	} {
		q := routing.Query{Leistung: f.leistung(key), Area: f.area("065340014014"), At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
		d := table.Resolve(&q)
		if d.Verdict != want.without || table.WantsDestination(&q, &d) != want.asks {
			t.Errorf("%s: %v, wants %v", key, d.Verdict, table.WantsDestination(&q, &d))
		}
		if q.Destination = "7f"; want.url == "" {
			continue
		}
		if d = table.Resolve(&q); d.Verdict != routing.Handover || table.WantsDestination(&q, &d) {
			t.Errorf("%s with one: %v", key, d.Verdict)
		}
		if url, err := table.AppendURL(nil, &q, &d); err != nil || string(url) != want.url {
			t.Errorf("%s: %s, %v", key, url, err)
		}
	}
}
