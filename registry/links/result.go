// SPDX-License-Identifier: EUPL-1.2

package links

// Result is what became of a check: one of a closed set.
type Result uint8

// The results. Their numbers are kept on disk.
const (
	OK            Result = iota
	Redirected           // it answers well at another address
	Gone                 // 404 or 410
	ClientError          // another 4xx
	ServerError          // 5xx
	Timeout              // no answer in time
	TLS                  // no handshake, or a certificate that does not hold
	DNS                  // the name leads nowhere
	Unreachable          // no connection, or no HTTP on it
	RedirectFault        // redirects in circles, too many, or nowhere
	Denied               // 401, 403, 407, 429: it does not want us, which says nothing of its citizens
	Robots               // robots.txt refuses us, or cannot be had
	Address              // it leads to an address that may not be asked
	results
)

// Results are all of them.
func Results() []Result {
	all := make([]Result, results)
	for i := range all {
		all[i] = Result(i)
	}
	return all
}

// String is the word of reports and metrics.
func (r Result) String() string {
	return [...]string{
		"ok", "redirected", "gone", "client_error", "server_error", "timeout", "tls", "dns", "unreachable", "redirect_fault", "denied",
		"robots", "address",
	}[r]
}

// Fails says whether a citizen would find nothing there either; after some of them in a row a link is stale.
func (r Result) Fails() bool { return r >= Gone && r <= RedirectFault }

// silent says whether it is as if the network were not there: then it may be ours.
func (r Result) silent() bool { return r == Timeout || r == DNS || r == Unreachable }
