// SPDX-License-Identifier: EUPL-1.2

//go:build !amd64

package message

// Prefix returns how many leading octets belong to the class.
func (c Class) Prefix(b []byte) int {
	n := 0
	for n < len(b) && c.Has(b[n]) {
		n++
	}
	return n
}
