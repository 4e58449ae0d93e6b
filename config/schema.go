// SPDX-License-Identifier: EUPL-1.2

package config

// The schema. Each struct is a block, each field with a key tag one key of it;
// the tags are the one source of the key's name, its default, the check of its
// form, whether it must be there, and its line in the reference:
//
//	key      name in the file; "-" is no key
//	default  value when the key is absent, in the form of the file
//	is       form of the text (see forms in form.go)
//	need     "yes": absent is an error
//	some     "yes": an empty list is one, where what is absent has another meaning
//	help     one line for the reference
//
// A key that this version cannot honour is not in the schema, and so is an
// unknown key: silence about a setting that does nothing helps nobody.

// Config is a whole configuration. It is immutable after Load.
type Config struct {
	Path string // of pvgate.yaml, as given to Load
	Dir  string // the folder all relative paths start from
	Root Root
	// Files holds the route blocks: of pvgate.yaml itself first (area "00"),
	// then of each file of routes.d in order of their names.
	Files []*RouteFile
	// Hash is the digest over the names and contents of all configuration files.
	Hash Hash

	// Folders are those of routes.d that bear a signature, by name. Without Root.Ownership nobody looks for any.
	Folders []*Folder

	read []string // files Load read, for Inputs
}

// Root is pvgate.yaml without its route blocks.
type Root struct {
	Domain     Text        `key:"domain" default:"pvgate.localhost" is:"host" help:"entry host; proxied backends answer at {backend}.{domain}"`
	Listen     []Listener  `key:"listen" help:"where requests come in; absent: one listener at 127.0.0.1:8080"`
	Clients    Clients     `key:"clients" help:"what one part of the network may take"`
	Admin      Admin       `key:"admin" help:"the listener for operators"`
	Areas      AreaFiles   `key:"areas" help:"the Gemeindeverzeichnis; absent: the embedded table"`
	Proxies    []Text      `key:"trusted_proxies" is:"network" help:"networks of proxies before pvgate that say whose request they pass on; absent: none"`
	ProxyForm  Text        `key:"trusted_fields" is:"x-forwarded|forwarded" help:"what the trusted proxies write: X-Forwarded-For, -Proto and -Host (absent), or Forwarded (RFC 7239)"`
	Senders    Map[Sender] `key:"senders" is:"sendername" help:"portals we know, by name; everyone else is \"direct\""`
	Sources    []Source    `key:"sources" help:"registry sources; their order is their trust, only for the same area and kind"`
	Lookups    Lookups     `key:"lookups" help:"requests that wait until a source that is looked up in has answered"`
	Registry   Registry    `key:"registry" help:"what the sources become, and how much of it may change at once"`
	LinkCheck  *LinkCheck  `key:"link_check" help:"ask the registry's addresses now and then whether they answer still, for a report; it decides nothing; absent: never"`
	ACME       *ACME       `key:"acme" help:"the CA that gives certificates to listeners with tls: {acme: true}; absent: none"`
	TicketKeys Text        `key:"ticket_keys" is:"path" help:"file of keys for TLS session tickets, the same on all nodes: lines of openssl rand -hex 32, the newest first; absent: random ones, changed every day"`
	Loops      Int         `key:"loops" default:"0" is:"loops" help:"event loops; 0 is one per core"`
	Drain      Drain       `key:"drain" help:"the end of the process at SIGTERM, pvgate drain, or after an upgrade"`
	Memory     Text        `key:"memory" is:"size" help:"what the process may use, such as 512MiB; absent: what its control group and GOMEMLIMIT allow it, without those any amount"`
	AccessLog  AccessLog   `key:"access_log" help:"one line of JSON for each request"`
	Ownership  *Ownership  `key:"ownership" help:"who may write what in routes.d, shown by signatures; absent: whoever can write there"`
	Security   *Security   `key:"security_txt" help:"/.well-known/security.txt (RFC 9116) on every host; absent: none of ours"`
	Leistungen Text        `key:"leistungen" is:"path" help:"csv of Leistungen: leistung, title, types, successor; absent: none"`
	// ContextKeys sign what a handover tells a proxied backend's own origin.
	ContextKeys Text `key:"context_keys" is:"path" help:"file of one or two keys that sign the handover context, the same on all nodes; absent: a random key until the process ends"`

	Routes RouteBlocks `key:",inline"`
}

// Ownership is who answers for which part of routes.d.
type Ownership struct {
	At       Origin     `key:"-"`
	Required Bool       `key:"required" default:"false" help:"every file of routes.d lies in a folder that an owner has signed; false: only what is signed is judged"`
	Owners   Map[Owner] `key:"owners" need:"yes" is:"name" help:"a Land, a Kreis, a Kommune, by name"`
}

// Owner is who signs files for an area.
type Owner struct {
	At   Origin `key:"-"`
	Area Text   `key:"area" need:"yes" is:"digits" help:"its files lie at or below it, but not in the area of an owner further down; \"00\" for Bund"`
	Keys Text   `key:"keys" need:"yes" is:"path" help:"file of its public Ed25519 keys: PEM of one, or lines of name, key and perhaps until and a day; watched"`
}

// Listener is one place where requests come in.
type Listener struct {
	At        Origin `key:"-"`
	Address   Text   `key:"address" need:"yes" is:"address" help:"host:port; an empty host is all of them"`
	Hosts     Hosts  `key:"hosts" help:"hosts answered here: a list, *.name for all below it, or any; absent: the domain and *.domain"`
	Default   Text   `key:"default" is:"backend" help:"backend for what no other form matches; absent: none"`
	Proxy     []Text `key:"proxy_protocol" is:"network" help:"networks of the proxies that begin each connection with a PROXY header, version 1 or 2; from elsewhere there is none then; absent: no header"`
	Senders   Text   `key:"senders" default:"optional" is:"optional|required" help:"required: only senders we know are answered"`
	TLS       *TLS   `key:"tls" help:"HTTP over TLS; absent: plaintext"`
	Versions  []Text `key:"protocols" some:"yes" is:"h1|h2|h3" help:"versions of HTTP spoken here; absent: [h1, h2] with tls, [h1] without; h2 without tls is for clients that know beforehand; h3 needs tls and is spoken over UDP at the same port"`
	WebSocket Bool   `key:"websocket" default:"false" help:"offer WebSocket over h2 and h3 (RFC 8441, RFC 9220), to the backends that allow it; over h1 they do without it"`
	Redirect  Text   `key:"redirect" is:"https" help:"https: lead everybody to the same address on the first listener with tls for that host; absent: answer here"`
}

// Hosts is the list of host names of a listener, or any host.
type Hosts struct {
	Any    bool
	Names  []Text
	Origin Origin
}

// TLS is how a listener speaks it.
type TLS struct {
	At           Origin        `key:"-"`
	Cert         Text          `key:"cert" is:"path" help:"PEM file of the certificate and, after it, its chain; watched"`
	Key          Text          `key:"key" is:"path" help:"PEM file of its key; watched"`
	Certificates []Certificate `key:"certificates" help:"several of them instead, chosen by server name; the first where none fits"`
	ACME         Bool          `key:"acme" default:"false" help:"get certificates from the acme CA for the listener's hosts, not for *.name"`
	Profile      Text          `key:"profile" default:"default" is:"default|bsi" help:"default: Go's choice from TLS 1.2 on; bsi: BSI TR-02102-2, see docs/tls.md"`
	ClientAuth   *ClientAuth   `key:"client_auth" help:"ask clients for certificates; absent: do not"`
	HSTS         *HSTS         `key:"hsts" help:"Strict-Transport-Security with every answer (RFC 6797); absent: none of ours"`
}

// Certificate is one of several certificates.
type Certificate struct {
	At   Origin `key:"-"`
	Cert Text   `key:"cert" need:"yes" is:"path" help:"PEM file of the certificate and, after it, its chain; watched"`
	Key  Text   `key:"key" need:"yes" is:"path" help:"PEM file of its key; watched"`
}

// ClientAuth says whose certificates clients show.
type ClientAuth struct {
	At   Origin `key:"-"`
	CA   Text   `key:"ca" need:"yes" is:"path" help:"PEM file of the authorities that sign clients' certificates; watched"`
	Mode Text   `key:"mode" default:"require" is:"request|require" help:"require: nobody comes in without one; request: without one, but not with a wrong one"`
}

// HSTS tells browsers to come by TLS only.
type HSTS struct {
	At         Origin `key:"-"`
	Days       Int    `key:"days" default:"365" is:"days" help:"how long browsers remember it; 0 makes them forget"`
	Subdomains Bool   `key:"subdomains" default:"false" help:"for every host below, too"`
	Preload    Bool   `key:"preload" default:"false" help:"agree to stand in browsers' own lists, which is hard to undo"`
}

// ACME is the CA that certificates come from (RFC 8555).
type ACME struct {
	At          Origin `key:"-"`
	Directory   Text   `key:"directory" default:"https://acme-v02.api.letsencrypt.org/directory" is:"weburl" help:"URL of its directory"`
	AcceptTerms Bool   `key:"accept_terms" default:"false" help:"true: the CA's terms of service are accepted; required"`
	Mail        Text   `key:"mail" is:"mail" help:"where the CA writes to; absent: nowhere"`
	Cache       Text   `key:"cache" need:"yes" is:"path" help:"folder for the account's key and the certificates with their keys; pvgate writes there"`
	CA          Text   `key:"ca" is:"path" help:"PEM file of who vouches for the directory's own server; absent: the system's"`
}

// Clients bound what those who ask may take.
type Clients struct {
	At         Origin `key:"-"`
	PerNetwork Int    `key:"per_network" default:"1024" is:"bound" help:"connections at once from one IPv4 /24 or IPv6 /48, and requests that wait for look-ups, at most half of all; senders' networks and loopback are exempt; 0 is no limit"`
}

// Admin is the listener for operators.
type Admin struct {
	At      Origin `key:"-"`
	Address Text   `key:"address" default:"127.0.0.1:9180" is:"loopback" help:"host:port on the loopback interface: /metrics, /livez, /readyz, /api/v1/"`
}

// Drain is how a process ends.
type Drain struct {
	At    Origin   `key:"-"`
	Delay Duration `key:"delay" default:"0s" is:"orzero" help:"how long health checks are told to look elsewhere while everybody is served still: as long as the load balancer takes to notice"`
	Time  Duration `key:"time" default:"60s" help:"for requests in flight then; what is left is broken off"`
}

// Security is what security.txt says (RFC 9116, section 2.5).
type Security struct {
	At              Origin `key:"-"`
	Contact         []Text `key:"contact" need:"yes" is:"contacturi" help:"where to report a weakness, best first: https://…, mailto:…, tel:…"`
	Expires         Text   `key:"expires" need:"yes" is:"time" help:"when this stops being true; best within a year"`
	Encryption      []Text `key:"encryption" is:"keyuri" help:"where the key for reports is: https://…, openpgp4fpr:…, dns:…"`
	Acknowledgments []Text `key:"acknowledgments" is:"httpsuri" help:"page that thanks those who reported"`
	Languages       []Text `key:"languages" is:"lang" help:"languages of reports, such as [de, en]"`
	Canonical       []Text `key:"canonical" is:"httpsuri" help:"all addresses at which this file may be found"`
	Policy          []Text `key:"policy" is:"httpsuri" help:"page that says how reports are treated"`
	Hiring          []Text `key:"hiring" is:"httpsuri" help:"page with positions in security"`
}

// AccessLog is where requests are noted.
type AccessLog struct {
	At   Origin `key:"-"`
	File Text   `key:"file" default:"off" is:"logfile" help:"off, stdout, stderr, or a file (from the folder of pvgate.yaml); SIGUSR1 reopens it"`
}

// AreaFiles names the Gemeindeverzeichnis.
type AreaFiles struct {
	At      Origin `key:"-"`
	File    Text   `key:"file" is:"path" help:"GV100AD file of Destatis; absent: the embedded table"`
	Aliases Text   `key:"aliases" is:"path" help:"file of dated changes: aliases: [{from: [keys], to: key or [keys], on: date, name: text}]; absent: none"`
}

// Sender is a portal that sends us requests.
type Sender struct {
	At       Origin `key:"-"`
	Area     Text   `key:"area" need:"yes" is:"digits" help:"area the portal stands for, \"00\" for Bund"`
	Networks []Text `key:"networks" is:"network" help:"its addresses, as prefixes (192.0.2.0/24) or single ones; they, certificates or hmac prove it"`
	Certs    []Text `key:"certificates" is:"certname" help:"its client certificates: sha256:FINGERPRINT, or dns:NAME, uri:NAME, cn:NAME in any that an authority of client_auth has signed"`
	HMAC     *HMAC  `key:"hmac" help:"keys with which it signs its requests (PV-Signature)"`
	Origins  []Text `key:"origins" is:"origin" help:"origins of its pages, https://portal.example.de, whose scripts may ask /_pv/areas and /_pv/route; absent: none"`
}

// HMAC is how a sender signs its requests.
type HMAC struct {
	At   Origin `key:"-"`
	Keys Text   `key:"keys" need:"yes" is:"path" help:"file with one key or two, the newest first: a line each, made by openssl rand -hex 32"`
}

// Source is one registry source.
type Source struct {
	At        Origin   `key:"-"`
	Name      Text     `key:"name" need:"yes" is:"name" help:"name, shown where a row comes from"`
	Type      Text     `key:"type" need:"yes" is:"csv|datahub|xzufi|bundle|pvog|fitconnect" help:"form of the file; xzufi is a delivery of many, and path or url that of its index (index.txt); a bundle is what pvgate registry build has made of all sources, and is the only file then; pvog and fitconnect have none and are looked up in, one key at a time: the Suchdienst of the PVOG for routes, FIT-Connect's Routing API for destinations"`
	Path      Text     `key:"path" is:"path" help:"the file, absolute or from the folder of pvgate.yaml; watched; this or url is required"`
	URL       Text     `key:"url" is:"sourceurl" help:"where the file is fetched from, https://…; wants registry: {state: …}; pvog, fitconnect: the address before lookup.path, absent: that of the public service"`
	Every     Duration `key:"every" help:"url only: how often it is asked, a little earlier each time, and sooner after a failure; absent: 24h"`
	Budget    Rate     `key:"budget" help:"url, pvog and fitconnect: how many requests it gets at most, in any order; absent: 60/m, of pvog and fitconnect 5/s and 50 at once"`
	Keys      Text     `key:"keys" is:"path" help:"bundle: file of public keys, one of which must have signed it (see docs/registry.md), absent: it need not be signed; fitconnect: file of a JWK set (RFC 7517), whose keys sign destinations, required"`
	Changes   Bool     `key:"changes" default:"false" help:"xzufi only: url is a service that is asked page by page for what has changed, not an index"`
	Token     *Token   `key:"token" help:"xzufi only: how url is authorised for (OAuth 2.0 client credentials); absent: it is public"`
	Lookup    Lookup   `key:"lookup" help:"pvog and fitconnect only: how it is looked up in"`
	Separator Text     `key:"separator" is:"separator" help:"one character between columns; absent: ; , or tab, whichever the header has most of"`
	Columns   Columns  `key:"columns" help:"csv only: the file's names of the columns"`
	Hosts     []Text   `key:"hosts" is:"hostname" help:"the only hosts its URLs may name; absent: any public host"`
	Allow     []Text   `key:"allow" is:"http|private" help:"what is otherwise refused in its URLs: http, private (addresses); absent: none"`
}

// Token is how requests are authorised.
type Token struct {
	At     Origin `key:"-"`
	URL    Text   `key:"url" need:"yes" is:"sourceurl" help:"token endpoint"`
	Client Text   `key:"client" need:"yes" help:"client id"`
	Secret Text   `key:"secret" need:"yes" is:"path" help:"file with the client's secret"`
}

// Lookup is how a source is asked for one key at a time.
type Lookup struct {
	At           Origin   `key:"-"`
	Path         Text     `key:"path" is:"abspath" help:"path with its version, behind url; absent: /v3/servicedescriptions/leikaid (pvog), /v1/routes (fitconnect)"`
	ClientID     Text     `key:"client_id" is:"fieldvalue" help:"pvog: sent as pvog-sud-api-client-id; absent: the field is not sent"`
	ClientIDFile Text     `key:"client_id_file" is:"path" help:"pvog: file with the client id on its only line, instead of client_id"`
	Agent        Text     `key:"agent" default:"pvgate" is:"fieldvalue" help:"User-Agent; some services refuse some"`
	TTL          Duration `key:"ttl" default:"1h" help:"how long an answer is new; then it is asked for again, and used meanwhile and as long as no better one comes"`
	NegativeTTL  Duration `key:"negative_ttl" default:"5m" help:"the same of the answer that nothing is known"`
	Calls        Int      `key:"calls" default:"8" is:"calls" help:"requests at once"`
	Timeout      Duration `key:"timeout" default:"5s" help:"longest time of one request with all its pages"`
}

// Lookups bounds requests that wait for sources.
type Lookups struct {
	At     Origin   `key:"-"`
	Parked Int      `key:"parked" default:"10000" is:"bound" help:"at once, each with at most 64 KiB of its head and body; what comes beyond them is registry_unavailable"`
	Wait   Duration `key:"wait" default:"5s" help:"longest time of one request, for all that it has to look up; then it is registry_unavailable"`
}

// Registry is about all sources together.
type Registry struct {
	At     Origin `key:"-"`
	State  Text   `key:"state" is:"path" help:"folder for what the sources delivered last and what was made of it; pvgate writes there, and starts from it without network; absent: nothing is kept, and a source that cannot be used refuses the whole load"`
	Shrink Text   `key:"shrink" default:"10%" is:"share" help:"how much of the entries a delivery may lose: of all, of a Land, of a source; a Land is never lost whole"`
}

// LinkCheck is how the addresses of the registry are asked whether they answer.
type LinkCheck struct {
	At       Origin   `key:"-"`
	Contact  Text     `key:"contact" need:"yes" is:"contacturi" help:"whom the owner of a server may write to about it, sent in User-Agent: https://…, mailto:…"`
	Every    Duration `key:"every" default:"168h" is:"round" help:"a round, over which the requests are spread: each address is asked once in it, one that fails after a day"`
	Rate     Rate     `key:"rate" default:"1/s" help:"requests at most, to all hosts together, up to 20/s; where that is too few for a round, it takes longer"`
	Pause    Duration `key:"pause" default:"10s" is:"pause" help:"between two requests to one host at least; its robots.txt may ask for more"`
	Failures Int      `key:"failures" default:"3" is:"failures" help:"failed checks in a row, each a day after the one before, after which an address is stale"`
}

// Columns maps what pvgate reads to the names of a csv file's columns.
type Columns struct {
	At          Origin `key:"-"`
	Leistung    Text   `key:"leistung" default:"leistung" help:"column of the Leistungsschlüssel"`
	Area        Text   `key:"area" default:"area" help:"column of the area (ARS or AGS)"`
	URL         Text   `key:"url" help:"column of the Onlinedienst's URL"`
	Page        Text   `key:"page" help:"column of the source portal's page"`
	Title       Text   `key:"title" help:"column of the title"`
	Keep        Text   `key:"keep" help:"column that says false, nein, 0 or nothing where the row is to be left out"`
	Begin       Text   `key:"begin" help:"column of the first day"`
	End         Text   `key:"end" help:"column of the last day"`
	Active      Text   `key:"active" help:"column that makes the row dead where it says nein, no, false or 0"`
	Role        Text   `key:"role" help:"column of the role (01 is responsible)"`
	Specialised Text   `key:"specialised" help:"column that says the row is a Spezialisierung"`
	Priority    Text   `key:"priority" help:"column of the priority in a tie"`
	Lang        Text   `key:"lang" help:"column of the URL's language"`
	OE          Text   `key:"oe_id" help:"column of the Organisationseinheit"`
	LB          Text   `key:"lb_id" help:"column of the Leistungsbeschreibung"`
	OD          Text   `key:"od_id" help:"column of the Onlinedienst"`
}

// RouteBlocks are the blocks that say where things go.
type RouteBlocks struct {
	Help      *Help        `key:"help" help:"shown where nothing is found in the file's area"`
	ParentKey Bool         `key:"parent_key" default:"false" help:"a Leistung nobody offers may be answered by its parent …VVV000 (a Land's file)"`
	Backends  Map[Backend] `key:"backends" is:"backendname" help:"portals that answer requests, by name; names are unique over all files"`
	Entries   []Entry      `key:"entries" help:"who answers which Leistung where"`
	Offers    Map[Offer]   `key:"offers" is:"name" help:"EfA services, by name; their backends are closed"`
	Adoptions Adoptions    `key:"adoptions" help:"areas that joined an offer: a list, or {csv: FILE}"`
	Overrides []Override   `key:"overrides" help:"rules that outrank every entry until they end"`
	Tests     []Test       `key:"tests" help:"what pvgate check must find"`
}

// RouteFile is one file of routes.d, or the route blocks of pvgate.yaml.
type RouteFile struct {
	Name string `key:"-"` // relative to Config.Dir
	At   Origin `key:"-"`
	// Owner has signed the file's folder; "" is nobody.
	Owner string `key:"-"`
	// Area is the area everything in the file lies at or below.
	Area   Text        `key:"area" need:"yes" is:"digits" help:"area that everything in the file lies at or below; \"00\" for Bund"`
	Blocks RouteBlocks `key:",inline"`
}

// IsRoot reports whether the file may say what only root files may (priority
// of overrides): pvgate.yaml itself and files whose area is Bund.
func (f *RouteFile) IsRoot() bool { return isBund(f.Area.V) }

// Help is what a citizen is told where nothing is found.
type Help struct {
	At     Origin `key:"-"`
	Portal Text   `key:"portal" is:"weburl" help:"URL of the Land's portal"`
	Phone  Text   `key:"phone" is:"phone" help:"number to call, such as \"115\""`
}

// Backend is a portal that answers requests.
type Backend struct {
	At                Origin     `key:"-"`
	Hosts             []Text     `key:"hosts" is:"hostname" help:"hosts whose URLs belong to it"`
	Mode              Text       `key:"mode" default:"redirect" is:"redirect|proxy" help:"redirect: 303 with the deep link; proxy: pvgate forwards"`
	Owner             Text       `key:"owner" is:"digits" help:"area that owns it; absent: the file's area"`
	Endpoints         []Endpoint `key:"endpoints" help:"proxy: addresses to forward to, http://host:port, https://host:port or unix:/path of a socket, or {url, weight}"`
	Pick              Text       `key:"pick" default:"p2c" is:"p2c|round_robin|weighted|sticky" help:"proxy: which endpoint; p2c = of two at random the one with less to do, round_robin = in turn, weighted = at random by weight, sticky = the one where the client was before, by a cookie, else as p2c"`
	Health            *Health    `key:"health" help:"proxy: ask the endpoints now and then how they are; absent: only what becomes of requests tells"`
	Allow             []Text     `key:"allow" is:"private|loopback" help:"proxy: where names of endpoints may lead beside public addresses; an address that is written down needs no leave, nor does localhost"`
	Host              Text       `key:"host" is:"authority" help:"proxy: Host sent to the endpoints; absent: the first endpoint's; sockets have none"`
	TLS               *Trust     `key:"tls" help:"proxy: how https endpoints prove who they are; absent: to the system's authorities, by host"`
	Isolation         Text       `key:"isolation" default:"host" is:"host|path" help:"proxy: host = it answers at {backend}.{domain}; path = below /_pv/b/{backend}/ of the entry host, for backends of one owner"`
	Timeouts          Timeouts   `key:"timeouts" help:"proxy: how long to wait"`
	Upgrade           []Text     `key:"upgrade" some:"yes" is:"protocol" help:"proxy: protocols that a connection may change to, as in Upgrade fields; absent: websocket; [none]: none; h2c never"`
	Tunnels           Tunnels    `key:"tunnels" help:"proxy: connections that have changed their protocol"`
	Limits            Limits     `key:"limits" help:"what it may be given"`
	Headers           Headers    `key:"headers" help:"proxy: fields to set or remove on the way to it and back"`
	Require           []Text     `key:"require" is:"oe_id|lb_id|od_id" help:"context its templates cannot do without"`
	AllowEncodedSlash Bool       `key:"allow_encoded_slash" default:"false" help:"let %2F pass in a path"`
	Contact           Contact    `key:"contact" help:"whom to ask when it is down"`
}

// Endpoint is one address of a backend: a URL, or {url, weight}.
type Endpoint struct {
	Text
	Weight Int
}

// Health is how the endpoints of a backend are checked.
type Health struct {
	At    Origin   `key:"-"`
	Path  Text     `key:"path" is:"abspath" help:"asked for by GET at the backend's host; an answer from 200 to 399 is good; absent: it is enough that a connection can be made"`
	Every Duration `key:"every" default:"5s" help:"time between two checks of an endpoint"`
}

// Trust is whom connections to a backend trust, and what they show.
type Trust struct {
	At   Origin `key:"-"`
	CA   Text   `key:"ca" is:"path" help:"PEM file of the authorities that sign its certificate; absent: the system's; watched"`
	Cert Text   `key:"cert" is:"path" help:"PEM file of the certificate to show if it asks for one, and after it its chain; watched"`
	Key  Text   `key:"key" is:"path" help:"PEM file of the key of cert; watched"`
	Name Text   `key:"name" is:"servername" help:"name in its certificate, and asked for (SNI); absent: host without its port"`
}

// Headers is what an operator changes about the fields of a proxied backend.
type Headers struct {
	At       Origin     `key:"-"`
	Request  HeaderEdit `key:"request" help:"of requests, before pvgate adds its own"`
	Response HeaderEdit `key:"response" help:"of its answers, before pvgate adds its own"`
}

// HeaderEdit is the changes in one direction.
type HeaderEdit struct {
	At     Origin    `key:"-"`
	Set    Map[Text] `key:"set" help:"name: value; replaces all fields of the name, in any spelling with _ or ."`
	Remove []Text    `key:"remove" help:"names; a * at the end stands for any rest"`
}

// Timeouts are the waits of a proxied backend.
type Timeouts struct {
	At        Origin   `key:"-"`
	Connect   Duration `key:"connect" default:"2s" help:"for a connection"`
	FirstByte Duration `key:"first_byte" default:"30s" help:"for the head of the answer"`
	Idle      Duration `key:"idle" default:"60s" help:"with no byte of an exchange either way"`
	Keep      Duration `key:"keep" default:"4s" help:"how long a pooled connection may wait for its next request"`
}

// Tunnels bound connections that have changed their protocol, such as WebSocket.
type Tunnels struct {
	At   Origin   `key:"-"`
	Idle Duration `key:"idle" default:"2m" help:"with no byte from either side, and none that one has still to take"`
	Life Duration `key:"life" default:"4h" help:"in all"`
	Max  Int      `key:"max" default:"1000" is:"positive" help:"at the same time; they are not counted in limits.in_flight"`
}

// Limits bound what a backend is given.
type Limits struct {
	At       Origin   `key:"-"`
	Rate     Rate     `key:"rate" help:"requests per s, m or h, such as 50/s; absent: no limit"`
	Burst    Int      `key:"burst" is:"positive" help:"requests at once; absent: those of one second of the rate"`
	InFlight Int      `key:"in_flight" is:"positive" help:"requests at the same time; absent: no limit"`
	Queue    Int      `key:"queue" default:"0" is:"bound" help:"requests that may wait for one of the in_flight places; 0: none, they are refused at once"`
	Wait     Duration `key:"wait" default:"0s" is:"orzero" help:"how long each waits at most; goes with queue"`
	Adaptive Bool     `key:"adaptive" default:"false" help:"find a limit below in_flight by how fast it answers; for backends whose requests take about equally long"`
	Shadow   Bool     `key:"shadow" default:"false" help:"count what the limits would refuse or let wait, and do neither"`
}

// Contact is whom to ask about a backend.
type Contact struct {
	At    Origin `key:"-"`
	Name  Text   `key:"name" help:"of the team"`
	URL   Text   `key:"url" is:"weburl" help:"of a page for citizens"`
	Mail  Text   `key:"mail" is:"mail" help:"address"`
	Phone Text   `key:"phone" is:"phone" help:"number"`
}

// Entry is one operator's row: a Leistung in an area goes there.
type Entry struct {
	At          Origin `key:"-"`
	Leistung    Text   `key:"leistung" need:"yes" is:"digits" help:"Leistungsschlüssel, 14 digits, quoted"`
	Area        Text   `key:"area" need:"yes" is:"digits" help:"ARS or AGS, quoted"`
	URL         Text   `key:"url" help:"deep link, may hold placeholders; or backend and path"`
	Backend     Text   `key:"backend" is:"backend" help:"with path: the backend by name"`
	Path        Text   `key:"path" is:"abspath" help:"with backend: path there, may hold placeholders"`
	Kind        Text   `key:"kind" default:"service" is:"service|page" help:"an Onlinedienst, or a page about the Leistung"`
	Title       Text   `key:"title" help:"for pages and explain"`
	Begin       Text   `key:"begin" is:"time" help:"first moment; absent: open"`
	End         Text   `key:"end" is:"time" help:"last day, or first moment it is over; absent: open"`
	Role        Text   `key:"role" default:"01" is:"digits" help:"01 is responsible and wins over others"`
	Specialised Bool   `key:"specialised" default:"false" help:"a Spezialisierung wins over the Leistung"`
	Priority    Int    `key:"priority" default:"0" is:"tie" help:"last word in a tie; higher wins"`
	OE          Text   `key:"oe_id" help:"Organisationseinheit"`
	LB          Text   `key:"lb_id" help:"Leistungsbeschreibung"`
	OD          Text   `key:"od_id" help:"Onlinedienst"`
	Lang        Text   `key:"lang" default:"de" is:"lang" help:"language of the URL"`
}

// Offer is an EfA service offered by a Land.
type Offer struct {
	At         Origin    `key:"-"`
	State      Text      `key:"state" default:"live" is:"interessenbekundung|contracted|live" help:"how far it has come; only a live one closes its backend and makes routes"`
	Backend    Text      `key:"backend" need:"yes" is:"backend" help:"its backend; closed by the offer once that is live"`
	Provider   Provider  `key:"provider" help:"who offers it"`
	Contract   Text      `key:"contract" help:"number of the provider's contract (Einstellungsvertrag)"`
	PriceModel Text      `key:"price_model" help:"reference to how it is paid, such as a document's number or URL; pvgate counts no money"`
	Leistungen Map[Text] `key:"leistungen" need:"yes" is:"digits" help:"deep link for each Leistung, may hold placeholders"`
	Begin      Text      `key:"begin" is:"time" help:"first moment; absent: open"`
	End        Text      `key:"end" is:"time" help:"last day; absent: open"`
	Successor  Text      `key:"successor" is:"offer" help:"offer that follows it"`
}

// Provider is who offers an EfA service.
type Provider struct {
	At   Origin `key:"-"`
	Area Text   `key:"area" is:"digits" help:"of the provider; absent: the file's"`
	Name Text   `key:"name" help:"of the provider"`
	Via  Text   `key:"via" help:"with whom those who reuse it contract, where that is not the provider, such as fit-store"`
}

// Adoptions is a list of adoptions, or the csv file that holds them.
type Adoptions struct {
	CSV  Text // path as written; the rows are in List
	List []Adoption
}

// Adoption says that areas joined an offer.
type Adoption struct {
	At         Origin        `key:"-"`
	Offer      Text          `key:"offer" need:"yes" is:"offer" help:"offer by name"`
	State      Text          `key:"state" default:"live" is:"interessenbekundung|contracted|live" help:"how far it has come; only a live one makes routes"`
	Contract   Text          `key:"contract" help:"number of the contract (Nachnutzungsvertrag)"`
	Areas      AdoptionAreas `key:"areas" need:"yes" help:"area: oe_id of each area that joined; a list when there are no oe_id"`
	Without    []Text        `key:"without" is:"digits" help:"areas inside that did not join"`
	Leistungen []Text        `key:"leistungen" is:"digits" help:"which of the offer's Leistungen; absent: all"`
	Begin      Text          `key:"begin" is:"time" help:"first moment; absent: open"`
	End        Text          `key:"end" is:"time" help:"last day; absent: open"`
}

// AdoptionAreas are the areas of an adoption with their oe_id ("" for none).
type AdoptionAreas Map[Text]

// Override is an operator's rule that outranks entries.
type Override struct {
	At       Origin `key:"-"`
	To       To     `key:"to" help:"backend, URL, or {backend: weight} summing to 100; or gone"`
	Gone     Text   `key:"gone" help:"answer 410 with this text; or to"`
	Area     Text   `key:"area" is:"digits" help:"where; absent: the file's area"`
	Leistung Text   `key:"leistung" is:"digits" help:"14 digits, or a group 99GGG; absent: all"`
	Sender   Text   `key:"sender" is:"sender" help:"only for this sender; absent: all"`
	From     Text   `key:"from" is:"time" help:"first moment; absent: now"`
	Until    Text   `key:"until" is:"time" need:"until is missing; every override ends, e.g. until: 2026-12-31" help:"when it ends"`
	By       Text   `key:"by" need:"yes" help:"who made it"`
	Why      Text   `key:"why" need:"yes" help:"why: ticket or reason"`
	Priority Int    `key:"priority" default:"0" is:"priority" help:"0–9, root files only; higher outranks any area"`
}

// To is the target of an override: one backend or URL, or weighted backends.
type To struct {
	Target  Text // backend name or URL; empty when Weights are given
	Weights Map[Int]
	Origin  Origin
}

// IsURL reports whether the target is a URL and no backend.
func (t *To) IsURL() bool { return isURL(t.Target.V) }

// Test is what pvgate check must find.
type Test struct {
	At       Origin `key:"-"`
	Leistung Text   `key:"leistung" need:"yes" is:"digits" help:"asked Leistung"`
	Area     Text   `key:"area" is:"digits" help:"asked area; absent: none"`
	Want     Text   `key:"want" need:"yes" help:"backend (or host of a URL no backend lists), or reason"`
	When     Text   `key:"at" is:"time" help:"moment asked for; absent: now"`
	Sender   Text   `key:"sender" is:"sender" help:"asking sender; absent: direct"`
}

// AliasFile is the file areas.aliases names.
type AliasFile struct {
	At      Origin  `key:"-"`
	Aliases []Alias `key:"aliases" need:"yes" help:"dated changes of areas"`
}

// Alias is one dated change: from a day on, old keys mean new ones.
type Alias struct {
	At   Origin  `key:"-"`
	From OneList `key:"from" need:"yes" is:"digits" help:"old key, or a list of them"`
	To   OneList `key:"to" need:"yes" is:"digits" help:"new key, or a list when the citizen must choose"`
	On   Text    `key:"on" need:"yes" is:"time" help:"first day of the new key"`
	Name Text    `key:"name" help:"name of the new area where the areas file lacks it"`
}

// OneList is a list of texts that may be written as one text.
type OneList []Text
