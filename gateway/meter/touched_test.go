// SPDX-License-Identifier: EUPL-1.2

package meter

import (
	"reflect"
	"testing"
)

// What is asked from memory ahead of time is what stands there.
func TestTouchedIsWhatRequestsTouch(t *testing.T) {
	t.Parallel()
	seconds, _ := reflect.TypeFor[Backend]().FieldByName("Seconds")
	counts, _ := seconds.Type.FieldByName("Counts")
	if got := seconds.Offset + counts.Offset + 2*8; got != touched {
		t.Errorf("the first buckets end at %d, touched is %d", got, touched)
	}
}
