// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// A browser opens a WebSocket to a portal on the connection of HTTP/2 that its page came by, where that is offered, and
// on one of HTTP/1.1 where it is not.
func TestBrowserOpensAWebSocketOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ listener, via string }{{"websocket: true", "2.0 "}, {"websocket: false", "1.1 "}} {
		t.Run(x.listener, func(t *testing.T) {
			t.Parallel()
			s := newTwoPortals(t, "host", x.listener)
			seen := make(chan string, 1)
			socket := websocket.Server{Handler: func(ws *websocket.Conn) {
				var b string
				for websocket.Message.Receive(ws, &b) == nil && b != "seen" {
					_ = websocket.Message.Send(ws, strings.ToUpper(b))
				}
				if b == "seen" {
					seen <- ws.Request().Header.Get("Via")
				}
			}}
			s.a.serve(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/socket":
					socket.ServeHTTP(w, r)
				case "/load": // ends when the page has heard what it wants to
					select {
					case via := <-seen:
						seen <- via
					case <-time.After(20 * time.Second):
					case <-r.Context().Done():
					}
				default:
					_, _ = fmt.Fprint(w, `<p id=read>nothing</p><img src=/load><script>
const s = new WebSocket('wss://' + location.host + '/socket')
s.onopen = () => s.send('hello portal')
s.onmessage = m => { document.getElementById('read').textContent = m.data; s.send('seen') }
</script>`)
				}
			})
			page := browser(t, "https://a."+demoDomain+":"+s.port+"/start")
			if !strings.Contains(page, `<p id="read">HELLO PORTAL</p>`) {
				t.Errorf("the browser shows\n%s", page)
			}
			select {
			case via := <-seen:
				if !strings.HasPrefix(via, x.via) {
					t.Errorf("the WebSocket came as %q, want %q", via, x.via)
				}
			default:
				t.Error("the portal has heard nothing")
			}
		})
	}
}
