// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/signing"
)

// judge says whose the signatures in routes.d are. It is for one load.
type judge struct {
	now    time.Time
	owners []knownOwner // nil until the first signature is seen
}

// knownOwner is an owner with the keys that are trusted.
type knownOwner struct {
	name string
	area config.Text
	keys signing.Keys
}

// owner is config's question: who signed this folder, and is it as it was signed?
func (j *judge) owner(c *config.Config, f *config.Folder) (config.Seal, config.Errors) {
	var errs config.Errors
	if j.owners == nil {
		errs = j.readKeys(c)
	}
	m, text, sigs, err := signing.ParseManifest(f.Signature)
	if err != nil {
		line, what, _ := strings.Cut(err.Error(), ": ")
		at := f.At
		at.Line, _ = strconv.Atoi(line) // always the first word
		return config.Seal{}, append(errs, config.At(at, "%s: pvgate config sign %s --key KEY", what, f.Name))
	}
	seal, err := j.find(text, sigs)
	if err != nil {
		return config.Seal{}, append(errs, config.At(f.At, "%v; an owner signs the folder by pvgate config sign %s --key KEY (owners: %s)", err, f.Name, j.names()))
	}
	seal.Created = m.Created
	return seal, append(errs, compareFiles(f, &m, seal.Owner)...)
}

// readKeys reads the keys of all owners. Each belongs to one.
func (j *judge) readKeys(c *config.Config) (errs config.Errors) {
	j.owners = []knownOwner{}
	whose := map[signing.Public]string{}
	for i := range c.Root.Ownership.Owners {
		o := &c.Root.Ownership.Owners[i]
		if o.V.Keys.V == "" || o.Name.V == "" {
			continue // reported
		}
		keys, err := signing.ReadKeys(c.Resolve(o.V.Keys.V))
		if err != nil {
			errs = append(errs, config.At(o.V.Keys.Origin, "keys of owner %s: %v", o.Name.V, plain(err)))
			continue
		}
		for _, k := range keys.All() {
			if other, twice := whose[k.Key]; twice {
				errs = append(errs, config.At(o.V.Keys.Origin, "key %q of owner %s is owner %s's too; each owner signs with keys of its own", k.Name, o.Name.V, other))
			}
			whose[k.Key] = o.Name.V
		}
		j.owners = append(j.owners, knownOwner{o.Name.V, o.V.Area, keys})
	}
	return errs
}

// find is the one owner whose signature counts; otherwise the nearest miss.
func (j *judge) find(text []byte, sigs []signing.Signature) (seal config.Seal, miss error) {
	miss = signing.ErrUnsigned
	if len(sigs) > 0 {
		miss = errors.New("signed by " + sigs[0].Key + ", which is no owner's key")
	}
	for i := range j.owners {
		o := &j.owners[i]
		k, err := o.keys.Verify(text, sigs, j.now)
		switch {
		case err == nil && seal.Owner != "":
			return config.Seal{}, errors.New("owner " + seal.Owner + " and owner " + o.name + " have both signed it; a folder has one owner")
		case err == nil:
			seal = config.Seal{Owner: o.name, Key: k.Name, Until: k.Until}
		case errors.Is(err, signing.ErrBroken), errors.Is(err, signing.ErrRetired):
			miss = errors.New("owner " + o.name + ": " + err.Error())
		}
	}
	if seal.Owner != "" {
		return seal, nil
	}
	return seal, miss
}

func (j *judge) names() string {
	var names []string
	for i := range j.owners {
		names = append(names, j.owners[i].name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// compareFiles holds that a folder has exactly the files that were signed.
func compareFiles(f *config.Folder, m *signing.Manifest, owner string) (errs config.Errors) {
	signed := day(m.Created)
	fail := func(file, what string) {
		at := config.Origin{Where: config.FromFile, Name: path.Join(f.Name, file), Line: 1, Col: 1}
		errs = append(errs, config.At(at, "%s; owner %s signed the folder on %s: undo the change, or let owner %s sign it again (pvgate config sign %s --key KEY)", what, owner, signed, owner, f.Name))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		switch sum, ok := m.Files[name]; {
		case !ok:
			fail(name, "the file was not there when its folder was signed")
		case sum != signing.Digest(f.Files[name]):
			fail(name, "the file is not as it was signed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if _, ok := f.Files[name]; !ok {
			fail(name, "the file is gone")
		}
	}
	return errs
}
