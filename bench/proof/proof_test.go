// SPDX-License-Identifier: EUPL-1.2

package proof_test

import (
	"testing"

	"github.com/pvgate/pvgate/bench/proof"
)

func TestAShortRunIsNotKept(t *testing.T) {
	t.Setenv("PVGATE_PROVE", "")
	if got := proof.Count(3, 1000); got != 3 {
		t.Errorf("got a count of %d, want the short one", got)
	}
	path, err := proof.Start("never-written", 1).Write(map[string]int{"a": 1}, false)
	if path != "" || err != nil {
		t.Errorf("got %q, %v; want nothing written", path, err)
	}
	t.Setenv("PVGATE_PROVE", "1")
	if got := proof.Count(3, 1000); got != 1000 {
		t.Errorf("got a count of %d, want the full one", got)
	}
}

func TestTheMachineIsDescribed(t *testing.T) {
	t.Parallel()
	m := proof.ThisMachine()
	if m.Cores < 1 || m.Go == "" || m.Kernel == "" {
		t.Errorf("got %+v", m)
	}
}
