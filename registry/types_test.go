// SPDX-License-Identifier: EUPL-1.2

package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
)

func types(codes string) (t registry.Types) {
	for c := range strings.FieldsSeq(codes) {
		t |= registry.ParseType(c)
	}
	return t
}

func TestTypesAreASetOfCodes(t *testing.T) {
	t.Parallel()
	const all = "1 2 2a 2b 3 3a 3b 2/3 2/3a 2/3b 4 4a 4b 5 6 7 8 9 10 11 12"
	if got := types(all).Codes(); !slices.Equal(got, strings.Fields(all)) {
		t.Errorf("got %v", got)
	}
	if got := types("2a 13 2a 13b").Codes(); !slices.Equal(got, []string{"2a", "other"}) {
		t.Errorf("codes that are in no list: got %v", got)
	}
	if !types(all+" 99").Known() || registry.Types(1<<21).Known() {
		t.Error("a bit without a meaning is one with")
	}
}

// R13: only if all types that are known are mere information.
func TestNotAnApplication(t *testing.T) {
	t.Parallel()
	for codes, want := range map[string]bool{
		"": false, "6": true, "7": true, "10": true, "11": true, "12": true, "6 7 10 11 12": true,
		"1": false, "2": false, "5": false, "8": false, "9": false, "2/3a": false, "11 2b": false, "11 13": false, "13": false, "011": false,
	} {
		if got := types(codes).NotAnApplication(); got != want {
			t.Errorf("%q: got %v", codes, got)
		}
	}
}
