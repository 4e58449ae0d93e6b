// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/admin"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/routing"
)

// question is what explain is asked, as text: the verb's flags and the admin listener's parameters alike.
type question struct {
	leistung string
	ars, ags string
	area     string // either of them
	at       string // "" = now
	sender   string
	lang     string
}

func questionOf(q url.Values) (question, error) {
	known := map[string]bool{"leistung": true, "ars": true, "ags": true, "area": true, "at": true, "sender": true, "lang": true}
	for k, v := range q {
		if !known[k] {
			return question{}, fmt.Errorf("parameter %q is unknown; known: leistung ars ags area at sender lang", k)
		}
		if len(v) != 1 {
			return question{}, fmt.Errorf("parameter %q is given %d times", k, len(v))
		}
	}
	return question{q.Get("leistung"), q.Get("ars"), q.Get("ags"), q.Get("area"), q.Get("at"), q.Get("sender"), q.Get("lang")}, nil
}

func (q *question) values() url.Values {
	v := url.Values{}
	for k, s := range map[string]string{"leistung": q.leistung, "ars": q.ars, "ags": q.ags, "area": q.area, "at": q.at, "sender": q.sender, "lang": q.lang} {
		if s != "" {
			v.Set(k, s)
		}
	}
	return v
}

// unanswered is a question that ends before the table is asked: the key or the area is wrong. It is shown in the form
// of an explanation.
type unanswered struct {
	code reason.Code
	err  error
}

func (u *unanswered) Error() string { return u.err.Error() }

// MarshalJSON writes the verdict in explain's form.
func (u *unanswered) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"verdict": map[string]any{"reason": u.code.String(), "status": u.code.Status(), "fault": u.code.Fault().String(), "detail": u.err.Error()},
		"exit":    1,
	})
}

// lookUp asks all sources that are looked up in for a key; an error is why one has nothing to say.
type lookUp struct {
	routes      func(lookup.Key) (routing.Lookup, error)
	destination func(lookup.Key) (lookup.Context, error) // nil: nobody knows destinations
}

// explain answers a question from the routes of a configuration. live and look are nil offline, where nothing is looked up.
// The error is an *unanswered if the question has a verdict but no explanation, else the asker's mistake.
func explain(cfg *config.Config, rt *routes, q *question, now time.Time, live *routing.Live, look *lookUp) (*routing.Explanation, error) {
	query := routing.Query{At: now, Sender: q.sender, Lang: q.lang}
	asked := routing.Asked{Now: q.at == "", Live: live}
	if q.at != "" {
		at, err := registry.ParseTime(q.at)
		if err != nil || at.IsZero() {
			return nil, fmt.Errorf("at %q is no moment; write 2026-12-31, 2026-12-31T18:00 or with a zone", q.at)
		}
		query.At = at
	}
	if q.sender == "direct" {
		query.Sender = ""
	} else if _, ok := cfg.Root.Senders.Find(q.sender); q.sender != "" && !ok {
		return nil, fmt.Errorf("sender %q is not configured", q.sender)
	}
	if q.lang != "" {
		l, ok := pages.Language(q.lang)
		if !ok {
			return nil, fmt.Errorf("lang %q is not spoken here; de or en", q.lang)
		}
		query.Lang = l.String()
	}
	leistung, err := registry.ParseLeistung(q.leistung)
	if err != nil {
		return nil, &unanswered{reason.InvalidLeistung, err}
	}
	query.Leistung = leistung
	key, given, err := q.areaKey()
	if err != nil {
		return nil, err
	}
	if key != "" {
		place, err := rt.areas.Locate(key, query.At, registry.LocateOptions{Direct: query.Sender == "" && live != nil})
		if err != nil {
			return nil, &unanswered{ofPlace(err), err}
		}
		query.Area, asked.Place, asked.Given = place.ID, place, given
	}
	e := rt.table.Explain(&query, asked)
	if look == nil {
		return e, nil
	}
	return look.explain(rt, e)
}

// explain goes on with an explanation until nothing has to be looked up any more.
func (l *lookUp) explain(rt *routes, e *routing.Explanation) (*routing.Explanation, error) {
	query, table, area := e.Query, rt.table, rt.areas.ARS(e.Query.Area)
	var said []routing.Lookup
	for e.Decision.Verdict == routing.Pending {
		found, err := l.routes(lookup.Key{Leistung: e.Decision.Key, Area: area})
		if err != nil {
			return nil, &unanswered{reason.RegistryUnavailable, err}
		}
		said = append(said, found)
		table = rt.table.With(query.Area, said)
		e = table.Explain(&query, e.Asked)
	}
	if l.destination == nil || area.Level() != registry.LevelGemeinde || !table.WantsDestination(&query, &e.Decision) {
		return e, nil
	}
	key := lookup.Key{Leistung: e.Decision.Key, Area: area}
	if key.Leistung.IsZero() {
		key.Leistung = query.Leistung
	}
	to, err := l.destination(key)
	if err != nil {
		return nil, &unanswered{reason.RegistryUnavailable, err}
	}
	asked := e.Asked
	if query.Destination = to.DestinationID; query.Destination != "" {
		asked.Authority = &routing.Authority{
			Destination: to.DestinationID, Name: to.Authority, Imprint: to.Imprint, Privacy: to.Privacy, Accessibility: to.Accessibility,
			Area: to.Area.String(), From: to.Origin.Source,
		}
	}
	return table.Explain(&query, asked), nil
}

// areaKey is the one area that was named, and how.
func (q *question) areaKey() (key, given string, err error) {
	n := 0
	for _, s := range []string{q.ars, q.ags, q.area} {
		if s != "" {
			n++
			key = s
		}
	}
	if n > 1 {
		return "", "", errors.New("the area is named more than once; use one of ars, ags and area")
	}
	if q.ags != "" || q.area != "" && len(key) == 8 {
		given = key
	}
	if q.ags != "" && len(q.ags) != 2 && len(q.ags) != 3 && len(q.ags) != 5 && len(q.ags) != 8 {
		return "", "", fmt.Errorf("ags %q has %d digits; an AGS has 2, 3, 5 or 8", q.ags, len(q.ags))
	}
	if q.ars != "" && len(q.ars) == 8 {
		return "", "", fmt.Errorf("ars %q has 8 digits; that is an AGS", q.ars)
	}
	return key, given, nil
}

// explain answers the admin listener.
func (s *service) explain(ctx context.Context, values url.Values) (any, error) {
	q, err := questionOf(values)
	if err != nil {
		return nil, &admin.BadQuery{Err: err}
	}
	l, built, _ := s.now()
	e, err := explain(l.cfg, l.routes, &q, time.Now(), &routing.Live{Snapshot: l.snapshot.ID, Since: built}, l.lookUp(ctx))
	if un := (*unanswered)(nil); errors.As(err, &un) {
		return un, nil
	}
	if err != nil {
		return nil, &admin.BadQuery{Err: err}
	}
	if e.Decision.Verdict == routing.Handover {
		e.Asked.Live.Limits = s.liveLimits(l, int(e.Decision.Backend))
	}
	return e, nil
}

// lookUp asks the caches that requests ask.
func (l *live) lookUp(ctx context.Context) *lookUp {
	ask := func(k lookup.Key, context bool, heard func(*plannedLookup, *lookup.Answer)) error {
		for i, open := range l.lookups {
			p := &l.routes.lookups[i]
			if p.context() != context {
				continue
			}
			a, r := open.cache.Look(ctx, k)
			if a == nil {
				return fmt.Errorf("source %q was asked for %s at %s, in vain (%s)", p.conf.Name.V, k.Leistung, k.Area, r)
			}
			heard(p, a)
		}
		return nil
	}
	look := &lookUp{routes: func(k lookup.Key) (routing.Lookup, error) {
		found := routing.Lookup{Leistung: k.Leistung}
		err := ask(k, false, func(p *plannedLookup, a *lookup.Answer) {
			found.Rows = append(found.Rows, routing.LookupRows{Source: p.place, Entries: a.Entries})
		})
		return found, err
	}}
	if slices.ContainsFunc(l.routes.lookups, func(p plannedLookup) bool { return p.context() }) {
		look.destination = func(k lookup.Key) (lookup.Context, error) {
			var answers []*lookup.Answer
			err := ask(k, true, func(_ *plannedLookup, a *lookup.Answer) { answers = append(answers, a) })
			return lookup.Destination(answers...), err
		}
	}
	return look
}

// liveLimits reads what a backend's limits are used.
func (s *service) liveLimits(l *live, backend int) []routing.LiveLimit {
	if backend >= len(l.snapshot.Backends) {
		return nil // an implicit backend has no limits
	}
	b := &l.snapshot.Backends[backend]
	u, granted := b.Limiter.Usage(s.server.Mono()), l.limits[b.Name]
	var out []routing.LiveLimit
	if !granted.Rate.Unlimited() {
		out = append(out, routing.LiveLimit{Kind: "rate", Limit: l.routes.backends[backend].conf.Limits.Rate.V.String(), Used: u.RateUsed})
	}
	if granted.InFlight > 0 {
		out = append(out, routing.LiveLimit{Kind: "in_flight", Limit: fmt.Sprint(granted.InFlight), Used: float64(u.InFlight) / float64(granted.InFlight)})
	}
	return out
}

func newExplain() *cobra.Command {
	var (
		flags adminFlags
		out   output
		q     question
		place string
		demo  bool
		live  bool
	)
	cmd := &cobra.Command{
		Use:   "explain LEISTUNG [--ars ARS | --ags AGS | --area KEY | --place NAME]",
		Short: "Say who answers a Leistung in an area, and why nobody else",
		Long: "explain runs the same code as a request, on the configuration's files (or with --live on the running gateway),\n" +
			"and shows every candidate with the reason why it lost. It exits 0 with a target, 1 without, 2 if the question is wrong.",
		Args: cobra.ExactArgs(1),
	}
	flags.register(cmd)
	out.flag(cmd)
	f := cmd.Flags()
	f.StringVar(&q.ars, "ars", "", "area by Amtlicher Regionalschlüssel: 2, 3, 5, 9 or 12 digits; 00 is the Bund")
	f.StringVar(&q.ags, "ags", "", "area by Amtlicher Gemeindeschlüssel: 2, 3, 5 or 8 digits")
	f.StringVar(&q.area, "area", "", "area by either")
	f.StringVar(&place, "place", "", "area by name; several hits are listed")
	f.StringVar(&q.at, "at", "", "moment: 2026-12-31, 2026-12-31T18:00 (Europe/Berlin) or RFC 3339; absent: now")
	f.StringVar(&q.sender, "sender", "", "portal that asks; absent: direct")
	f.StringVar(&q.lang, "lang", "", "language of the link: de or en; absent: de")
	f.BoolVar(&demo, "demo", false, "ask the registry of \"pvgate demo\" instead of a configuration")
	f.BoolVar(&live, "live", false, "ask the running gateway; shows limits in use")
	cmd.MarkFlagsMutuallyExclusive("ars", "ags", "area", "place")
	cmd.MarkFlagsMutuallyExclusive("demo", "live")
	cmd.MarkFlagsMutuallyExclusive("demo", "config")
	cmd.RunE = verb(func(cmd *cobra.Command, args []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}
		q.leistung = args[0]
		if live {
			return explainLive(cmd, &flags, &q)
		}
		load := flags.config.load
		if demo {
			dir, err := os.MkdirTemp("", "pvgate-demo-")
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			defer os.RemoveAll(dir)
			load = func() (*config.Config, error) { return loadDemo(dir) }
		}
		return explainOffline(cmd, load, &q, place, asJSON)
	})
	return cmd
}

func explainOffline(cmd *cobra.Command, load func() (*config.Config, error), q *question, place string, asJSON bool) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	rt, err := buildRoutes(cmd.Context(), cfg, onlooker())
	if err != nil {
		return err
	}
	if place != "" {
		key, err := findPlace(cmd, rt.areas, place)
		if err != nil {
			return err
		}
		q.area = key
	}
	e, err := explain(cfg, rt, q, time.Now(), nil, nil)
	w := cmd.OutOrStdout()
	if un := (*unanswered)(nil); errors.As(err, &un) {
		if asJSON {
			err = writeJSON(w, un)
		} else {
			_, err = fmt.Fprintf(w, "✗ %s %d   %v\n", un.code, un.code.Status(), un.err)
		}
		return errors.Join(err, &exitError{code: exitFailed})
	}
	if err != nil {
		return usage("%v", err)
	}
	if asJSON {
		err = writeJSON(w, e)
	} else {
		err = e.WriteText(w)
	}
	if err != nil {
		return err
	}
	if code := e.Exit(); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// findPlace returns the key of the one area of a name; several are listed.
func findPlace(cmd *cobra.Command, areas *registry.Areas, name string) (string, error) {
	hits := areas.Search(name, time.Now(), 20)
	var exact []registry.AreaID
	for _, id := range hits {
		if n := areas.Area(id).Name; strings.EqualFold(n, name) || strings.HasPrefix(strings.ToLower(n), strings.ToLower(name)+",") {
			exact = append(exact, id)
		}
	}
	if len(exact) == 1 {
		return areas.ARS(exact[0]).String(), nil
	}
	if len(hits) == 1 {
		return areas.ARS(hits[0]).String(), nil
	}
	if len(hits) == 0 {
		return "", fmt.Errorf("no area is called %q; use --ars", name)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%q is the name of several areas; ask with one of these:\n", name)
	for _, id := range hits {
		fmt.Fprintf(cmd.OutOrStdout(), "  --ars %-12s  %s\n", areas.ARS(id), areas.Area(id).Name)
	}
	return "", &exitError{code: exitFailed}
}

// explainLive shows the running gateway's answer, which is JSON.
func explainLive(cmd *cobra.Command, flags *adminFlags, q *question) error {
	body, err := flags.call(cmd.Context(), http.MethodGet, "/api/v1/explain?"+q.values().Encode())
	if err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	var v struct {
		Exit int `json:"exit"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	if err := writeJSON(cmd.OutOrStdout(), json.RawMessage(body)); err != nil {
		return err
	}
	if v.Exit != exitOK {
		return &exitError{code: v.Exit}
	}
	return nil
}
