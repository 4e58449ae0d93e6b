// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"reflect"
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

func TestSizesAreEnough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what      reflect.Type
		size, say int
	}{
		{reflect.TypeFor[registry.Entry](), 0, entryBytes},
		{reflect.TypeFor[Context](), 0, contextBytes},
		{reflect.TypeFor[registry.LangURL](), 0, langBytes},
		{reflect.TypeFor[slot](), int(reflect.TypeFor[Answer]().Size()) + 2*int(reflect.TypeFor[Key]().Size()) + 64, slotBytes},
	} {
		if n := int(c.what.Size()) + c.size; n > c.say {
			t.Errorf("%v takes %d bytes, counted are %d", c.what, n, c.say)
		}
	}
}
