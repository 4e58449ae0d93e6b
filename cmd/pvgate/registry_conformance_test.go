// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// publisher is who publishes one source, in its own form and on its own way.
type publisher struct {
	*keeperBed
	file string // where it lies, or what a server reads
	key  *signing.Private
	seq  uint64
	// ill is how a server answers instead; 0 = well.
	ill atomic.Int64
	// asked counts the requests.
	asked atomic.Int64
	paged bool // a Data Hub that refuses the whole export
}

// The illnesses of a server that no file has.
const (
	well = iota
	down
	busy
	broken
	wrong
)

// write puts a file in the source's place.
func (p *publisher) write(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.file+".new", []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// ServeHTTP is the server.
func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	switch p.ill.Load() {
	case down:
		w.WriteHeader(http.StatusBadGateway)
	case busy:
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusTooManyRequests)
	case broken:
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte("leistung,"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case wrong:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>Wartung</html>"))
	default:
		switch {
		case p.paged && strings.HasSuffix(r.URL.Path, "/export"):
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case p.paged:
			p.servePage(w, r)
		default:
			file := p.file
			if strings.HasSuffix(r.URL.Path, "/"+objectsName) {
				file = filepath.Join(filepath.Dir(p.file), objectsName)
			}
			if text, err := os.ReadFile(file); err == nil { // a time would not tell two files of one second apart
				w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(text))))
			}
			w.Header().Set("Content-Type", "text/plain")
			http.ServeFile(w, r, file)
		}
	}
}

// servePage gives the rows of the file as a Data Hub does.
func (p *publisher) servePage(w http.ResponseWriter, r *http.Request) {
	text, err := os.ReadFile(p.file)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	const size = 500
	content := []map[string]string{}
	w.Header().Set("Content-Type", "application/json")
	if !strings.HasPrefix(string(text), "leika_key") {
		_, _ = w.Write(text)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	for i := number * size; i < min((number+1)*size, len(lines)); i++ {
		f := strings.Split(lines[i], ",")
		content = append(content, map[string]string{"leika_key": f[0], "ars": f[1], "url": f[2]})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"totalElements": len(lines), "number": number, "size": size, "last": (number+1)*size >= len(lines), "content": content})
}

// publish makes rows of a host the newest delivery, in the form of the source.
func (p *publisher) publish(form, host string, each int) {
	p.t.Helper()
	text := rows(host, each)
	switch form {
	case "csv":
	case "datahub":
		text = strings.Replace(text, "leistung,area,url\n", "leika_key,ars,url,leika_name,aktiv\n", 1)
		text = strings.ReplaceAll(text, "\n99", ",,\n99")
		text = strings.Replace(strings.TrimSuffix(text, "\n")+",,\n", "aktiv,,", "aktiv", 1)
	case "xzufi":
		if err := os.WriteFile(filepath.Join(filepath.Dir(p.file), objectsName), []byte(asObjects(text)), 0o600); err != nil {
			p.t.Fatal(err)
		}
		text = objectsName + "\r\n"
	case "bundle":
		p.seq++
		text = string(sealedBundle(p.t, text, func(r *registryPlan) { r.Sequence = p.seq }, p.key))
	}
	p.write(text)
}

// objectsName is the file that an index of XZuFi names.
const objectsName = "objects.xml"

// asObjects makes rows objects: a Leistung, an Onlinedienst and what binds them to an area, of each.
func asObjects(text string) string {
	var b strings.Builder
	b.WriteString(`<transfer xzufiVersion="2.3.1"><nachrichtenkopf><erstelltDatumZeit>2026-11-20T02:00:00Z</erstelltDatumZeit></nachrichtenkopf>`)
	for n, line := range strings.Split(strings.TrimSpace(text), "\n")[1:] {
		f := strings.Split(line, ",")
		id := func(name, scheme string) string {
			return fmt.Sprintf(`<%s schemeAgencyID="L100006" schemeID="%s">%d</%s>`, name, scheme, n, name)
		}
		fmt.Fprintf(&b, `<schreibe><leistung>%s<referenzLeistungsschluessel>%s</referenzLeistungsschluessel></leistung></schreibe>
			<schreibe><onlinedienst>%s<link><typ><code>01</code></typ><link>%s</link></link></onlinedienst></schreibe>
			<schreibe><zustaendigkeitTransferObjekt>%s<zustaendigkeit>%s%s<gebietID>%s</gebietID></zustaendigkeit></zustaendigkeitTransferObjekt></schreibe>`+"\n",
			id("id", "Leistung"), f[0], id("id", "Onlinedienst"), f[2], id("uebergeordnetesObjektID", "Onlinedienst"), id("id", "ZustaendigkeitOnlinedienst"), id("leistungID", "Leistung"), f[1])
	}
	return b.String() + `</transfer>`
}

// look makes the gateway look at the source: at the next question, or the next reload.
func (p *publisher) look(byURL bool) {
	if byURL {
		_ = p.ask("hub") // what came of it is seen in what is answered
	} else {
		_, _ = buildRoutes(p.t.Context(), p.cfg, p.keeper)
	}
}

// cause of the last refusal, "" without one.
func (p *publisher) cause() string {
	r := p.keeper.status(p.cfg).Sources[0].Refused
	if r == nil {
		return ""
	}
	return r.Cause
}

// TestEverySourceKeepsItsPromises is the suite that every kind of source must pass, over every way it can come.
func TestEverySourceKeepsItsPromises(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"csv", "datahub", "xzufi", "bundle"} {
		for _, way := range []string{"path", "url", "pages", "memory"} {
			if way == "pages" && form != "datahub" || way == "memory" && form == "xzufi" {
				continue
			}
			t.Run(form+" by "+way, func(t *testing.T) {
				t.Parallel()
				conforms(t, form, way)
			})
		}
	}
}

func newPublisher(t *testing.T, form, way string) *publisher {
	t.Helper()
	more := map[string]string{"csv": ", " + bedColumns, "bundle": ", keys: keys"}[form]
	if form == "datahub" {
		more = ", separator: \",\""
	}
	p := &publisher{file: filepath.Join(t.TempDir(), "published.txt"), paged: way == "pages"}
	p.key, _ = signer(t)
	place := fmt.Sprintf("path: %q", p.file)
	if way != "path" {
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		place = fmt.Sprintf("url: %q", server.URL+"/v1/dash/open-pvog/000000000000/export?filetype=csv")
	}
	text := fmt.Sprintf("domain: gw.example.de\nregistry: {state: state}\nsources: [{name: hub, type: %s, %s%s}]\n", form, place, more)
	p.keeperBed = newKeeperBed(t, text)
	if err := os.WriteFile(filepath.Join(p.dir, "keys"), []byte(p.key.Public().Line("ours")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.restart()
	if way != "memory" {
		p.keeper.fetch = newCourier(importHere(nil)).fetch
		return p
	}
	p.servers["hub"] = func(context.Context) (string, error) {
		if p.ill.Load() != well {
			return "", &source.Refusal{Cause: source.CauseUnreachable, Text: "it is ill"}
		}
		text, err := os.ReadFile(p.file)
		return string(text), err
	}
	return p
}

func conforms(t *testing.T, form, way string) {
	p, byURL := newPublisher(t, form, way), way != "path"
	old, next := map[string]string{"06": "old.example", "065340014014": "old.example"}, map[string]string{"065340014014": "new.example"}

	p.publish(form, "old.example", 40)
	p.look(byURL)
	p.answers(old)
	index := p.keeper.current().index

	asked := p.asked.Load()
	p.look(byURL)
	if p.keeper.current().index != index || p.cause() != "" {
		t.Errorf("the same delivery makes another index, or is refused: %q", p.cause())
	}
	requests := map[string]int64{"xzufi": 2}[form] // the index, and its file
	if way == "url" && p.asked.Load() != asked+max(requests, 1) {
		t.Errorf("%d requests for what has not changed", p.asked.Load()-asked)
	}

	// What is bad in itself.
	for name, bad := range map[string]string{"empty": "", "garbage": "\x00\xff<html>\x00\n\x01\x02\n", "a word": "Wartung"} {
		p.write(bad)
		p.look(byURL)
		p.answers(old)
		if p.cause() == "" {
			t.Errorf("%s is not told", name)
		}
	}
	p.publish(form, "new.example", 8)
	p.look(byURL)
	p.answers(old)
	if p.cause() != "shrunk" {
		t.Errorf("a fifth of the rows: %q", p.cause())
	}

	// What is bad on the way.
	if byURL {
		want := map[int64]string{down: "unreachable", busy: "rate_limited", broken: "truncated", wrong: "schema"}
		for _, ill := range []int64{down, busy, broken, wrong} {
			p.ill.Store(ill)
			p.look(byURL)
			p.answers(old)
			if got := p.cause(); way != "memory" && got != want[ill] {
				t.Errorf("illness %d: %q, want %s", ill, got, want[ill])
			}
		}
	} else if err := os.Remove(p.file); err != nil {
		t.Fatal(err)
	} else {
		p.look(byURL)
		p.answers(old)
		if p.cause() != "unreachable" {
			t.Errorf("no file: %q", p.cause())
		}
	}

	// Who starts now starts from what was good.
	fetch := p.keeper.fetch
	p.restart()
	p.keeper.fetch = fetch
	p.answers(old)

	// And who is well again is heard again.
	p.ill.Store(well)
	p.publish(form, "new.example", 40)
	p.look(byURL)
	p.answers(next)
	if p.cause() != "" || time.Since(p.keeper.sourcesShown(time.Now())[0].Success) > time.Minute {
		t.Errorf("after a good delivery: %q", p.cause())
	}
}

// A source gets no more requests than its budget has.
func TestTheBudgetOfASourceIsKept(t *testing.T) {
	t.Parallel()
	c := newCourier(importHere(nil))
	s := &config.Source{Budget: config.Rate{V: config.PerTime{Count: 3, Per: time.Hour}}}
	s.Name.V, s.URL.V = "hub", "https://hub.example/x?token=secret"
	spend := c.spend(s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		if err := spend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	err := c.spend(s)(ctx) // the next question has the same budget
	if err == nil || !strings.Contains(err.Error(), "its budget of 3/h is used up") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	s.Budget.V.Count = 4
	if err := c.spend(s)(ctx); err != nil {
		t.Errorf("a larger budget: %v", err)
	}
}
