// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/registry/objects"
)

// sourcesShown is what the metrics show of the sources. Those that are read where they lie are as old as what is in service.
func (k *keeper) sourcesShown(built time.Time) (out []metrics.Source) {
	a := k.current()
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, s := range k.sources {
		m := metrics.Source{Name: name, Success: s.success, Refused: map[string]int{}}
		for cause, n := range s.refused {
			m.Refused[string(cause)] = n
		}
		if k.dir == "" {
			m.Success = built
		}
		if a != nil {
			for i := range a.meta.Sources {
				if f := &a.meta.Sources[i]; f.Name == name || len(k.sources) == 1 { // a bundle's sources have names of their own
					m.Quarantined += f.Quarantined
				}
			}
		}
		out = append(out, m)
	}
	return out
}

// registryReport is the part of status about the registry.
type registryReport struct {
	Bundle  string          `json:"bundle,omitempty"` // digest; absent as long as there is none
	Created time.Time       `json:"created,omitzero"`
	Entries int             `json:"entries"`
	Sources []sourceHistory `json:"sources"`
}

// sourceHistory is how it goes with one source.
type sourceHistory struct {
	Name    string    `json:"name"`
	Digest  string    `json:"digest,omitempty"` // of the delivery in service
	Success time.Time `json:"last_success,omitzero"`
	Next    time.Time `json:"next,omitzero"` // when it is asked again
	Refused *refusal  `json:"refused,omitempty"`
	// Systems are the editorial systems of an XZuFi source.
	Systems map[string]*objects.System `json:"systems,omitempty"`
}

// refusal is the last delivery of a source, if it is not in service.
type refusal struct {
	Time   time.Time `json:"time"`
	Cause  string    `json:"cause"`
	Text   string    `json:"text"`
	Digest string    `json:"digest,omitempty"` // absent if nothing came
	Accept string    `json:"accept,omitempty"` // the command that accepts it; absent where none does
}

// status is nil without sources.
func (k *keeper) status(cfg *config.Config) *registryReport {
	if len(cfg.Bulk()) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r := &registryReport{}
	if a := k.applied; a != nil {
		r.Bundle, r.Created, r.Entries = a.digest.String(), a.meta.Created, a.meta.Entries()
	}
	bulk := cfg.Bulk()
	for i := range bulk {
		s := k.keptOf(bulk[i].Name.V)
		h := sourceHistory{Name: bulk[i].Name.V, Success: s.success}
		if bulk[i].Type.V == "xzufi" {
			if state, err := objects.ReadState(objectsFolder(cfg, h.Name)); err == nil { // else there is nothing to show
				h.Systems = state.Systems
			}
		}
		if s.good != nil {
			h.Digest = s.good.digest
		}
		if s.next != nil {
			h.Next = s.next()
		}
		if l := s.last; l != nil {
			h.Refused = &refusal{Time: l.at, Cause: string(l.cause), Text: l.text}
			if l.delivery != nil {
				h.Refused.Digest = l.delivery.digest
			}
			if !l.final {
				h.Refused.Accept = "pvgate reload --accept " + h.Refused.Digest
			}
		}
		r.Sources = append(r.Sources, h)
	}
	return r
}

// print shows the part of status in text.
func (r *registryReport) print(w io.Writer) {
	switch {
	case r == nil:
		return
	case r.Bundle == "":
		fmt.Fprintln(w, "registry     none yet: no source has delivered anything")
	default:
		fmt.Fprintf(w, "registry     %d entries, built %s, %.19s…\n", r.Entries, r.Created.Format("2006-01-02 15:04:05"), r.Bundle)
	}
	for _, s := range r.Sources {
		fmt.Fprintf(w, "  source     %-16s", s.Name)
		if s.Success.IsZero() {
			fmt.Fprint(w, " never read")
		} else {
			fmt.Fprintf(w, " read %s", s.Success.Format("2006-01-02 15:04:05"))
		}
		if !s.Next.IsZero() {
			fmt.Fprintf(w, ", asked again %s", s.Next.Format("2006-01-02 15:04:05"))
		}
		fmt.Fprintln(w)
		printSystems(w, &objects.State{Systems: s.Systems})
		if f := s.Refused; f != nil {
			fmt.Fprintf(w, "    refused  %s (%s): %s\n", f.Time.Format("2006-01-02 15:04:05"), f.Cause, f.Text)
			if f.Accept != "" {
				fmt.Fprintf(w, "             to accept it once: %s\n", f.Accept)
			}
		}
	}
}
