// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/registrytest"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// poisoned is a delivery that must not be applied.
type poisoned struct {
	name  string
	cause source.Cause
	text  string
}

// poisonedRows are those of a csv source.
func poisonedRows() (all []poisoned) {
	for name, f := range failures() {
		if text, err := f.serve(overContext()); err == nil {
			all = append(all, poisoned{name, f.cause, text})
		}
	}
	const head = "leistung,area,url\n"
	good := rows("new.example", 80)
	lines := strings.SplitAfter(good, "\n")
	more := func(n int, line string) string { return good + strings.Repeat(line+"\n", n) }
	return append(all,
		poisoned{"blank lines", source.CauseEmpty, "\n\n\n"},
		poisoned{"a header alone, cut", source.CauseSchema, "leistung,ar"},
		poisoned{"another header", source.CauseSchema, strings.Replace(good, head, "leika,ars,link\n", 1)},
		poisoned{"a column twice", source.CauseSchema, strings.Replace(good, head, "leistung,area,url,url\n", 1)},
		poisoned{"no header", source.CauseSchema, strings.Join(lines[1:], "")},
		poisoned{"JSON", source.CauseSchema, `{"error": "maintenance"}` + "\n"},
		poisoned{"zeros", source.CauseTruncated, strings.Repeat("\x00", 1<<20)},
		poisoned{"a gzip of it", source.CauseSchema, "\x1f\x8b\x08\x00" + strings.Repeat("\x00\xff", 500)},
		poisoned{"a bundle", source.CauseSchema, "\x89PVB\r\n\x1a\n" + strings.Repeat("\x00", 500)},
		poisoned{"UTF-16", source.CauseSchema, "\xff\xfe" + strings.Join(strings.Split(good, ""), "\x00")},
		poisoned{"a quote that never ends", source.CauseTruncated, good + `"99050012104000,06,https://new.example/`},
		poisoned{"columns moved", source.CauseEmpty, head + strings.ReplaceAll(strings.Join(lines[1:], ""), ",https", ",x,https")},
		poisoned{"keys as a spreadsheet writes them", source.CauseEmpty, strings.ReplaceAll(good, "\n99", "\n9,9E+13;")},
		poisoned{"keys without their last digit", source.CauseEmpty, strings.ReplaceAll(good, "000,", "00,")},
		poisoned{"areas without their zero", source.CauseSchema, strings.NewReplacer(",01,", ",1,", ",02,", ",2,", ",03,", ",3,", ",04,", ",4,", ",06,", ",6,").Replace(good)},
		poisoned{"areas of another year", source.CauseUnknownArea, more(40, gewerbe+",064399999999,https://new.example/")},
		poisoned{"postcodes", source.CauseUnknownArea, more(40, gewerbe+",99999,https://new.example/")},
		poisoned{"without a target", source.CauseEmpty, strings.NewReplacer("https://new.example/", "").Replace(head + gewerbe + ",06,https://new.example/\n")},
		poisoned{"all targets by http", source.CauseURLPolicy, strings.ReplaceAll(good, "https:", "http:")},
		poisoned{"all targets our own", source.CauseURLPolicy, strings.ReplaceAll(good, "new.example", "gw.example.de")},
		poisoned{"all targets a metadata service", source.CauseURLPolicy, strings.ReplaceAll(good, "new.example", "169.254.169.254")},
		poisoned{"all targets scripts", source.CauseURLPolicy, strings.ReplaceAll(good, "https://new.example", "javascript:alert")},
		poisoned{"one row", source.CauseShrunk, head + gewerbe + ",06,https://new.example/\n"},
		poisoned{"one row again and again", source.CauseOversized, head + strings.Repeat(gewerbe+",06,https://new.example/\n", 6000)},
		poisoned{"rows that end before they begin", source.CauseEmpty, head + strings.Repeat(gewerbe+",06\n", 2000)},
	)
}

// overContext is over: what waits for it waits no longer.
func overContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// poison delivers each to a keeper that has something good, and sees that nothing has come of it.
func poison(t *testing.T, b *keeperBed, all []poisoned) {
	t.Helper()
	before := b.keeper.current()
	seen := map[string]bool{}
	for _, p := range all {
		if seen[p.name] {
			t.Errorf("%s is there twice", p.name)
		}
		seen[p.name] = true
		b.good("hub", p.text)
		if err := b.ask("hub"); err == nil {
			t.Errorf("%s: no error", p.name)
		}
		if b.keeper.current() != before {
			t.Fatalf("%s was applied", p.name)
		}
		if r := b.keeper.status(b.cfg).Sources[0].Refused; r == nil || r.Cause != string(p.cause) {
			t.Errorf("%s: %+v, want %s", p.name, r, p.cause)
		}
	}
	b.answers(map[string]string{"06": "old.example"})
}

// CP-02: what a source delivers instead of its rows is not applied, whatever it is.
func TestCP02NoPoisonIsApplied(t *testing.T) {
	t.Parallel()
	b := newKeeperBed(t, strings.Split(twoSources, "  - {name: own")[0])
	b.mustAsk("hub", rows("old.example", 80))
	all := poisonedRows()
	poison(t, b, all)
	files := poisonedBundles(t)
	if n := len(all) + len(files); n < 100 {
		t.Errorf("%d kinds of poison, want at least 100", n)
	}
}

const bundleSource = `
domain: gw.example.de
registry: {state: state}
sources: [{name: hub, type: bundle, url: "https://hub.example/x.pvb", keys: keys}]
`

// sealedBundle builds rows as the source "rows" and signs them.
func sealedBundle(t *testing.T, text string, change func(*registryPlan), keys ...*signing.Private) []byte {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &registryPlan{Sequence: 7, Created: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Sources: []plannedSource{{
		Name: "rows", Type: "csv", File: file, Shown: file, Columns: planOf(columnsOf(t), nil).Sources[0].Columns,
	}}}
	if change != nil {
		change(p)
	}
	to := filepath.Join(dir, "x.pvb")
	report, err := buildBundle(t.Context(), p, to)
	if err != nil || report.Digest == "" {
		t.Fatalf("%+v, %v", report, err)
	}
	b, err := bundle.ReadFile(to, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := b.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// columnsOf is a configuration with one source.
func columnsOf(t *testing.T) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pvgate.yaml")
	if err := os.WriteFile(path, []byte("sources: [{name: rows, type: csv, path: x, "+bedColumns+"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// signer is the key of all good bundles, by seed so that it is always the same.
func signer(t *testing.T) (ours, other *signing.Private) {
	t.Helper()
	for _, k := range []**signing.Private{&ours, &other} {
		key, err := signing.Generate()
		if err != nil {
			t.Fatal(err)
		}
		*k = key
	}
	return ours, other
}

// poisonedBundles are damaged files, and whole ones that are not what should come.
func poisonedBundles(t *testing.T) (all []poisoned) {
	t.Helper()
	b, ours, other := bundleBed(t)
	good := sealedBundle(t, rows("new.example", 80), func(p *registryPlan) { p.Sequence = 8 }, ours)
	for _, p := range registrytest.Poisons() {
		all = append(all, poisoned{p.Name, p.Cause, string(p.Damage(good))})
	}
	whole := func(name string, cause source.Cause, text string, change func(*registryPlan), keys ...*signing.Private) {
		all = append(all, poisoned{name, cause, string(sealedBundle(t, text, change, keys...))})
	}
	newer := func(p *registryPlan) { p.Sequence = 8 }
	whole("whole: signed by nobody", source.CauseSignature, rows("new.example", 80), newer)
	whole("whole: signed by somebody else", source.CauseSignature, rows("new.example", 80), newer, other)
	whole("whole: an older one", source.CauseOlder, rows("new.example", 80), func(p *registryPlan) { p.Sequence = 6 }, ours)
	whole("whole: half of it", source.CauseShrunk, rows("new.example", 40), newer, ours)
	whole("whole: without a Land", source.CauseShrunkLand, withoutLand(rows("new.example", 80), "05"), newer, ours)
	whole("whole: five times as much", source.CauseOversized, rows("new.example", 400), newer, ours)
	whole("whole: without the source", source.CauseShrunk, rows("new.example", 80), func(p *registryPlan) { p.Sequence, p.Sources[0].Name = 8, "another" }, ours)
	whole("whole: of other areas", source.CauseUnknownArea, rows("new.example", 80), func(p *registryPlan) {
		p.Sequence, p.Areas.Aliases = 8, filepath.Join(t.TempDir(), "aliases.yaml")
		if err := os.WriteFile(p.Areas.Aliases, []byte("- {from: \"064350014014\", to: \"064150000000\", on: 2030-01-01}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, ours)
	for _, p := range registrytest.SectionPoisons() {
		if text := resealed(t, good, p.Tag, p.Damage, ours); text != "" {
			all = append(all, poisoned{"whole: " + p.Tag + ": " + p.Name, source.CauseSchema, text})
		}
	}
	all = append(all, poisoned{"whole: a source called otherwise", source.CauseConflict, resealed(t, good, "index.sources", func([]byte) []byte { return []byte("ruws\x00") }, ours)})
	all = append(all, poisoned{"whole: a source more", source.CauseConflict, resealed(t, good, "index.sources", func(d []byte) []byte { return append(slices.Clone(d), "x\x00"...) }, ours)})
	for name, change := range map[string]func(*bundle.SourceFacts){
		"more rows than there are": func(s *bundle.SourceFacts) {
			s.Rows, s.Services, s.Lands[6].Services = s.Rows+1, s.Services+1, s.Lands[6].Services+1
		},
		"rows of another Land": func(s *bundle.SourceFacts) {
			s.Lands[6].Services, s.Lands[7].Services = s.Lands[6].Services-1, s.Lands[7].Services+1
		},
		"rows of another kind": func(s *bundle.SourceFacts) {
			s.Services, s.Pages, s.Lands[6].Services, s.Lands[6].Pages = s.Services-1, 1, s.Lands[6].Services-1, 1
		},
	} {
		all = append(all, poisoned{"whole: facts of " + name, source.CauseConflict, otherFacts(t, good, change, ours)})
	}
	poison(t, b, all)
	return all
}

// bundleBed is a keeper that has a good bundle, and two keys of which it trusts the first.
func bundleBed(t *testing.T) (b *keeperBed, ours, other *signing.Private) {
	t.Helper()
	b = newKeeperBed(t, strings.Replace(bundleSource, ", keys: keys", "", 1))
	ours, other = signer(t)
	if err := os.WriteFile(filepath.Join(b.dir, "keys"), []byte(ours.Public().Line("ours")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.configure(bundleSource)
	b.mustAsk("hub", string(sealedBundle(t, rows("old.example", 80), nil, ours)))
	b.answers(map[string]string{"06": "old.example"})
	return b, ours, other
}

func parsed(t *testing.T, file []byte) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Parse(slices.Clone(file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// resealed is a bundle one of whose sections was changed by who may sign it. It is "" if that has changed nothing.
func resealed(t *testing.T, good []byte, tag string, change func([]byte) []byte, key *signing.Private) string {
	t.Helper()
	b := parsed(t, good)
	sections := slices.Clone(b.Sections())
	i := slices.IndexFunc(sections, func(s bundle.Section) bool { return s.Tag == tag })
	if i < 0 { // one that there need not be
		sections, i = append(sections, bundle.Section{Tag: tag}), len(sections)
	}
	s := &sections[i]
	was := s.Data
	if s.Data = change(was); bytes.Equal(was, s.Data) {
		return ""
	}
	return written(t, &b.Meta, sections, key)
}

// otherFacts is a bundle whose facts were changed by who may sign it.
func otherFacts(t *testing.T, good []byte, change func(*bundle.SourceFacts), key *signing.Private) string {
	t.Helper()
	b := parsed(t, good)
	b.Meta.Sources = slices.Clone(b.Meta.Sources)
	change(&b.Meta.Sources[0])
	return written(t, &b.Meta, b.Sections(), key)
}

func written(t *testing.T, m *bundle.Meta, sections []bundle.Section, key *signing.Private) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := bundle.Write(&out, m, sections, key); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestABundleIsASourceOfItsOwn(t *testing.T) {
	t.Parallel()
	b, ours, _ := bundleBed(t)
	next := sealedBundle(t, rows("new.example", 80), func(p *registryPlan) { p.Sequence = 8 }, ours)
	b.mustAsk("hub", string(next))
	b.answers(map[string]string{"06": "new.example", "065340014014": "new.example"})
	if b.builds != 0 {
		t.Errorf("built %d times", b.builds)
	}
	b.servers = nil
	b.restart()
	b.answers(map[string]string{"06": "new.example"})
}

// A key ends for what comes, not for what it has signed and what was accepted in its time.
func TestABundleOutlivesTheKeyThatSignedIt(t *testing.T) {
	t.Parallel()
	b, ours, _ := bundleBed(t)
	day := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	if err := os.WriteFile(filepath.Join(b.dir, "keys"), []byte(ours.Public().Line("ours")+" until 2026-11-30\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(at time.Time) {
		b.restart()
		b.keeper.now = func() time.Time { return at }
	}
	start(day)
	b.mustAsk("hub", string(sealedBundle(t, rows("new.example", 80), func(p *registryPlan) { p.Sequence = 8 }, ours)))
	start(day.AddDate(0, 1, 0))
	b.configure(strings.Replace(bundleSource, "gw.example.de", "gate.example.de", 1)) // all is judged anew
	b.answers(map[string]string{"06": "new.example"})
	if err := b.ask("hub"); err != nil { // the server has it still
		t.Error(err)
	}
	b.good("hub", string(sealedBundle(t, rows("newer.example", 80), func(p *registryPlan) { p.Sequence = 9 }, ours)))
	if err := b.ask("hub"); err == nil || !strings.Contains(err.Error(), "trusted no more") {
		t.Errorf("a new one, signed by a key that has ended: %v", err)
	}
	b.answers(map[string]string{"06": "new.example"})
}

// What a gateway refuses because of its rows, verify refuses.
func TestVerifyReadsTheRows(t *testing.T) {
	t.Parallel()
	key, _ := signer(t)
	good := sealedBundle(t, rows("new.example", 80), func(p *registryPlan) { p.Sequence = 8 }, key)
	file := filepath.Join(t.TempDir(), "x.pvb")
	verify := func(text string) (stderr string, code int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code = pvgateVerb(t, "registry", "verify", file)
		return stderr, code
	}
	if stderr, code := verify(string(good)); code != exitOK || stderr != "" {
		t.Errorf("a good one: %d, %s", code, stderr)
	}
	for want, text := range map[source.Cause]string{
		source.CauseSchema:   resealed(t, good, "index.groups", func(d []byte) []byte { return d[:len(d)-4] }, key),
		source.CauseConflict: resealed(t, good, "index.sources", func([]byte) []byte { return []byte("ruws\x00") }, key),
	} {
		if stderr, code := verify(text); code != exitCheck || !strings.HasPrefix(stderr, "pvgate: "+string(want)+": ") {
			t.Errorf("%s: %d, %s", want, code, stderr)
		}
	}
}
