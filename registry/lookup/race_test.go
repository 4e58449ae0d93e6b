// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// Everybody at once: askers, waiters that leave just as they are called, evictions, failures, and the end in the midst of
// it. Each waiter is called once or has left, never both and never neither.
func TestEachWaiterIsCalledOrHasLeft(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{script: func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
				switch n % 7 {
				case 0:
					return refuses(source.CauseSchema, 0)(ctx, k, n)
				case 1:
					return knowsNothing(ctx, k, n)
				}
				return after(time.Duration(n%5)*time.Millisecond, answers)(ctx, k, n)
			}}
			c := New(Options{
				Source: s, TTL: 20 * time.Millisecond, NegativeTTL: 10 * time.Millisecond, Entries: 20, Waiters: 40, Rate: 1e6, Burst: 1e6,
				Patience: 2 * time.Millisecond,
			})
			var of sync.WaitGroup
			var wanted, called, left atomic.Int64
			for i := range 50 {
				of.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 200 {
						k := key(r.IntN(40))
						c.Get(k)
						if _, got, w := c.Want(k, netip.Prefix{}, func(*Answer, Result) { called.Add(1) }); got == Wait {
							wanted.Add(1)
							time.Sleep(time.Duration(r.IntN(6)) * time.Millisecond)
							if w.Cancel() {
								left.Add(1)
							}
						}
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
			c.Close()
			of.Wait()
			if st := c.Stats(); called.Load()+left.Load() != wanted.Load() || wanted.Load() < 100 || left.Load() < 10 || st.Waiting != 0 {
				t.Errorf("seed %d: %d waited, %d were called, %d left, %d still wait", seed, wanted.Load(), called.Load(), left.Load(), st.Waiting)
			}
			for i := range c.shards {
				if n := len(c.shards[i].flights); n != 0 {
					t.Errorf("seed %d: %d flights at the end", seed, n)
				}
			}
		})
	}
}
