// SPDX-License-Identifier: EUPL-1.2

// Package scripted is the two services in which pvgate looks things up, as far as it asks them: the Suchdienst of the PVOG
// and the Routing API 2.0 of FIT-Connect; and all that can go wrong with them, by script.
//
// A [Service] is an http.Handler. What it knows are two functions, so that it can know nothing, one thing or a country; what
// it does instead of answering is a [Fault], for one request ([Service.Next]) or for all ([Service.Be]). It counts what it
// was asked. It holds its clients to the letter of the interface: who asks with a size below 5 or with two areas at once is
// refused as the real one would refuse.
//
// It deliberately shares no code with pvgate's clients, so that both are held to the description and not to each other.
package scripted

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Question is what a look-up is about.
type Question struct{ Leistung, Area string }

// Service answers as both services do. The fields are set before the first request.
type Service struct {
	// Descriptions is what the Suchdienst knows of a Leistung at an area (12 digits); nil = nothing.
	Descriptions func(q Question) []Description
	// Routes is what the Routing API knows; nil = nothing.
	Routes func(q Question) []Route
	// ClientID is what pvog-sud-api-client-id must say; "" = anything.
	ClientID string
	// RefusedAgent begins the User-Agents that get a 403; "" = none.
	RefusedAgent string
	// Limit is how many requests a window of the Routing API has, told in RateLimit-…; 0 = they are not told.
	Limit int
	// Window is how long that is; 0 = a minute.
	Window time.Duration
	// Delay is how long an answer takes.
	Delay time.Duration

	mu       sync.Mutex // guards what stands below
	always   Fault
	next     []Fault
	calls    map[Question]int
	total    int
	inFlight int
	most     int
	spent    int
	began    time.Time
	ended    chan struct{}
}

// Be makes every request from now on end so.
func (s *Service) Be(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

// Next makes the next requests end so, one each; then it goes on as it was told to [Service.Be].
func (s *Service) Next(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, faults...)
}

// Close ends the answers that would not end by themselves.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.over():
	default:
		close(s.ended)
	}
}

// over is closed by Close; s.mu is held.
func (s *Service) over() chan struct{} {
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	return s.ended
}

// Calls is how often a question was asked, refused ones included.
func (s *Service) Calls(q Question) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[q]
}

// Total is the number of all requests.
func (s *Service) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Most is the largest number of requests that were there at once.
func (s *Service) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// begin counts a request and says how it ends.
func (s *Service) begin(q Question) (Fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = map[Question]int{}
	}
	s.calls[q]++
	s.total++
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	f := s.always
	if len(s.next) > 0 {
		f, s.next = s.next[0], s.next[1:]
	}
	return f, s.over()
}

func (s *Service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

// ServeHTTP answers any base path and version: what follows them says what is asked.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	asked := Question{q.Get("leikaIds") + q.Get("leikaKey"), q.Get("ars") + q.Get("ags") + q.Get("areaId")}
	fault, over := s.begin(asked)
	defer s.end()
	select {
	case <-time.After(s.Delay):
	case <-over:
	case <-r.Context().Done():
		return
	}
	if fault.play(w, r, over) {
		return
	}
	switch path := r.URL.Path; {
	case s.RefusedAgent != "" && strings.HasPrefix(r.UserAgent(), s.RefusedAgent):
		problem(w, http.StatusForbidden, "Forbidden")
	case r.Method != http.MethodGet:
		problem(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	case strings.HasSuffix(path, "/servicedescriptions/leikaid"):
		s.serveDescriptions(w, r, asked, fault)
	case strings.HasSuffix(path, "/routes"):
		s.serveRoutes(w, r, asked, fault)
	case strings.HasSuffix(path, "/areas"):
		s.serveAreas(w, r)
	case strings.HasSuffix(path, "/info"):
		reply(w, "application/json", map[string]any{"version": map[string]int{"major": 2, "minor": 0, "patch": 0}}, fault)
	default:
		problem(w, http.StatusNotFound, "Not Found")
	}
}

// reply writes a document as the fault, if any, wants it.
func reply(w http.ResponseWriter, kind string, document any, f Fault) {
	text, err := json.Marshal(document)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	f.write(w, kind, text)
}

// problem is RFC 7807 as both services have it.
func problem(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": title, "status": status})
}

// number reads a parameter; false if it is there and no number.
func number(text string, absent int) (int, bool) {
	if text == "" {
		return absent, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}

func digits(text string, lengths ...int) bool {
	if strings.Trim(text, "0123456789") != "" {
		return false
	}
	for _, n := range lengths {
		if len(text) == n {
			return true
		}
	}
	return false
}
