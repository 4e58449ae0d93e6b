// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
)

// rich is an answer with something in every field.
func rich(_ context.Context, k Key, n int) (Answer, Quota, error) {
	a := found(k, n)
	a.Entries[0] = registry.Entry{
		Leistung: k.Leistung, Area: 7, AreaKey: "01053", Kind: registry.Page, URL: a.Entries[0].URL, Title: "Straße & Söhne <1>",
		Others: []registry.LangURL{{Lang: "en", URL: "https://portal.example/en?a=b&c=d"}}, Begin: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Role: "01", Specialised: true, OE: "L1.OE.2", LB: "lb", OD: "od", Origin: registry.Origin{Source: "scripted", Line: 3}, Refused: "no",
	}
	a.Contexts = []Context{{DestinationID: "d", Authority: "Stadt", Imprint: "https://i.example", Area: k.Area, OE: "oe"}}
	return a, Quota{}, nil
}

func TestAnswersSurviveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "look-ups")
	var before []*Answer
	keys := []Key{key(1), key(2), {Leistung: key(3).Leistung}} // the last is about the Bund
	o := Options{File: file, Digest: "settings"}
	var ended time.Time
	simulate(t, o, func(t *testing.T, c *Cache, s *scripted) {
		s.set(rich)
		for _, k := range keys {
			before = append(before, expect(t, c, k, Hit))
		}
		s.set(knowsNothing)
		expect(t, c, key(9), Negative)
		ended = time.Now()
	})
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{script: answers}
		o.Source = s
		time.Sleep(time.Until(ended) + 30*time.Minute)
		c := New(o)
		defer c.Close()
		for i, k := range keys {
			if a := gets(t, c, k, Hit); !cmp.Equal(a, before[i], cmp.Comparer(func(a, b registry.ARS) bool { return a == b }),
				cmp.Comparer(func(a, b registry.Leistung) bool { return a == b })) {
				t.Errorf("%+v, was %+v", a, before[i])
			}
		}
		gets(t, c, key(9), Wait)
		time.Sleep(time.Hour) // an answer has the age it had
		gets(t, c, keys[0], Hit)
		synctest.Wait()
		if n := s.asked(); n != 1 {
			t.Errorf("%d calls, want 1 for what has become old", n)
		}
		time.Sleep(3 * time.Hour)
		s.set(freezes)
		expect(t, c, keys[1], Stale)
	})
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v beside the file", entries, err)
	}
}

func TestAnswersAreKeptNowAndThen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "look-ups")
	simulate(t, Options{File: file}, func(t *testing.T, c *Cache, _ *scripted) {
		expect(t, c, key(1), Hit)
		time.Sleep(saveEvery + time.Second)
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), key(1).Leistung.String()) {
			t.Errorf("%s, %v", b, err)
		}
	})
}

// keep makes a file with some answers.
func keep(t *testing.T, file string) []byte {
	t.Helper()
	simulate(t, Options{File: file, Digest: "settings"}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(rich)
		for i := range 3 {
			expect(t, c, key(i), Hit)
		}
	})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opens says how many of the answers of a file are used, and what the log has to say.
func opens(t *testing.T, o Options) (int, string) {
	t.Helper()
	var log bytes.Buffer
	o.Log, o.Source = slog.New(slog.NewTextHandler(&log, nil)), &scripted{}
	c := New(o)
	n := c.Stats().Entries
	c.options.File = "" // the file stays as it is
	c.Close()
	return n, log.String()
}

func TestADamagedFileIsNotUsedAndIsTold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "look-ups")
	whole := keep(t, file)
	try := func(what string, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, said := opens(t, Options{File: file, Digest: "settings"}); n != 0 || !strings.Contains(said, "level=WARN") {
			t.Errorf("%s: %d answers, and the log says %q", what, n, said)
		}
	}
	c := &Cache{options: Options{Source: &scripted{}, Digest: "settings"}}
	if kept, err := c.parse(whole); len(kept) != 3 || err != nil {
		t.Fatal(kept, err)
	}
	for i := range whole {
		broken := bytes.Clone(whole)
		broken[i] ^= 1
		if kept, err := c.parse(broken); kept != nil || err == nil {
			t.Errorf("octet %d is broken: %d answers, %v", i, len(kept), err)
		}
		if kept, err := c.parse(whole[:i]); kept != nil || err == nil {
			t.Errorf("cut at %d: %d answers, %v", i, len(kept), err)
		}
	}
	try("cut", whole[:len(whole)/2])
	try("more behind it", append(bytes.Clone(whole), '\n'))
	for _, body := range []string{
		"", "{}", "[]\n", `{"Version":1,"Source":"scripted","Digest":"settings"}` + "\n[]\n", `{"Version":2,"Source":"scripted","Digest":"settings"}` + "\n",
		`{"Version":1,"Source":"scripted","Digest":"settings"}` + "\n" + `{"Key":{"Leistung":"1"},"Answer":{}}` + "\n",
	} {
		try(body, appendSum([]byte(body)))
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, said := opens(t, Options{File: file, Digest: "settings"}); n != 3 {
		t.Errorf("a whole one: %d answers, %q", n, said)
	}
	if n, said := opens(t, Options{File: file, Digest: "others"}); n != 0 || !strings.Contains(said, "level=WARN") {
		t.Errorf("of other settings: %d answers, %q", n, said)
	}
	if n, said := opens(t, Options{File: file + "-none", Digest: "settings"}); n != 0 || said != "" {
		t.Errorf("none: %d answers, %q", n, said)
	}
	if n, said := opens(t, Options{File: filepath.Dir(file)}); n != 0 || !strings.Contains(said, "level=WARN") {
		t.Errorf("a folder: %d answers, %q", n, said)
	}
	if n, _ := opens(t, Options{File: file, Digest: "settings", Bytes: int64(len(whole)) - 1, AnswerBytes: 1 << 10}); n != 0 {
		t.Errorf("a file that is too large: %d answers", n)
	}
	if n, _ := opens(t, Options{File: file, Digest: "settings", AnswerRows: 1}); n != 0 {
		t.Errorf("answers that are too large now: %d", n)
	}
}

func TestTheFileIsBoundedAndHasWhatWasAskedForLast(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "look-ups")
	const room = 256 << 10
	// So large may an answer be that all are in one part of the cache: with more it is chance which of them is asked for last.
	o := Options{File: file, Bytes: room, AnswerBytes: room / 4, Entries: 1 << 16, Rate: 1e6, Burst: 1e6}
	simulate(t, o, func(t *testing.T, c *Cache, s *scripted) {
		s.set(func(_ context.Context, k Key, n int) (Answer, Quota, error) {
			a := found(k, n)
			a.Entries[0].Title = strings.Repeat("\"", 2000) // twice as long in the file
			return a, Quota{}, nil
		})
		for i := range 1000 {
			expect(t, c, key(i), Hit)
		}
		gets(t, c, key(990), Hit)
		if last := c.shards[0].last(key(920)); len(c.shards) != 1 || last == nil {
			t.Errorf("%d parts, the first has %v", len(c.shards), last)
		}
	})
	b, err := os.ReadFile(file)
	if err != nil || len(b) > room || len(b) < room/2 {
		t.Fatalf("%d bytes, at most %d: %v", len(b), room, err)
	}
	if at := bytes.Index(b, []byte(key(990).Leistung.String())); at < 0 || at > 32<<10 {
		t.Errorf("the one asked for last is at %d", at)
	}
	if bytes.Contains(b, []byte(key(920).Leistung.String())) { // which the memory still has
		t.Error("one asked for long ago is there")
	}
	o.Entries = 5 // a later life has less room
	simulate(t, o, func(t *testing.T, c *Cache, _ *scripted) { gets(t, c, key(990), Hit) })
}

func TestAnAnswerOfTheFutureIsRenewed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "look-ups")
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{script: answers}
		c := New(Options{Source: s, File: file, Now: func() time.Time { return time.Now().Add(1e4 * time.Hour) }})
		expect(t, c, key(1), Hit)
		c.Close()
		c = New(Options{Source: s, File: file})
		defer c.Close()
		if a := expect(t, c, key(1), Hit); s.asked() != 2 || a.At.After(time.Now()) {
			t.Errorf("%d calls, the answer is of %v", s.asked(), a.At)
		}
	})
}

func TestAFolderThatIsGoneCostsAWord(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	simulate(t, Options{File: "/dev/null/none", Log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, c *Cache, _ *scripted) {
		expect(t, c, key(1), Hit)
	})
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log says %q", log.String())
	}
}
