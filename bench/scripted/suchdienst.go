// SPDX-License-Identifier: EUPL-1.2

package scripted

import "net/http"

// Description is a Leistungsbeschreibung as the Suchdienst tells it.
type Description struct {
	ID                 string   `json:"id"`
	Name               string   `json:"name"`
	ARS                []string `json:"ars,omitempty"`
	LeikaKeys          []string `json:"leikakeys"`
	OrganisationIDs    []string `json:"organisationIds,omitempty"`
	OnlineServiceLinks []Link   `json:"onlineServiceLinks,omitempty"`
	SourcePortals      []Link   `json:"sourcePortals,omitempty"`
	Details            []Detail `json:"details,omitempty"`
	LastUpdate         string   `json:"lastUpdate,omitempty"`
	ExternalLastUpdate string   `json:"externalLastUpdate,omitempty"`
}

// Link leads to an Onlinedienst or a source portal.
type Link struct {
	Title string `json:"title,omitempty"`
	URI   string `json:"uri"`
}

// Detail is a text module.
type Detail struct {
	Code  string `json:"code"`
	Text  string `json:"text,omitempty"`
	Links []Link `json:"links,omitempty"`
}

// serveDescriptions is GET /v3/servicedescriptions/leikaid: a page as Spring writes it.
func (s *Service) serveDescriptions(w http.ResponseWriter, r *http.Request, asked Question, f Fault) {
	q := r.URL.Query()
	size, ok := number(q.Get("size"), 20)
	page, okPage := number(q.Get("page"), 0)
	switch {
	case s.ClientID != "" && r.Header.Get("pvog-sud-api-client-id") != s.ClientID:
		problem(w, http.StatusUnauthorized, "pvog-sud-api-client-id")
		return
	case !ok || size < 5 || !okPage:
		problem(w, http.StatusBadRequest, "size must be 5 or more")
		return
	case !digits(asked.Leistung, 14) || !digits(asked.Area, 8, 12):
		problem(w, http.StatusBadRequest, "leikaIds, ars")
		return
	}
	var all []Description
	if s.Descriptions != nil {
		all = s.Descriptions(asked)
	}
	if f == Loop {
		reply(w, "application/json", pageOf(append([]Description{}, all...), page, size, true, (page+2)*size), f)
		return
	}
	from, to := min(page*size, len(all)), min((page+1)*size, len(all))
	reply(w, "application/json", pageOf(append([]Description{}, all[from:to]...), page, size, to < len(all), len(all)), f)
}

func pageOf(content []Description, page, size int, more bool, total int) map[string]any {
	return map[string]any{
		"content": content, "number": page, "size": size, "numberOfElements": len(content), "empty": len(content) == 0,
		"totalElements": total, "totalPages": (total + size - 1) / size, "first": page == 0, "last": !more,
		"pageable": map[string]any{"pageNumber": page, "pageSize": size, "offset": page * size, "paged": true, "unpaged": false},
	}
}
