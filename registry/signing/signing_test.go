// SPDX-License-Identifier: EUPL-1.2

package signing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry/signing"
)

// The pair was made by openssl 3: genpkey -algorithm ed25519, and pkey -pubout.
const (
	private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHXTzSI/b9bJsqkScxmuR7r8KPzX2mJ1N7/sGaIsh5P4\n-----END PRIVATE KEY-----\n"
	public  = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAumgz5veztpeV1S/txj7cIVgodevrDavgoKblmxDbXQ8=\n-----END PUBLIC KEY-----\n"
)

func TestKeysOfOpensslSignAndVerify(t *testing.T) {
	t.Parallel()
	key, err := signing.ParsePrivate([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := signing.ParsePublic([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	if key.Public() != pub || pub.ID() != "6ec812ce6847d808" {
		t.Errorf("the private key's public key is %s, the public file's %s", key.Public().ID(), pub.ID())
	}
	sig := key.Sign([]byte("message"))
	if !pub.Verify([]byte("message"), sig) {
		t.Error("a good signature does not verify")
	}
	for name, bad := range map[string]bool{
		"another message":   pub.Verify([]byte("Message"), sig),
		"a short signature": pub.Verify([]byte("message"), sig[:63]),
		"no signature":      pub.Verify([]byte("message"), nil),
		"no key":            signing.Public{}.Verify([]byte("message"), sig),
	} {
		if bad {
			t.Errorf("%s verifies", name)
		}
	}
}

func TestWhatIsNoKeyIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "no PEM block; want a PUBLIC KEY"},
		"private":      {private, "the file holds a PRIVATE KEY; want a PUBLIC KEY"},
		"two":          {public + public, "several keys"},
		"damaged":      {strings.Replace(public, "MCow", "MCox", 1), "cannot be read"},
		"another kind": {"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE95PnigBVdvMxR0hM1R+cpzbZrptj\nBiQtFSBgk9vvCYa17iMJ+ZDKk9GbAcxrmOqNUHnH5hkXZJUNUblZKEzydg==\n-----END PUBLIC KEY-----\n", "no Ed25519 key"},
	} {
		if _, err := signing.ParsePublic([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := signing.ParsePrivate([]byte(public)); err == nil || !strings.Contains(err.Error(), "want a PRIVATE KEY") {
		t.Errorf("a public key as a private one: %v", err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if _, err := signing.ReadPublic(file); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte(public+strings.Repeat("\n", 20_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := signing.ReadPublic(file); err == nil || !strings.Contains(err.Error(), "larger than any key file") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestRetiredKeyIsNotGood(t *testing.T) {
	t.Parallel()
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	k := signing.Trusted{Until: until}
	if !k.Good(until.Add(-1)) || k.Good(until) || !(signing.Trusted{}).Good(until) {
		t.Error("a key is good before its end, and without one always")
	}
}
