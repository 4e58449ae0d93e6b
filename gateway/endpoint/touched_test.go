// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"reflect"
	"testing"
)

// What is asked from memory ahead of time is what stands there.
func TestTouchedIsWhatRequestsTouch(t *testing.T) {
	t.Parallel()
	e, _ := reflect.TypeFor[Endpoint]().FieldByName("backend")
	g, _ := reflect.TypeFor[Group]().FieldByName("weights")
	if e.Offset != touched || g.Offset != touchedOfGroup {
		t.Errorf("what follows is at %d and %d, touched are %d and %d", e.Offset, g.Offset, touched, touchedOfGroup)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Endpoint](), reflect.TypeFor[Group]()} {
		if of.Size()%64 != 0 {
			t.Errorf("%v has %d octets, which are no whole cache lines", of, of.Size())
		}
	}
}
