// SPDX-License-Identifier: EUPL-1.2

package binary_test

import (
	"reflect"
	"testing"

	"github.com/pvgate/pvgate/bench/binary"
)

func TestAddressesIn(t *testing.T) {
	output := `{"time":"2026-11-22T03:00:00Z","level":"INFO","msg":"snapshot in service"}
pvgate: listening on http://127.0.0.1:38913 (listener 0)
pvgate: listening on https://[::1]:40001 (listener 1)
`
	want := binary.Addresses{Listeners: []string{"127.0.0.1:38913", "[::1]:40001"}}
	if got := binary.AddressesIn([]byte(output)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want.Admin = "127.0.0.1:9180"
	if got := binary.AddressesIn([]byte(output + "pvgate: admin on http://127.0.0.1:9180\n")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
