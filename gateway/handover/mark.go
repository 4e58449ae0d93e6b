// SPDX-License-Identifier: EUPL-1.2

package handover

// MarkSize is the length of a mark, bytes.
const MarkSize = (macSize*8 + 5) / 6

// Marks are texts that name an endpoint of a backend to us and to nobody else: one for each key, that of the key that signs
// first. All clients of an endpoint have the same, so they name no person.
func (k *Keys) Marks(backend, endpoint string) (marks [][]byte) {
	// No context begins so: its first octet is its version.
	text := append([]byte("mark\x00"+backend+"\x00"), endpoint...)
	for i := range k.keys {
		whole, _ := k.keys[i].Sum(text, nil)
		marks = append(marks, encoding.AppendEncode(nil, whole[:macSize]))
	}
	return marks
}
