// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

// changeService is a service of changes. Its fields are guarded by mu.
type changeService struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]string // by path
	asked []string
}

func newChangeService(t *testing.T) *changeService {
	t.Helper()
	c := &changeService{pages: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *changeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/token" {
		_, _ = w.Write([]byte(`{"access_token":"one","token_type":"Bearer"}`))
		return
	}
	c.asked = append(c.asked, r.URL.Path)
	text, ok := c.pages[r.URL.Path]
	if !ok || r.Header.Get("Authorization") != "Bearer one" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte(text))
}

func (c *changeService) page(path, objects string, complete bool, next string) {
	text, err := json.Marshal(map[string]any{"xzufiObjekte": objects, "vollstaendig": complete, "naechsterIndex": 1, "naechsteAnfrageUrl": next})
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[path] = string(text)
}

func (c *changeService) requests() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := strings.Join(c.asked, " ")
	c.asked = nil
	return out
}

// objectsOf is one row of Gewerbe anmelden as objects.
func objectsOf(n int, area, host string) string {
	text := asObjects("head\n" + strings.Repeat("99000000000000,00,https://none.example/\n", n) + gewerbe + ",06,https://none.example/\n")
	i := strings.LastIndex(text, "<schreibe><leistung>")
	head, _, _ := strings.Cut(text, "<schreibe>")
	return head + strings.NewReplacer(">06<", ">"+area+"<", "none.example", host).Replace(text[i:])
}

// Changes are asked for page by page, go on where they ended, and what is wrong in them leaves what there is.
func TestChangesOfObjectsAreFollowed(t *testing.T) {
	t.Parallel()
	c := newChangeService(t)
	b := newKeeperBed(t, fmt.Sprintf("domain: gw.example.de\nregistry: {state: state}\nsources: [{name: pvog, type: xzufi, changes: true, url: %q, token: {url: %q, client: c, secret: secret}}]\n", c.URL+"/0", c.URL+"/token"))
	if err := os.WriteFile(filepath.Join(b.dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.keeper.fetch = newCourier(importHere(nil)).fetch
	c.page("/0", objectsOf(1, "06", "old.example"), false, "/1")
	c.page("/1", objectsOf(2, "065340014014", "marburg.example"), true, "/2")
	c.page("/2", "", true, "/2")
	ask := func() error { return b.ask("pvog") }
	if err := ask(); err != nil || c.requests() != "/0 /1" {
		t.Fatalf("%v", err)
	}
	b.answers(map[string]string{"06": "area_required", "065340014014": "marburg.example", "064110000000": "old.example"})
	index := b.keeper.current().index

	if err := ask(); err != nil || c.requests() != "/2" || b.keeper.current().index != index {
		t.Errorf("nothing has changed: %v", err)
	}
	b.restart()
	b.keeper.fetch = newCourier(importHere(nil)).fetch
	c.page("/2", objectsOf(2, "064110000000", "darmstadt.example"), false, "/3")
	if err := ask(); err == nil || c.requests() != "/2 /3" {
		t.Errorf("a page that is not there: %v", err)
	}
	b.answers(map[string]string{"065340014014": "marburg.example", "064110000000": "old.example"})
	c.page("/3", objectsOf(3, "064120000000", "frankfurt.example"), true, "/4")
	if err := ask(); err != nil {
		t.Error(err)
	}
	b.answers(map[string]string{"065340014014": "old.example", "064110000000": "darmstadt.example", "064120000000": "frankfurt.example"})
	for name, bad := range map[string]func(){
		"another host":  func() { c.page("/4", objectsOf(3, "06", "bad.example"), false, "http://192.0.2.1/5") },
		"a broken page": func() { c.page("/4", objectsOf(3, "06", "bad.example")[:300], true, "/5") },
		"round in circles": func() {
			c.page("/4", objectsOf(3, "064120000000", "frankfurt.example"), false, "/5")
			c.page("/5", "", false, "/4")
		},
		"no page at all": func() { c.mu.Lock(); delete(c.pages, "/4"); c.mu.Unlock() },
	} {
		bad()
		var refusal *source.Refusal
		if err := ask(); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
		b.answers(map[string]string{"064120000000": "frankfurt.example", "065340014014": "old.example"})
	}
	if got := b.keeper.status(b.cfg).Sources[0].Systems["L100006"]; got == nil || got.Objects["Zustaendigkeit"] != 3 {
		t.Errorf("status: %+v", got)
	}
}

// What another process brings of a source just now is not disturbed.
func TestOneProcessBringsASource(t *testing.T) {
	t.Parallel()
	c := newChangeService(t)
	b := newKeeperBed(t, fmt.Sprintf("domain: gw.example.de\nregistry: {state: state}\nsources: [{name: pvog, type: xzufi, url: %q}]\n", c.URL+"/index.txt"))
	dir := filepath.Join(b.dir, "state", incomingDir, "pvog")
	release, err := claim(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	courier := newCourier(importHere(nil))
	if _, err := courier.fetchObjects(ctx, b.cfg, &b.cfg.Root.Sources[0], filepath.Join(b.dir, "state")); err == nil || c.requests() != "" {
		t.Errorf("another process had the source, and it was asked: %v", err)
	}
	release()
	if _, err := courier.fetchObjects(t.Context(), b.cfg, &b.cfg.Root.Sources[0], filepath.Join(b.dir, "state")); err == nil || c.requests() != "/index.txt" {
		t.Errorf("the source is free, and it was not asked: %v", err)
	}
}

// A whole delivery that lacks too many objects is held back, without being read again and again, until an operator accepts it:
// it, and what follows from it.
func TestObjectsThatAreHeldBackCanBeAccepted(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"path", "url"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p, byURL := newPublisher(t, "xzufi", way), way == "url"
			imports := 0
			p.keeper.fetch = newCourier(func(ctx context.Context, plan *importPlan) (*importReport, error) {
				imports++
				return importHere(nil)(ctx, plan)
			}).fetch
			p.publish("xzufi", "old.example", 40)
			p.look(byURL)
			p.answers(map[string]string{"06": "old.example"})
			p.publish("xzufi", "new.example", 8)
			p.look(byURL)
			before := imports
			p.look(byURL)
			p.answers(map[string]string{"06": "old.example"})
			if imports != before {
				t.Errorf("%d imports of what is held back", imports-before)
			}
			refused := p.keeper.status(p.cfg).Sources[0].Refused
			if refused == nil || refused.Cause != "shrunk" || refused.Accept != "pvgate reload --accept "+refused.Digest || !strings.Contains(refused.Text, "objects of class") {
				t.Fatalf("%+v", refused)
			}
			if err := p.keeper.Accept(refused.Digest); err != nil {
				t.Fatal(err)
			}
			p.answers(map[string]string{"06": "new.example"})
			if p.cause() != "" {
				t.Errorf("after it was accepted: %s", p.cause())
			}
			p.publish("xzufi", "newer.example", 1)
			p.look(byURL)
			p.answers(map[string]string{"06": "new.example"})
			if p.cause() != "shrunk" {
				t.Errorf("the next one was accepted too: %q", p.cause())
			}
		})
	}
}

// On a terminal there is a bar, which goes away; elsewhere there are lines, and not too many.
func TestProgressIsShown(t *testing.T) {
	t.Parallel()
	steps := []objects.Progress{
		{File: "a.xml", Files: 4, Read: 1, Bytes: 7_000_000, Objects: 3}, {Files: 4, Read: 4, Bytes: 9_000_000_000, Objects: 9}, {Files: 4, Read: 4, Objects: 5, Changes: 10},
	}
	want := []string{"reading a.xml: 7.0 MB, 3 objects", "comparing: 9 objects", "writing: 5 of 10 changes"}
	bars := []string{"[=======                       ]", "[==============================]", "[===============               ]"}
	for i, step := range steps {
		synctest.Test(t, func(t *testing.T) { // where no time passes between two steps
			var lines, bar strings.Builder
			p, q := &progressLines{w: &lines}, &progressLines{w: &bar, terminal: true}
			for range 3 {
				p.tell(step)
				q.tell(step)
			}
			p.end()
			q.end()
			if lines.String() != want[i]+"\n" {
				t.Errorf("lines %q", lines.String())
			}
			if bar.String() != "\r\x1b[K"+bars[i]+" "+want[i]+"\r\x1b[K" {
				t.Errorf("bar %q", bar.String())
			}
		})
	}
}
