// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// TestBackendDownTellsSinceWhen: after a few that found out that nobody is there, the others are told at once, since when
// it has been so, and when to come again.
func TestBackendDownTellsSinceWhen(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	from := time.Now().Truncate(time.Second)
	var a *gatewaytest.Answer
	for range 6 {
		a = g.Ask(t, entryHost, "POST /leistung/"+gatewaytest.Down+"/06", "Accept: application/json")
		if a.Reason() == "backend_down" {
			break
		}
	}
	if a.Status != 503 || a.Reason() != "backend_down" {
		t.Fatalf("after six requests to a port where nobody listens: %d %s", a.Status, a.Reason())
	}
	var p struct {
		Since   time.Time `json:"since"`
		Retry   int       `json:"retry_after"`
		Backend struct {
			ID string `json:"id"`
		} `json:"backend"`
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatal(err)
	}
	retry, _ := strconv.Atoi(a.Header.Get("Retry-After"))
	if p.Since.Before(from) || p.Since.After(time.Now()) || p.Backend.ID != "dead" || p.Retry < 1 || p.Retry != retry {
		t.Errorf("got %+v, Retry-After %d", p, retry)
	}
}
