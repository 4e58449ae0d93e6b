// SPDX-License-Identifier: EUPL-1.2

package datahub

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pvgate/pvgate/registry/source"
)

// The Data Hub answers 413 to an export that is too large for it, and gives the same rows page by page, as JSON, at the
// address without "/export" (components PageDvDataDto and DvDataDto of its OpenAPI). A page may be too large, too.
const (
	firstPageSize = 1024 // halved at each 413: pages of half the size begin where those of the whole one did
	maxPageBytes  = 16 << 20
)

// PagesOptions of one reading by pages.
type PagesOptions struct {
	source.Options
	URL string // of the export: …/open-pvog/{ars}/export?filetype=csv
	// Do sends a request, as http.Client does. Budgets and timeouts are its business.
	Do func(*http.Request) (*http.Response, error)
}

// Pages reads page by page what the export at o.URL would give, and writes it in the export's form. The pages must be
// of one state: as many rows as the first one says, all there. Errors are *[source.Refusal], the context's, Do's or w's.
func Pages(ctx context.Context, o PagesOptions, w io.Writer) error {
	address, err := pagesURL(o.URL)
	if err != nil {
		return o.Refuse(source.CauseSchema, 0, "%v", err)
	}
	r := pageReader{o: &o, address: address, size: firstPageSize, out: stdcsv.NewWriter(w)}
	if err := r.out.Write(pageColumns[:]); err != nil {
		return err
	}
	for number := 0; ; {
		p, err := r.get(ctx, number)
		if errors.Is(err, errTooLarge) {
			if r.size == 1 || r.begun && r.size%2 == 1 {
				return o.Refuse(source.CauseOversized, 0, "the Data Hub refuses a page of %d rows (413), and smaller ones would not fit", r.size)
			}
			r.size, number = r.size/2, number*2
			continue
		}
		if err != nil {
			return err
		}
		if last, err := r.take(p, number); err != nil || last {
			r.out.Flush()
			return errors.Join(err, r.out.Error())
		}
		number++
	}
}

// pagesURL leads from an export to its pages.
func pagesURL(export string) (*url.URL, error) {
	u, err := url.Parse(export)
	if err != nil {
		return nil, err
	}
	path, ok := strings.CutSuffix(u.Path, "/export")
	if !ok {
		return nil, fmt.Errorf("the export is too large (413), and its path %q does not end in /export, so nobody knows where its pages are", u.Path)
	}
	u.Path, u.RawPath = path, ""
	q := u.Query()
	q.Del("filetype")
	u.RawQuery = q.Encode()
	return u, nil
}

// pageColumns are what Read needs and what helps a person who looks into the file.
var pageColumns = [...]string{"leika_key", "leika_name", "ars", "ozgid", "ozg_bezeichnung", "url", "online_status", "aktiv"}

// page is one of them; what is absent is nil, and no zero.
type page struct {
	Total   *int64 `json:"totalElements"`
	Number  *int   `json:"number"`
	Size    *int   `json:"size"`
	Last    *bool  `json:"last"`
	Content []struct {
		Key    string      `json:"leika_key"`
		Name   string      `json:"leika_name"`
		ARS    string      `json:"ars"`
		OZG    json.Number `json:"ozgid"`
		Bundle string      `json:"ozg_bezeichnung"`
		URL    string      `json:"url"`
		Online string      `json:"online_status"`
		Active string      `json:"aktiv"`
	} `json:"content"`
}

var errTooLarge = errors.New("413")

type pageReader struct {
	o       *PagesOptions
	address *url.URL
	size    int
	total   int64 // rows there are, by the first page
	rows    int64 // taken
	begun   bool
	out     *stdcsv.Writer
}

// get asks for one page.
func (r *pageReader) get(ctx context.Context, number int) (*page, error) {
	u := *r.address
	q := u.Query()
	q.Set("page", strconv.Itoa(number))
	q.Set("size", strconv.Itoa(r.size))
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := r.o.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	where := fmt.Sprintf("page %d of %d rows", number, r.size)
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusRequestEntityTooLarge:
		return nil, errTooLarge
	default:
		return nil, r.o.Refuse(source.CauseUnreachable, 0, "%s: the Data Hub answers %s", where, res.Status)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, r.o.Refuse(source.CauseSchema, 0, "%s is of type %.80q; want application/json", where, res.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPageBytes+1))
	if err != nil {
		refusal := r.o.Refuse(source.CauseTruncated, 0, "%s breaks off: %v", where, err)
		refusal.Err = err
		return nil, refusal
	}
	if len(body) > maxPageBytes {
		return nil, r.o.Refuse(source.CauseOversized, 0, "%s is larger than %d MiB", where, maxPageBytes>>20)
	}
	p := &page{}
	d := json.NewDecoder(bytes.NewReader(body))
	if err = d.Decode(p); err == nil && d.More() {
		err = errors.New("something follows it")
	}
	if err != nil {
		cause := source.CauseSchema
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			cause = source.CauseTruncated
		}
		return nil, r.o.Refuse(cause, 0, "%s cannot be read: %v", where, err)
	}
	if p.Total == nil || p.Number == nil || p.Size == nil || p.Last == nil {
		return nil, r.o.Refuse(source.CauseSchema, 0, "%s does not say totalElements, number, size and last", where)
	}
	return p, nil
}

// take writes the rows of a page that has come when number was asked for.
func (r *pageReader) take(p *page, number int) (last bool, err error) {
	most := int64(r.o.MaxRows)
	if most <= 0 {
		most = source.DefaultMaxRows
	}
	if !r.begun && *p.Size > 0 && *p.Size < r.size {
		r.size = *p.Size // it gives no more at once
	}
	switch n := int64(len(p.Content)); {
	case *p.Number != number:
		return false, r.o.Refuse(source.CauseSchema, 0, "page %d was asked for, page %d came", number, *p.Number)
	case *p.Size != r.size:
		return false, r.o.Refuse(source.CauseSchema, 0, "page %d has %d rows instead of %d; the pages would not fit together", number, *p.Size, r.size)
	case r.begun && *p.Total != r.total:
		return false, r.o.Refuse(source.CauseTruncated, 0, "there are %d rows at page %d and were %d before: it has changed while it was read", *p.Total, number, r.total)
	case *p.Total < 0 || *p.Total > most:
		return false, r.o.Refuse(source.CauseOversized, 0, "%d rows, at most %d", *p.Total, most)
	case n > int64(r.size) || r.rows+n > *p.Total:
		return false, r.o.Refuse(source.CauseSchema, 0, "page %d has more rows than there are", number)
	case !*p.Last && n < int64(r.size):
		return false, r.o.Refuse(source.CauseTruncated, 0, "page %d has %d of %d rows and is not the last", number, n, r.size)
	}
	r.begun, r.total = true, *p.Total
	for i := range p.Content {
		c := &p.Content[i]
		r.rows++
		if err := r.out.Write([]string{c.Key, c.Name, c.ARS, c.OZG.String(), c.Bundle, c.URL, c.Online, c.Active}); err != nil {
			return false, err
		}
	}
	if *p.Last && r.rows != r.total {
		return false, r.o.Refuse(source.CauseTruncated, 0, "%d of %d rows came with the last page", r.rows, r.total)
	}
	return *p.Last, nil
}
