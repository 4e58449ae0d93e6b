// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/refresh"
	"github.com/pvgate/pvgate/registry/source"
)

// keeperBed is a keeper with a configuration, and the sources' servers as functions.
type keeperBed struct {
	t       *testing.T
	dir     string
	cfg     *config.Config
	keeper  *keeper
	builds  int
	servers map[string]func(ctx context.Context) (string, error) // what comes, by source
}

const bedColumns = "columns: {leistung: leistung, area: area, url: url}"

// twoSources are fetched; the folder is beside the configuration.
const twoSources = `
domain: gw.example.de
registry: {state: state}
sources:
  - {name: hub, type: csv, url: "https://hub.example/x.csv", ` + bedColumns + `}
  - {name: own, type: csv, url: "https://own.example/x.csv", ` + bedColumns + `}
`

func newKeeperBed(t *testing.T, text string) *keeperBed {
	t.Helper()
	b := &keeperBed{t: t, dir: t.TempDir(), servers: map[string]func(context.Context) (string, error){}}
	b.configure(text)
	b.restart()
	return b
}

func (b *keeperBed) configure(text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, "pvgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.cfg = cfg
}

// restart is a new process with the same folder.
func (b *keeperBed) restart() {
	b.keeper = newKeeper(slog.New(slog.DiscardHandler))
	b.keeper.build = func(ctx context.Context, p *registryPlan, to string) (*buildReport, error) {
		b.builds++
		return buildBundle(ctx, p, to)
	}
	b.keeper.fetch = func(ctx context.Context, cfg *config.Config, s *config.Source, into string, known ...*delivery) (*delivery, error) {
		if s.Path.Set() {
			return readFile(ctx, cfg, s, into, known...)
		}
		text, err := b.servers[s.Name.V](ctx)
		if err != nil {
			return nil, err
		}
		name := filepath.Join(b.dir, "come")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return copyFile(ctx, f, s.Name.V, into)
	}
}

func (b *keeperBed) areas() *registry.Areas {
	b.t.Helper()
	areas, err := registry.DefaultAreas()
	if err != nil {
		b.t.Fatal(err)
	}
	return areas
}

func (b *keeperBed) ask(name string) error {
	b.t.Helper()
	s, ok := findSource(b.cfg, name)
	if !ok {
		b.t.Fatalf("no source %s", name)
	}
	_, err := b.keeper.Ask(b.t.Context(), b.cfg, s, b.areas(), selfHosts(b.cfg))
	return err
}

// good serves a file for ever.
func (b *keeperBed) good(name, text string) {
	b.servers[name] = func(context.Context) (string, error) { return text, nil }
}

// mustAsk asks for a file that is all right.
func (b *keeperBed) mustAsk(name, text string) {
	b.t.Helper()
	b.good(name, text)
	if err := b.ask(name); err != nil {
		b.t.Fatal(err)
	}
}

// answers says what a request for Gewerbe anmelden gets in some areas.
func (b *keeperBed) answers(want map[string]string) {
	b.t.Helper()
	rt, err := buildRoutes(b.t.Context(), b.cfg, b.keeper)
	if err != nil {
		b.t.Fatal(err)
	}
	if rt.pending {
		b.t.Fatal("there is no table")
	}
	for area, host := range want {
		got, _ := answer(&config.Test{Leistung: config.Text{V: gewerbe}, Area: config.Text{V: area}}, rt, time.Now())
		if got != host {
			b.t.Errorf("%s: %s, want %s", area, got, host)
		}
	}
}

const gewerbe = "99050012104000"

// rows is a file with a row for each host at Marburg's Kreis and more in every Land, so that it has a size.
func rows(host string, each int) string {
	var s strings.Builder
	s.WriteString("leistung,area,url\n")
	fmt.Fprintf(&s, "%s,06,https://%s/\n", gewerbe, host)
	for land := 1; land <= 16; land++ {
		for i := range each {
			fmt.Fprintf(&s, "99%09d000,%02d,https://%s/%d\n", 100_000_000+i, land, host, i)
		}
	}
	return s.String()
}

func TestEachSourceIsRenewedOnItsOwn(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, twoSources)
	rt, err := buildRoutes(t.Context(), b.cfg, b.keeper)
	if err != nil || !rt.pending {
		t.Fatalf("nobody has delivered anything: %v", err)
	}
	b.mustAsk("hub", rows("hub.example", 50))
	b.answers(map[string]string{"06": "hub.example"})
	b.mustAsk("own", "leistung,area,url\n"+gewerbe+",065340014014,https://own.example/\n")
	b.answers(map[string]string{"06": "area_required", "065340014014": "own.example", "064110000000": "hub.example"})

	b.good("hub", "leistung,area,url\n")
	if err := b.ask("hub"); err == nil {
		t.Error("an empty file was taken")
	}
	b.mustAsk("own", "leistung,area,url\n"+gewerbe+",065340014014,https://new.example/\n")
	b.answers(map[string]string{"065340014014": "new.example", "064110000000": "hub.example"})
	if s := b.keeper.status(b.cfg); s.Sources[0].Refused == nil || s.Sources[0].Refused.Cause != "empty" || s.Sources[1].Refused != nil {
		t.Errorf("%+v", s.Sources)
	}
}

func TestTheNextProcessStartsFromWhatWasKept(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, twoSources)
	b.mustAsk("hub", rows("hub.example", 50))
	b.mustAsk("own", rows("own.example", 1))
	before := b.keeper.current().digest
	want := map[string]string{"065340014014": "hub.example"}
	b.builds = 0
	b.servers = nil // there is no network
	b.restart()
	b.answers(want)
	if b.builds != 0 || b.keeper.current().digest != before {
		t.Errorf("built %d times, bundle %v, want %v", b.builds, b.keeper.current().digest, before)
	}
	if s := b.keeper.status(b.cfg).Sources[0]; time.Since(s.Success) > time.Minute || s.Digest == "" {
		t.Errorf("what was known of it is lost: %+v", s)
	}
	// An onlooker sees the same, and leaves no trace.
	traces := func() (names []string) {
		_ = filepath.WalkDir(b.dir, func(p string, _ os.DirEntry, _ error) error { names = append(names, p); return nil })
		return names
	}
	was := fmt.Sprint(traces())
	b.keeper = onlooker()
	b.answers(want)
	if now := fmt.Sprint(traces()); now != was {
		t.Errorf("%v, before %v", now, was)
	}

	// Another form of reading makes another bundle of the same files.
	b.restart()
	b.configure(strings.Replace(twoSources, "x.csv\", ", "x.csv\", hosts: [hub.example], ", 1))
	b.answers(want)
	if b.builds != 1 {
		t.Errorf("built %d times", b.builds)
	}

	// A source that is configured no more is gone, and its rows with it.
	b.configure(strings.Split(twoSources, "  - {name: own")[0])
	b.answers(want)
	if n := len(b.keeper.current().meta.Sources); n != 1 {
		t.Errorf("%d sources", n)
	}

	// Without the deliveries, the bundle is what there is.
	if err := os.RemoveAll(filepath.Join(b.dir, "state", sourcesDir)); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.answers(want)
}

func TestTheIndexIsSharedAsLongAsNothingItDependsOnChanges(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, twoSources)
	b.mustAsk("hub", rows("hub.example", 5))
	index, builds := b.keeper.current().index, b.builds
	b.configure(twoSources + "backends: {hub: {hosts: [hub.example]}}\n")
	b.answers(map[string]string{"06": "hub"})
	b.mustAsk("hub", rows("hub.example", 5)) // the same again
	if b.keeper.current().index != index || b.builds != builds {
		t.Errorf("%d builds more", b.builds-builds)
	}
}

func TestARefusedDeliveryIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, twoSources)
	b.mustAsk("hub", rows("hub.example", 100))
	half := rows("half.example", 50)
	b.good("hub", half)
	for range 2 { // the second time nothing needs to be built
		err := b.ask("hub")
		if err == nil || !strings.Contains(err.Error(), "Land 01 has 50 entries, 100 before") && !strings.Contains(err.Error(), "801 entries, 1601 before") {
			t.Fatal(err)
		}
	}
	if b.builds != 2 {
		t.Errorf("built %d times; what was judged needs no second judgement", b.builds)
	}
	b.answers(map[string]string{"06": "hub.example"})
	refused := b.keeper.status(b.cfg).Sources[0].Refused
	if refused == nil || refused.Accept != "pvgate reload --accept "+refused.Digest || refused.Cause != "shrunk" {
		t.Fatalf("%+v", refused)
	}
	for _, wrong := range []string{"", "sha256:00", refused.Digest[:70] + "0", "sha256:" + strings.Repeat("0", 64)} {
		if b.keeper.Accept(wrong) == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
	if err := b.keeper.Accept(refused.Digest); err != nil {
		t.Fatal(err)
	}
	b.answers(map[string]string{"06": "half.example"})
	b.good("hub", rows("quarter.example", 25))
	if err := b.ask("hub"); err == nil {
		t.Error("the next one was accepted too")
	}
	b.good("hub", "leistung,area\n")
	if err := b.ask("hub"); err == nil {
		t.Error("no columns")
	}
	if err := b.keeper.Accept(b.keeper.status(b.cfg).Sources[0].Refused.Digest); err == nil || !strings.Contains(err.Error(), "cannot be used") {
		t.Errorf("what cannot be read was accepted: %v", err)
	}
}

func TestFilesAreKeptWhereThereIsAFolder(t *testing.T) {
	t.Parallel()
	const text = "domain: gw.example.de\nsources: [{name: own, type: csv, path: own.csv, " + bedColumns + "}]\n"
	for _, folder := range []bool{true, false} {
		b := newKeeperBed(t, text)
		if folder {
			b.configure(text + "registry: {state: state}\n")
		}
		file := filepath.Join(b.dir, "own.csv")
		write := func(s string) {
			if err := os.WriteFile(file+".new", []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		write(rows("one.example", 10))
		b.answers(map[string]string{"06": "one.example"})
		write("leistung,area,url\n")
		_, err := buildRoutes(t.Context(), b.cfg, b.keeper)
		if folder {
			if err != nil {
				t.Error(err)
			}
			b.answers(map[string]string{"06": "one.example"})
			b.restart()
			b.answers(map[string]string{"06": "one.example"})
		} else if err == nil || !strings.Contains(err.Error(), "the source has no rows") {
			t.Errorf("%v", err)
		}
		write(rows("two.example", 10))
		b.answers(map[string]string{"06": "two.example"})
	}
}

// A path's file is read again only when somebody has written to it, and then whatever its size and time say.
func TestAFileIsReadAgainOnlyWhenItHasChanged(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, "domain: gw.example.de\nregistry: {state: state}\nsources: [{name: own, type: csv, path: own.csv, "+bedColumns+"}]\n")
	file := filepath.Join(b.dir, "own.csv")
	long := time.Now().Add(-time.Hour)
	write := func(host string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, []byte(rows(host, 10)), 0o600), os.Chtimes(file, long, long)); err != nil {
			t.Fatal(err)
		}
	}
	write("one.example")
	b.answers(map[string]string{"06": "one.example"})
	good := b.keeper.known("own")
	b.answers(map[string]string{"06": "one.example"})
	if b.keeper.known("own") != good {
		t.Error("it was read though nothing has happened to it")
	}
	write("two.example") // of the same size and time, and in its place
	b.answers(map[string]string{"06": "two.example"})
}

// While one process follows another both may bring the same source to one folder: what has a delivery's name is that delivery.
func TestCP02TwoProcessesDoNotMixWhatTheyBring(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bring := func(text string) func(context.Context) error {
		return func(ctx context.Context) error {
			f, err := os.CreateTemp(dir, "from")
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err = f.WriteString(text); err != nil {
				return err
			}
			for range 20 {
				if _, err := f.Seek(0, 0); err != nil {
					return err
				}
				d, err := copyFile(ctx, f, "hub", dir)
				if err != nil {
					return err
				}
				if sum, err := digestFile(ctx, d.file); err != nil || sum != d.digest {
					return fmt.Errorf("%s is %s: %w", d.file, sum, err)
				}
			}
			return nil
		}
	}
	ended := make(chan error, 2)
	for _, host := range []string{"one.example", "another.example"} {
		go func() { ended <- bring(rows(host, 2000))(t.Context()) }()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	release, err := claim(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := claim(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a folder was claimed twice: %v", err)
	}
}

// failures are what a source can do for a day, with the cause by which it is seen.
func failures() map[string]struct {
	cause source.Cause
	serve func(ctx context.Context) (string, error)
} {
	type failure = struct {
		cause source.Cause
		serve func(ctx context.Context) (string, error)
	}
	text := func(s string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return s, nil }
	}
	return map[string]failure{
		"down": {source.CauseUnreachable, func(context.Context) (string, error) { return "", errors.New("connection refused") }},
		"slow": {source.CauseTimeout, func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-ctx.Done()
			return "", &source.Refusal{Cause: source.CauseTimeout, Text: "it took too long"}
		}},
		"429": {source.CauseRateLimited, func(context.Context) (string, error) {
			return "", &source.Refusal{Cause: source.CauseRateLimited, Text: "the server answers 429", RetryAfter: 3 * time.Hour}
		}},
		"budget": {source.CauseBudget, func(context.Context) (string, error) {
			return "", &source.Refusal{Cause: source.CauseBudget, Text: "its budget is used up"}
		}},
		"empty":             {source.CauseEmpty, text("")},
		"no rows":           {source.CauseEmpty, text("leistung,area,url\n")},
		"wrong":             {source.CauseSchema, text("<html><body>Wartung</body></html>\n")},
		"garbage":           {source.CauseSchema, text("\x00\x01\x02\xff\n\x00\x00\n")},
		"cut":               {source.CauseTruncated, text(rows("new.example", 80)[:3000])},
		"half":              {source.CauseShrunk, text(rows("new.example", 40))},
		"without a Land":    {source.CauseShrunkLand, text(withoutLand(rows("new.example", 80), "07"))},
		"too much":          {source.CauseOversized, text(rows("new.example", 80*5))},
		"rows of no use":    {source.CauseSchema, text(rows("new.example", 80) + strings.Repeat("99,06,https://new.example/\n", 30))},
		"areas of nobody":   {source.CauseUnknownArea, text(rows("new.example", 80) + strings.Repeat(gewerbe+",999999999999,https://new.example/\n", 30))},
		"targets not to go": {source.CauseURLPolicy, text(strings.ReplaceAll(rows("new.example", 80), "https://new.example", "http://10.0.0.8"))},
	}
}

func withoutLand(rows, land string) string {
	var out strings.Builder
	for line := range strings.Lines(rows) {
		if !strings.Contains(line, ","+land+",") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// CP-07: whatever a source does for a day, what was known is answered; how old that is, and why, can be seen.
func TestCP07ASourceThatFailsForADayCostsNothing(t *testing.T) {
	t.Parallel()
	for name, f := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newKeeperBed(t, strings.Split(strings.Replace(twoSources, `x.csv", `, `x.csv", every: 4h, `, 1), "  - {name: own")[0])
			synctest.Test(t, func(t *testing.T) {
				b.t = t
				b.mustAsk("hub", rows("old.example", 80))
				began := time.Now()
				b.servers["hub"] = f.serve
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				asked := 0
				refresh.New(4*time.Hour).Run(ctx, began, func(context.Context) error {
					asked++
					err := b.ask("hub")
					if err == nil {
						t.Error("no error")
					}
					b.answers(map[string]string{"06": "old.example", "065340014014": "old.example"})
					return err
				})
				shown := b.keeper.sourcesShown(time.Now())[0]
				if age := time.Since(shown.Success); asked < 5 || asked > 60 || age < 23*time.Hour {
					t.Errorf("asked %d times, and its age is said to be %v", asked, age)
				}
				if n := shown.Refused[string(f.cause)]; n != asked || len(shown.Refused) != 1 {
					t.Errorf("%v, want %d of %s", shown.Refused, asked, f.cause)
				}
				if s := b.keeper.status(b.cfg).Sources[0]; s.Refused == nil || s.Refused.Cause != string(f.cause) || s.Refused.Text == "" {
					t.Errorf("%+v", s.Refused)
				}
				b.mustAsk("hub", rows("new.example", 80))
				b.answers(map[string]string{"06": "new.example"})
				if shown := b.keeper.sourcesShown(time.Now())[0]; time.Since(shown.Success) != 0 {
					t.Errorf("after the next good delivery its age is said to be %v", time.Since(shown.Success))
				}
			})
		})
	}
}
