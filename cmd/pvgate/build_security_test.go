// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
)

func TestAnExpiredSecurityTxtIsAWarning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ expires, warning, fault string }{
		{"2026-11-22", "", ""}, // to the end of that day
		{"2026-11-21", "security_txt expired on 2026-11-21; see whether it is still true and write a later day", ""},
		{"2026-11-22T11:59:59Z", "security_txt expired on 2026-11-22T11:59:59Z", ""},
		{"2999-12-31", "", "expires 2999-12-31 means never; name a day"},
		{"2027-03-28 02:30", "", "expires: 2027-03-28 02:30 does not exist in Europe/Berlin"},
	} {
		var errs, warnings config.Errors
		s := securityTxt(&config.Security{Expires: config.Text{V: tt.expires}}, now, &errs, &warnings)
		for _, c := range []struct {
			what string
			got  config.Errors
			want string
		}{{"warning", warnings, tt.warning}, {"error", errs, tt.fault}} {
			if (len(c.got) > 0) != (c.want != "") || len(c.got) > 0 && !strings.HasPrefix(c.got[0].Text, c.want) {
				t.Errorf("%s: %s %v, want %q", tt.expires, c.what, c.got, c.want)
			}
		}
		if s == nil {
			t.Errorf("%s: no security.txt", tt.expires)
		}
	}
	if securityTxt(nil, now, nil, nil) != nil {
		t.Error("a security.txt that nobody wrote")
	}
}
