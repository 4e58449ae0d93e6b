// SPDX-License-Identifier: EUPL-1.2

package source

import (
	"errors"
	"os"
)

// Replace writes a file that is whole from the moment it has its name: who reads it meanwhile has the old one. Only its owner
// may read it.
func Replace(path string, text []byte) error {
	unfinished := path + ".new"
	f, err := os.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync() // a name that outlives a power cut has its content
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(unfinished, path)
	}
	if err != nil {
		_ = os.Remove(unfinished) // the fault itself is what there is to say
	}
	return err
}
