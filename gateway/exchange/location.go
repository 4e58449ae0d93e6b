// SPDX-License-Identifier: EUPL-1.2

package exchange

import "github.com/pvgate/pvgate/gateway/message"

// relocate turns a Location that names the backend's own address into one that names the host the client asked for:
// the address behind the gateway is none of the client's business and often not reachable for it.
func (x *Exchange) relocate(dst []byte, f *message.Field) []byte {
	rest, own := x.backend.OwnLocation(f.Value)
	if v := f.Value; len(x.plan.Public) > 0 && len(v) > 0 && v[0] == '/' && (len(v) == 1 || v[1] != '/') {
		rest, own = v, true // "/done" is the backend's, and would be looked for on the host that was asked
	}
	if !own {
		return dst
	}
	at := len(dst)
	if len(x.authority) > 0 { // an HTTP/1.0 client need not say whom it asked
		dst = append(dst, x.outgoing.Proto...)
		dst = append(dst, "://"...)
		dst = append(dst, x.authority...)
	} else if len(rest) == 0 || rest[0] != '/' {
		dst = append(dst, '/')
	}
	dst = append(dst, rest...)
	f.Value = dst[at:]
	return dst
}

func scheme(tls bool) []byte {
	if tls {
		return schemeHTTPS
	}
	return schemeHTTP
}
