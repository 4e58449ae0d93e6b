// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// downgrade is a list of field lines that must not become another message of HTTP/1.1 than they are here.
type downgrade struct {
	Name     string     `json:"name"`
	Headers  [][]string `json:"headers"`
	Body     string     `json:"body_base64"`
	Trailers [][]string `json:"trailers"`
	Expected string     `json:"expected"`
}

// literals is a HEADERS frame of field lines as they stand there, none of them looked at.
func literals(lines [][]string) []byte {
	section := []byte{0, 0}
	for _, l := range lines {
		for i, bits := range []int{3, 7} {
			b := latin(l[i])
			first := byte(0)
			if i == 0 {
				first = 0x20
			}
			if most := 1<<bits - 1; len(b) < most {
				section = append(section, first|byte(len(b)))
			} else {
				section = append(section, first|byte(most))
				n := len(b) - most
				for ; n >= 0x80; n >>= 7 {
					section = append(section, byte(n)|0x80)
				}
				section = append(section, byte(n))
			}
			section = append(section, b...)
		}
	}
	return h3frame(1, section...)
}

// latin is a text of the corpus in octets: Latin-1, or UTF-8 where it has more.
func latin(s string) []byte {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			return []byte(s)
		}
		b = append(b, byte(r))
	}
	return b
}

// The corpus h2-downgrade by QPACK: what must be refused reaches no backend whole, what must be accepted reaches it once,
// and the request that follows gets its own answer.
func TestDowngradeCorpusOverHTTP3(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds corpora/*.jsonl")
	}
	f, err := os.Open(filepath.Join(material, "corpora", "h2-downgrade.requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	back := gatewaytest.NewOrigin(t, func(s *gatewaytest.Seen) string { return gatewaytest.OK(s.Target()) })
	p := gatewaytest.HTTP3(t)
	_, address := start(t, back.Addr, func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Listen = []gateway.Listener{p.Listener(t, "gw.example")}
	})
	judged := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Buffer(nil, 16<<20); lines.Scan(); {
		var c downgrade
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		back.Forget()
		client := &peer{p.DialQUIC(t, gatewaytest.Direct, address, "gw.example"), t}
		client.hello()
		frames := [][]byte{literals(c.Headers)}
		if body, err := base64.StdEncoding.DecodeString(c.Body); err != nil {
			t.Fatal(err)
		} else if len(body) > 0 {
			frames = append(frames, h3frame(0, body...))
		}
		if len(c.Trailers) > 0 {
			frames = append(frames, literals(c.Trailers))
		}
		s := client.ask(true, frames...)
		_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(s)
		if os.IsTimeout(err) {
			t.Errorf("%s: no answer", c.Name)
		}
		served := err == nil && strings.HasPrefix(string(answer), string([]byte{1})) && len(back.Requests()) == 1
		switch {
		case c.Expected == "reject" && len(back.Requests()) > 0, len(back.Requests()) > 1:
			t.Errorf("%s: the backend has seen %q", c.Name, back.Requests()[0].Line)
		case c.Expected == "accept" && !served:
			t.Errorf("%s: refused: %v", c.Name, err)
		}
		judged[c.Expected]++
		if status, body := answers(t, client.ask(true, h3fields(":method: GET", ":scheme: https", ":authority: gw.example", ":path: /canary"))); status != "200" || string(body) != "/canary" {
			t.Errorf("%s: then the canary: got %s %q", c.Name, status, body)
		}
		_ = client.CloseWithError(0x100, "")
	}
	if err := lines.Err(); err != nil || judged["reject"] < 70 || judged["accept"] < 5 {
		t.Errorf("judged %v (%v)", judged, err)
	}
	t.Log(judged)
}
