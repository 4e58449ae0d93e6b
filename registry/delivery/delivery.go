// SPDX-License-Identifier: EUPL-1.2

// Package delivery brings XZuFi deliveries from where they are published.
//
// [Index] brings a whole one: an index, one name a line, and the files that it names, from a folder of this machine or from a
// web server. [Changes] asks a service for what has changed since a place in its stream, page by page. Both go through
// package fetch, so the same addresses may be asked, answers are bounded and what broke off is gone on with; [Token] adds the
// authorisation that a service wants. What is wrong is a *source.Refusal. The package does not look into the files.
package delivery

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

// The bounds of a delivery.
const (
	MaxFile  = 8 << 30 // bytes of a file
	maxIndex = 8 << 20 // bytes of an index
	maxNames = 200_000
	maxName  = 500
	// IndexName is what the index is called in a folder, and commonly at a server.
	IndexName = "index.txt"
)

// Options say where a delivery is.
type Options struct {
	Source string       // for refusals
	Place  string       // a folder, an index file in one, or the URL of an index or of a service of changes
	Dir    string       // of a URL: a folder of this source alone, where files stay for the next time
	Client *http.Client // of a URL: fetch.Client, perhaps with a Token
}

func (o *Options) refuse(cause source.Cause, place string, format string, args ...any) *source.Refusal {
	return &source.Refusal{Cause: cause, Origin: registry.Origin{Source: o.Source, File: fetch.Shown(place)}, Text: fmt.Sprintf(format, args...)}
}

// Whole is a delivery that an index names.
type Whole struct {
	objects.Delivery
	// Version is the same as long as index and files are; "" if that cannot be known.
	Version string
}

// Index brings a whole delivery. The files of a folder stay where they are; they are opened when they are read, and nowhere
// outside of the folder.
func Index(ctx context.Context, o *Options) (*Whole, error) {
	if fetch.IsURL(o.Place) {
		return o.download(ctx)
	}
	return o.folder()
}

// folder is a delivery on this machine.
func (o *Options) folder() (*Whole, error) {
	dir, name := o.Place, IndexName
	st, err := os.Stat(o.Place)
	if err == nil && !st.IsDir() {
		dir, name = filepath.Split(o.Place)
		dir = filepath.Clean(dir)
	}
	if err != nil {
		return nil, o.local(o.Place, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, o.local(dir, err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, o.local(filepath.Join(dir, name), err)
	}
	defer f.Close()
	names, err := o.names(f, filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	w := &Whole{Delivery: objects.Delivery{Source: o.Source, Full: true}}
	version := sha256.New()
	for _, name := range names {
		st, err := root.Stat(name)
		if err != nil {
			return nil, o.local(filepath.Join(dir, name), err)
		}
		if !st.Mode().IsRegular() {
			return nil, o.refuse(source.CauseUnreachable, filepath.Join(dir, name), "is no regular file")
		}
		fmt.Fprintf(version, "%s\n%d %d\n", name, st.Size(), st.ModTime().UnixNano())
		w.Files = append(w.Files, objects.File{Name: name, Open: func() (io.ReadCloser, error) { return openIn(dir, name) }})
	}
	w.Version = hex.EncodeToString(version.Sum(nil))
	return w, nil
}

func openIn(dir, name string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(name)
}

func (o *Options) local(place string, err error) *source.Refusal {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	r := o.refuse(source.CauseUnreachable, place, "%v", err)
	r.Err = err
	return r
}

// names reads an index: a name a line, with or without CR.
func (o *Options) names(r io.Reader, place string) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxIndex+1))
	if err != nil {
		return nil, o.local(place, err)
	}
	if len(text) > maxIndex {
		return nil, o.refuse(source.CauseOversized, place, "the index has more than %d bytes", maxIndex)
	}
	var names []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	for n := 1; lines.Scan(); n++ {
		name := strings.TrimSpace(lines.Text())
		if name == "" || seen[name] {
			continue
		}
		if !plain(name) {
			r := o.refuse(source.CauseSchema, place, "%.80q is no name of a file beside the index", name)
			r.Origin.Line = int32(n)
			return nil, r
		}
		seen[name] = true
		names = append(names, name)
		if len(names) > maxNames {
			return nil, o.refuse(source.CauseOversized, place, "the index names more than %d files", maxNames)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, o.refuse(source.CauseSchema, place, "a line of the index is too long for a name")
	}
	if len(names) == 0 {
		return nil, o.refuse(source.CauseEmpty, place, "the index names no file; an empty delivery is refused")
	}
	return names, nil
}

// plain reports whether a name is that of a file at or below the index: no way out, no address, nothing that a path or URL would
// read otherwise.
func plain(name string) bool {
	return len(name) <= maxName && utf8.ValidString(name) && filepath.IsLocal(name) && path.Clean(name) == name && name != "." &&
		!strings.ContainsAny(name, "\\:?#%") && !strings.ContainsFunc(name, unicode.IsControl)
}

// versionFile says beside a file that has come which one it is: there may be many, and each is noted by itself.
const versionFile = "version.json"

// download brings a delivery from a web server. What has come stays also if the next file does not.
func (o *Options) download(ctx context.Context) (*Whole, error) {
	base, err := url.Parse(o.Place)
	if err != nil {
		return nil, o.refuse(source.CauseURLPolicy, o.Place, "it is no URL")
	}
	names, err := o.index(ctx)
	if err != nil {
		return nil, err
	}
	w := &Whole{Delivery: objects.Delivery{Source: o.Source, Full: true}}
	version, certain := sha256.New(), true
	wanted := map[string]bool{o.folderOf(IndexName): true}
	for _, name := range names {
		at := *base
		at.Path, at.RawPath, at.RawQuery, at.Fragment = path.Join(path.Dir(base.Path), name), "", "", ""
		file, v, err := o.one(ctx, name, at.String())
		if err != nil {
			return nil, err
		}
		wanted[o.folderOf(name)] = true
		certain = certain && v != (fetch.Version{})
		fmt.Fprintf(version, "%s\n%s %d\n", name, v.ETag, v.Modified.UnixNano())
		w.Files = append(w.Files, objects.PathFile(file, name))
	}
	if certain {
		w.Version = hex.EncodeToString(version.Sum(nil))
	}
	return w, o.sweep(wanted)
}

// index brings the index. It is small, and asked for anew each time.
func (o *Options) index(ctx context.Context) ([]string, error) {
	dir := o.folderOf(IndexName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	got, err := fetch.Get(ctx, fetch.File{Source: o.Source, Place: o.Place, Dir: dir, MaxSize: maxIndex, Client: o.Client}, fetch.Version{})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(got.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return o.names(f, o.Place)
}

// one brings a file, unless the one that came last time is it still.
func (o *Options) one(ctx context.Context, name, place string) (string, fetch.Version, error) {
	dir := o.folderOf(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fetch.Version{}, err
	}
	kept := filepath.Join(dir, "file")
	have := fetch.Version{}
	if _, err := os.Stat(kept); err == nil {
		have = versionIn(dir)
	}
	got, err := fetch.Get(ctx, fetch.File{Source: o.Source, Place: place, Dir: dir, MaxSize: MaxFile, Client: o.Client}, have)
	if err != nil {
		return "", fetch.Version{}, err
	}
	if got.Path == "" {
		return kept, have, nil
	}
	// The word goes before the file: after a crash between both the file is asked for once more.
	if err = os.Remove(filepath.Join(dir, versionFile)); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.Rename(got.Path, kept)
	}
	if err == nil && got.Version != (fetch.Version{}) {
		err = remember(dir, got.Version)
	}
	return kept, got.Version, err
}

// folderOf is where a file of this name lies: names may be long and have slashes.
func (o *Options) folderOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(o.Dir, "file-"+hex.EncodeToString(sum[:8]))
}

// versionIn is which file lies in a folder; nothing if nobody knows.
func versionIn(dir string) (v fetch.Version) {
	text, err := os.ReadFile(filepath.Join(dir, versionFile))
	if err != nil || json.Unmarshal(text, &v) != nil {
		return fetch.Version{}
	}
	return v
}

func remember(dir string, v fetch.Version) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return source.Replace(filepath.Join(dir, versionFile), text)
}

// sweep removes files that the index names no more.
func (o *Options) sweep(wanted map[string]bool) error {
	found, err := filepath.Glob(filepath.Join(o.Dir, "file-*"))
	for _, f := range found {
		if !wanted[f] {
			err = errors.Join(err, os.RemoveAll(f))
		}
	}
	return err
}
