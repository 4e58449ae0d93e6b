// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest returns the member of known that got most likely was meant to be; ok
// is false when none is near enough to name.
func Nearest(got string, known []string) (near string, ok bool) {
	best := max(1, len(got)/3) + 1
	for _, k := range known {
		if d := distance(strings.ToLower(got), k, best); d < best {
			near, best, ok = k, d, true
		}
	}
	return near, ok
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b; limit when it is at least that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 128 {
		return limit
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}

// maxNamed bounds how many known names a message lists.
const maxNamed = 12

// Undefined is the text for a name that nothing defines: `backend "hesen" is
// not defined; did you mean "hessen"? (backends: …)`.
func Undefined(noun, got string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	list := strings.Join(known[:min(len(known), maxNamed)], ", ")
	if len(known) > maxNamed {
		list += fmt.Sprintf(" and %d more", len(known)-maxNamed)
	}
	if list == "" {
		list = "none"
	}
	if near, ok := Nearest(got, known); ok {
		return fmt.Sprintf("%s %q is not defined; did you mean %q? (%ss: %s)", noun, got, near, noun, list)
	}
	return fmt.Sprintf("%s %q is not defined; define it or use one of these (%ss: %s)", noun, got, noun, list)
}
