// SPDX-License-Identifier: EUPL-1.2

package main

import (
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
