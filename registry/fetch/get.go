// SPDX-License-Identifier: EUPL-1.2

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// File is a file to be brought.
type File struct {
	Source  string // the source's name, for refusals
	Place   string // its path or URL
	Dir     string // of an URL: an existing directory of this file alone, for what comes
	MaxSize int64  // bytes; more are refused as oversized
	Client  *http.Client
	Now     func() time.Time // for dates of servers that are busy; nil = time.Now
}

// Version tells one state of a file from another.
type Version struct {
	ETag     string    `json:"etag,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
	Size     int64     `json:"size,omitempty"` // of a path
}

// Got is a file that was brought.
type Got struct {
	Path    string // where it is now; "" = it has not changed
	Version Version
	Resumed int64 // bytes of it that an earlier transfer had brought
}

// Get brings a file unless it still is what the caller has; a zero have is nothing. A file of this machine stays where it
// is. One of a server is written into Dir, and the next Get may overwrite it.
//
// An error is a *source.Refusal with one of the causes empty, oversized, truncated, schema, url_policy, unreachable,
// timeout and rate_limited; the context's; or says why Dir cannot be written.
func Get(ctx context.Context, f File, have Version) (Got, error) {
	if !IsURL(f.Place) {
		return f.local(have)
	}
	if _, err := registry.ParseTarget(f.Place); err != nil {
		return Got{}, f.refuse(source.CauseURLPolicy, err, "%v", err)
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	t := transfer{File: f, part: loadPart(f.Dir, f.Place)}
	for attempt := 1; ; attempt++ {
		before := t.part.Size
		got, err := t.once(ctx, have)
		switch {
		case err == nil:
			return got, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return Got{}, f.refuse(source.CauseTimeout, ctx.Err(), "it took too long")
		case ctx.Err() != nil:
			return Got{}, fmt.Errorf("fetch %s: %w", Shown(f.Place), ctx.Err())
		case errors.Is(err, errAgain) && attempt < maxAttempts:
		case errors.Is(err, errBroken) && t.part.ETag != "" && t.part.Size > before && attempt < maxAttempts:
			// It comes piece by piece: the rest is asked for at once.
		default:
			return Got{}, t.refusal(err)
		}
	}
}

// IsURL says whether a place is asked over the network.
func IsURL(place string) bool { return strings.Contains(place, "://") }

// Shown is a place without what may be a secret in it: the query.
func Shown(place string) string {
	if i := strings.IndexAny(place, "?#"); i >= 0 && IsURL(place) {
		return place[:i] + "?…"
	}
	return place
}

// maxAttempts bounds the requests of one Get.
const maxAttempts = 8

// Why one request was not enough.
var (
	errBroken = errors.New("the transfer broke off")
	errAgain  = errors.New("what had come is of no use")
)

// Status is an answer that is not the file.
type Status struct {
	Code       int
	RetryAfter time.Duration // 0 = not said
}

func (s *Status) Error() string {
	return fmt.Sprintf("the server answers %d %s", s.Code, http.StatusText(s.Code))
}

func (f *File) refuse(cause source.Cause, err error, format string, args ...any) *source.Refusal {
	return &source.Refusal{
		Cause: cause, Origin: registry.Origin{Source: f.Source, File: Shown(f.Place)}, Text: fmt.Sprintf(format, args...), Err: err,
	}
}

// local looks at a file of this machine.
func (f *File) local(have Version) (Got, error) {
	st, err := os.Stat(f.Place)
	var pe *fs.PathError
	switch {
	case errors.As(err, &pe):
		return Got{}, f.refuse(source.CauseUnreachable, err, "%v", pe.Err)
	case err != nil:
		return Got{}, f.refuse(source.CauseUnreachable, err, "%v", err)
	case !st.Mode().IsRegular():
		return Got{}, f.refuse(source.CauseUnreachable, nil, "is no regular file")
	}
	if err := f.checkSize(st.Size()); err != nil {
		return Got{}, err
	}
	v := Version{Modified: st.ModTime().UTC(), Size: st.Size()}
	if v.Size == have.Size && v.Modified.Equal(have.Modified) && have.ETag == "" {
		return Got{Version: v}, nil
	}
	return Got{Path: f.Place, Version: v}, nil
}

func (f *File) checkSize(n int64) error {
	switch {
	case n == 0:
		return f.refuse(source.CauseEmpty, nil, "the file is empty")
	case n > f.MaxSize:
		return f.refuse(source.CauseOversized, nil, "%d bytes, more than %d", n, f.MaxSize)
	}
	return nil
}

// transfer is one Get from a server.
type transfer struct {
	File
	part part
}

// once asks once. Its errors are refusals, errBroken, errAgain, and those of the client and of Dir.
func (t *transfer) once(ctx context.Context, have Version) (Got, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Place, nil)
	if err != nil {
		return Got{}, t.refuse(source.CauseURLPolicy, err, "%v", err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "pvgate")
	from := t.part.Size
	switch {
	case from > 0:
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		r.Header.Set("If-Range", t.part.ETag)
	case have.ETag != "":
		r.Header.Set("If-None-Match", have.ETag)
	case !have.Modified.IsZero():
		r.Header.Set("If-Modified-Since", have.Modified.UTC().Format(http.TimeFormat))
	}
	resp, err := t.Client.Do(r)
	if err != nil {
		return Got{}, err
	}
	defer resp.Body.Close()
	total := int64(-1)
	switch {
	case resp.StatusCode == http.StatusNotModified && from == 0 && have != (Version{}):
		return Got{Version: have}, nil
	case resp.StatusCode == http.StatusOK:
		from = 0
	case resp.StatusCode == http.StatusPartialContent && from > 0:
		var ok bool
		if total, ok = t.part.continues(resp); !ok {
			return Got{}, errors.Join(errAgain, t.part.drop())
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && from > 0:
		return Got{}, errors.Join(errAgain, t.part.drop())
	default:
		return Got{}, &Status{resp.StatusCode, RetryAfter(resp.Header.Get("Retry-After"), t.Now())}
	}
	if err := t.judge(resp, from); err != nil {
		return Got{}, err
	}
	return t.take(resp, from, total)
}

// judge refuses what the head of an answer shows to be no such file.
func (t *transfer) judge(resp *http.Response, from int64) error {
	if c := resp.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return t.refuse(source.CauseSchema, nil, "the answer is coded (%.40q), though that was not asked for", c)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && (kind == "text/html" || kind == "application/xhtml+xml") {
		return t.refuse(source.CauseSchema, nil, "the answer is a page for people (%s), not the file", kind)
	}
	if resp.ContentLength >= 0 {
		return t.checkSize(from + resp.ContentLength)
	}
	if len(resp.TransferEncoding) == 0 {
		return t.refuse(source.CauseTruncated, nil, "the answer says no length, so its end could be anywhere")
	}
	return nil
}

// take writes the body behind what is there; together they have total bytes if that is known.
func (t *transfer) take(resp *http.Response, from, total int64) (Got, error) {
	v := versionOf(resp.Header)
	if from == 0 {
		if err := t.part.begin(v.ETag); err != nil {
			return Got{}, fmt.Errorf("fetch %s: %w", Shown(t.Place), err)
		}
	}
	w, err := t.part.open()
	if err != nil {
		return Got{}, fmt.Errorf("fetch %s: %w", Shown(t.Place), err)
	}
	out := &writer{w: w}
	n, err := io.Copy(out, io.LimitReader(resp.Body, t.MaxSize-from+1))
	t.part.Size = from + n
	if err == nil && total >= 0 && t.part.Size != total {
		err = fmt.Errorf("%d bytes are missing", total-t.part.Size)
	}
	disk := out.err
	if err != nil && disk == nil { // what has come is of use later only if it is on disk for certain
		disk = w.Sync()
	}
	if disk = errors.Join(disk, w.Close()); err != nil && disk == nil {
		disk = t.part.keep()
	}
	switch {
	case disk != nil:
		return Got{}, fmt.Errorf("fetch %s: %w", Shown(t.Place), disk)
	case errors.Is(err, errSlow):
		return Got{}, err
	case err != nil:
		return Got{}, fmt.Errorf("%w after %d bytes: %w", errBroken, t.part.Size, err)
	}
	if err := t.checkSize(t.part.Size); err != nil {
		return Got{}, errors.Join(err, t.part.drop())
	}
	path, err := t.part.finish()
	if err != nil {
		return Got{}, fmt.Errorf("fetch %s: %w", Shown(t.Place), err)
	}
	return Got{Path: path, Version: v, Resumed: from}, nil
}

// settled is how long before the answer a file must have been changed for its date to tell it from the next one: dates are whole
// seconds, and may be of another clock than that of the answer (RFC 9110, section 8.8.2.2).
const settled = time.Minute

// versionOf reads the version of an answer. A date that may stand for two states of the file is none, if there is no entity-tag.
func versionOf(h http.Header) Version {
	v := Version{ETag: h.Get("ETag")}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return v
	}
	if answered, err := http.ParseTime(h.Get("Date")); v.ETag != "" || err == nil && answered.Sub(modified) >= settled {
		v.Modified = modified.UTC()
	}
	return v
}

// writer remembers an error of its own, to tell a full disk from a broken transfer.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = errors.Join(w.err, err)
	return n, err
}

// refusal gives an error its cause.
func (t *transfer) refusal(err error) error { return Refuse(t.Source, t.Place, err) }

// Refuse gives the error of a request its cause: those of this package, of its [Client], and of the network. An error that
// is a *source.Refusal already, or is of this machine's disk, stays what it is.
func Refuse(name, place string, err error) error {
	f := File{Source: name, Place: place}
	var (
		refusal  *source.Refusal
		status   *Status
		address  *AddressError
		redirect *RedirectError
		disk     *fs.PathError
		network  net.Error
	)
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &status):
		r := f.refuse(source.CauseUnreachable, status, "%v", status)
		if r.RetryAfter = status.RetryAfter; status.Code == http.StatusTooManyRequests {
			r.Cause = source.CauseRateLimited
		}
		return r
	case errors.As(err, &address):
		return f.refuse(source.CauseURLPolicy, address, "%v", address)
	case errors.As(err, &redirect):
		return f.refuse(source.CauseURLPolicy, redirect, "%v", redirect)
	case errors.Is(err, errScheme):
		return f.refuse(source.CauseURLPolicy, errScheme, "%v", errScheme)
	case errors.Is(err, errSlow):
		return f.refuse(source.CauseTimeout, errSlow, "%v", errSlow)
	case errors.As(err, &disk):
		return err
	case errors.As(err, &network) && network.Timeout():
		return f.refuse(source.CauseTimeout, err, "no answer in time: %v", bare(err))
	case errors.Is(err, errBroken) || errors.Is(err, io.ErrUnexpectedEOF):
		return f.refuse(source.CauseTruncated, err, "%v", bare(err))
	}
	return f.refuse(source.CauseUnreachable, err, "%v", bare(err))
}

// bare is an error without the URL that net/http puts before it, whose query may be a secret.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the field of that name (RFC 9110, section 10.2.3): seconds or a date; 0 if it says nothing of use.
func RetryAfter(text string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
