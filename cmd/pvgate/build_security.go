// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/registry"
)

// securityTxt is the operator's security.txt, nil if there is none. One that has expired is a warning: nobody is obliged
// to believe it any more (RFC 9116, section 2.5.5), but it still leads to somebody.
func securityTxt(c *config.Security, now time.Time, errs, warnings *config.Errors) *pages.SecurityTxt {
	if c == nil {
		return nil
	}
	expires, err := registry.ParseEnd(c.Expires.V)
	switch {
	case err != nil:
		*errs = append(*errs, config.At(c.Expires.Origin, "expires: %v", err))
	case expires.IsZero():
		*errs = append(*errs, config.At(c.Expires.Origin, "expires %s means never; name a day, best within a year", c.Expires.V))
	case !expires.After(now):
		*warnings = append(*warnings, config.At(c.Expires.Origin, "security_txt expired on %s; see whether it is still true and write a later day", c.Expires.V))
	}
	return &pages.SecurityTxt{
		Contact: texts(c.Contact), Expires: expires, Encryption: texts(c.Encryption), Acknowledgments: texts(c.Acknowledgments),
		PreferredLanguages: texts(c.Languages), Canonical: texts(c.Canonical), Policy: texts(c.Policy), Hiring: texts(c.Hiring),
	}
}
