// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"crypto/tls"
	"errors"
)

// Options say how the handshakes of a listener are done.
type Options struct {
	// TLS chooses certificates, versions, suites and client authentication. Its callbacks are called off the loops, one
	// per free slot at a time, and must not wait for anything. It is copied.
	TLS *tls.Config
	// Tickets seal sessions for resumption; nil: none are given out.
	Tickets *Tickets
	// Policy says whom the listener trusts, for instance the mode of client authentication and a digest of the
	// authorities: a session that began under one policy is not resumed under another.
	Policy string
	// Same reports whether a connection that was opened for serverName (empty: for no name) may carry requests for
	// host: both names get the same certificate under the same client authentication. It is asked only when they differ,
	// on a loop. nil: always.
	Same func(serverName string, host []byte) bool
}

// Config is what the handshakes of a listener use: one generation of it, immutable. Safe for concurrent use.
type Config struct {
	tls  *tls.Config
	same func(serverName string, host []byte) bool
}

// New checks options and makes a configuration of them.
func New(o Options) (*Config, error) {
	switch {
	case o.TLS == nil:
		return nil, errors.New("no TLS configuration")
	case o.TLS.GetConfigForClient != nil:
		// What it returns would have tickets of its own.
		return nil, errors.New("GetConfigForClient is not supported; choose by GetCertificate")
	case o.TLS.MinVersion != 0 && o.TLS.MinVersion < tls.VersionTLS12:
		return nil, errors.New("TLS before 1.2 is not supported")
	case len(o.TLS.Certificates) == 0 && o.TLS.GetCertificate == nil:
		return nil, errors.New("no certificate")
	}
	c := &Config{tls: o.TLS.Clone(), same: o.Same}
	if c.tls.MinVersion == 0 {
		c.tls.MinVersion = tls.VersionTLS12
	}
	if len(c.tls.NextProtos) == 0 {
		c.tls.NextProtos = []string{"http/1.1"}
	}
	// One flush is one record: a head and the first bytes of its body are not worth a packet each.
	c.tls.DynamicRecordSizingDisabled = true
	if o.Tickets == nil {
		c.tls.SessionTicketsDisabled = true
	} else {
		o.Tickets.bind(c.tls, o.Policy)
	}
	return c, nil
}

// TLS returns the configuration as handshakes use it. It must not be changed.
func (c *Config) TLS() *tls.Config { return c.tls }
