// SPDX-License-Identifier: EUPL-1.2

package reason

import (
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

func TestEveryWireFaultHasItsOwnReason(t *testing.T) {
	t.Parallel()
	seen := map[Code]message.Fault{}
	for f := message.FaultNone; f.String() != "unknown"; f++ {
		c := OfFault(f)
		if c == Internal {
			t.Errorf("%v has no reason", f)
		}
		if other, ok := seen[c]; ok {
			t.Errorf("%v and %v are both %v", other, f, c)
		}
		seen[c] = f
	}
	if len(seen) < 20 {
		t.Errorf("walked only %d faults", len(seen))
	}
}
