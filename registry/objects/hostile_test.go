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

	"github.com/pvgate/pvgate/registry/source"
)

// A store holds an account of each editorial system, so they are few: whoever makes up one for each object is refused, in a
// whole delivery, in a change, and change by change.
func TestEditorialSystemsAreBounded(t *testing.T) {
	t.Parallel()
	systems := func(from, n int) (parts []string) {
		for i := range n {
			parts = append(parts, fmt.Sprintf(`<schreibe><formular><id schemeAgencyID="X%d">1</id></formular></schreibe>`, from+i))
		}
		return parts
	}
	s := store(t)
	for name, d := range map[string]*Delivery{
		"whole": whole(message(systems(0, maxSystems+1)...)), "in two files": whole(message(systems(0, maxSystems)...), message(systems(maxSystems, 1)...)), "change": change(message(systems(0, maxSystems+1)...)),
	} {
		if _, err := s.Import(t.Context(), d, judged()); causeOf(err) != source.CauseOversized {
			t.Errorf("%s: %v", name, err)
		}
	}
	imported(t, s, change(message(systems(0, maxSystems)...)))
	if _, err := s.Import(t.Context(), change(message(systems(maxSystems, 1)...)), judged()); causeOf(err) != source.CauseOversized {
		t.Errorf("one more: %v", err)
	}
	if state, err := s.State(); err != nil || state.Objects() != maxSystems {
		t.Errorf("%d objects, %v", state.Objects(), err)
	}
}

// A few objects can be told to make many rows: authorities × keys × links. More than a registry has are refused.
func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	s := store(t)
	imported(t, s, whole(message(append(beginning(), many(50)...)...)))
	s.maxRows = 20
	var b bytes.Buffer
	if _, err := s.Export(t.Context(), &b); causeOf(err) != source.CauseOversized {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
	s.maxRows = 1000
	exported(t, s)
}

// An import that broke off in the middle, such as on a full disk, is ended before the same process does anything else with
// the store: no row is of half a delivery, and the next delivery is not compared with half of one.
func TestAnImportThatBrokeOffIsEndedFirst(t *testing.T) {
	t.Parallel()
	next := []string{leistung(1, ikfz, ""), onlinedienst(2, link("", "https://new.example/"))}
	title := strings.Repeat("x", 4000)
	for n := range 800 {
		next = append(next, competent(n, "Onlinedienst", 2, 1, "01002", "01", ""), strings.Replace(onlinedienst(10+n, link("", "https://form.example/")), "Dienst", title, 1))
	}
	s := store(t)
	imported(t, s, whole(message(next...)))
	after := exported(t, s)
	brokenOff := func() *Store {
		s := store(t)
		imported(t, s, whole(message(beginning()...)))
		batches := 0
		s.crash = func(string) error {
			if batches++; batches == 2 {
				return errCrash
			}
			return nil
		}
		if _, err := s.Import(t.Context(), whole(message(next...)), judged()); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		s.crash = nil
		return s
	}
	if got := exported(t, brokenOff()); !bytes.Equal(got, after) {
		t.Error("rows of half a delivery")
	}
	s = brokenOff()
	r := imported(t, s, change(message(competent(5000, "Onlinedienst", 2, 1, "01003", "01", ""))))
	if state, err := s.State(); err != nil || r.Objects != 1603 || state.Objects() != 1603 {
		t.Errorf("%d objects are reported, %d counted, want 3003: %v", r.Objects, state.Objects(), err)
	}
	imported(t, s, whole(message(next...)))
	if !bytes.Equal(exported(t, s), after) {
		t.Error("other rows after a further delivery")
	}
}

// Who only looks sees what holds, also if the process that imported was killed before it could tell.
func TestTheStateIsToldAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	imported(t, s, whole(message(beginning()...)))
	told, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(path string) error{
		"older": func(path string) error {
			return os.WriteFile(path, []byte(`{"format":1,"systems":{},"serial":0}`), 0o600)
		},
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"gone":  os.Remove,
	} {
		if err := errors.Join(s.Close(), damage(filepath.Join(dir, stateFile))); err != nil {
			t.Fatal(err)
		}
		s = opened(t, dir)
		if state, err := ReadState(dir); err != nil || state.Serial != told.Serial || state.Objects() != told.Objects() {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
	}
}

// Progress goes on while changes are applied.
func TestProgressIsToldToTheEnd(t *testing.T) {
	t.Parallel()
	s := store(t)
	o, last := judged(), Progress{}
	o.Progress = func(p Progress) { last = p }
	r, err := s.Import(t.Context(), whole(message(append(beginning(), many(400)...)...)), o)
	if err != nil || last.Changes != r.Written || last.Objects != r.Written {
		t.Errorf("%+v of %d: %v", last, r.Written, err)
	}
}
