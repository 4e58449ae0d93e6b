// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"reflect"
	"sync/atomic"
	"testing"
)

// What is asked from memory ahead of time is what stands there.
func TestTouchedIsWhatRequestsTouch(t *testing.T) {
	t.Parallel()
	f, _ := reflect.TypeFor[Backend]().FieldByName("queue")
	if got := f.Offset + reflect.TypeFor[atomic.Int64]().Size(); got != touched {
		t.Errorf("queue.waiting ends at %d, touched is %d", got, touched)
	}
}
