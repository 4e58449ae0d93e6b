// SPDX-License-Identifier: EUPL-1.2

// Package reason is the closed list of words that say why an answer is what
// it is. One word is the HTTP status, the RFC 9457 problem type, the page, the
// metric label, the log field and the details of Proxy-Status alike.
//
// The calls you want are [OfVerdict] (from a routing verdict), [OfFault] (from what
// went wrong on the wire) and the methods of [Code].
//
// It deliberately renders nothing (that is gateway/pages) and counts nothing.
// A code is never renamed and never reused: portals and dashboards match on it.
package reason

// Code is one reason. The zero value is None: an answer of a backend, passed
// on. Codes are small and dense, so an array [Count] indexes by them.
type Code uint8

// The closed list, in the order of the contract's table.
const (
	None Code = iota
	Handover
	BadRequest
	BadPath
	RequestTimeout
	BodyTooLarge
	URITooLong
	HeadTooLarge
	ExpectationFailed
	Misdirected
	CodingUnsupported
	VersionUnsupported
	MethodRefused
	SenderUnknown
	AdminRefused
	NotFound
	InvalidLeistung
	InvalidArea
	ConflictingKeys
	UnknownArea
	AreaRequired
	Ambiguous
	UnknownLeistung
	NoRoute
	NotJoined
	NotAnApplication
	Expired
	Gone
	TargetRefused
	RegistryUnavailable
	Maintenance
	SenderLimited
	AbuseBrake
	BackendLimited
	BackendBusy
	QueueTimeout
	Waiting
	BackendDown
	DNSFailed
	DNSTimeout
	AddressRefused
	ConnectRefused
	ConnectTimeout
	TLSFailed
	TLSCertificate
	ConnectionLost
	WriteTimeout
	ResponseTimeout
	ResponseInvalid
	ResponseHeadTooLarge
	ResponseCoding
	UpgradeFailed
	ResponseIncomplete
	ClientGone
	LoopDetected
	Overloaded
	LocalResource
	Draining
	Internal

	count
)

// Count is the number of codes, None included; every Code is below it.
const Count = int(count)

// Fault says who has to act. Dashboards split by it.
type Fault uint8

// The faults, as the contract spells them.
const (
	FaultNone Fault = iota
	FaultClient
	FaultSender
	FaultOperator
	FaultRegistry
	FaultBackend
	FaultGateway
)

var faultNames = [...]string{"none", "client", "sender", "operator", "registry", "backend", "gateway"}

// String returns the fault as it stands in problem documents and logs.
func (f Fault) String() string {
	if int(f) >= len(faultNames) {
		return "none"
	}
	return faultNames[f]
}

type row struct {
	name       string
	status     uint16 // 0: no status line of its own
	fault      Fault
	proxyError string // RFC 9209 error type; "" where none fits
}

var rows = [Count]row{
	None:                 {"none", 0, FaultNone, ""},
	Handover:             {"handover", 303, FaultNone, ""},
	BadRequest:           {"bad_request", 400, FaultClient, "http_request_error"},
	BadPath:              {"bad_path", 400, FaultClient, "http_request_error"},
	RequestTimeout:       {"request_timeout", 408, FaultClient, "http_request_error"},
	BodyTooLarge:         {"body_too_large", 413, FaultClient, "http_request_error"},
	URITooLong:           {"uri_too_long", 414, FaultClient, "http_request_error"},
	HeadTooLarge:         {"head_too_large", 431, FaultClient, "http_request_error"},
	ExpectationFailed:    {"expectation_failed", 417, FaultClient, "http_request_error"},
	Misdirected:          {"misdirected", 421, FaultClient, "http_request_error"},
	CodingUnsupported:    {"coding_unsupported", 501, FaultClient, "http_request_error"},
	VersionUnsupported:   {"version_unsupported", 505, FaultClient, "http_request_error"},
	MethodRefused:        {"method_refused", 405, FaultClient, "http_request_denied"},
	SenderUnknown:        {"sender_unknown", 403, FaultSender, "http_request_denied"},
	AdminRefused:         {"admin_refused", 403, FaultSender, "http_request_denied"},
	NotFound:             {"not_found", 404, FaultClient, ""},
	InvalidLeistung:      {"invalid_leistung", 400, FaultClient, ""},
	InvalidArea:          {"invalid_area", 400, FaultClient, ""},
	ConflictingKeys:      {"conflicting_keys", 400, FaultClient, ""},
	UnknownArea:          {"unknown_area", 404, FaultClient, ""},
	AreaRequired:         {"area_required", 400, FaultClient, ""},
	Ambiguous:            {"ambiguous", 300, FaultRegistry, ""},
	UnknownLeistung:      {"unknown_leistung", 404, FaultRegistry, "destination_not_found"},
	NoRoute:              {"no_route", 404, FaultRegistry, "destination_not_found"},
	NotJoined:            {"not_joined", 404, FaultRegistry, "destination_not_found"},
	NotAnApplication:     {"not_an_application", 404, FaultNone, ""},
	Expired:              {"expired", 410, FaultRegistry, ""},
	Gone:                 {"gone", 410, FaultOperator, ""},
	TargetRefused:        {"target_refused", 502, FaultRegistry, "proxy_configuration_error"},
	RegistryUnavailable:  {"registry_unavailable", 503, FaultRegistry, "destination_unavailable"},
	Maintenance:          {"maintenance", 503, FaultOperator, "destination_unavailable"},
	SenderLimited:        {"sender_limited", 429, FaultSender, "http_request_denied"},
	AbuseBrake:           {"abuse_brake", 429, FaultClient, "http_request_denied"},
	BackendLimited:       {"backend_limited", 503, FaultBackend, "connection_limit_reached"},
	BackendBusy:          {"backend_busy", 503, FaultBackend, "connection_limit_reached"},
	QueueTimeout:         {"queue_timeout", 503, FaultBackend, "connection_limit_reached"},
	Waiting:              {"waiting", 503, FaultNone, ""},
	BackendDown:          {"backend_down", 503, FaultBackend, "destination_unavailable"},
	DNSFailed:            {"dns_failed", 502, FaultBackend, "dns_error"},
	DNSTimeout:           {"dns_timeout", 504, FaultBackend, "dns_timeout"},
	AddressRefused:       {"address_refused", 502, FaultRegistry, "destination_ip_prohibited"},
	ConnectRefused:       {"connect_refused", 502, FaultBackend, "connection_refused"},
	ConnectTimeout:       {"connect_timeout", 504, FaultBackend, "connection_timeout"},
	TLSFailed:            {"tls_failed", 502, FaultBackend, "tls_protocol_error"},
	TLSCertificate:       {"tls_certificate", 502, FaultBackend, "tls_certificate_error"},
	ConnectionLost:       {"connection_lost", 502, FaultBackend, "connection_terminated"},
	WriteTimeout:         {"write_timeout", 504, FaultBackend, "connection_write_timeout"},
	ResponseTimeout:      {"response_timeout", 504, FaultBackend, "http_response_timeout"},
	ResponseInvalid:      {"response_invalid", 502, FaultBackend, "http_protocol_error"},
	ResponseHeadTooLarge: {"response_head_too_large", 502, FaultBackend, "http_response_header_section_size"},
	ResponseCoding:       {"response_coding", 502, FaultBackend, "http_response_transfer_coding"},
	UpgradeFailed:        {"upgrade_failed", 502, FaultBackend, "http_upgrade_failed"},
	ResponseIncomplete:   {"response_incomplete", 0, FaultBackend, "http_response_incomplete"},
	ClientGone:           {"client_gone", 499, FaultClient, ""},
	LoopDetected:         {"loop_detected", 508, FaultOperator, "proxy_loop_detected"},
	Overloaded:           {"overloaded", 503, FaultGateway, "proxy_internal_error"},
	LocalResource:        {"local_resource", 503, FaultGateway, "proxy_internal_error"},
	Draining:             {"draining", 503, FaultGateway, "proxy_internal_response"},
	Internal:             {"internal", 500, FaultGateway, "proxy_internal_error"},
}

func (c Code) row() *row {
	if c >= count {
		return &rows[Internal]
	}
	return &rows[c]
}

// String returns the code as the contract spells it, "none" for None.
func (c Code) String() string { return c.row().name }

// Status returns the HTTP status code. It is 0 for None and for
// ResponseIncomplete, where no status line of ours is sent; 499 for
// ClientGone stands in the log only.
func (c Code) Status() int { return int(c.row().status) }

// Fault returns who has to act.
func (c Code) Fault() Fault { return c.row().fault }

// ProxyStatusError returns the error parameter of Proxy-Status (RFC 9209,
// section 2.3), "" where no registered type fits.
func (c Code) ProxyStatusError() string { return c.row().proxyError }

// Parse finds a code by its name. None has no name a request could ask for.
func Parse(name string) (Code, bool) {
	for c := None + 1; c < count; c++ {
		if rows[c].name == name {
			return c, true
		}
	}
	return None, false
}

// All returns every code but None, in the contract's order.
func All() []Code {
	all := make([]Code, 0, Count-1)
	for c := None + 1; c < count; c++ {
		all = append(all, c)
	}
	return all
}

// Cacheable reports whether an answer with this reason may be kept by caches
// for a minute (contract, 9): the registry's noes change rarely, everything
// else is about now or about one client.
func (c Code) Cacheable() bool {
	switch c {
	case NoRoute, NotJoined, UnknownArea, UnknownLeistung, NotAnApplication, Expired, Gone:
		return true
	default:
		return false
	}
}

// RetryLater reports whether the answer must carry Retry-After: 429 and 503
// always do.
func (c Code) RetryLater() bool {
	s := c.row().status
	return s == 429 || s == 503
}

// Tells returns the problem members a reason has beyond those every answer
// has. They are the names clients may rely on; a value that is not known at
// the time is left out.
func (c Code) Tells() []string {
	switch c {
	case Handover, BackendLimited, BackendBusy, QueueTimeout, DNSFailed, DNSTimeout, AddressRefused,
		ConnectRefused, ConnectTimeout, TLSFailed, TLSCertificate, ConnectionLost, WriteTimeout,
		ResponseTimeout, ResponseInvalid, ResponseHeadTooLarge, ResponseCoding, UpgradeFailed, ResponseIncomplete:
		return []string{"backend"}
	case BodyTooLarge, URITooLong, HeadTooLarge:
		return []string{"limit"}
	case MethodRefused:
		return []string{"allow"}
	case InvalidLeistung, InvalidArea:
		return []string{"value", "hint"}
	case ConflictingKeys:
		return []string{"where"}
	case UnknownArea:
		return []string{"near", "hint"}
	case AreaRequired:
		return []string{"choices"}
	case Ambiguous:
		return []string{"candidates"}
	case UnknownLeistung, NoRoute:
		return []string{"near", "help"}
	case NotJoined:
		return []string{"offer", "joined_count"}
	case NotAnApplication:
		return []string{"help"}
	case Expired:
		return []string{"ended", "successor"}
	case Gone:
		return []string{"why"}
	case TargetRefused:
		return []string{"source", "backend"}
	case RegistryUnavailable:
		return []string{"source"}
	case Maintenance:
		return []string{"backend", "until", "instead"}
	case SenderLimited:
		return []string{"whose", "limit"}
	case Waiting:
		return []string{"position", "wait"}
	case BackendDown:
		return []string{"backend", "since"}
	default:
		return nil
	}
}
