// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// H2-08: uploads that their backend does not take use up their own windows, not the connection's.
func TestH208StuckUploadsDoNotShutTheConnection(t *testing.T) {
	t.Parallel()
	const stuck = 24
	gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
		if p.HTTP == conn.HTTP1 {
			return // has one upload at a time
		}
		end := make(chan struct{})
		var begun sync.WaitGroup
		begun.Add(stuck)
		back := origin(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stuck" {
				begun.Done()
				<-end
				panic(http.ErrAbortHandler)
			}
			n, _ := io.Copy(io.Discard, r.Body)
			if n != 200_000 {
				w.WriteHeader(http.StatusBadRequest)
			}
		})
		var sent atomic.Int64
		_, address := start(t, back, over(t, p))
		c := p.Client(t, "a.example")
		post := func(path string, size int64) (int, error) {
			body := io.TeeReader(io.LimitReader(zeros{}, size), counter{&sent})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Scheme()+"://"+address+path, body)
			if err != nil {
				return 0, err
			}
			r.Host = "a.example"
			a, err := c.Do(r)
			if err != nil {
				return 0, err
			}
			return a.StatusCode, a.Body.Close()
		}
		var all sync.WaitGroup
		for range stuck {
			all.Go(func() { _, _ = post("/stuck", 64<<20) }) // broken off in the end
		}
		begun.Wait()
		for last := int64(-1); last != sent.Load(); time.Sleep(300 * time.Millisecond) { // until the kernel's buffers are full, and the windows used up
			last = sent.Load()
		}
		if status, err := post("/a", 200_000); status != http.StatusOK {
			t.Errorf("got %d, %v beside uploads that are stuck", status, err)
		}
		close(end)
		all.Wait()
	})
}

// counter counts what is written.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
