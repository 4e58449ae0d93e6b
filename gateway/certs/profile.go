// SPDX-License-Identifier: EUPL-1.2

package certs

import "crypto/tls"

// Profile is a choice of protocol versions, cipher suites and groups.
type Profile uint8

// The profiles there are.
const (
	// Default is what Go's authors hold for secure, from TLS 1.2 on; it changes with Go.
	Default Profile = iota
	// BSI follows BSI TR-02102-2: ECDHE with AES-GCM, the NIST curves P-256 and P-384 and hybrid groups. What Go offers
	// no switch for stays as it is: the suites of TLS 1.3, of which ChaCha20-Poly1305 is not in the TR.
	BSI
)

// String returns the profile's name in the configuration.
func (p Profile) String() string {
	if p == BSI {
		return "bsi"
	}
	return "default"
}

func (p Profile) apply(c *tls.Config) {
	c.MinVersion = tls.VersionTLS12
	if p != BSI {
		return
	}
	c.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	}
	// X25519MLKEM768 is the hybrid that browsers speak: it protects against later decryption, and its ML-KEM half is
	// the TR's, whatever the other one is.
	c.CurvePreferences = []tls.CurveID{
		tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519MLKEM768, tls.CurveP256, tls.CurveP384,
	}
}

// rsaBits is the shortest RSA key that goes without a warning.
func (p Profile) rsaBits() int {
	if p == BSI {
		return 3000
	}
	return 2048
}
