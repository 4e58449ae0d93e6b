// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/message"
)

func sizeOf[T any]() uintptr {
	var x T
	return unsafe.Sizeof(x)
}

// traffic returns n requests as a browser's encoder writes them, on streams from id on.
func traffic(e *hpack.Encoder, buf *bytes.Buffer, id uint32, n int) (out []byte) {
	for i := range n {
		buf.Reset()
		for _, x := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: "gw.example.de"},
			{Name: ":path", Value: fmt.Sprintf("/leistung/%d", i%7)},
			{Name: "accept", Value: "text/html"},
			{Name: "accept-language", Value: "de-DE,de;q=0.9"},
			{Name: "user-agent", Value: "Mozilla/5.0 (X11; Linux x86_64)"},
			{Name: "accept-encoding", Value: "gzip, deflate, br"},
			{Name: "sec-fetch-mode", Value: "navigate"},
			{Name: "cookie", Value: "session=0123456789abcdef"},
		} {
			_ = e.WriteField(x)
		}
		out = append(appendFrame(out, buf.Len(), typeHeaders, flagEndHeaders|flagEndStream, id+uint32(2*i)), buf.Bytes()...)
	}
	return out
}

var answerFields = []message.Field{
	{Name: []byte("Content-Type"), Value: []byte("text/html; charset=utf-8"), ID: message.ContentType},
	{Name: []byte("Cache-Control"), Value: []byte("no-store"), ID: message.CacheControl},
	{Name: []byte("Date"), Value: []byte("Sun, 22 Nov 2026 08:00:00 GMT"), ID: message.Date},
	{Name: []byte("Content-Length"), Value: []byte("1024"), ID: message.ContentLength},
	{Name: []byte("Via"), Value: []byte("1.1 pvgate-gw.example.de"), ID: message.Via},
	{Name: []byte("PV-Trace"), Value: []byte("0123456789abcdef0123456789abcdef"), ID: message.PVOther},
}

// exchanges plays n requests with answers of 1 KiB, so many streams at a time.
type exchanges struct {
	m      Server
	sc     Scratch
	limits Limits
	e      *hpack.Encoder
	buf    bytes.Buffer
	id     uint32
	out    []byte
	body   []byte
	now    int64
}

func newExchanges() *exchanges {
	x := &exchanges{limits: DefaultLimits(), id: 1, body: make([]byte, 1024)}
	x.e = hpack.NewEncoder(&x.buf)
	x.m.Init(&x.limits)
	x.out = x.m.AppendPreface(nil)
	x.feed(append([]byte(Preface), setting(settingInitialWindow, 1<<20)...))
	return x
}

func (x *exchanges) feed(in []byte) (requests int) {
	x.now += 1e6
	for {
		n, ev, st, _ := x.m.Feed(in, x.now, &x.sc)
		in = in[n:]
		switch ev {
		case More:
			x.out = x.m.AppendControl(x.out)
			return requests
		case End:
			x.out = x.m.AppendHead(x.out, st, 200, answerFields, false)
			x.out, n = x.m.AppendData(x.out, st, x.body, true)
			if n != len(x.body) {
				panic("window")
			}
			x.m.Done(st)
			requests++
		case Failed:
			panic(x.m.Cause())
		}
	}
}

func TestNothingIsAllocatedPerExchange(t *testing.T) {
	x := newExchanges()
	in := make([][]byte, 60)
	for i := range in {
		in[i] = append(traffic(x.e, &x.buf, x.id, 32), windowUpdate(0, 32*1024)...)
		x.id += 64
	}
	i := 0
	one := func() {
		x.out = x.out[:0]
		if n := x.feed(in[i]); n != 32 {
			t.Fatalf("%d requests", n)
		}
		i++
	}
	for range 5 {
		one()
	}
	if n := testing.AllocsPerRun(50, one); n != 0 {
		t.Errorf("got %v allocations for 32 requests, want 0", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	x := newExchanges()
	b.ReportAllocs()
	var in [][]byte
	for i := 0; b.Loop(); i++ {
		if i%64 == 0 {
			b.StopTimer()
			in = in[:0]
			for range 64 {
				in = append(in, append(traffic(x.e, &x.buf, x.id, 1), windowUpdate(0, 1024)...))
				x.id += 2
			}
			b.StartTimer()
		}
		x.out = x.out[:0]
		x.feed(in[i%64])
	}
}
