// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// View is the bytes of a section as values of T, where they lie: nothing is copied, and writing to them is forbidden. T is
// a number of fixed size, or an array or struct of such without gaps. It is the form of memory that the file has on
// machines with little-endian numbers; on others View is an error.
func View[T any](data []byte) ([]T, error) {
	size, err := fixed[T]()
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, nil
	}
	if len(data)%size != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of values of %d bytes", len(data), size)
	}
	start := unsafe.Pointer(unsafe.SliceData(data))
	if uintptr(start)%unsafe.Alignof(*new(T)) != 0 {
		return nil, fmt.Errorf("the bytes do not begin where a value of %d bytes may", size)
	}
	return unsafe.Slice((*T)(start), len(data)/size), nil
}

// Bytes is the way back: values of T as the bytes of a section. It panics where [View] has an error.
func Bytes[T any](values []T) []byte {
	size, err := fixed[T]()
	if err != nil {
		panic("bundle: " + err.Error())
	}
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*size)
}

// fixed is the size of a T, which every file of this form has it with.
func fixed[T any]() (int, error) {
	t := reflect.TypeFor[T]()
	if one := uint16(1); *(*byte)(unsafe.Pointer(&one)) != 1 {
		return 0, errors.New("this machine's numbers are big-endian; bundles are for little-endian ones")
	}
	n := plain(t)
	if n == 0 || uintptr(n) != t.Size() {
		return 0, fmt.Errorf("%v has no fixed form without gaps", t)
	}
	return n, nil
}

// plain is the sum of the sizes of the numbers in a type; 0 if anything else is in it.
func plain(t reflect.Type) int {
	switch t.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(t.Size())
	case reflect.Array:
		return t.Len() * plain(t.Elem())
	case reflect.Struct:
		sum := 0
		for i := range t.NumField() {
			n := plain(t.Field(i).Type)
			if n == 0 {
				return 0
			}
			sum += n
		}
		return sum
	default:
		return 0
	}
}

// aligned is n bytes that begin at a multiple of [Align].
func aligned(n int) []byte {
	raw := make([]byte, n+Align-1)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & (Align - 1)
	return raw[skip : int(skip)+n : int(skip)+n]
}

// isAligned says whether data begins where [aligned] begins.
func isAligned(data []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(data)))&(Align-1) == 0
}
