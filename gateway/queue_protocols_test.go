// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/limit"
)

// Over every protocol a request waits in the queue with what has come of its body, leaves it with its client, and is
// refused where there is no room.
func TestTheQueueOverEveryProtocol(t *testing.T) {
	t.Parallel()
	gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
		entered, leave := make(chan string, 9), make(chan struct{})
		back := origin(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			entered <- r.URL.Path
			<-leave
			_, _ = w.Write(b)
		})
		var book limit.Book
		limiter := book.Backend("origin")
		if err := book.Apply(map[string]limit.Limits{"origin": {InFlight: 1, Queue: 2, Patience: time.Minute}}, 0); err != nil {
			t.Fatal(err)
		}
		s, address := start(t, back, over(t, p), func(_ *gateway.Options, snap *gateway.Snapshot) { snap.Backends[0].Limiter = limiter })
		client := p.Client(t, "a.example")
		ask := func(ctx context.Context, method, path, body string) <-chan string {
			answered := make(chan string, 1)
			r, err := http.NewRequestWithContext(ctx, method, p.Scheme()+"://"+address+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "a.example"
			go func() {
				res, err := client.Do(r)
				if err != nil {
					answered <- err.Error()
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil {
					b = append(b, err.Error()...)
				}
				answered <- res.Status[:4] + string(b)
			}()
			return answered
		}
		waits := func(n int64) {
			t.Helper()
			eventually(t, func() string {
				if got := limiter.Usage(0).Queued; got != n {
					return fmt.Sprintf("%d wait, want %d", got, n)
				}
				return ""
			})
		}
		first := ask(t.Context(), "GET", "/first", "")
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gone := ask(ctx, "GET", "/gone", "")
		waits(1)
		large := strings.Repeat("0123456789", 20_000)
		second := ask(t.Context(), "POST", "/second", large)
		waits(2)
		if got := <-ask(t.Context(), "GET", "/third", ""); !strings.HasPrefix(got, "503 ") {
			t.Errorf("without room: got %.60q, want 503", got)
		}
		cancel()
		<-gone
		waits(1)
		leave <- struct{}{}
		if got := <-first; got != "200 " {
			t.Errorf("the first got %.60q", got)
		}
		if path := <-entered; path != "/second" {
			t.Errorf("the backend got %s, want /second", path)
		}
		leave <- struct{}{}
		if got := <-second; got != "200 "+large {
			t.Errorf("who waited got %.60q (%d octets), want its body back", got, len(got))
		}
		if _, err := s.Stats(); err != nil {
			t.Fatal(err)
		}
		waits(0)
		eventually(t, func() string {
			if got := limiter.Usage(0).InFlight; got != 0 {
				return fmt.Sprintf("%d in flight, want none", got)
			}
			return ""
		})
	})
}
