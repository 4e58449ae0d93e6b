// SPDX-License-Identifier: EUPL-1.2

package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/pvgate/pvgate/registry/source"
)

// The files of a transfer in its directory: what has come so far, of what it is a part, and the whole.
const (
	partFile  = "part"
	partAbout = "part.json"
	wholeFile = "whole"
)

// part is what has come of a file. Only one with a strong entity-tag is gone on with: the server then says whether it still
// is the same, byte by byte (RFC 9110, section 13.1.5).
type part struct {
	dir string

	Place string `json:"place"`
	ETag  string `json:"etag"` // strong; "" = what comes is of no use when it breaks off
	Size  int64  `json:"size"` // what is certain to be on disk, also after a loss of power
}

// loadPart is what an earlier transfer of the same place has left, or nothing.
func loadPart(dir, place string) part {
	nothing := part{dir: dir, Place: place}
	data, err := os.ReadFile(filepath.Join(dir, partAbout))
	p := nothing
	if err != nil || json.Unmarshal(data, &p) != nil || p.Place != place || !strong(p.ETag) {
		return nothing
	}
	st, err := os.Stat(filepath.Join(dir, partFile))
	if err != nil || !st.Mode().IsRegular() || st.Size() < p.Size || p.Size < 0 {
		return nothing
	}
	return p
}

func strong(etag string) bool { return len(etag) > 2 && etag[0] == '"' && len(etag) < 1000 }

// begin starts anew with a file of this entity-tag.
func (p *part) begin(etag string) error {
	err := p.drop()
	if strong(etag) {
		p.ETag = etag
	}
	return err
}

// keep writes down what has come, when that is on disk.
func (p *part) keep() error {
	if p.ETag == "" {
		return p.drop()
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return source.Replace(filepath.Join(p.dir, partAbout), data)
}

// drop forgets what has come. What it is a part of goes first: without that the rest is nothing.
func (p *part) drop() error {
	p.Size, p.ETag = 0, ""
	for _, name := range []string{partAbout, partFile} {
		if err := os.Remove(filepath.Join(p.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// open opens the file to write behind what has come.
func (p *part) open() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(p.dir, partFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(p.Size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// continues says whether an answer is the rest of the same file, and how many bytes that has in all.
func (p *part) continues(resp *http.Response) (total int64, ok bool) {
	if etag := resp.Header.Get("ETag"); etag != "" && etag != p.ETag {
		return 0, false
	}
	rest, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", p.Size))
	var last int64
	if n, err := fmt.Sscanf(rest, "%d/%d", &last, &total); !ok || n != 2 || err != nil {
		return 0, false
	}
	return total, last+1 == total
}

// finish makes the part the whole, and gives its path.
func (p *part) finish() (string, error) {
	whole := filepath.Join(p.dir, wholeFile)
	if err := os.Rename(filepath.Join(p.dir, partFile), whole); err != nil {
		return "", err
	}
	return whole, p.drop()
}
