// SPDX-License-Identifier: EUPL-1.2

// Package surface is what pvgate looks like from outside: which hosts it
// answers at, which addresses mean a Leistung in an area, which are its own,
// and what becomes of a request: forwarded, redirected, or answered here.
//
// The call you want is [New]; a [Surface] is the exchange.Resolver of one
// snapshot, immutable and safe for concurrent use. The order of a request's
// life is the order of the files: host.go (whose address is it), keys.go (what
// is asked), entry.go (what follows), answers.go and reserved.go (what we say
// ourselves).
//
// It deliberately decides nothing about competence (routing does), writes no
// page (pages does) and opens no connection. What it decides on is exactly the
// bytes that are forwarded: the path in its one form and the raw query.
package surface

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/gateway/forwarded"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/signature"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/routing"
)

// Options describe one snapshot's surface. New copies what it keeps.
type Options struct {
	// Domain is the entry host, "gw.example.de"; backends answer at
	// {backend}.{domain}. Empty means there is none: only listeners with Any and
	// a Default answer anything then.
	Domain string
	// Listeners in the order of exchange.Request.Listener.
	Listeners []Listener
	// Backends in the order of exchange.Snapshot.Backends, which is the order of
	// routing.Input.Backends.
	Backends []Backend
	// Leaving says that the gateway ends soon, which health checks are told; it is called on loops and must not wait. nil:
	// it never does.
	Leaving func() bool
	// Table is nil as long as no registry has been loaded.
	Table *routing.Table
	// Lookups are the sources that are asked for one key at a time (R15), as the table names them.
	Lookups []Lookup
	// Contexts are those that say to which destination a request belongs, for targets that want it.
	Contexts []*lookup.Cache
	// TrustedProxies are networks whose connections are those of proxies that say
	// truly whose request they pass on, in X-Forwarded-… or, with TrustForwarded, in
	// Forwarded. What they do not write they must remove.
	TrustedProxies []netip.Prefix
	TrustForwarded bool
	// Senders are the portals we know; their indices in exchange.Plan are one
	// more, 0 is everybody else.
	Senders []Sender
	// SecurityTxt is /.well-known/security.txt; nil = there is none of ours.
	SecurityTxt *pages.SecurityTxt
	// Limits are those of the heads of requests, for who has passed one; zero: he is not told.
	Limits message.HeadLimits
	// Keys sign what is known of a request when it is led to a backend's own
	// origin; nil hands nothing over.
	Keys *handover.Keys
}

// Listener is how one listener is reached.
type Listener struct {
	// Hosts that are answered, "gw.example.de" or "*.gw.example.de"; without
	// any, and without Any, these two of the domain.
	Hosts []string
	// Any answers every host. What is no backend's own host is the entry host.
	Any bool
	// Default names the proxied backend that answers what no other form matches;
	// "" = none.
	Default string
	TLS     bool
	// Senders answers only senders we know; to all others, everything but the
	// health question is sender_unknown.
	Senders bool
	// ProxyPeers are networks whose connections begin with a PROXY header.
	ProxyPeers []netip.Prefix
	// Redirect leads everybody to the listener with TLS instead of answering.
	Redirect bool
	// StrictTransport is the value of Strict-Transport-Security over TLS; "" = none.
	StrictTransport string
	// Challenge returns what a CA wants to read for a token of ACME's http-01, nil for none; nil = nobody asks. It is
	// called on loops by a listener with Redirect, and must neither wait nor allocate much.
	Challenge func(token []byte) []byte
	// Port stands in our own absolute addresses unless it is the scheme's own;
	// 0 = the port the client named.
	Port int
}

// Backend is a portal as far as the surface needs to know it.
type Backend struct {
	Name  string
	Title string // for people; "" = the name
	// Proxy forwards requests, else the client is redirected.
	Proxy bool
	// ByPath gives a proxied backend the paths below /_pv/b/{name}/ of the entry
	// host instead of a host of its own.
	ByPath bool
	// Sticky are the URLs of a backend's endpoints, if its clients stay where they were; nil = they do not.
	Sticky []string
	// AllowEncodedSlash forwards paths that hold %2F.
	AllowEncodedSlash bool
	// Limit counts redirects; nil = no limit. Forwarded requests are counted by
	// the exchange.
	Limit *limit.Backend
	// LimitText is how a refusal says the limit, "50/s".
	LimitText string
	Contact   *pages.Contact
}

// Sender is a portal we know: by its networks, its certificates or its keys.
type Sender struct {
	Name     string
	Networks []netip.Prefix
	// Certificates are fingerprints and names as in exchange.Certificate.
	Certificates []string
	Keys         [][]byte // of its signatures, at most signature.MaxKeys
	// Origins are those of its pages, as browsers write them, whose scripts may
	// read /_pv/areas and /_pv/route.
	Origins []string
}

// Surface is the request surface of one snapshot.
type Surface struct {
	domain    string // lower case
	listeners []listener
	backends  []backend
	labels    labels    // backends with a host of their own
	prefixed  []int     // backends below the entry host
	networks  []network // longest prefix first
	senders   [][]byte  // by SenderIndex
	names     []string  // the same as text, "" for direct
	byName    map[string]int
	keys      *handover.Keys
	origins   []string // of the pages of all senders
	// certificates are the senders by fingerprint or name, nil for none; signers
	// verifies signatures, nil without keys.
	certificates   map[string]int
	signers        *signature.Keys
	trusted        forwarded.Networks
	trustForwarded bool
	table          *routing.Table
	lookups        []Lookup
	routes         []*lookup.Cache // of lookups
	contexts       []*lookup.Cache
	routeSources   string // their names, for people
	contextSources string
	pages          *pages.Renderer
	security       []byte // security.txt
	leaving        func() bool
	lineLimit      *pages.Limit
	headLimit      *pages.Limit
	anySlash       bool // some backend allows %2F
}

// backend is a backend; what every request touches comes first.
type backend struct {
	label  label  // zero without a host of its own
	stays  *stays // nil if its clients do not stay at an endpoint
	prefix []byte // "/_pv/b/{name}"; nil if it is not known by its path
	host   []byte // "{name}.{domain}"; nil if it has none of its own
	portal *pages.Portal
	limit  *pages.Limit
	Backend
}

// touched is how many octets of a backend every request touches: to the end of prefix.
const touched = 80

// reservedName is what targets of no configured backend are counted under.
const reservedName = "other"

type network struct {
	prefix netip.Prefix
	sender int
}

// New checks the options and builds a surface.
func New(o Options) (*Surface, error) {
	s := &Surface{domain: strings.ToLower(o.Domain), table: o.Table, lookups: o.Lookups, contexts: o.Contexts, keys: o.Keys, leaving: o.Leaving}
	for _, l := range o.Lookups {
		s.routes = append(s.routes, l.Cache)
	}
	s.routeSources, s.contextSources = names(s.routes), names(s.contexts)
	renderer, err := pages.New("pvgate-" + s.domain)
	if s.domain == "" {
		renderer, err = pages.New("pvgate")
	}
	if err != nil {
		return nil, fmt.Errorf("surface: %w", err)
	}
	s.pages = renderer
	if l := o.Limits; l.Line > 0 {
		s.lineLimit, s.headLimit = pages.NewLimit(fmt.Sprintf("%d bytes", l.Line)), pages.NewLimit(fmt.Sprintf("%d bytes in %d fields", l.Head, l.Fields))
	}
	if o.SecurityTxt != nil {
		s.security = o.SecurityTxt.Append(nil)
	}
	faults := []error{s.addBackends(o.Backends), s.addSenders(o.Senders), s.addProofs(o.Senders)}
	s.trusted, s.trustForwarded = proxyNetworks(o.TrustedProxies), o.TrustForwarded
	for i := range o.Listeners {
		l, err := s.listener(&o.Listeners[i])
		if err != nil {
			faults = append(faults, fmt.Errorf("surface: listener %d: %w", i, err))
		}
		for i, tls := range []bool{false, true} {
			seen := l
			seen.tls, seen.port = tls, 0
			l.elsewhere[i] = &seen
		}
		s.listeners = append(s.listeners, l)
	}
	if t := o.Table; t != nil && t.Configured() != len(o.Backends) {
		faults = append(faults, fmt.Errorf("surface: the table was compiled for %d backends, the snapshot has %d", t.Configured(), len(o.Backends)))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Surface) addBackends(from []Backend) error {
	var faults []error
	s.labels = newLabels(len(from))
	for i, b := range from {
		own := backend{Backend: b, portal: pages.NewPortal(&pages.Backend{ID: b.Name, Name: b.Title, Contact: b.Contact}), limit: pages.NewLimit(b.LimitText)}
		switch {
		case !b.Proxy:
		case b.ByPath:
			own.prefix = []byte(pathPrefix + b.Name)
			s.prefixed = append(s.prefixed, i)
		case s.domain != "":
			own.host = []byte(b.Name + "." + s.domain)
			own.label, _ = labelOf(b.Name) // too long a name is refused below
			if !s.enter(&own.label) {
				faults = append(faults, fmt.Errorf("surface: backend %q stands twice", b.Name))
			}
		}
		if len(b.Name) > maxLabel || b.Name == "" || strings.Trim(b.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			faults = append(faults, fmt.Errorf("surface: backend %q: the name must be a host label of a-z, 0-9 and -, at most %d characters", b.Name, maxLabel))
		}
		if b.Name == reservedName {
			faults = append(faults, fmt.Errorf("surface: backend %q: the name stands for all targets of no configured backend; choose another", b.Name))
		}
		if b.Proxy && len(b.Sticky) > 0 && s.keys != nil {
			own.stays = newStays(s.keys, &own)
		}
		s.anySlash = s.anySlash || b.AllowEncodedSlash
		s.backends = append(s.backends, own)
	}
	return errors.Join(faults...)
}

func (s *Surface) addSenders(from []Sender) error {
	var faults []error
	s.senders, s.names, s.byName = [][]byte{[]byte("direct")}, []string{""}, map[string]int{}
	for i, sender := range from {
		s.senders = append(s.senders, []byte(sender.Name))
		s.names = append(s.names, sender.Name)
		s.byName[sender.Name] = i + 1
		if len(sender.Name) > handover.MaxName {
			faults = append(faults, fmt.Errorf("surface: sender %q: the name has more than %d characters", sender.Name, handover.MaxName))
		}
		s.origins = append(s.origins, sender.Origins...)
		for _, p := range sender.Networks {
			if !p.IsValid() {
				faults = append(faults, fmt.Errorf("surface: sender %q: a network is no prefix", sender.Name))
				continue
			}
			p = p.Masked()
			for _, n := range s.networks {
				if n.prefix == p && n.sender != i+1 {
					faults = append(faults, fmt.Errorf("surface: network %v belongs to the senders %q and %q; it can belong to one", p, s.names[n.sender], sender.Name))
				}
			}
			s.networks = append(s.networks, network{p, i + 1})
		}
	}
	slices.SortStableFunc(s.networks, func(a, b network) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return errors.Join(faults...)
}

// sender returns whose network an address lies in, 0 for nobody's: the longest
// prefix decides.
func (s *Surface) sender(peer netip.Addr) int {
	for i := range s.networks {
		if s.networks[i].prefix.Contains(peer) {
			return s.networks[i].sender
		}
	}
	return 0
}
