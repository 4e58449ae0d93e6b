// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clientID is the destination connection id of all examples in RFC 9001, appendix A.
const clientID = "8394c8f03e515708"

func TestInitialKeysAreThoseOfAppendixA1(t *testing.T) {
	t.Parallel()
	client, server, err := initialSecrets(unhex(t, clientID))
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range []struct {
		secret        []byte
		want, key, iv string
	}{
		{client, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea", "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c"},
		{server, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b", "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e"},
	} {
		if got := hex.EncodeToString(side.secret); got != side.want {
			t.Errorf("secret %s, want %s", got, side.want)
		}
		p, err := protect(tls.TLS_AES_128_GCM_SHA256, side.secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(p.iv[:]); got != side.iv {
			t.Errorf("iv %s, want %s", got, side.iv)
		}
		key, err := expandLabel(hashOf(p.suite), side.secret, "quic key", keyLength(p.suite))
		if err != nil || hex.EncodeToString(key) != side.key {
			t.Errorf("key %x (%v), want %s", key, err, side.key)
		}
	}
	p, err := protect(tls.TLS_AES_128_GCM_SHA256, client)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.mask(unhex(t, "d1b1c98dd7689fb8ec11d242b123dc9b")); hex.EncodeToString(got[:]) != "437b9aec36" {
		t.Errorf("mask %x, want that of appendix A.2", got)
	}
}

// TestServerInitialOfAppendixA3 seals it and opens it again.
func TestServerInitialOfAppendixA3(t *testing.T) {
	t.Parallel()
	_, secret, err := initialSecrets(unhex(t, clientID))
	if err != nil {
		t.Fatal(err)
	}
	p, err := protect(tls.TLS_AES_128_GCM_SHA256, secret)
	if err != nil {
		t.Fatal(err)
	}
	payload := unhex(t, "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304")
	header := unhex(t, "c1000000010008f067a5502a4262b50040750001")
	want := unhex(t, "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee")
	packet := p.seal(bytes.Clone(header), 2, 1, payload)
	if !bytes.Equal(packet, want) {
		t.Fatalf("sealed\n%x, want\n%x", packet, want)
	}
	number, length, err := p.reveal(packet, len(header)-2)
	if err != nil || number != 1 || length != 2 {
		t.Fatalf("number %d of %d octets (%v)", number, length, err)
	}
	if got, err := p.open(packet[:len(header)], packet[len(header):], number); err != nil || !bytes.Equal(got, payload) {
		t.Errorf("opened %x (%v)", got, err)
	}
}

func TestRetryTagOfAppendixA4(t *testing.T) {
	t.Parallel()
	retry := unhex(t, "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
	body := retry[:len(retry)-tagLength]
	if got, err := retryTag(unhex(t, clientID), body); err != nil || !bytes.Equal(got[:], retry[len(body):]) {
		t.Errorf("tag %x (%v), want %x", got, err, retry[len(body):])
	}
}

func TestChaChaPacketOfAppendixA5(t *testing.T) {
	t.Parallel()
	p, err := protect(tls.TLS_CHACHA20_POLY1305_SHA256, unhex(t, "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(p.seal(unhex(t, "4200bff4"), 3, 654360564, []byte{framePing})); got != "4cfe4189655e5cd55c41f69080575d7999c25a5bfb" {
		t.Errorf("sealed %s", got)
	}
	n, err := p.next()
	if err != nil || hex.EncodeToString(n.secret) != "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9" {
		t.Errorf("updated secret %x (%v)", n.secret, err)
	}
}
