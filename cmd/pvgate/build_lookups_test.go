// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
)

// known is a Suchdienst that knows one form for everything.
func known() *scripted.Service {
	return &scripted.Service{ClientID: "c0ffee", Descriptions: func(q scripted.Question) []scripted.Description {
		return []scripted.Description{{
			ID: "L100001.LB.1", Name: "Gewerbe anmelden", ARS: []string{q.Area}, LeikaKeys: []string{q.Leistung},
			OnlineServiceLinks: []scripted.Link{{URI: "https://www.marburg.example/gewerbe"}},
		}}
	}}
}

// looked is a configuration with its routes.
func looked(t *testing.T, files map[string]string) (*routes, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "pvgate.yaml"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return buildRoutes(t.Context(), cfg, newKeeper(slog.New(slog.DiscardHandler)))
}

func lookupKey(t *testing.T, leistung, area string) lookup.Key {
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

// From the keys of the configuration to an answer.
func TestSourcesThatAreLookedUpInAreBuilt(t *testing.T) {
	t.Parallel()
	pvogService := known()
	signer, err := scripted.NewSigner("key-2026", 3072)
	if err != nil {
		t.Fatal(err)
	}
	const destination = "ac715f34-333e-41f4-9bb5-186b309ea233"
	fitService := &scripted.Service{Routes: func(q scripted.Question) []scripted.Route {
		return []scripted.Route{{DestinationID: destination, DestinationSignature: signer.Destination(destination, q.Leistung, q.Area)}}
	}}
	pvogServer, fitServer := httptest.NewServer(pvogService), httptest.NewServer(fitService)
	t.Cleanup(pvogServer.Close)
	t.Cleanup(fitServer.Close)
	built, err := looked(t, map[string]string{
		"pvgate.yaml": fmt.Sprintf(`
registry: {state: state}
sources:
  - {name: pvog, type: pvog, url: "%s/api/", lookup: {client_id_file: id}}
  - {name: fit, type: fitconnect, url: %q, keys: jwks}
`, pvogServer.URL, fitServer.URL),
		"id": "c0ffee\r\n", "jwks": string(scripted.JWKS(signer)),
	})
	if err != nil || len(built.lookups) != 2 || built.table == nil {
		t.Fatalf("%+v, %v", built, err)
	}
	desk := &lookupDesk{log: slog.New(slog.DiscardHandler)}
	t.Cleanup(desk.close)
	open, err := desk.take(built.lookups, built.areas)
	if err != nil {
		t.Fatal(err)
	}
	k := lookupKey(t, "99050012104000", "065340014014")
	a, r := open[0].cache.Look(t.Context(), k)
	if r != lookup.Wait && r != lookup.Hit || a == nil || len(a.Entries) != 1 || a.Entries[0].URL != "https://www.marburg.example/gewerbe" {
		t.Errorf("%+v, %v", a, r)
	}
	a, r = open[1].cache.Look(t.Context(), k)
	if a == nil || len(a.Entries) != 0 || len(a.Contexts) != 1 || a.Contexts[0].DestinationID != destination {
		t.Errorf("%+v, %v", a, r)
	}
	if built.lookups[0].context() || !built.lookups[1].context() || built.lookups[0].place != sourceFirst {
		t.Errorf("%+v", built.lookups)
	}
}

// A reload that leaves a source's settings as they are leaves its cache; another one opens a new cache, and closes the old
// one when nobody can wait for it any more.
func TestCachesOutliveReloads(t *testing.T) {
	t.Parallel()
	service := known()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	load := func(more string) *routes {
		built, err := looked(t, map[string]string{"pvgate.yaml": fmt.Sprintf("sources: [{name: pvog, type: pvog, url: %q, lookup: {client_id: c0ffee%s}}]\n", server.URL, more)})
		if err != nil {
			t.Fatal(err)
		}
		return built
	}
	desk := &lookupDesk{log: slog.New(slog.DiscardHandler), linger: time.Millisecond}
	t.Cleanup(desk.close)
	use := func(built *routes) *openLookup {
		open, err := desk.take(built.lookups, built.areas)
		if err != nil {
			t.Fatal(err)
		}
		desk.settle(open, built.areas)
		return open[0]
	}
	k := lookupKey(t, "99050012104000", "065340014014")
	first := use(load(""))
	if a, r := first.cache.Look(t.Context(), k); a == nil {
		t.Fatal(r)
	}
	if again := use(load("")); again != first {
		t.Error("another cache for the same settings")
	}
	if a, r := first.cache.Get(k); a == nil || r != lookup.Hit || service.Total() != 1 {
		t.Errorf("%v, %v after %d requests", a, r, service.Total())
	}
	second := use(load(", ttl: 2h"))
	if second == first {
		t.Error("the same cache for other settings")
	}
	if _, r := second.cache.Get(k); r != lookup.Wait {
		t.Errorf("a new cache says %v", r)
	}
	desk.closing.Wait() // the old one is closed, or this does not end
	if a, _ := second.cache.Look(t.Context(), k); a == nil {
		t.Error("the new cache was closed")
	}
	// A load that fails after it has taken its caches leaves those in use alone.
	if _, err := desk.take(load(", ttl: 3h").lookups, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(desk.open); n != 2 {
		t.Errorf("%d caches", n)
	}
	use(load(", ttl: 2h"))
	desk.closing.Wait()
	if n := len(desk.open); n != 1 {
		t.Errorf("%d caches", n)
	}
}

func TestFilesOfLookupsAreHeldToTheirForm(t *testing.T) {
	t.Parallel()
	const fit, pvogID = "sources: [{name: fit, type: fitconnect, keys: jwks}]\n", "sources: [{name: pvog, type: pvog, lookup: {client_id_file: id}}]\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no keys":      {map[string]string{"pvgate.yaml": fit}, "1:47: keys: "},
		"keys of PEM":  {map[string]string{"pvgate.yaml": fit, "jwks": "-----BEGIN PUBLIC KEY-----"}, "no JWK set"},
		"no id":        {map[string]string{"pvgate.yaml": pvogID}, "client_id_file: "},
		"an empty id":  {map[string]string{"pvgate.yaml": pvogID, "id": "\n"}, "one line"},
		"two lines":    {map[string]string{"pvgate.yaml": pvogID, "id": "a\nb\n"}, "one line"},
		"a long id":    {map[string]string{"pvgate.yaml": pvogID, "id": strings.Repeat("x", 257)}, "one line"},
		"control code": {map[string]string{"pvgate.yaml": pvogID, "id": "a\x00b"}, "one line"},
	} {
		if _, err := looked(t, tc.files); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The order of trust is that of the list, whether a source has a file or not.
func TestTheOrderOfTrustIsThatOfTheList(t *testing.T) {
	t.Parallel()
	built, err := looked(t, map[string]string{
		"pvgate.yaml": "sources:\n  - {name: a, type: csv, path: a.csv, columns: {url: url}}\n  - {name: b, type: pvog}\n  - {name: c, type: csv, path: a.csv, columns: {url: url}}\n",
		"a.csv":       "leistung,area,url\n99050012104000,06,https://a.example/\n",
	})
	if err != nil || len(built.sources) != 2 || len(built.lookups) != 1 || built.lookups[0].place != sourceFirst+1 {
		t.Fatalf("%+v, %v", built, err)
	}
}
