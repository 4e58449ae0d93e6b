// SPDX-License-Identifier: EUPL-1.2

package message

// All reports whether every octet belongs to the class; an empty slice does.
func (c Class) All(b []byte) bool { return c.Prefix(b) == len(b) }
