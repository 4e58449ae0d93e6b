// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"testing"
)

// A process that builds goes on when a thread ends that has run its goroutine: a reload ends one (aside).
func TestAChildOutlivesThreads(t *testing.T) {
	t.Parallel()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				aside(func() {})
			}
		}
	}()
	for range 5 {
		var report map[string]any
		if err := inChild(t.Context(), []string{"version", "-o", "json"}, nil, &report); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
}
