// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/proxyproto"
)

// proxied is a connection whose PROXY header is awaited, before anything else is read: the first owner of its stream. It
// has the time of a head.
type proxied struct{ *link }

// speaksProxy reports whether connections of a listener begin with a PROXY header, and whether this peer may send one.
func (h *Host) speaksProxy(listener int, peer netip.Addr) (speaks, trusted bool) {
	all := h.services.Snapshot().ProxyPeers
	if listener >= len(all) || len(all[listener]) == 0 {
		return false, false
	}
	return true, slices.ContainsFunc(all[listener], func(p netip.Prefix) bool { return p.Contains(peer) })
}

// Readable reads the header. What follows it in the same read is the client's.
func (p proxied) Readable() {
	buf := p.host.loop.ReadBuffer()
	k := copy(buf, p.in)
	n, st := p.stream.Read(buf[k:])
	switch st {
	case loop.Again:
		return
	case loop.EOF, loop.Failed:
		if len(p.in) > 0 {
			p.host.closed[ProxyHeader]++
		}
		p.gone() // without a byte: a proxy that looks whether we are there
		return
	}
	header, used, err := proxyproto.Parse(buf[:k+n])
	switch {
	case err != nil:
		p.end(ProxyHeader)
	case used == 0:
		p.retain(buf[:k+n], false)
		if p.stream.Ready() {
			p.stream.Again()
		}
	default:
		p.retain(buf[used:k+n], used < k+n)
		p.arrived(header.Source.Addr())
	}
}

// arrived hands the connection on, as that of the client behind the proxy. A proxy that speaks for itself is the client.
func (p proxied) arrived(client netip.Addr) {
	if client.IsValid() {
		p.host.networks.Leave(p.client.Addr)
		p.client.Addr, p.client.Text = client, client.AppendTo(p.text[:0])
		if !p.host.networks.Enter(client) {
			p.end(NetworkLimit)
			return
		}
	}
	p.open()
}

// Connected is of no meaning for an accepted connection.
func (p proxied) Connected(syscall.Errno) {}

// Stuck and Drained are of no meaning where nothing is written.
func (p proxied) Stuck() {}

// Drained: see Stuck.
func (p proxied) Drained() {}

// Broken says that the proxy has reset the connection.
func (p proxied) Broken() { p.gone() }

// Expire ends a connection whose header did not come in time.
func (p proxied) Expire(int64) { p.end(ProxyLate) }
