// SPDX-License-Identifier: EUPL-1.2

package scripted

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault is what a service does instead of answering, or with its answer.
type Fault int

// The faults. Those from Drip on need an answer that would have been one.
const (
	Well      Fault = iota
	Frozen          // takes the request and says nothing
	Broken          // 500 with a problem document
	Repair          // 503 with Retry-After
	Busy            // 429 with Retry-After, RateLimit-… and a JSON body
	BusyBare        // 429 of type application/json, with nothing in it and nothing told
	Forbidden       // 403
	Gone            // 404, as of a version that was switched off
	HTML            // 200 with a page for people
	Problem         // 200 with a problem document
	Shape           // 200 with JSON that is something else
	Text            // 200 with JSON cut off, though its length is right
	Elsewhere       // 302 to another host
	Circles         // 302 to itself
	Reset           // the connection ends without an answer
	Cut             // the connection ends inside a body that has a length
	CutChunk        // the same, without a length
	Drip            // the answer comes one octet at a time
	WrongType       // the answer is called text/plain
	Huge            // the answer has 64 MiB before its end
	Loop            // every page says that another follows
	numFaults
)

var faultNames = [numFaults]string{
	"well", "frozen", "broken", "repair", "busy", "busy_bare", "forbidden", "gone", "html", "problem", "shape", "text", "elsewhere",
	"circles", "reset", "cut", "cut_chunk", "drip", "wrong_type", "huge", "loop",
}

// String is the name in scripts.
func (f Fault) String() string {
	if f < 0 || f >= numFaults {
		return strconv.Itoa(int(f))
	}
	return faultNames[f]
}

// ParseFault finds a fault by its name.
func ParseFault(name string) (Fault, bool) {
	for f := range numFaults {
		if faultNames[f] == name {
			return f, true
		}
	}
	return Well, false
}

// Faults are all but Well.
func Faults() []Fault {
	var all []Fault
	for f := Well + 1; f < numFaults; f++ {
		all = append(all, f)
	}
	return all
}

// play does what needs no answer; false = the service answers.
func (f Fault) play(w http.ResponseWriter, r *http.Request, over <-chan struct{}) bool {
	switch f {
	case Frozen:
		select {
		case <-over:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case Broken:
		problem(w, http.StatusInternalServerError, "Internal Server Error")
	case Repair:
		w.Header().Set("Retry-After", "7")
		problem(w, http.StatusServiceUnavailable, "Service Unavailable")
	case Busy:
		h := w.Header()
		h.Set("Retry-After", "9")
		h["RateLimit-Limit"], h["RateLimit-Remaining"], h["RateLimit-Reset"] = []string{"100"}, []string{"0"}, []string{"11"}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "{}")
	case BusyBare:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
	case Forbidden:
		problem(w, http.StatusForbidden, "Forbidden")
	case Gone:
		problem(w, http.StatusNotFound, "Not Found")
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html lang=\"de\"><title>Wartung</title><p>Bitte versuchen Sie es später.</html>")
	case Problem:
		problem(w, http.StatusOK, "Alles gut")
	case Shape:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"UP","groups":["liveness"]}`)
	case Text:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"content":[{"id":"L100042.LB.1","ars":["09`)
	case Elsewhere:
		http.Redirect(w, r, "https://other.example/", http.StatusFound)
	case Circles:
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	case Reset:
		panic(http.ErrAbortHandler)
	default:
		return false
	}
	return true
}

// hugeBody is how much Huge puts before the end of an answer.
const hugeBody = 64 << 20

// write gives an answer, or what is left of it.
func (f Fault) write(w http.ResponseWriter, kind string, text []byte) {
	if f == WrongType {
		kind = "text/plain"
	}
	w.Header().Set("Content-Type", kind)
	rc := http.NewResponseController(w)
	switch f {
	case Cut, CutChunk:
		if f == Cut {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		}
		_, _ = w.Write(text[:len(text)/2])
		_ = rc.Flush()
		panic(http.ErrAbortHandler)
	case Drip:
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		for i := range text {
			if _, err := w.Write(text[i : i+1]); err != nil || rc.Flush() != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	case Huge:
		blank := bytes.Repeat([]byte(" "), 64<<10)
		for range hugeBody / len(blank) {
			if _, err := w.Write(blank); err != nil {
				return
			}
		}
		_, _ = w.Write(text)
	default:
		_, _ = w.Write(text)
	}
}
