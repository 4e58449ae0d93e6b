// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"testing"

	"github.com/pvgate/pvgate/registry"
)

func TestAnAnswerWithContextOnlyIsNotNegative(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer Answer
		want   bool
	}{
		{Answer{}, true},
		{Answer{Entries: make([]registry.Entry, 1)}, false},
		{Answer{Contexts: make([]Context, 1)}, false},
	} {
		if got := c.answer.Negative(); got != c.want {
			t.Errorf("%+v: negative %v, want %v", c.answer, got, c.want)
		}
	}
}
