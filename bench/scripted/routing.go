// SPDX-License-Identifier: EUPL-1.2

package scripted

import (
	"net/http"
	"strconv"
	"time"
)

// Route is a Zustellpunkt as the Routing API tells it.
type Route struct {
	DestinationID        string `json:"destinationId"`
	DestinationSignature string `json:"destinationSignature"`
	DestinationName      string `json:"destinationName,omitempty"`
	DestinationShortName string `json:"destinationShortName,omitempty"`
	PrivacyPolicyURL     string `json:"privacyPolicyUrl,omitempty"`
	ImprintURL           string `json:"imprintUrl,omitempty"`
	AccessibilityURL     string `json:"accessibilityUrl,omitempty"`
	ContactFormURL       string `json:"contactFormUrl,omitempty"`
	Origin               string `json:"origin,omitempty"`
}

// serveRoutes is GET /routes.
func (s *Service) serveRoutes(w http.ResponseWriter, r *http.Request, asked Question, f Fault) {
	q := r.URL.Query()
	if s.count(w) {
		w.Header().Set("Content-Type", "application/json") // and nothing in it, as the description allows
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	named, ok := 0, digits(asked.Leistung, 14) && asked.Leistung[:2] == "99"
	for name, lengths := range map[string][]int{"ars": {2, 3, 5, 9, 12}, "ags": {2, 3, 5, 8}, "areaId": {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		if q.Has(name) {
			named++
			ok = ok && digits(q.Get(name), lengths...)
		}
	}
	offset, limit, okPage := window(q.Get("offset"), q.Get("limit"))
	if !ok || !okPage || named != 1 {
		problem(w, http.StatusBadRequest, "Bad Request")
		return
	}
	var all []Route
	if s.Routes != nil {
		all = s.Routes(asked)
	}
	from, to := min(offset, len(all)), min(offset+limit, len(all))
	total := len(all)
	if f == Loop {
		from, to, total = 0, min(limit, len(all)), offset+2*limit
	}
	some := append([]Route{}, all[from:to]...)
	reply(w, "application/json", map[string]any{"count": len(some), "offset": offset, "totalCount": total, "routes": some}, f)
}

// serveAreas is GET /areas, whose success the description calls problem+json.
func (s *Service) serveAreas(w http.ResponseWriter, r *http.Request) {
	if s.count(w) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	offset, _, ok := window(r.URL.Query().Get("offset"), r.URL.Query().Get("limit"))
	if search := r.URL.Query()["areaSearchexpression"]; !ok || len(search) == 0 || len(search) > 10 {
		problem(w, http.StatusBadRequest, "Bad Request")
		return
	}
	reply(w, "application/problem+json", map[string]any{"count": 0, "offset": offset, "totalCount": 0, "areas": []any{}}, Well)
}

func window(offset, limit string) (from, most int, ok bool) {
	from, ok = number(offset, 0)
	most, okLimit := number(limit, 100)
	return from, most, ok && okLimit && most >= 1 && most <= 500
}

// count takes a request from the window, tells what is left of it, and says whether nothing was left.
func (s *Service) count(w http.ResponseWriter) (exhausted bool) {
	if s.Limit == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	length := s.Window
	if length == 0 {
		length = time.Minute
	}
	now := time.Now()
	if now.Sub(s.began) >= length {
		s.began, s.spent = now, 0
	}
	exhausted = s.spent >= s.Limit
	if !exhausted {
		s.spent++
	}
	h := w.Header()
	h["RateLimit-Limit"] = []string{strconv.Itoa(s.Limit)}
	h["RateLimit-Remaining"] = []string{strconv.Itoa(s.Limit - s.spent)}
	h["RateLimit-Reset"] = []string{strconv.Itoa(int(s.began.Add(length).Sub(now).Seconds()) + 1)}
	return exhausted
}
