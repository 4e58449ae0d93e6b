// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestTheLastFiguresCount(t *testing.T) {
	t.Parallel()
	executions, interesting := count([]byte("fuzz: elapsed: 3s, execs: 3262 (1085/sec), new interesting: 5 (total: 18)\n" +
		"fuzz: elapsed: 15s, execs: 49027 (5871/sec), new interesting: 14 (total: 27)\nPASS\n"))
	if executions != 49027 || interesting != 27 {
		t.Errorf("got %d and %d", executions, interesting)
	}
}

func TestTheEndOfTheTimeIsNoFinding(t *testing.T) {
	t.Parallel()
	const up = "fuzz: elapsed: 1m0s, execs: 521632 (0/sec), new interesting: 123 (total: 418)\n--- FAIL: FuzzObject (60.09s)\n    context deadline exceeded\nFAIL\nexit status 1\n"
	for log, want := range map[string]bool{
		up: true, up + up: false, "": false, "PASS\n": false,
		"FAIL\tgithub.com/pvgate/pvgate/registry/xzufi [build failed]\n": false,
		"--- FAIL: FuzzObject (3.01s)\n    --- FAIL: FuzzObject (0.00s)\n        read_test.go:9: context deadline exceeded\n    \n" +
			"    Failing input written to testdata/fuzz/FuzzObject/0123\n": false,
		"--- FAIL: FuzzObject (3.01s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n" +
			"    Failing input written to testdata/fuzz/FuzzObject/0123\n": false,
	} {
		if got := timeWasUp([]byte(log)); got != want {
			t.Errorf("%q: %v, want %v", log, got, want)
		}
	}
}

func TestHoursCountAsLongAsTheCodeIsTheSame(t *testing.T) {
	t.Parallel()
	of := func(target, code string, hours float64, crashers int) figures {
		return figures{Package: "p", Target: target, Code: code, Promised: 1, CPUHours: hours, Crashers: crashers}
	}
	for name, c := range map[string]struct {
		before []figures
		want   [2]float64
	}{
		"none":              {nil, [2]float64{0, 0}},
		"one is unfinished": {[]figures{of("A", "x", 1, 0), of("B", "x", .25, 0)}, [2]float64{1, .25}},
		"other code":        {[]figures{of("A", "y", 1, 0), of("B", "x", .25, 0)}, [2]float64{0, .25}},
		"has found":         {[]figures{of("A", "x", .5, 1), of("B", "x", 0, 0)}, [2]float64{0, 0}},
		"finished":          {[]figures{of("A", "x", 1, 0), of("B", "x", 1, 0)}, [2]float64{0, 0}},
	} {
		all := []figures{of("A", "x", 0, 0), of("B", "x", 0, 0)}
		goOn(all, c.before)
		if got := [2]float64{all[0].CPUHours, all[1].CPUHours}; got != c.want {
			t.Errorf("%s: goes on at %v, want %v", name, got, c.want)
		}
	}
}

func TestTheCodeIsAllThatIsFuzzed(t *testing.T) {
	t.Parallel()
	one, err := codeOf(t.Context(), "../../registry/xzufi")
	other, err2 := codeOf(t.Context(), "../../registry/source")
	if err := errors.Join(err, err2); err != nil || len(one) != 64 || one == other {
		t.Errorf("%v: %q and %q", err, one, other)
	}
}

func TestEachTargetIsThere(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		text := ""
		files, err := os.ReadDir("../../" + target.pkg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), "_test.go") {
				b, err := os.ReadFile("../../" + target.pkg + "/" + f.Name())
				if err != nil {
					t.Fatal(err)
				}
				text += string(b)
			}
		}
		if !strings.Contains(text, "func "+target.name+"(f *testing.F)") {
			t.Errorf("%s has no %s", target.pkg, target.name)
		}
	}
}
