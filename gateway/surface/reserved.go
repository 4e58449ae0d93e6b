// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"strings"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

const (
	pathReserved = "/_pv"
	pathRobots   = "/robots.txt"
	pathSecurity = "/.well-known/security.txt"
	pathReasons  = "/reasons/"
)

// isReserved reports whether a path is ours on every host.
func isReserved(path []byte) bool {
	return len(path) >= len(pathReserved) && string(path[:len(pathReserved)]) == pathReserved &&
		(len(path) == len(pathReserved) || path[len(pathReserved)] == '/')
}

// isOurs reports whether a path is the gateway's own on every public host, those of backends included: /_pv/…,
// /robots.txt, and /.well-known/security.txt where the operator has one.
func (s *Surface) isOurs(path []byte) bool {
	return isReserved(path) || string(path) == pathRobots || len(s.security) > 0 && string(path) == pathSecurity
}

// reserved answers what isOurs.
func (c *call) reserved() {
	if !c.retrieves() {
		return
	}
	c.parameterLang()
	ask, fields := c.ask(), c.p.Reply.Fields[:0]
	path := string(c.r.Path)
	switch path {
	case pathRobots:
		c.reply(reason.None, c.s.pages.Robots(ask, fields))
		return
	case pathSecurity:
		c.reply(reason.None, c.s.pages.Text(ask, c.s.security, fields))
		return
	}
	switch path = strings.TrimPrefix(path, pathReserved); {
	case path == "/health" && c.s.leaving != nil && c.s.leaving():
		c.answer(&pages.Answer{Reason: reason.Draining})
	case path == "/health":
		c.reply(reason.None, c.s.pages.Health(ask, fields))
	case path == "/static/pv.css":
		c.reply(reason.None, c.s.pages.Style(ask, fields))
	case path == pathReasons:
		c.reply(reason.None, c.s.pages.Reasons(ask, fields))
	case strings.HasPrefix(path, pathReasons):
		code, ok := reason.Parse(path[len(pathReasons):])
		if !ok {
			c.answer(&pages.Answer{Reason: reason.NotFound})
			return
		}
		ask.HTML = !pages.NamesJSON(c.r.Head)
		c.reply(reason.None, c.s.pages.Reason(ask, code, fields))
	case path == "/areas":
		c.areas()
		c.share()
	case path == "/route":
		c.route()
		c.share()
	default:
		c.answer(&pages.Answer{Reason: reason.NotFound})
	}
}

// home is the page at "/".
func (c *call) home() {
	if !c.retrieves() {
		return
	}
	c.parameterLang()
	c.reply(reason.None, c.s.pages.Home(c.ask(), c.p.Reply.Fields[:0]))
}

// retrieves answers every method but GET and HEAD itself.
func (c *call) retrieves() bool {
	switch c.r.Head.Method {
	case message.GET, message.HEAD:
		return true
	case message.OPTIONS:
		c.options(allowRetrieved)
	default:
		c.refuseMethod(allowRetrieved)
	}
	return false
}

// areas is the type-ahead: at most 20 areas whose names begin like q.
func (c *call) areas() {
	type found struct {
		ARS   string `json:"ars"`
		Name  string `json:"name"`
		Level int    `json:"level"`
		Kind  string `json:"kind,omitempty"`
		In    string `json:"in,omitempty"`
	}
	answer := struct {
		Areas []found `json:"areas"`
	}{[]found{}}
	if c.table == nil {
		c.answer(&pages.Answer{Reason: reason.RegistryUnavailable, RetryAfter: retryRegistry})
		return
	}
	q, n := parameterOf(c.r.Head.Query, "q")
	if n > 1 {
		c.answer(&pages.Answer{Reason: reason.ConflictingKeys, Where: "q: " + whereQuery})
		return
	}
	areas := c.table.Areas()
	for _, id := range areas.Search(string(q), c.r.Now, registry.MaxSearch) {
		area := areas.Area(id)
		f := found{ARS: area.ARS.String(), Name: area.Name, Level: int(area.ARS.Level()), Kind: area.Kind}
		if area.Parent != registry.Bund {
			f.In = areas.Area(area.Parent).Short()
		}
		answer.Areas = append(answer.Areas, f)
	}
	c.reply(reason.None, c.s.pages.JSON(c.ask(), &answer, c.p.Reply.Fields[:0]))
}

// share lets the scripts of a portal we know read the answer (Fetch, section
// 3.3.1), without credentials; to all others it says nothing. The request is a
// simple one and needs no preflight.
func (c *call) share() {
	if len(c.s.origins) == 0 {
		return
	}
	reply := &c.p.Reply
	reply.Fields = append(reply.Fields, message.Field{Name: nameVary, Value: nameOrigin})
	for _, origin := range c.s.origins {
		if string(c.r.Head.Get(message.Origin)) == origin {
			reply.Fields = append(reply.Fields, message.Field{Name: nameAllowOrigin, Value: []byte(origin)})
			return
		}
	}
}

var (
	nameVary        = []byte("Vary")
	nameOrigin      = []byte("Origin")
	nameAllowOrigin = []byte("Access-Control-Allow-Origin")
)

// parameterOf returns the decoded value of a parameter in a raw query, and how
// often it stands there.
func parameterOf(query []byte, name string) (value []byte, times int) {
	for len(query) > 0 {
		var segment []byte
		segment, query = cutSegment(query)
		key, raw, _ := bytes.Cut(segment, equals)
		if text, ok := decode(nil, key, inQuery); !ok || string(text) != name {
			continue
		}
		times++
		value, _ = decode(nil, raw, inQuery)
	}
	return value, times
}

var equals = []byte("=")

// route tells a portal we know where a citizen would be led, without leading
// anybody.
func (c *call) route() {
	if c.sender == 0 {
		c.answer(&pages.Answer{Reason: reason.SenderUnknown})
		return
	}
	if c.table == nil {
		c.answer(&pages.Answer{Reason: reason.RegistryUnavailable, RetryAfter: retryRegistry})
		return
	}
	var k keys
	if !c.routeKeys(&k) {
		c.faulty(&k)
		return
	}
	q, d, ok := c.resolve(&k)
	if !ok {
		return
	}
	url, err := c.table.AppendURL(nil, &q, &d)
	if err != nil || !isLine(url) {
		c.refuseTarget(&k, &q, &d)
		return
	}
	answer := struct {
		URL     string `json:"url"`
		Backend string `json:"backend"`
		Kind    string `json:"kind"`
		Area    string `json:"area"`
		Key     string `json:"key"`
		Note    string `json:"note,omitempty"`
	}{string(url), c.table.BackendName(d.Backend), d.Kind.String(), c.table.Areas().ARS(d.Area).String(), d.Key.String(), notes[d.Note]}
	if i := int(d.Backend); i >= 0 && i < len(c.s.backends) && c.s.backends[i].Proxy {
		if answer.URL = c.atOwnOrigin(i, answer.URL); answer.URL == "" {
			answer.URL = c.base() + c.place(&k, c.table.Areas().ARS(k.area))
		}
	}
	c.reply(reason.None, c.s.pages.JSON(c.ask(), &answer, c.p.Reply.Fields[:0]))
}

// routeKeys reads /_pv/route's own parameters.
func (c *call) routeKeys(k *keys) bool {
	leistung, n := parameterOf(c.r.Head.Query, "leistung")
	if n > 1 {
		return k.conflict("leistung: " + whereQuery)
	}
	area, m := parameterOf(c.r.Head.Query, "area")
	if m > 1 {
		return k.conflict("area: " + whereQuery)
	}
	if !k.takeLeistung(leistung, whereQuery, inHeader) {
		return false
	}
	return m == 0 || string(area) == "-" || k.takeArea(c, area, whereQuery, inHeader)
}

// notes is what /_pv/route says beside an answer, by routing.Note.
var notes = [...]string{
	routing.NoteNone:      "",
	routing.NoteNotJoined: "not_joined",
	routing.NoteSuccessor: "successor",
	routing.NoteParent:    "parent",
}
