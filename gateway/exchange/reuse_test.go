// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
)

// plainHost is as much of a loop as a request needs on its way to a backend and back, and so are the others below of theirs.
type plainHost struct {
	Host
	snapshot Snapshot
	scratch  Scratch
}

func newPlainHost() *plainHost { return &plainHost{snapshot: Snapshot{Via: []byte("gw")}} }

func (h *plainHost) Now() int64          { return 1 }
func (h *plainHost) Wall() time.Time     { return time.Unix(1, 0) }
func (h *plainHost) Random(b []byte)     { clear(b) }
func (h *plainHost) Snapshot() *Snapshot { return &h.snapshot }
func (h *plainHost) Scratch() *Scratch   { return &h.scratch }
func (h *plainHost) Date() []byte        { return []byte("today") }
func (h *plainHost) AltSvc(int) []byte   { return nil }

type plainBackend struct{ Backend }

func (plainBackend) Host() []byte                            { return []byte("b") }
func (plainBackend) Edits() (request, response *header.Edit) { return nil, nil }
func (plainBackend) Answered(int64, int)                     {}

type plainFront struct{ Front }

func (plainFront) Frame(int64, bool) Framing { return Framing{} }
func (plainFront) Head(int, []message.Field) {}

type plainUpstream struct{ Upstream }

func (plainUpstream) Place() int { return 0 }

// soil sets all that can be set from outside of v, as if another client's request had left it.
func soil(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				soil(t, v.Field(i))
			}
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.String:
		v.SetString("another's")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 9))
		for i := range v.Len() {
			soil(t, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			soil(t, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Interface: // what stands in one is not looked at here
	default:
		t.Fatalf("what is a %v?", v.Type())
	}
}

// What a request leaves in an exchange, and in what the exchanges of a loop share, is nothing to the next.
func TestAReusedExchangeIsLikeANewOne(t *testing.T) {
	t.Parallel()
	clean, used := newPlainHost(), newPlainHost()
	soil(t, reflect.ValueOf(&used.scratch.outgoing).Elem())
	soil(t, reflect.ValueOf(&used.scratch.incoming).Elem())
	again := new(Exchange)
	soil(t, reflect.ValueOf(&again.plan).Elem())
	soil(t, reflect.ValueOf(&again.req).Elem())
	soil(t, reflect.ValueOf(&again.rec).Elem())
	again.plan.behind, again.plan.backends, again.plan.likely = &Behind{Text: []byte("another's")}, make([]Backend, 1), 7
	again.req.parent, again.parent, again.trace = [traceparentLen]byte{'x'}, [traceparentLen]byte{'x'}, [32]byte{'x'}
	want, got := throughTo(new(Exchange), clean), throughTo(again, used)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("a used one:\n%s\na new one:\n%s", got[i], want[i])
		}
	}
}

// throughTo takes a request to its backend and the answer back, and tells what each step has set.
func throughTo(x *Exchange, host *plainHost) (told []string) {
	tell := func(what any) { told = append(told, fmt.Sprintf("%+v", what)) }
	client := &Client{Addr: netip.MustParseAddr("192.0.2.1"), Text: []byte("192.0.2.1")}
	asked := &message.Head{Method: message.GET, Minor: 1, ContentLength: -1, Fields: []message.Field{{Name: []byte("A"), Value: []byte("b")}}}
	x.begin(host, plainFront{}, client)
	x.ask(asked)
	plan := x.plan
	plan.behind = nil // storage
	tell(plan)
	x.req.Head = nil // its address
	tell(x.req)
	tell(x.rec)
	x.backend, x.up = plainBackend{}, plainUpstream{}
	x.prepare(asked)
	tell(asked.Fields)
	tell(string(asked.Own))
	out := host.scratch.outgoing
	out.Scratch = nil // what it held before has no meaning, and was compared as Own
	tell(out)
	answer := &message.Head{Status: 200, Minor: 1, ContentLength: 3}
	x.UpstreamHead(answer)
	tell(answer.Fields)
	in := host.scratch.incoming
	in.Scratch = nil
	tell(in)
	tell(x.rec)
	return told
}
