// SPDX-License-Identifier: EUPL-1.2

package huffman_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/huffman"
)

// FuzzAppend compares with another decoder, and decodes what that one's sibling encodes.
func FuzzAppend(f *testing.F) {
	f.Add([]byte("www.example.com"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, in []byte) {
		coded := hpack.AppendHuffmanString(nil, string(in))
		if got, ok := huffman.Append([]byte("kept"), coded); !ok || string(got) != "kept"+string(in) {
			t.Errorf("% x: got %q, %v", coded, got, ok)
		}
		var want bytes.Buffer
		_, err := hpack.HuffmanDecode(&want, in)
		got, ok := huffman.Append(nil, in)
		if ok != (err == nil) || ok && !bytes.Equal(got, want.Bytes()) {
			t.Errorf("% x: got %q, %v; want %q, %v", in, got, ok, want.Bytes(), err)
		}
	})
}
