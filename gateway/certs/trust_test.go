// SPDX-License-Identifier: EUPL-1.2

package certs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

func TestTrustIsWhatItsFilesSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, other := certstest.NewAuthority(t, "ca"), certstest.NewAuthority(t, "other")
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert, key := ca.Issue(t, certstest.Leaf{Name: "gw", Client: true}).Write(t, dir, "client")
	leaf, leafKey := ca.Issue(t, certstest.Leaf{Name: "gw", Hosts: []string{"a.example"}}).Write(t, dir, "server")
	old, oldKey := ca.Issue(t, certstest.Leaf{Name: "gw", Client: true, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}).Write(t, dir, "old")
	one, two, empty := write("one.pem", ca.PEM), write("two.pem", other.PEM), write("empty.pem", nil)
	policies := map[string]string{}
	for name, c := range map[string]struct {
		o     certs.TrustOptions
		fault string // of which text; "" for none
		warns string
	}{
		"system":        {o: certs.TrustOptions{Name: "a.example"}},
		"other name":    {o: certs.TrustOptions{Name: "b.example"}},
		"one":           {o: certs.TrustOptions{Name: "a.example", Authorities: one}},
		"two":           {o: certs.TrustOptions{Name: "a.example", Authorities: two}},
		"shown":         {o: certs.TrustOptions{Name: "a.example", Authorities: one, Certificate: &certs.Files{Cert: cert, Key: key}}},
		"for servers":   {o: certs.TrustOptions{Name: "a.example", Authorities: one, Certificate: &certs.Files{Cert: leaf, Key: leafKey}}, warns: "is not for clients"},
		"ended":         {o: certs.TrustOptions{Name: "a.example", Authorities: one, Certificate: &certs.Files{Cert: old, Key: oldKey}}, warns: "ended on 1970-01-01"},
		"empty":         {o: certs.TrustOptions{Name: "a.example", Authorities: empty}, fault: "holds no PEM block"},
		"missing":       {o: certs.TrustOptions{Name: "a.example", Authorities: filepath.Join(dir, "none")}, fault: "no such file"},
		"no authority":  {o: certs.TrustOptions{Name: "a.example", Authorities: leaf}, fault: "is no authority's"},
		"key of others": {o: certs.TrustOptions{Name: "a.example", Certificate: &certs.Files{Cert: cert, Key: leafKey}}, fault: "does not go with"},
	} {
		c.o.Now = time.Now()
		trust, warnings, err := certs.LoadTrust(c.o)
		var faults certs.Faults
		switch {
		case errors.As(err, &faults) != (c.fault != "") || c.fault != "" && !strings.Contains(err.Error(), c.fault):
			t.Errorf("%s: got %v, want %q", name, err, c.fault)
		case c.fault != "" && trust != nil:
			t.Errorf("%s: there is something to trust beside the fault", name)
		case c.warns != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Text, c.warns)) || c.warns == "" && len(warnings) > 0 && c.fault == "":
			t.Errorf("%s: warned of %v, want %q", name, warnings, c.warns)
		}
		if trust == nil {
			continue
		}
		if first, twice := policies[trust.Policy]; twice {
			t.Errorf("%s and %s have one policy", name, first)
		}
		policies[trust.Policy] = name
		if own := c.o.Authorities != ""; (trust.TLS.RootCAs != nil) != own || trust.TLS.ServerName != c.o.Name || (trust.Expiry != nil) != (c.o.Certificate != nil) {
			t.Errorf("%s: %+v", name, trust)
		}
	}
}
