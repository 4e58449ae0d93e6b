// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Windows of a client that never holds a server back (RFC 9113, section 6.9.1).
const (
	maxWindow = 1<<31 - 1
	renewAt   = 1 << 30
)

const (
	// pathAt is where :path stands in the lists.
	pathAt = 1
	// status200 is `:status: 200` in HPACK's static table.
	status200 = 0x80 | 8
)

// multiplexed is one HTTP/2 connection after the other, each with as many requests at once as Options.Streams says. Its
// header blocks are like a browser's: what every request has is in the dynamic table after the first, the path never.
type multiplexed struct {
	secureClient
	frames  *http2.Framer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	block   bytes.Buffer
	common  [2][]byte // of a header block what stands before its path and behind it, once that is always the same
	in      *bufio.Reader
	out     *bufio.Writer
	asked   map[uint32]*asked
	spare   []*asked // of requests that have their answers
	lastID  uint32
	taken   uint32 // octets of DATA since the connection's window was renewed
	status  int    // of the header block that is being read
}

// asked is a request that waits for its answer.
type asked struct {
	begin  time.Time
	status int
	length int64
}

// lists are the requests' header lists, from their text form. Over HTTP/2 there are requests without a body only.
func lists(requests [][]byte) ([][]hpack.HeaderField, error) {
	all := make([][]hpack.HeaderField, len(requests))
	for i, text := range requests {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return nil, fmt.Errorf("load: request %d: %w", i, err)
		}
		if r.ContentLength != 0 {
			return nil, errors.New("load: over HTTP/2 no request has a body")
		}
		all[i] = []hpack.HeaderField{
			{Name: ":method", Value: r.Method},
			{Name: ":path", Value: r.RequestURI, Sensitive: true}, // kept out of the dynamic table
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: r.Host},
		}
		for _, name := range []string{"User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "X-Correlation-Id", "Cookie"} {
			if v := r.Header.Get(name); v != "" {
				all[i] = append(all[i], hpack.HeaderField{Name: strings.ToLower(name), Value: v})
			}
		}
	}
	return all, nil
}

// alike reports whether all lists are the same but for their paths.
func alike(lists [][]hpack.HeaderField) bool {
	for _, l := range lists[1:] {
		if len(l) != len(lists[0]) {
			return false
		}
		for i, f := range l {
			if i != pathAt && f != lists[0][i] {
				return false
			}
		}
	}
	return true
}

func (c *multiplexed) work(ctx context.Context) {
	for ctx.Err() == nil && c.run.phase.Load() != ended {
		err := c.connect()
		if err != nil {
			c.fail(&c.res.Refused, err)
			time.Sleep(time.Millisecond)
			continue
		}
		if err := c.serve(ctx); err != nil {
			for range c.asked {
				c.fail(&c.res.Lost, err)
			}
		}
		c.hangUp()
	}
}

func (c *multiplexed) connect() error {
	conn, err := net.DialTimeout("tcp", c.run.o.Address.String(), c.run.o.Timeout)
	if err != nil {
		return err
	}
	config := c.run.o.TLS.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	secure := tls.Client(conn, config)
	_ = secure.SetDeadline(time.Now().Add(c.run.o.Timeout))
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return err
	}
	if secure.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		_ = conn.Close()
		return errors.New("the server does not speak h2")
	}
	c.conn = secure
	c.out = bufio.NewWriterSize(secure, 64<<10)
	c.in = bufio.NewReaderSize(secure, 64<<10)
	c.frames = http2.NewFramer(c.out, c.in)
	c.frames.SetReuseFrames()
	c.block.Reset()
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			c.status, _ = strconv.Atoi(f.Value)
		}
	})
	c.asked, c.lastID, c.taken, c.common = map[uint32]*asked{}, 1, 0, [2][]byte{}
	_, _ = c.out.WriteString(http2.ClientPreface)
	_ = c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow}, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	return c.frames.WriteWindowUpdate(0, maxWindow-65535)
}

// serve asks and reads until the run's end. What is on its way then belongs to nobody.
func (c *multiplexed) serve(ctx context.Context) error {
	for range c.run.o.Streams {
		if err := c.ask(); err != nil {
			return err
		}
	}
	for ctx.Err() == nil && c.run.phase.Load() != ended {
		if c.out.Buffered() > 0 {
			_ = c.conn.SetDeadline(time.Now().Add(c.run.o.Timeout))
			if err := c.out.Flush(); err != nil {
				return err
			}
		}
		// Everything that has come is answered before anything is sent.
		for more := true; more; more = c.ready() {
			if err := c.frame(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ready reports whether a whole frame is there.
func (c *multiplexed) ready() bool {
	const head = 9
	if c.in.Buffered() < head {
		return false
	}
	b, _ := c.in.Peek(head)
	return c.in.Buffered() >= head+int(binary.BigEndian.Uint32(b)>>8)
}

func (c *multiplexed) ask() error {
	list := c.run.lists[(c.run.next.Add(1)-1)%uint64(len(c.run.lists))]
	if err := c.encode(list); err != nil {
		return err
	}
	id := c.lastID
	c.lastID += 2
	c.asked[id] = c.fresh()
	return c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: true, EndHeaders: true})
}

// encode makes a header block. What does not differ from request to request is in the dynamic table after the first, and is always
// the same octets then.
func (c *multiplexed) encode(list []hpack.HeaderField) error {
	c.block.Reset()
	c.block.Write(c.common[0])
	if c.common[0] != nil {
		list = list[pathAt : pathAt+1]
	}
	if err := c.fields(list); err != nil {
		return err
	}
	c.block.Write(c.common[1])
	if c.common[0] != nil || !c.run.alike {
		return nil
	}
	first := bytes.Clone(c.block.Bytes())
	for i, same := range [][]hpack.HeaderField{list[:pathAt], list[pathAt+1:]} {
		c.block.Reset()
		if err := c.fields(same); err != nil {
			return err
		}
		c.common[i] = bytes.Clone(c.block.Bytes())
	}
	c.block.Reset()
	c.block.Write(first)
	return nil
}

func (c *multiplexed) fields(list []hpack.HeaderField) error {
	for _, f := range list {
		if err := c.encoder.WriteField(f); err != nil {
			return err
		}
	}
	return nil
}

// fresh is a request that begins now.
func (c *multiplexed) fresh() *asked {
	a := &asked{}
	if n := len(c.spare); n > 0 {
		a, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	*a = asked{begin: time.Now()}
	return a
}

// frame reads one frame.
func (c *multiplexed) frame() error {
	f, err := c.frames.ReadFrame()
	if err != nil {
		return err
	}
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.HeadersFrame:
		if !f.HeadersEnded() {
			return errors.New("the head of an answer is too large")
		}
		// Of the most frequent block only the first field is of interest, which its first octet is (RFC 7541, appendix A).
		block := f.HeaderBlockFragment()
		usual := len(block) > 0 && block[0] == status200
		c.decoder.SetEmitEnabled(!usual)
		if usual {
			c.status = http.StatusOK
		}
		if _, err := c.decoder.Write(block); err != nil {
			return err
		}
		if a := c.asked[id]; a != nil && a.status < 200 {
			a.status = c.status
		}
		if f.StreamEnded() {
			return c.answered(id)
		}
	case *http2.DataFrame:
		n := len(f.Data())
		c.res.BytesIn += uint64(n)
		if c.taken += f.Header().Length; c.taken > renewAt {
			if err := c.frames.WriteWindowUpdate(0, c.taken); err != nil {
				return err
			}
			c.taken = 0
		}
		if a := c.asked[id]; a != nil {
			a.length += int64(n)
		}
		if f.StreamEnded() {
			return c.answered(id)
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.frames.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("stream %d was reset: %v", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v", f.ErrCode)
	}
	return nil
}

// answered counts a whole answer and asks for the next.
func (c *multiplexed) answered(id uint32) error {
	a := c.asked[id]
	if a == nil {
		return fmt.Errorf("an answer on stream %d, which nobody asked for", id)
	}
	delete(c.asked, id)
	c.spare = append(c.spare, a)
	o := &c.run.o
	switch {
	case o.WantStatus != 0 && a.status != o.WantStatus || o.WantLength >= 0 && a.length != o.WantLength:
		c.wrong(a)
	case c.run.phase.Load() == measured:
		c.res.Good++
		c.res.Statuses[a.status/100]++
		c.res.Latency.Record(time.Since(a.begin))
	}
	c.run.finish()
	return c.ask()
}

func (c *multiplexed) wrong(a *asked) {
	if c.run.phase.Load() != measured {
		return
	}
	c.res.Wrong++
	if c.res.FirstFailure == "" {
		c.res.FirstFailure = fmt.Sprintf("status %d with %d octets", a.status, a.length)
	}
}
