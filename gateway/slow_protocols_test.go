// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// RS-02: the same deadlines over every protocol, in every phase of a request.
func TestRS02DeadlinesOverEveryProtocol(t *testing.T) {
	t.Parallel()
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, 32<<20))
	})
	const (
		post = "POST /a HTTP/1.1\r\nHost: a\r\n"
		late = 5 * time.Second // how long after its deadline a slow machine may be
	)
	times := conn.DefaultTimeouts()
	times.Head, times.Body, times.Write, times.Idle, times.Linger = 2*time.Second, 2*time.Second, 2*time.Second, 2300*time.Millisecond, 100*time.Millisecond
	gatewaytest.EachHTTP1(t, "it writes requests octet by octet; TestH2… hold the deadlines of streams", func(t *testing.T, p *gatewaytest.Protocol) {
		_, address := start(t, back, func(o *gateway.Options, _ *gateway.Snapshot) {
			o.Timeouts, o.Listen = times, []gateway.Listener{p.Listener(t, "a")}
		})
		for _, tt := range []struct {
			name, begin, drip string
			status            int // 0: closed without a word
			deadline          time.Duration
		}{
			{"nothing", "", "", 0, times.Head},
			{"head", post, "X-a: b\r\n", 408, times.Head},
			{"body with length", post + "Content-Length: 100000\r\n\r\n", "x", 408, times.Body},
			{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 408, times.Body},
			{"one chunk", post + "Transfer-Encoding: chunked\r\n\r\nfffff\r\n", "x", 408, times.Body},
			{"chunk line", post + "Transfer-Encoding: chunked\r\n\r\n1;a=", "b", 408, times.Body},
			{"trailer", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "a: b\r\n", 408, times.Body},
			{"next request", "GET /own HTTP/1.1\r\nHost: a\r\n\r\n", "", 404, times.Idle},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				dialed := time.Now()
				c := p.Dial(t, gatewaytest.Direct, address, "a")
				defer c.Close()
				begin := time.Now()
				_ = c.SetDeadline(begin.Add(20 * time.Second))
				if _, err := io.WriteString(c, tt.begin); err != nil {
					t.Fatal(err)
				}
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					tick := time.NewTicker(100 * time.Millisecond)
					defer tick.Stop()
					for tt.drip != "" {
						select {
						case <-stop:
							return
						case <-tick.C:
							_, _ = io.WriteString(c, tt.drip)
						}
					}
				}()
				got, _ := io.ReadAll(c)                             // a reset ends it as well
				took, most := time.Since(begin), time.Since(dialed) // its time began in between
				if want := fmt.Sprintf("HTTP/1.1 %d ", tt.status); tt.status != 0 && !strings.HasPrefix(string(got), want) || tt.status == 0 && len(got) > 0 {
					t.Errorf("got %.80q, want %d", got, tt.status)
				}
				if most < tt.deadline-50*time.Millisecond || took > 2*tt.deadline+times.Linger+late {
					t.Errorf("ended after %v, the deadline is %v", took, tt.deadline)
				}
			})
		}
		t.Run("answer", func(t *testing.T) {
			t.Parallel()
			c := p.Dial(t, gatewaytest.Direct, address, "a")
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(c, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
				t.Fatalf("got %q, %v", line, err)
			}
			for begin := time.Now(); time.Since(begin) < 2*times.Write+late; time.Sleep(100 * time.Millisecond) {
				_, _ = in.ReadByte()
			}
			n, err := io.Copy(io.Discard, in)
			if err == nil || n >= 32<<20 {
				t.Errorf("%d octets more, %v; want a reset", n, err)
			}
		})
	})
}
