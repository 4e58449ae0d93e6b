// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net/netip"
	"strings"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/keyring"
	"github.com/pvgate/pvgate/gateway/signature"
	"github.com/pvgate/pvgate/gateway/surface"
)

// surfaceSender is a sender with what proves it. Its keys are read here, and again with each configuration.
func surfaceSender(cfg *config.Config, c *config.Named[config.Sender], errs, warnings *config.Errors) surface.Sender {
	s := surface.Sender{Name: c.Name.V, Networks: networks(c.V.Networks)}
	for _, o := range c.V.Origins {
		s.Origins = append(s.Origins, o.V)
	}
	for _, cert := range c.V.Certs {
		s.Certificates = append(s.Certificates, strings.TrimPrefix(cert.V, "sha256:"))
	}
	if c.V.HMAC == nil {
		return s
	}
	at := c.V.HMAC.Keys
	keys, err := keyring.Read(cfg.Resolve(at.V))
	switch {
	case err != nil:
		*errs = append(*errs, config.At(at.Origin, "keys %q: %v", at.V, err))
	case len(keys) > signature.MaxKeys:
		*errs = append(*errs, config.At(at.Origin, "keys %q: holds %d keys, each of which is tried; keep the newest %d", at.V, len(keys), signature.MaxKeys))
	case keyring.Exposed(cfg.Resolve(at.V)):
		*warnings = append(*warnings, config.At(at.Origin, "keys %q can be read by everybody on this machine; chmod 600 it", at.V))
	}
	for i := range keys {
		s.Keys = append(s.Keys, keys[i][:])
	}
	return s
}

// networks are those of a list, whose form has been checked.
func networks(list []config.Text) (out []netip.Prefix) {
	for _, n := range list {
		if p, err := config.Network(n.V); err == nil {
			out = append(out, p)
		}
	}
	return out
}
