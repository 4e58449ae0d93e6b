// SPDX-License-Identifier: EUPL-1.2

package pvog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const gewerbe = "99050012104000"

func areas(t testing.TB) *registry.Areas {
	t.Helper()
	a, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func key(t testing.TB, leistung, area string) lookup.Key {
	t.Helper()
	l, err := registry.ParseLeistung(leistung)
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.ParseARS(area)
	if err != nil {
		t.Fatal(err)
	}
	return lookup.Key{Leistung: l, Area: a}
}

func noon() time.Time { return time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) } // the 23rd in Berlin

func options(t testing.TB) Options {
	return Options{Options: source.Options{Name: "pvog", Areas: areas(t)}, Now: noon}
}

// read gives the entries of one page, as routing sees them.
func read(t *testing.T, o Options, k lookup.Key, body string) ([]string, error) {
	t.Helper()
	var p page
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return nil, err
	}
	o = New(o).o
	d := newReading(o.Options, o.Areas, k, noon())
	if _, err := d.take(t.Context(), 0, &p); err != nil {
		return nil, err
	}
	answer, err := d.finish(t.Context())
	var all []string
	for i := range answer.Entries {
		all = append(all, line(&answer.Entries[i]))
	}
	return all, err
}

// line is an entry with what a look-up may say.
func line(e *registry.Entry) string {
	s := fmt.Sprintf("%s %s@%s %s %q", e.Kind, e.Leistung, e.AreaKey, e.URL, e.Title)
	for _, more := range [][2]string{{"lb", e.LB}, {"oe", e.OE}, {"od", e.OD}, {"refused", e.Refused}} {
		if more[1] != "" {
			s += " " + more[0] + "=" + more[1]
		}
	}
	return s
}

// The shapes are those of FACTS, the texts are invented.
func TestWhatTheSuchdienstSaysBecomesEntries(t *testing.T) {
	t.Parallel()
	marburg := key(t, gewerbe, "065340014014")
	for _, c := range []struct {
		name, body string
		key        lookup.Key
		want       []string
	}{
		{
			name: "a form and a page of the town", key: marburg,
			body: `{"content":[{"id":"L100001.LB.L100001_120656","name":"Gewerbe anmelden","ars":["065340014014"],"leikakeys":["99050012104000"],
				"organisationIds":["L100001.OE.77"],"onlineServiceLinks":[{"title":"Gewerbe online","uri":"https://www.marburg.example/gewerbe?a=b"}],
				"sourcePortals":[{"title":"Verwaltungsportal","uri":"https://portal.hessen.example/1"}],
				"details":[{"code":"06","text":"<p>…</p>","links":[],"details":[{"text":"x"}]}],
				"lastUpdate":"2026-11-02T09:12:51.102Z","externalLastUpdate":"2026-11-02T09:12:48.754836774Z"}],
				"number":0,"size":50,"totalElements":1,"totalPages":1,"last":true,"first":true,"empty":false}`,
			want: []string{
				`service 99050012104000@065340014014 https://www.marburg.example/gewerbe?a=b "Gewerbe online" lb=L100001.LB.L100001_120656 oe=L100001.OE.77`,
				`page 99050012104000@065340014014 https://portal.hessen.example/1 "Verwaltungsportal" lb=L100001.LB.L100001_120656`,
			},
		},
		{
			// Scenario 78, trap 11: what is inherited is at the area that it names.
			name: "of the Land and of the Bund", key: marburg,
			body: `{"content":[{"id":"a","name":"Land","ars":["060000000000"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://land.example/"}]},
				{"id":"b","name":"Bund","ars":["000000000000"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://bund.example/"}]},
				{"id":"c","name":"Kreis","ars":["06534"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://kreis.example/"}]}],"last":true}`,
			want: []string{
				`service 99050012104000@060000000000 https://land.example/ "Land" lb=a`, `service 99050012104000@000000000000 https://bund.example/ "Bund" lb=b`,
				`service 99050012104000@065340000000 https://kreis.example/ "Kreis" lb=c`,
			},
		},
		{
			name: "for many places, of which one is asked", key: marburg,
			body: `{"content":[{"id":"a","name":"x","ars":["010010000000","065340014014","097610000000"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`,
			want: []string{`service 99050012104000@065340014014 https://a.example/ "x" lb=a`},
		},
		{
			name: "no area: the asked one", key: marburg,
			body: `{"content":[{"id":"a","name":"x","leikakeys":["99050012104000"],"sourcePortals":[{"uri":"https://a.example/"}]}]}`,
			want: []string{`page 99050012104000@065340014014 https://a.example/ "x" lb=a`},
		},
		{
			// R4: the key that Hanau had until 2025 is still in PVOG.
			name: "under the key of yesterday", key: key(t, gewerbe, "064150000000"),
			body: `{"content":[{"id":"a","name":"x","ars":["064350014014"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://hanau.example/"}]}]}`,
			want: []string{`service 99050012104000@064350014014 https://hanau.example/ "x" lb=a`},
		},
		{
			name: "several keys, in several spellings; another key alone says nothing", key: marburg,
			body: `{"content":[{"id":"a","name":"x","ars":"065340014014","leikakeys":["99050012104001","urn:de:fim:leika:leistung:99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]},
				{"id":"b","name":"y","ars":["065340014014"],"leikakeys":["99050012104001"],"onlineServiceLinks":[{"uri":"https://b.example/"}]}]}`,
			want: []string{`service 99050012104000@065340014014 https://a.example/ "x" lb=a`},
		},
		{
			name: "several organisation units", key: marburg,
			body: `{"content":[{"id":"a","name":"x","leikakeys":["99050012104000"],"organisationIds":["L1.OE.1","L1.OE.2"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`,
			want: []string{
				`service 99050012104000@065340014014 https://a.example/ "x" lb=a oe=L1.OE.1`,
				`service 99050012104000@065340014014 https://a.example/ "x" lb=a oe=L1.OE.2`,
			},
		},
		{
			name: "the Ursprungsportal stands in its module only", key: marburg,
			body: `{"content":[{"id":"a","name":"x","leikakeys":["99050012104000"],"details":[{"code":"94","links":[{"title":"p","uri":"https://p.example/"}]},{"code":7,"links":[{"uri":"https://law.example/"}]}]}]}`,
			want: []string{`page 99050012104000@065340014014 https://p.example/ "p" lb=a`},
		},
		{
			// R7: who is responsible but cannot be reached blocks.
			name: "targets that the policy refuses", key: marburg,
			body: `{"content":[{"id":"a","name":"x","leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"http://a.example/"},{"uri":"https://10.0.0.8/"}]}]}`,
			want: []string{
				`service 99050012104000@065340014014 http://a.example/ "x" lb=a refused=http is not allowed; want https, or allow: [http] at the source`,
				`service 99050012104000@065340014014 https://10.0.0.8/ "x" lb=a refused=host 10.0.0.8 is a private address; allow: [private] at the source would permit it`,
			},
		},
		{
			name: "ids and titles that would do harm elsewhere", key: marburg,
			body: `{"content":[{"id":"a b","name":"x\u001b[31m\r\n y","leikakeys":["99050012104000"],"organisationIds":["x\r\nSet-Cookie: y"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`,
			want: []string{`service 99050012104000@065340014014 https://a.example/ "x [31m y"`},
		},
		{name: "nothing", key: marburg, body: `{"content":[],"number":0,"totalElements":0,"last":true}`},
		{name: "a description without a link", key: marburg, body: `{"content":[{"id":"a","name":"x","leikakeys":["99050012104000"]}]}`},
		{name: "for other places only", key: marburg, body: `{"content":[{"id":"a","ars":["010010000000"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`},
		{
			name: "one area of two cannot be read", key: marburg,
			body: `{"content":[{"id":"a","name":"x","ars":["Marburg","065340014014"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`,
			want: []string{`service 99050012104000@065340014014 https://a.example/ "x" lb=a`},
		},
	} {
		got, err := read(t, options(t), c.key, c.body)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v\n%s", c.name, err, cmp.Diff(c.want, got))
		}
	}
}

// What is not the promised form never means that nobody is responsible (R15).
func TestWhatCannotBeReadIsNotNothing(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"id":"a","leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]},`, n), ",")
	}
	for _, c := range []struct {
		name, body string
		want       source.Cause
	}{
		{"another document", `{"status":"UP"}`, source.CauseSchema},
		{"null", `null`, source.CauseSchema},
		{"no list", `{"content":null}`, source.CauseSchema},
		{"another page", `{"content":[],"number":3}`, source.CauseSchema},
		{"descriptions announced and missing", `{"content":[],"totalElements":4,"last":true}`, source.CauseTruncated},
		{"another page announced by an empty one", `{"content":[],"last":false}`, source.CauseSchema},
		{"no keys", `{"content":[{"id":"a","onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`, source.CauseEmpty},
		{"no area that can be read", `{"content":[{"id":"a","ars":["Marburg"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`, source.CauseEmpty},
		{"an area that is none", `{"content":[{"id":"a","ars":["999999999999"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}]}`, source.CauseEmpty},
		{"more than was asked for", `{"content":[` + many(pageSize+1) + `]}`, source.CauseOversized},
		{
			"more targets than anybody has", `{"content":[{"id":"a","leikakeys":["99050012104000"],"onlineServiceLinks":[` +
				strings.TrimSuffix(strings.Repeat(`{"uri":"https://a.example/"},`, maxEntries+1), ",") + `]}]}`, source.CauseOversized,
		},
	} {
		got, err := read(t, options(t), key(t, gewerbe, "065340014014"), c.body)
		var r *source.Refusal
		if !errors.As(err, &r) || r.Cause != c.want || got != nil {
			t.Errorf("%s: %v, %v; want the cause %s", c.name, got, err, c.want)
		}
	}
}

// service is a client and the Suchdienst that it asks.
func service(t *testing.T, s *scripted.Service, change func(o *Options)) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	t.Cleanup(server.CloseClientConnections)
	o := options(t)
	o.Base, o.HTTP = server.URL+"/suchdienst/api", fetch.Client(fetch.Policy{HTTP: true})
	t.Cleanup(o.HTTP.CloseIdleConnections)
	if change != nil {
		change(&o)
	}
	return New(o)
}

func described(n int) func(q scripted.Question) []scripted.Description {
	return func(q scripted.Question) []scripted.Description {
		var all []scripted.Description
		for i := range n {
			all = append(all, scripted.Description{
				ID: fmt.Sprintf("L1.LB.%d", i), Name: "Gewerbe", ARS: []string{q.Area}, LeikaKeys: []string{q.Leistung},
				OnlineServiceLinks: []scripted.Link{{Title: "x", URI: fmt.Sprintf("https://a.example/%d", i)}},
			})
		}
		return all
	}
}

// A Gemeindeverzeichnis that comes later is the one that counts.
func TestAreasOfTheDayAreUsed(t *testing.T) {
	t.Parallel()
	c := service(t, &scripted.Service{Descriptions: described(1)}, nil)
	land, err := registry.ParseARS("06")
	if err != nil {
		t.Fatal(err)
	}
	old, err := registry.NewAreas([]registry.AreaRecord{{ARS: land, Name: "Hessen"}})
	if err != nil {
		t.Fatal(err)
	}
	c.UseAreas(old)
	_, _, err = c.Look(t.Context(), key(t, gewerbe, "120645410340"))
	if r := (*source.Refusal)(nil); !errors.As(err, &r) || r.Cause != source.CauseUnknownArea {
		t.Errorf("%v", err)
	}
	c.UseAreas(areas(t))
	if answer, _, err := c.Look(t.Context(), key(t, gewerbe, "065340014014")); err != nil || len(answer.Entries) != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{ClientID: "c0ffee", Descriptions: described(1)}
	c := service(t, s, func(o *Options) { o.ClientID = "c0ffee" })
	k := key(t, gewerbe, "065340014014")
	answer, quota, err := c.Look(t.Context(), k)
	if err != nil || len(answer.Entries) != 1 || quota != (lookup.Quota{}) || c.Name() != "pvog" {
		t.Fatalf("%+v, %+v, %v", answer, quota, err)
	}
	if e := answer.Entries[0]; e.Origin.String() != "pvog:1" || e.Leistung != k.Leistung {
		t.Errorf("%+v", e)
	}
	if n := s.Calls(scripted.Question{Leistung: gewerbe, Area: "065340014014"}); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// What the configuration can change: base, path with version, client id, User-Agent. What it cannot: size and day.
func TestWhatIsAsked(t *testing.T) {
	t.Parallel()
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"content":[]}`))
	}))
	t.Cleanup(server.Close)
	o := options(t)
	o.Base, o.Descriptions, o.Agent, o.HTTP = server.URL+"/api", "/v4/servicedescriptions/leikaid", "pvgate (gw.example.de)", fetch.Client(fetch.Policy{HTTP: true})
	t.Cleanup(o.HTTP.CloseIdleConnections)
	if _, _, err := New(o).Look(t.Context(), key(t, gewerbe, "06534")); err != nil {
		t.Fatal(err)
	}
	want := "/api/v4/servicedescriptions/leikaid?ars=065340000000&leikaIds=99050012104000&page=0&size=50&validDate=2026-11-23"
	if got.URL.String() != want || got.Header.Get("User-Agent") != "pvgate (gw.example.de)" || len(got.Header["Pvog-Sud-Api-Client-Id"]) != 0 {
		t.Errorf("%s %v", got.URL, got.Header)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{Descriptions: described(2*pageSize + 1)}
	c := service(t, s, nil)
	k := key(t, gewerbe, "065340014014")
	if answer, _, err := c.Look(t.Context(), k); err != nil || len(answer.Entries) != 2*pageSize+1 || s.Total() != 3 {
		t.Errorf("%d entries by %d requests: %v", len(answer.Entries), s.Total(), err)
	}
	for name, n := range map[string]int{"the last page full": 2 * pageSize, "too many": maxPages*pageSize + 1} {
		s.Descriptions = described(n)
		before := s.Total()
		answer, _, err := c.Look(t.Context(), k)
		var r *source.Refusal
		switch {
		case n <= maxPages*pageSize && (err != nil || len(answer.Entries) != n):
			t.Errorf("%s: %d entries: %v", name, len(answer.Entries), err)
		case n > maxPages*pageSize && (!errors.As(err, &r) || r.Cause != source.CauseOversized || s.Total()-before != maxPages):
			t.Errorf("%s: %d entries by %d requests: %v", name, len(answer.Entries), s.Total()-before, err)
		}
	}
}

// What changes between two pages is not one answer.
func TestPagesOfTwoStates(t *testing.T) {
	t.Parallel()
	n := pageSize + 3
	c := service(t, &scripted.Service{Descriptions: func(q scripted.Question) []scripted.Description {
		n--
		return described(n)(q)
	}}, nil)
	_, _, err := c.Look(t.Context(), key(t, gewerbe, "065340014014"))
	var r *source.Refusal
	if !errors.As(err, &r) || r.Cause != source.CauseTruncated {
		t.Errorf("%v", err)
	}
}

// The first page announced three descriptions, the second says that there are two, and two came.
func TestPagesWithTwoTotals(t *testing.T) {
	t.Parallel()
	o := New(options(t)).o
	d := newReading(o.Options, o.Areas, key(t, gewerbe, "065340014014"), noon())
	for number, body := range []string{`{"content":[{"leikakeys":["99050012104000"]}],"totalElements":3,"last":false}`, `{"content":[{"leikakeys":["99050012104000"]},{"leikakeys":["99050012104000"]}],"totalElements":2,"last":true}`} {
		var p page
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		_, err := d.take(t.Context(), number, &p)
		if r := (*source.Refusal)(nil); errors.As(err, &r) != (number == 1) {
			t.Errorf("page %d: %v", number, err)
		}
	}
}

// Every fault of the service is an error and ends in bounded time, requests and memory.
func TestEveryFaultIsAnError(t *testing.T) {
	t.Parallel()
	for _, f := range scripted.Faults() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := &scripted.Service{Descriptions: described(pageSize)}
			c := service(t, s, nil)
			s.Be(f)
			patience := time.Minute
			if f == scripted.Frozen || f == scripted.Drip {
				patience = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			answer, _, err := c.Look(ctx, key(t, gewerbe, "065340014014"))
			var r *source.Refusal
			if !errors.As(err, &r) || len(answer.Entries) > 0 {
				t.Errorf("%+v, %v", answer, err)
			}
			if s.Total() > maxPages && f != scripted.Circles {
				t.Errorf("%d requests", s.Total())
			}
		})
	}
}

// A quota told with any page is handed on.
func TestTheQuotaIsHandedOn(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{Descriptions: described(1)}
	c := service(t, s, nil)
	s.Next(scripted.Busy)
	_, quota, err := c.Look(t.Context(), key(t, gewerbe, "065340014014"))
	if err == nil || quota.Reset != 11*time.Second || quota.Limit != 100 || quota.Remaining != 0 {
		t.Errorf("%+v, %v", quota, err)
	}
}

// Garbage is survived, and what is taken for an answer holds to its bounds.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`{"content":[]}`, `{"content":[{"id":"a","name":"x","ars":["065340014014"],"leikakeys":["99050012104000"],"onlineServiceLinks":[{"uri":"https://a.example/"}]}],"last":true}`,
		`{"content":[{"leikakeys":"99050012104000","details":[{"code":94,"links":[{"uri":"https://a.example/"}]}]}],"totalElements":1}`,
		`{"content":[{"leikakeys":["99050012104000"],"ars":["06","x"],"organisationIds":["a","b"],"onlineServiceLinks":[{"uri":"https://a.example/"},{"uri":"http://x"}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	table := areas(f)
	k := key(f, gewerbe, "065340014014")
	f.Fuzz(func(t *testing.T, body []byte) {
		var p page
		if json.Unmarshal(body, &p) != nil {
			return
		}
		o := New(Options{Options: source.Options{Name: "pvog", Areas: table}, Now: noon}).o
		d := newReading(o.Options, o.Areas, k, noon())
		if _, err := d.take(t.Context(), 0, &p); err != nil {
			return
		}
		answer, err := d.finish(t.Context())
		if err != nil {
			return
		}
		if len(answer.Entries) > maxEntries {
			t.Fatalf("%d entries", len(answer.Entries))
		}
		for i := range answer.Entries {
			e := &answer.Entries[i]
			id, err := table.EntryArea(e.AreaKey)
			if err != nil || !table.ContainsAt(id, d.area, noon()) || e.Leistung != k.Leistung || e.URL == "" || len(e.Title) > maxTitle || len(e.OE) > maxIdent {
				t.Fatalf("%+v", e)
			}
			if _, err := registry.ParseTarget(e.URL); err != nil && e.Refused == "" {
				t.Fatalf("%q is a target: %v", e.URL, err)
			}
		}
	})
}
