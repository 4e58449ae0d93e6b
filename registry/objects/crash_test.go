// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var errCrash = errors.New("the process is killed")

// An import that is killed at any moment is ended by the next process, or has not begun; never is there half of it.
func TestAnImportIsNeverSeenInHalf(t *testing.T) {
	t.Parallel()
	// Large enough for several transactions.
	old, next := []string{leistung(1, ikfz, ""), onlinedienst(2, link("", "https://old.example/"))}, []string{leistung(1, ikfz, ""), onlinedienst(2, link("", "https://new.example/"))}
	title := strings.Repeat("x", 4000)
	for n := range 1500 {
		old = append(old, competent(n, "Onlinedienst", 2, 1, "01001", "01", ""))
		next = append(next, competent(n, "Onlinedienst", 2, 1, "01002", "01", ""))
		next = append(next, strings.Replace(onlinedienst(10+n, link("", "https://form.example/")), "Dienst", title, 1))
	}
	s := store(t)
	imported(t, s, whole(message(old...)))
	before := exported(t, s)
	s = store(t)
	imported(t, s, whole(message(next...)))
	after := exported(t, s)
	for at := 0; ; at++ {
		dir := t.TempDir()
		s := opened(t, dir)
		imported(t, s, whole(message(old...)))
		steps := 0
		s.crash = func(string) error {
			if steps++; steps > at {
				return errCrash
			}
			return nil
		}
		_, err := s.Import(t.Context(), whole(message(next...)), judged())
		if err == nil {
			if at < 3 {
				t.Errorf("only %d places to be killed at", at)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if at == 0 { // once more while it goes on
			if s, err := Open(t.Context(), dir); err != nil {
				t.Fatal(err)
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s = opened(t, dir)
		if got := exported(t, s); !bytes.Equal(got, after) {
			t.Fatalf("killed at %d: the rows are not the new ones; the old ones: %v", at, bytes.Equal(got, before))
		}
		state, err := s.State()
		if err != nil || state.Objects() != 3002 {
			t.Errorf("killed at %d: %d objects, %v", at, state.Objects(), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Without what was to be applied nobody can go on; that is said, and not passed over.
func TestAnImportThatCannotBeEndedIsSaid(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(file string) error{
		"lost":    os.Remove,
		"cut":     func(file string) error { return os.Truncate(file, 50) },
		"changed": func(file string) error { return os.WriteFile(file, []byte("\x05\x05nothing"), 0o600) },
	} {
		dir := t.TempDir()
		s := opened(t, dir)
		s.crash = func(string) error { return errCrash }
		if _, err := s.Import(t.Context(), whole(message(beginning()...)), judged()); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), damage(filepath.Join(dir, workDir, changeFile))); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "import a whole delivery") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStoreIsOneProcesss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	imported(t, s, whole(message(beginning()...)))
	if state, err := ReadState(dir); err != nil || state.Objects() != 5 {
		t.Errorf("who only looks sees %+v, %v", state, err)
	}
	if _, err := open(t.Context(), dir, 1); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
}

func TestSorting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSorter(dir)
		s.limit = rapid.IntRange(1, 200).Draw(rt, "limit")
		want := map[string]string{}
		for i := range rapid.IntRange(0, 200).Draw(rt, "records") {
			key, value := fmt.Sprint(rapid.IntRange(0, 60).Draw(rt, "key")), fmt.Sprint(i)
			want[key] = value
			if err := s.add([]byte(key), []byte(value)); err != nil {
				rt.Fatal(err)
			}
		}
		for range 2 {
			last, n := "", 0
			if err := s.each(func(key, value []byte) error {
				if string(key) <= last || want[string(key)] != string(value) {
					rt.Errorf("%s=%s after %s; want %s", key, value, last, want[string(key)])
				}
				last = string(key)
				n++
				return nil
			}); err != nil || n != len(want) {
				rt.Errorf("%d of %d, %v", n, len(want), err)
			}
		}
		if err := s.close(); err != nil {
			rt.Error(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
