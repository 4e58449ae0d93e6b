// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/forwarded"
	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/signature"
)

// Who asks. First the client's address: that of the peer, or, where the peer is
// a trusted proxy, of the hop before it that is none. Then the sender: a
// signature or a certificate proves one, and if neither is there, the address.
// What cannot be believed is no reason to believe less of it: a wrong signature
// or two proofs of different senders end the request.

// addProofs takes the senders' certificates and keys.
func (s *Surface) addProofs(from []Sender) error {
	var faults []error
	var keys []signature.Sender
	for i, sender := range from {
		keys = append(keys, signature.Sender{Name: sender.Name, Number: i + 1, Keys: sender.Keys})
		for _, c := range sender.Certificates {
			if other, twice := s.certificates[c]; twice && other != i+1 {
				faults = append(faults, fmt.Errorf("surface: certificate %q belongs to the senders %q and %q; it can belong to one", c, s.names[other], sender.Name))
			}
			if s.certificates == nil {
				s.certificates = map[string]int{}
			}
			s.certificates[c] = i + 1
		}
	}
	var err error
	if s.signers, err = signature.NewKeys(keys); err != nil {
		faults = append(faults, fmt.Errorf("surface: %w", err))
	}
	return errors.Join(faults...)
}

// doubt is why nobody can be said to have asked.
type doubt uint8

const (
	noDoubt  doubt = iota
	badHops        // a trusted proxy's fields cannot be read
	badForm        // PV-Signature is not of its form
	badTime        // it is too old or from the future
	badProof       // it is wrong
	twoProofs
)

// identify finds out who asks and notes it in the plan.
func (c *call) identify() doubt {
	r, p, s := c.r, c.p, c.s
	address := r.Peer
	c.authority = r.Head.Authority
	if len(s.trusted) > 0 && s.trusted.Contains(r.Peer) {
		if !c.behind() {
			p.Behind, p.Identified = nil, true
			return badHops
		}
		address = p.Behind.Addr
	}
	sender, d := c.proved()
	// A proxy's own address proves nothing: it stands there when the proxy did not say
	// whose request it passes on.
	if sender == 0 && len(s.networks) > 0 && !s.trusted.Contains(address) && !c.l.proxies.Contains(address) {
		sender = s.sender(address)
	}
	if d != noDoubt {
		sender = 0
	}
	p.SenderIndex, p.Identified = sender, true
	return d
}

// known takes up what identify has found out for the same request.
func (c *call) known() {
	c.authority = c.r.Head.Authority
	if b := c.p.Behind; b != nil {
		c.authority = b.Authority
		c.l = c.l.seen(b.TLS)
	}
}

// seen is the listener as clients behind trusted proxies see it: which port leads
// to the proxy only the client's own words tell.
func (l *listener) seen(tls bool) *listener {
	if tls {
		return l.elsewhere[1]
	}
	return l.elsewhere[0]
}

// proved returns the sender that a signature or a certificate proves.
func (c *call) proved() (sender int, d doubt) {
	s := c.s
	if cert := c.r.Certificate; cert != nil && s.certificates != nil && c.p.Behind == nil {
		sender = s.certificates[cert.Fingerprint]
		for _, name := range cert.Names {
			switch other := s.certificates[name]; {
			case other == 0 || other == sender:
			case sender == 0:
				sender = other
			default:
				return 0, twoProofs
			}
		}
	}
	if s.signers == nil {
		return sender, noDoubt
	}
	signed, d := c.signed()
	switch {
	case d != noDoubt:
		return 0, d
	case signed != 0 && sender != 0 && signed != sender:
		return 0, twoProofs
	case signed != 0:
		return signed, noDoubt
	}
	return sender, noDoubt
}

// signed verifies PV-Signature, if there is one.
func (c *call) signed() (sender int, d doubt) {
	h := c.r.Head
	m := signature.Message{Method: h.MethodText, Authority: c.authority, Path: h.Path, Query: h.Query, HasQuery: h.HasQuery}
	var field []byte
	for i := range h.Fields {
		f := &h.Fields[i]
		var to *[]byte
		switch f.ID {
		case message.PVSignature:
			to = &field
		case message.PVLeistung:
			to = &m.Leistung
		case message.PVARS:
			to = &m.ARS
		case message.PVLanguage:
			to = &m.Language
		default:
			continue
		}
		if *to != nil && (field != nil || h.Get(message.PVSignature) != nil) {
			return 0, badForm // which of two was signed?
		}
		*to = f.Value
	}
	if field == nil {
		return 0, noDoubt
	}
	if h.Asterisk {
		m.Path = asterisk
	}
	sender, outcome, scratch := c.s.signers.Verify(field, &m, c.r.Now, c.p.Scratch)
	c.p.Scratch = scratch
	switch outcome {
	case signature.Valid:
		return sender, noDoubt
	case signature.Untimely:
		return 0, badTime
	case signature.Malformed:
		return 0, badForm
	default:
		return 0, badProof
	}
}

// behind reads what trusted proxies say about the client. It reports false if
// that cannot be told from what the client itself wrote.
func (c *call) behind() bool {
	r, p, b := c.r, c.p, c.p.BehindProxies()
	fields := r.Head.Fields
	var client forwarded.Client
	var list, host, proto []byte
	if c.s.trustForwarded {
		var ok bool
		list, p.Scratch = header.Join(fields, message.Forwarded, p.Scratch)
		if client, ok = forwarded.Read(list, c.s.trusted); !ok {
			return false
		}
		b.Chain.Forwarded = client.Before
	} else {
		list, p.Scratch = header.Join(fields, message.XForwardedFor, p.Scratch)
		host, p.Scratch = header.Join(fields, message.XForwardedHost, p.Scratch)
		proto, p.Scratch = header.Join(fields, message.XForwardedProto, p.Scratch)
		client = forwarded.ReadX(list, host, proto, c.s.trusted)
		b.Chain.XForwardedFor = client.Before
	}
	if b.Addr = client.Addr; !b.Addr.IsValid() {
		b.Addr = r.Peer
	}
	at := len(p.Scratch)
	p.Scratch = b.Addr.AppendTo(p.Scratch)
	b.Text = p.Scratch[at:len(p.Scratch):len(p.Scratch)]

	at = len(p.Scratch)
	p.Scratch = append(p.Scratch, r.Head.Authority...)
	if client.Host != nil {
		p.Scratch = forwarded.AppendText(p.Scratch[:at], client.Host)
		if !message.ValidAuthority(p.Scratch[at:]) {
			return false
		}
	}
	b.Authority = p.Scratch[at:len(p.Scratch):len(p.Scratch)]
	c.authority = b.Authority

	b.TLS = c.l.tls || r.TLS
	switch {
	case message.EqualFold(client.Proto, "https"):
		b.TLS = true
	case message.EqualFold(client.Proto, "http"):
		b.TLS = false
	}
	c.l = c.l.seen(b.TLS)
	return true
}

// doubted answers a request whose sender cannot be told.
func (c *call) doubted(d doubt) {
	if d == badHops {
		c.answer(&pages.Answer{Reason: reason.BadRequest})
		return
	}
	c.answer(&pages.Answer{Reason: reason.SenderUnknown, Hint: hints[c.lang][d]})
}

// hints say to who writes a portal what is wrong with its proof; by reason.Lang.
var hints = [2][twoProofs + 1]string{
	{
		badForm:   "PV-Signature: Form falsch oder ein signiertes Feld doppelt",
		badTime:   "PV-Signature: Zeit weicht um mehr als 60 s ab; Uhr prüfen",
		badProof:  "PV-Signature: unbekannter Absender oder falsche Signatur",
		twoProofs: "Zertifikat und PV-Signature nennen verschiedene Absender",
	},
	{
		badForm:   "PV-Signature: wrong form, or a signed field stands twice",
		badTime:   "PV-Signature: the time is more than 60 s off; check the clock",
		badProof:  "PV-Signature: unknown sender or wrong signature",
		twoProofs: "certificate and PV-Signature name different senders",
	},
}

// admits reports whether the listener answers this sender. Load balancers are none.
func (c *call) admits() bool {
	return !c.l.senders || c.sender > 0 || string(c.r.Path) == exchange.HealthPath
}

// proxyNetworks are those whose addresses prove no sender.
func proxyNetworks(networks []netip.Prefix) forwarded.Networks {
	var out forwarded.Networks
	for _, p := range networks {
		out = append(out, p.Masked())
	}
	return out
}
