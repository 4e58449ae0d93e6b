// SPDX-License-Identifier: EUPL-1.2

package origin

import "bytes"

// conn is one connection; it owns in, and out points into a canned answer.
type conn struct {
	fd            int
	req           request
	in            []byte // read but not used yet
	out           []byte // not taken by the socket yet
	readable, hup bool
}

var continueHead = []byte("HTTP/1.1 100 Continue\r\n\r\n") // never written to

type event uint8

const (
	more          event = iota // needs octets beyond those given; the unused ones must come again
	wantsContinue              // the head asks for 100 before the body
	complete                   // a request has ended
)

// request reads requests one after the other.
type request struct {
	state  requestState
	done   bool // the last event was complete
	size   uint8
	isHead bool
	close  bool
	left   int64
}

type requestState uint8

const (
	inHead requestState = iota
	inBody
	inChunkSize
	inChunk
	inTrailer
)

// feed uses octets of b up to the next event.
func (r *request) feed(b []byte) (n int, ev event) {
	if r.done {
		*r = request{}
	}
	for {
		switch r.state {
		case inHead:
			end := bytes.Index(b[n:], []byte("\r\n\r\n"))
			if end < 0 {
				return n, more
			}
			expect := r.readHead(b[n : n+end+2])
			n += end + 4
			if r.state == inHead {
				r.done = true
				return n, complete
			}
			if expect {
				return n, wantsContinue
			}
		case inBody, inChunk:
			k := min(int64(len(b)-n), r.left)
			n += int(k)
			r.left -= k
			if r.left > 0 {
				return n, more
			}
			if r.state == inBody {
				r.done = true
				return n, complete
			}
			r.state = inChunkSize
		case inChunkSize, inTrailer:
			i := bytes.IndexByte(b[n:], '\n')
			if i < 0 {
				return n, more
			}
			line := b[n : n+i]
			n += i + 1
			if r.state == inTrailer {
				if len(line) <= 1 {
					r.done = true
					return n, complete
				}
				continue
			}
			r.left = hex(line)
			if r.left == 0 {
				r.state = inTrailer
			} else {
				r.left += 2 // with its CRLF
				r.state = inChunk
			}
		}
	}
}

// readHead takes a head without its last empty line. It leaves state inHead when
// there is no body.
func (r *request) readHead(b []byte) (expect bool) {
	i := bytes.IndexByte(b, '\n') + 1
	r.readLine(b[:i])
	for b = b[i:]; len(b) > 0; b = b[i:] {
		i = bytes.IndexByte(b, '\n') + 1
		line := b[:i]
		if len(line) < 10 {
			continue
		}
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := value(line, "content-length:"); ok {
				for _, d := range v {
					r.left = r.left*10 + int64(d-'0')
				}
				if r.left > 0 {
					r.state = inBody
				}
			} else if v, ok := value(line, "connection:"); ok {
				r.close = bytes.EqualFold(v, []byte("close"))
			}
		case 't':
			if _, ok := value(line, "transfer-encoding:"); ok {
				r.state = inChunkSize
			}
		case 'e':
			_, expect = value(line, "expect:")
		}
	}
	return expect
}

// readLine picks the answer by the last path segment of the request line.
func (r *request) readLine(line []byte) {
	r.size = 1
	r.isHead = line[0] == 'H'
	sp := bytes.LastIndexByte(line, ' ')
	if sp < 0 {
		return
	}
	path := line[:sp]
	if q := bytes.IndexByte(path, '?'); q >= 0 {
		path = path[:q]
	}
	switch string(path[bytes.LastIndexByte(path, '/')+1:]) {
	case "0":
		r.size = 0
	case "16k":
		r.size = 2
	case "1m":
		r.size = 3
	}
}

// value returns the trimmed value if line is the field; name is lower-case with
// its colon.
func value(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) {
		return nil, false
	}
	for i := range len(name) {
		c := line[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return nil, false
		}
	}
	return bytes.TrimSpace(line[len(name):]), true
}

func hex(line []byte) int64 {
	var v int64
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return v
		}
		v = v<<4 | int64(c)
	}
	return v
}
