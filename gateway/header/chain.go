// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/forwarded"
	"github.com/pvgate/pvgate/gateway/message"
)

// maxChain bounds what a known sender may tell about the hops before it, bytes.
// A longer Forwarded or X-Forwarded-For list is dropped.
const maxChain = 2 << 10

// Chain is what a client says about the hops before it, where what it says and
// what trusted proxies say of the client stand in the same fields.
type Chain struct {
	Forwarded, XForwardedFor []byte
}

// chains returns what a known sender says about the hops before it, as far as it
// can be passed on.
func (r *Request) chains(h *message.Head) (hops, hopsX []byte) {
	if r.Chain != nil {
		hops, hopsX = r.Chain.Forwarded, r.Chain.XForwardedFor
	} else {
		hops, r.Scratch = Join(h.Fields, message.Forwarded, r.Scratch)
		hopsX, r.Scratch = Join(h.Fields, message.XForwardedFor, r.Scratch)
	}
	if len(hops) > maxChain || !forwarded.Valid(hops) {
		hops = nil // a quote left open would swallow the element we append
	}
	if len(hopsX) > maxChain || !forwarded.ValidX(hopsX) {
		hopsX = nil
	}
	return hops, hopsX
}

// appendForwarded appends the chains with our element (RFC 7239 and its predecessors).
func (r *Request) appendForwarded(lines, hops, hopsX []byte) []byte {
	if len(r.For) > 0 {
		lines = append(appendList(append(lines, nameForwarded...), hops), "for="...)
		if bytes.IndexByte(r.For, ':') >= 0 {
			lines = append(append(append(lines, `"[`...), r.For...), `]"`...)
		} else {
			lines = append(lines, r.For...)
		}
		if len(r.OrigHost) > 0 {
			lines = appendParameter(lines, ";host=", r.OrigHost)
		}
		if len(r.Proto) > 0 {
			lines = append(append(lines, ";proto="...), r.Proto...)
		}
		lines = appendList(append(lines, "\r\n"+nameXForwardedFor...), hopsX)
		lines = append(append(lines, r.For...), "\r\n"...)
	}
	lines = appendField(lines, nameXForwardedProto, r.Proto)
	return appendField(lines, nameXForwardedHost, r.OrigHost)
}

// appendParameter appends name and value, quoted unless it is a token. A valid
// authority holds neither DQUOTE nor backslash.
func appendParameter(s []byte, name string, value []byte) []byte {
	s = append(s, name...)
	if message.Token.All(value) {
		return append(s, value...)
	}
	return append(append(append(s, '"'), value...), '"')
}
