// SPDX-License-Identifier: EUPL-1.2

package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

// MaxPage bounds a page of changes, in bytes.
const MaxPage = 16 << 20

// envelope is a page as the service of changes (Bereitstelldienst) gives it.
type envelope struct {
	Objects  string `json:"xzufiObjekte"` // a message of XZuFi; "" = none
	Complete *bool  `json:"vollstaendig"` // there is nothing more for now
	Index    int64  `json:"naechsterIndex"`
	Next     string `json:"naechsteAnfrageUrl"` // "" = this one again
}

// Changes asks for the page at a cursor; the zero one is the beginning. The delivery's cursor is where to go on, now, or if
// complete, another time. A page without objects has no file. A cursor of another stream is the beginning.
func Changes(ctx context.Context, o *Options, at objects.Cursor) (page *objects.Delivery, complete bool, err error) {
	place := at.URL
	if at.Of != o.Place || place == "" { // another stream: what its places are called here nobody knows
		place = o.Place
	}
	if place, err = o.follow(place); err != nil {
		return nil, false, err
	}
	dir := filepath.Join(o.Dir, "page")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	got, err := fetch.Get(ctx, fetch.File{Source: o.Source, Place: place, Dir: dir, MaxSize: MaxPage, Client: o.Client}, fetch.Version{})
	if err != nil {
		return nil, false, err
	}
	text, err := os.ReadFile(got.Path)
	if err != nil {
		return nil, false, err
	}
	e, err := o.open(text, place)
	if err != nil {
		return nil, false, err
	}
	page = &objects.Delivery{Source: o.Source, Cursor: objects.Cursor{Of: o.Place, Index: e.Index, URL: place}}
	if e.Next != "" {
		if page.Cursor.URL, err = o.follow(e.Next); err != nil {
			return nil, false, err
		}
	}
	if !*e.Complete && page.Cursor.URL == place {
		return nil, false, o.refuse(source.CauseSchema, place, "the page says that there is more, and names itself as the next one")
	}
	if strings.TrimSpace(e.Objects) != "" {
		page.Files = []objects.File{{Name: fetch.Shown(place), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(e.Objects)), nil
		}}}
	}
	return page, *e.Complete, nil
}

// open reads a page.
func (o *Options) open(text []byte, place string) (*envelope, error) {
	e := &envelope{}
	dec := json.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(e)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return nil, o.refuse(source.CauseTruncated, place, "the page breaks off")
	case err != nil:
		return nil, o.refuse(source.CauseSchema, place, "the page is no envelope of changes: %v", err)
	case e.Complete == nil:
		return nil, o.refuse(source.CauseSchema, place, "the page does not say whether there is more (vollstaendig)")
	case dec.More():
		return nil, o.refuse(source.CauseSchema, place, "there is something behind the page")
	}
	return e, nil
}

// follow makes an address absolute, and holds that it is at the service that is configured: what a page says must not lead
// elsewhere, least of all with our authorisation.
func (o *Options) follow(place string) (string, error) {
	base, err := url.Parse(o.Place)
	if err != nil {
		return "", o.refuse(source.CauseURLPolicy, o.Place, "it is no URL")
	}
	u, err := base.Parse(place)
	if err != nil || u.User != nil || u.Scheme != base.Scheme || u.Host != base.Host {
		return "", o.refuse(source.CauseURLPolicy, o.Place, "the next page is at %.100q, which is not at this service", fetch.Shown(place))
	}
	if _, err := registry.ParseTarget(u.String()); err != nil {
		return "", o.refuse(source.CauseURLPolicy, o.Place, "the next page has an address that cannot be asked: %v", err)
	}
	return u.String(), nil
}
