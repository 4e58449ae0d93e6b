// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// A ticket is: the name of its key, a nonce, and the sealed session state. What is sealed is also bound, as associated
// data, to the server name of the connection it was given out on and to the policy of its listener.
const (
	keyNameSize = 8
	subkeySize  = 16 // the part of the nonce from which the ticket's own key is derived
	gcmNonce    = 12
	ticketHead  = keyNameSize + subkeySize + gcmNonce
)

// KeySize is the size of a [Key] in bytes.
const KeySize = 32

// MaxKeys bounds how many keys open tickets at a time.
const MaxKeys = 16

// Key seals session tickets. Processes and nodes that share it resume each other's sessions.
type Key [KeySize]byte

// Tickets seals and opens session tickets. The zero value has no key and issues none; use [NewTickets]. Safe for
// concurrent use.
type Tickets struct {
	keys atomic.Pointer[[]ticketKey]
}

type ticketKey struct {
	key  Key
	name [keyNameSize]byte // tells which key opens a ticket; public
}

// NewTickets returns tickets with one random key, which nobody else has.
func NewTickets() *Tickets {
	t := new(Tickets)
	t.keys.Store(&[]ticketKey{nameKey(randomKey())})
	return t
}

// Set replaces all keys: the first seals, all open.
func (t *Tickets) Set(keys ...Key) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%d ticket keys; want 1 to %d", len(keys), MaxKeys)
	}
	named := make([]ticketKey, len(keys))
	for i, k := range keys {
		named[i] = nameKey(k)
	}
	t.keys.Store(&named)
	return nil
}

// Keys returns the keys: the first seals, all open.
func (t *Tickets) Keys() []Key {
	named := t.keys.Load()
	if named == nil {
		return nil
	}
	keys := make([]Key, len(*named))
	for i := range *named {
		keys[i] = (*named)[i].key
	}
	return keys
}

// Rotate puts a random key in front and keeps the one that sealed until now, for opening.
func (t *Tickets) Rotate() {
	keys := []ticketKey{nameKey(randomKey())}
	if old := t.keys.Load(); old != nil && len(*old) > 0 {
		keys = append(keys, (*old)[0])
	}
	t.keys.Store(&keys)
}

func randomKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

func nameKey(k Key) ticketKey {
	sum := sha256.Sum256(append([]byte("pvgate ticket key name\x00"), k[:]...))
	return ticketKey{key: k, name: [keyNameSize]byte(sum[:])}
}

// aead returns the cipher of one ticket. Each has a key of its own, so that random nonces may be drawn without a limit
// on how many tickets a key seals.
func (k *ticketKey) aead(salt []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write(salt)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// binding is what a ticket is good for, besides its key: one server name under one policy. Host names have no NUL.
func binding(policy, serverName string) []byte {
	return []byte("pvgate ticket\x00" + strings.ToLower(serverName) + "\x00" + policy)
}

var errNoKeys = errors.New("no ticket keys")

func (t *Tickets) seal(policy string, cs *tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	keys := t.keys.Load()
	if keys == nil {
		return nil, errNoKeys
	}
	state, err := ss.Bytes()
	if err != nil {
		return nil, err
	}
	k := &(*keys)[0]
	out := make([]byte, ticketHead, ticketHead+len(state)+16)
	copy(out, k.name[:])
	_, _ = rand.Read(out[keyNameSize:])
	aead, err := k.aead(out[keyNameSize : keyNameSize+subkeySize])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[keyNameSize+subkeySize:], state, binding(policy, cs.ServerName)), nil
}

// open returns nil for a ticket that is not ours, or not for this server name and policy: then the handshake is a full
// one.
func (t *Tickets) open(policy string, cs *tls.ConnectionState, ticket []byte) *tls.SessionState {
	keys := t.keys.Load()
	if keys == nil || len(ticket) < ticketHead {
		return nil
	}
	i := slices.IndexFunc(*keys, func(k ticketKey) bool { return string(k.name[:]) == string(ticket[:keyNameSize]) })
	if i < 0 {
		return nil
	}
	aead, err := (*keys)[i].aead(ticket[keyNameSize : keyNameSize+subkeySize])
	if err != nil {
		return nil
	}
	state, err := aead.Open(nil, ticket[keyNameSize+subkeySize:ticketHead], ticket[ticketHead:], binding(policy, cs.ServerName))
	if err != nil {
		return nil
	}
	ss, err := tls.ParseSessionState(state)
	if err != nil {
		return nil
	}
	return ss
}

// bind makes a configuration use these tickets.
func (t *Tickets) bind(c *tls.Config, policy string) {
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) { return t.seal(policy, &cs, ss) }
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		return t.open(policy, &cs, ticket), nil
	}
}
