// SPDX-License-Identifier: EUPL-1.2

package message

// Fault says what went wrong on the wire, independent of the protocol version.
// The exchange maps it to a reason; the machines that find it add a constant
// sub-cause for the log. The zero value means nothing is wrong.
type Fault uint8

// The client's side first, then the upstream's.
const (
	FaultNone         Fault = iota
	FaultGrammar            // syntax or framing of the request: 400
	FaultPath               // path the gateway refuses to interpret: 400
	FaultURITooLong         // request line over its limit: 414
	FaultHeadTooLarge       // head bytes or field count over the limit: 431
	FaultBodyTooLarge       // body, or the overhead of its chunks, over the limit: 413
	FaultCoding             // transfer coding other than chunked: 501
	FaultVersion            // well-formed HTTP version that is not 1.0 or 1.1: 505
	FaultExpectation        // Expect other than 100-continue: 417
	FaultMethod             // CONNECT, TRACE: 405
	FaultTimeout            // head or body too slow: 408
	FaultLoop               // our own pseudonym in Via, or too many of them: 508

	FaultRefused              // connection refused
	FaultConnectTimeout       // no connection in time
	FaultTLS                  // no TLS on the connection
	FaultCertificate          // certificate of another, of nobody we trust, or not of today
	FaultLost                 // connection ended before a response head
	FaultWriteTimeout         // upstream took no bytes
	FaultResponseTimeout      // no response head in time
	FaultResponseGrammar      // syntax, framing, stray 1xx or 101
	FaultResponseHeadTooLarge // response head over its limits
	FaultResponseCoding       // response transfer coding other than chunked
	FaultUpgrade              // upgrade answered wrongly
	FaultIncomplete           // response broke off after its head
	FaultDown                 // no endpoint of the backend is in service
	FaultLocal                // no descriptor, port or memory of ours
	FaultAddress              // dialled address is not allowed
	FaultDNS                  // name not resolved, and nothing known from before
	FaultDNSTimeout           // the same, because no server answered in time

	faultCount
)

// String returns the word used in logs.
func (f Fault) String() string {
	if f >= faultCount {
		return "unknown"
	}
	return faultNames[f]
}

var faultNames = [faultCount]string{
	FaultNone:                 "none",
	FaultGrammar:              "grammar",
	FaultPath:                 "path",
	FaultURITooLong:           "uri_too_long",
	FaultHeadTooLarge:         "head_too_large",
	FaultBodyTooLarge:         "body_too_large",
	FaultCoding:               "coding",
	FaultVersion:              "version",
	FaultExpectation:          "expectation",
	FaultMethod:               "method",
	FaultTimeout:              "timeout",
	FaultLoop:                 "loop",
	FaultRefused:              "refused",
	FaultConnectTimeout:       "connect_timeout",
	FaultTLS:                  "tls",
	FaultCertificate:          "certificate",
	FaultLost:                 "lost",
	FaultWriteTimeout:         "write_timeout",
	FaultResponseTimeout:      "response_timeout",
	FaultResponseGrammar:      "response_grammar",
	FaultResponseHeadTooLarge: "response_head_too_large",
	FaultResponseCoding:       "response_coding",
	FaultUpgrade:              "upgrade",
	FaultIncomplete:           "incomplete",
	FaultDown:                 "down",
	FaultLocal:                "local",
	FaultAddress:              "address",
	FaultDNS:                  "dns",
	FaultDNSTimeout:           "dns_timeout",
}
