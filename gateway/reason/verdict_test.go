// SPDX-License-Identifier: EUPL-1.2

package reason

import (
	"testing"

	"github.com/pvgate/pvgate/routing"
)

func TestEveryVerdictHasTheReasonOfItsName(t *testing.T) {
	t.Parallel()
	for v := routing.Handover; int(v) < routing.Verdicts; v++ {
		c := OfVerdict(v)
		if c == Internal {
			t.Errorf("verdict %d has no reason", v)
		}
		if c.String() != v.String() && (v != routing.Pending || c != RegistryUnavailable) {
			t.Errorf("verdict %v became %v", v, c)
		}
	}
	if OfVerdict(0) != Internal {
		t.Errorf("the zero verdict became %v, want internal", OfVerdict(0))
	}
}
