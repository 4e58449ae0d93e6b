// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"bytes"
	"errors"
	"fmt"
)

// answer reads one response: Content-Length, chunked, until EOF, or no body. It
// is a measuring tool's reader: it follows framing exactly and checks nothing
// else of the head.
type answer struct {
	state  answerState
	head   bool // the request was HEAD
	status int
	close  bool  // the server will close
	left   int64 // octets of body or chunk still to come
	length int64 // octets of body seen
}

type answerState uint8

const (
	inHead answerState = iota
	inBody
	inRest // until EOF
	inChunkSize
	inChunk
	inTrailer
)

// maxHead is more than any head of a server under test has.
const maxHead = 64 << 10

var (
	errHeadTooLarge = errors.New("response head over 64 KiB")
	errNotHTTP      = errors.New("response is no HTTP/1")
	errLength       = errors.New("response Content-Length is no number")
	errChunk        = errors.New("response chunk size is no number")
	errCRLF         = errors.New("response chunk does not end with CRLF")
)

func (a *answer) reset(head bool) { *a = answer{head: head} }

// feed takes octets and returns how many it used and whether the answer is
// complete. What it did not use must come again, followed by more.
func (a *answer) feed(b []byte) (n int, done bool, err error) {
	for {
		switch a.state {
		case inHead:
			k, complete, err := a.feedHead(b[n:])
			n += k
			if err != nil || complete || k == 0 {
				return n, complete, err
			}
		case inBody, inChunk:
			k := min(int64(len(b)-n), a.left)
			n += int(k)
			a.left -= k
			a.length += k
			if a.left > 0 {
				return n, false, nil
			}
			if a.state == inBody {
				return n, true, nil
			}
			if len(b)-n < 2 {
				return n, false, nil
			}
			if b[n] != '\r' || b[n+1] != '\n' {
				return n, false, errCRLF
			}
			n += 2
			a.state = inChunkSize
		case inRest:
			a.length += int64(len(b) - n)
			return len(b), false, nil
		case inChunkSize, inTrailer:
			i := bytes.IndexByte(b[n:], '\n')
			if i < 0 {
				return n, false, nil
			}
			line := bytes.TrimSuffix(b[n:n+i], []byte{'\r'})
			n += i + 1
			if a.state == inTrailer {
				if len(line) == 0 {
					return n, true, nil
				}
				continue
			}
			if a.left, err = chunkSize(line); err != nil {
				return n, false, err
			}
			a.state = inChunk
			if a.left == 0 {
				a.state = inTrailer
			}
		}
	}
}

// eof tells whether the end of the connection is the proper end of the answer.
func (a *answer) eof() bool { return a.state == inRest }

func (a *answer) feedHead(b []byte) (n int, done bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return 0, false, errHeadTooLarge
		}
		return 0, false, nil
	}
	n = end + 4
	if end < 12 || string(b[:7]) != "HTTP/1." {
		return n, false, errNotHTTP
	}
	a.status = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	if a.status < 100 || a.status > 599 {
		return n, false, fmt.Errorf("response status line %q", b[:min(end, 40)])
	}
	length, chunked := int64(-1), false
	a.close = b[7] == '0'
	for p := bytes.IndexByte(b, '\n') + 1; p < end; {
		line := b[p:]
		i := bytes.IndexByte(line, '\n')
		line = line[:i-1]
		p += i + 1
		if len(line) < 10 {
			continue
		}
		switch line[0] | 0x20 {
		case 'c':
			switch {
			case named(line, "content-length:"):
				if length, err = decimal(line[15:]); err != nil {
					return n, false, err
				}
			case named(line, "connection:"):
				a.close = a.close || bytes.Contains(bytes.ToLower(line[11:]), []byte("close"))
			}
		case 't':
			chunked = chunked || named(line, "transfer-encoding:")
		}
	}
	switch {
	case a.status < 200: // interim: another head follows
		return n, false, nil
	case a.head || a.status == 204 || a.status == 304:
		return n, true, nil
	case chunked:
		a.state = inChunkSize
	case length < 0:
		a.state, a.close = inRest, true
	default:
		a.state, a.left = inBody, length
		return n, length == 0, nil
	}
	return n, false, nil
}

// named compares without regard to case; name is lower-case.
func named(line []byte, name string) bool {
	if len(line) < len(name) {
		return false
	}
	for i := range len(name) {
		c := line[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

func decimal(b []byte) (int64, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 18 {
		return 0, errLength
	}
	var v int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errLength
		}
		v = v*10 + int64(c-'0')
	}
	return v, nil
}

func chunkSize(line []byte) (int64, error) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, errChunk
	}
	var v int64
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, errChunk
		}
		v = v<<4 | int64(c)
	}
	return v, nil
}
