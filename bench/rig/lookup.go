// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/scripted"
)

const (
	lookupCitizens = 1000
	lookupKeys     = 50
	lookupUnknown  = 1000
	lookupTTL      = time.Second
	// lookupTimes is how many times longer than beside citizens who ask for what is in the table a request for such a key may
	// take at p99, beside as many who ask for what has to be looked up.
	lookupTimes = 2
	lookupTown  = "065340014014"
	// lookupRecovery is the longest pause of look-ups, and a bit.
	lookupRecovery = 70 * time.Second
)

// lookupFigures is what the lookup rig measured.
type lookupFigures struct {
	LookUps    uint64      `json:"look_ups"`
	Citizens   int         `json:"citizens"`
	Keys       int         `json:"keys"`
	Calls      int         `json:"calls"`
	MostOfKey  int         `json:"most_calls_for_a_key"`
	Times      int         `json:"ttls_that_have_begun"`
	Disturbed  int         `json:"disturbed_rounds_not_timed"`
	AloneUS    float64     `json:"bulk_p99_us_beside_bulk_keys"`
	BesideUS   float64     `json:"bulk_p99_us_beside_look_ups"`
	FrozenUS   float64     `json:"bulk_p99_us_source_frozen"`
	Known      uint64      `json:"answers_for_known_keys_while_it_fails"`
	Unknown    uint64      `json:"registry_unavailable_while_it_fails"`
	RecoveredS float64     `json:"recovered_after_s,omitempty"`
	Loops      loopFigures `json:"loops"`
}

// lookup has a thousand citizens ask for fifty keys that only a Suchdienst knows, which then fails in every way, and asks
// what those have of it who want what is in the table.
func lookup(ctx context.Context, b *bed) (any, error) {
	service := &scripted.Service{Delay: 20 * time.Millisecond, Descriptions: func(q scripted.Question) []scripted.Description {
		return []scripted.Description{{
			ID: "L100002.LB." + q.Leistung, Name: "Leistung " + q.Leistung, ARS: []string{q.Area}, LeikaKeys: []string{q.Leistung},
			OnlineServiceLinks: []scripted.Link{{Title: "Online", URI: "https://portal.example/" + q.Leistung}},
		}}
	}}
	listener, err := net.Listen("tcp", binary.AnyPort)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: service, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { service.Close(); _ = server.Close() }()
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: fmt.Sprintf("loops: 2\nlisten: [{address: %q, hosts: any}]\n"+
		"entries: [{leistung: \"99050012104000\", area: \"00\", url: \"https://www.example.org/gewerbe\"}]\n"+
		"sources: [{name: pvog, type: pvog, url: \"http://%s\", budget: 1000/s, lookup: {ttl: %v, negative_ttl: %v, timeout: 1s}}]\n",
		binary.AnyPort, listener.Addr(), lookupTTL, lookupTTL)})
	if err != nil {
		return nil, err
	}
	f := &lookupFigures{Citizens: lookupCitizens, Keys: lookupKeys}
	return f, end(p, f.measure(ctx, p, service))
}

// asking is a load that asks for the keys from first on, in turn.
func asking(p *binary.Process, first, keys int, rate float64, d time.Duration, want int) load.Options {
	o := load.Options{
		Address: netip.MustParseAddrPort(p.Address(0)), Conns: lookupCitizens, Rate: rate, Duration: d, WarmUp: d / 4, WantStatus: want, WantLength: -1,
	}
	for i := range keys {
		o.Requests = append(o.Requests, fmt.Appendf(nil, "GET /leistung/%s/%s HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n", lookupKey(first+i), lookupTown))
	}
	return o
}

func lookupKey(n int) string { return fmt.Sprintf("99%09d000", n) }

// inTable is a load of who wants what is in the table.
func inTable(p *binary.Process, conns int, rate float64, d time.Duration) load.Options {
	o := asking(p, 0, 1, rate, d, http.StatusSeeOther)
	o.Conns, o.Requests = conns, [][]byte{fmt.Appendf(nil, "GET /leistung/99050012104000/%s HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: rig\r\n\r\n", lookupTown)}
	return o
}

// together runs loads at once; none of their requests may fail.
func together(ctx context.Context, loads ...load.Options) ([]load.Result, error) {
	results, failed := make([]load.Result, len(loads)), make([]error, len(loads))
	var running sync.WaitGroup
	for i, o := range loads {
		running.Go(func() {
			results[i], failed[i] = load.Run(ctx, o)
			failed[i] = errors.Join(failed[i], results[i].Err())
		})
	}
	running.Wait()
	return results, errors.Join(failed...)
}

func (f *lookupFigures) measure(ctx context.Context, p *binary.Process, service *scripted.Service) error {
	rounds, span, rate := 1, time.Second/2, 1000.
	if proof.Full() {
		rounds, span, rate = 10, 4*time.Second, 2500
	}
	// Whoever asks first waits; connections are opened.
	start := time.Now()
	if _, err := together(ctx, asking(p, 0, lookupKeys, rate, span/2, http.StatusSeeOther)); err != nil {
		return err
	}
	before, err := takeReading(p)
	if err != nil {
		return err
	}
	var alone, beside load.Result
	for round := 0; round-f.Disturbed < rounds; round++ {
		if round == timedTries*rounds {
			return errDisturbed
		}
		stolen, err := theft()
		if err != nil {
			return err
		}
		was, err := together(ctx, inTable(p, 16, healthyRate, span), inTable(p, lookupCitizens, rate, span))
		if err != nil {
			return err
		}
		is, err := together(ctx, inTable(p, 16, healthyRate, span), asking(p, 0, lookupKeys, rate, span, http.StatusSeeOther))
		if err != nil {
			return err
		}
		f.LookUps += is[1].Good
		f.Loops.Requests += was[0].Good + was[1].Good + is[0].Good + is[1].Good
		if share, err := stolen(); err != nil {
			return err
		} else if share > mostStolen && proof.Full() {
			f.Disturbed++
			continue
		}
		alone.Add(&was[0])
		beside.Add(&is[0])
	}
	f.Times = int(time.Since(start)/lookupTTL) + 1
	for i := range lookupKeys {
		n := service.Calls(scripted.Question{Leistung: lookupKey(i), Area: lookupTown})
		f.Calls, f.MostOfKey = f.Calls+n, max(f.MostOfKey, n)
	}
	frozen, err := f.outage(ctx, p, service, rate/2, span)
	if err != nil {
		return err
	}
	after, err := takeReading(p)
	if err != nil {
		return err
	}
	return errors.Join(f.judge(&alone, &beside, frozen), judgeLoops(before, after, &f.Loops))
}

// outage lets the service fail in one way after the other. Known keys are answered, unknown ones are nobody's fault but
// the registry's; it returns what those got who want what is in the table while it is frozen.
func (f *lookupFigures) outage(ctx context.Context, p *binary.Process, service *scripted.Service, rate float64, span time.Duration) (*load.Result, error) {
	// Those who wait when it freezes are answered in one moment of a round: one round alone says little about it.
	faults := []scripted.Fault{scripted.Frozen, scripted.Frozen, scripted.Frozen, scripted.Broken, scripted.Busy, scripted.BusyBare, scripted.HTML, scripted.Text, scripted.Drip}
	if !proof.Full() {
		faults = faults[:1]
	}
	var frozen load.Result
	for i, fault := range faults {
		time.Sleep(lookupTTL) // known answers become old
		stolen, err := theft()
		if err != nil {
			return nil, err
		}
		service.Be(fault)
		unknown := lookupKeys + 2*i*lookupUnknown
		r, err := together(ctx, inTable(p, 16, healthyRate, span), asking(p, 0, lookupKeys, rate, span, http.StatusSeeOther),
			asking(p, unknown, lookupUnknown, rate, span, http.StatusServiceUnavailable))
		if err != nil {
			return nil, fmt.Errorf("the service is %v: %w", fault, err)
		}
		if share, err := stolen(); err != nil {
			return nil, err
		} else if fault == scripted.Frozen && share > mostStolen && proof.Full() {
			f.Disturbed++
		} else if fault == scripted.Frozen {
			frozen.Add(&r[0])
		}
		f.Known += r[1].Good
		f.Unknown += r[2].Good
		f.Loops.Requests += r[0].Good + r[1].Good + r[2].Good
		if service.Be(scripted.Well); len(faults) > 1 {
			if err := f.recovers(ctx, p, unknown+lookupUnknown); err != nil {
				return nil, fmt.Errorf("the service was %v: %w", fault, err)
			}
		}
	}
	if frozen.Good == 0 {
		return nil, errDisturbed
	}
	return &frozen, nil
}

// recovers waits until keys from first on are looked up again.
func (f *lookupFigures) recovers(ctx context.Context, p *binary.Process, first int) error {
	start := time.Now()
	for i := 0; time.Since(start) < lookupRecovery; i++ {
		o := asking(p, first+i, 1, 0, 0, 0)
		o.Conns, o.Count = 1, 1
		r, err := load.Run(ctx, o)
		if err != nil {
			return err
		}
		if r.Statuses[3] == 1 {
			f.RecoveredS = max(f.RecoveredS, time.Since(start).Seconds())
			return nil
		}
		time.Sleep(lookupTTL / 4)
	}
	return fmt.Errorf("after %v it is not asked again", lookupRecovery)
}

func (f *lookupFigures) judge(alone, beside, frozen *load.Result) error {
	p99 := func(r *load.Result) time.Duration { return r.Latency.Quantile(.99) }
	f.AloneUS, f.BesideUS, f.FrozenUS = float64(p99(alone))/1e3, float64(p99(beside))/1e3, float64(p99(frozen))/1e3
	bound := lookupTimes * p99(alone)
	if !proof.Full() {
		bound += slowNoise
	}
	var err error
	if worst := max(p99(beside), p99(frozen)); worst > bound {
		err = fmt.Errorf("keys of the table take %v at p99 beside look-ups, %v beside others", worst, p99(alone))
	}
	if f.MostOfKey > f.Times {
		err = errors.Join(err, fmt.Errorf("%d calls for one key in %d times of %v", f.MostOfKey, f.Times, lookupTTL))
	}
	return err
}
