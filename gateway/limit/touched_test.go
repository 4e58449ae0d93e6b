// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"reflect"
	"testing"
)

// What is asked from memory ahead of time is what stands there, in one cache line.
func TestTouchedIsWhatRequestsTouch(t *testing.T) {
	t.Parallel()
	b := reflect.TypeFor[Backend]()
	f, _ := b.FieldByName("Retries")
	if present := f.Type.Field(0); present.Name != "present" || f.Offset+present.Offset+present.Type.Size() != touched {
		t.Errorf("%s of Retries is at %d, touched is %d", present.Name, f.Offset+present.Offset, touched)
	}
	if b.Size()%64 != 0 || touched > 64 {
		t.Errorf("%d octets, %d of them touched, are no whole lines of 64", b.Size(), touched)
	}
}
