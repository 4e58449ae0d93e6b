// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/links"
)

// decided is all that a configuration decides: the snapshot, the registry, and the answer to each question with all losers.
func decided(t *testing.T, cfg *config.Config) (all []string, l *live) {
	t.Helper()
	kept := newBooks(slog.New(slog.DiscardHandler))
	t.Cleanup(kept.names.Close)
	keeper := newKeeper(slog.New(slog.DiscardHandler))
	keeper.build = buildBundle
	l, err := buildLive(t.Context(), cfg, kept, own{registry: keeper, keys: randomKeys().context()})
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, l.snapshot.ID, l.routes.applied.digest.String(), fmt.Sprint(l.census))
	at := time.Now()
	for _, leistung := range l.routes.table.Leistungen() {
		for _, area := range []string{"00", "06", "06534", "065340014014", "065340004004", "09", "097610000000", "010010000000"} {
			q := question{leistung: leistung.String(), area: area}
			e, err := explain(cfg, l.routes, &q, at, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(text))
		}
	}
	return all, l
}

// R7, S51: with every address stale the same is decided as with none: no digest, no census, no candidate, no answer differs.
func TestR7StaleLinksDecideNothing(t *testing.T) {
	t.Parallel()
	portal := httptest.NewServer(http.NotFoundHandler())
	defer portal.Close()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pvgate.yaml", `
domain: gw.example.de
registry: {state: state}
link_check: {contact: "mailto:links@gw.example.de"}
sources:
  - {name: land, type: csv, path: land.csv, allow: [http, private], columns: {url: url, page: page}}
`)
	write("routes.d/06.yaml", `
area: "06"
backends: {form: {hosts: [127.0.0.2]}}
entries:
  - {leistung: "99036026017000", area: "06", url: "`+portal.URL+`/kfz/{leistung}"}
offers:
  gewerbe-2026: {backend: form, leistungen: {"99050012104000": "`+portal.URL+`/efa?p={ars}"}}
adoptions:
  - {offer: gewerbe-2026, areas: ["06534"]}
`)
	text := "leistung,area,url,page\n"
	for i, area := range []string{"00", "06", "06534", "065340014014", "097610000000"} {
		text += fmt.Sprintf("99102013104000,%s,%s/%d,%s/page/%d\n99042001012000,%s,%s/form?ars=%s,\n", area, portal.URL, i, portal.URL, i, area, portal.URL, area)
	}
	write("land.csv", text)
	cfg, err := config.Load(filepath.Join(dir, "pvgate.yaml"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, l := decided(t, cfg)

	settings, ok := linkSettingsOf(cfg)
	if !ok {
		t.Fatal("no link_check")
	}
	all := linksOf(cfg, l.routes)
	if len(all.Fixed) != 2 || !all.Near(0) {
		t.Fatalf("%+v", all.Fixed)
	}
	c := links.New(links.Options{
		Dir: settings.dir, Agent: settings.agent, Every: 20 * time.Millisecond, Rate: 1e6, Pause: time.Millisecond, Failures: 1,
		Registry: func() *links.Registry { return all }, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for r := c.Report(); r == nil || r.Stale < r.Links || r.Links == 0; r = c.Report() {
		select {
		case err := <-ended:
			t.Fatalf("%v; %+v", err, c.Report())
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	<-ended
	if r, err := links.ReadReport(linkFolder(cfg)); err != nil || r.Stale < 8 || r.Stale != r.Links {
		t.Fatalf("%+v, %v", r, err)
	}

	got, _ := decided(t, cfg)
	if len(got) != len(want) || len(want) < 30 {
		t.Fatalf("%d answers, %d before", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("with stale links\n%s\nwithout\n%s", got[i], want[i])
		}
	}
}

// Links are shown for as long as what is in service wants them checked, whenever their checker begins and ends.
func TestLinksAreShownWhileTheyAreWanted(t *testing.T) {
	t.Parallel()
	wanted := &config.Config{Root: config.Root{LinkCheck: &config.LinkCheck{}}}
	d := newLinkDesk(slog.New(slog.DiscardHandler))
	d.look(wanted)
	d.set(links.New(links.Options{Dir: t.TempDir()}))
	if d.summary() == nil {
		t.Error("links are checked, and status says nothing of them")
	}
	d.look(&config.Config{Root: config.Root{}})
	if d.summary() != nil {
		t.Error("status shows links that nobody wants checked any more")
	}
}
