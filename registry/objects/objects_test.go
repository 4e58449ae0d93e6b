// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// The objects of tests, as messages write them. Numbers make identities.

func id(scheme string, n int) string {
	return fmt.Sprintf(`<id schemeAgencyID="L100012" schemeID="%s">%d</id>`, scheme, n)
}

func ref(name, scheme string, n int) string {
	return fmt.Sprintf(`<%s schemeAgencyID="L100012" schemeID="%s">%d</%s>`, name, scheme, n, name)
}

func leistung(n int, key string, more string) string {
	return `<schreibe><leistung>` + id("Leistung", n) + `<referenzLeiKa><code>` + key + `</code></referenzLeiKa>` +
		`<modulText><leikaTextmodul><code>02</code></leikaTextmodul><inhalt languageCode="de">Leistung ` + fmt.Sprint(n) + `</inhalt></modulText>` +
		more + `</leistung></schreibe>`
}

func onlinedienst(n int, more string) string {
	return `<schreibe><onlinedienst>` + id("Onlinedienst", n) + fmt.Sprintf(`<bezeichnung languageCode="de">Dienst %d</bezeichnung>`, n) + more + `</onlinedienst></schreibe>`
}

func link(lang, url string) string {
	l := ""
	if lang != "" {
		l = ` languageCode="` + lang + `"`
	}
	return `<link` + l + `><typ><code>01</code></typ><link>` + url + `</link></link>`
}

func authorityOf(n int) string {
	return `<schreibe><organisationseinheit>` + id("Organisationseinheit", n) + fmt.Sprintf(`<name><name languageCode="de">Amt %d</name></name>`, n) + `</organisationseinheit></schreibe>`
}

// competent is a Zustaendigkeit of an Onlinedienst or an Organisationseinheit.
func competent(n int, scheme string, of, leistung int, area, role, more string) string {
	return `<schreibe><zustaendigkeitTransferObjekt>` + ref("uebergeordnetesObjektID", scheme, of) + `<zustaendigkeit>` +
		id("Zustaendigkeit"+scheme, n) + ref("leistungID", "Leistung", leistung) + `<gebietID>` + area + `</gebietID><rolle><code>` + role + `</code></rolle>` +
		more + `</zustaendigkeit></zustaendigkeitTransferObjekt></schreibe>`
}

func gone(class, scheme string, n int) string {
	return `<loesche klasse="` + class + `">` + id(scheme, n) + `</loesche>`
}

const created = "2026-11-20T02:00:00Z"

func message(parts ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><transfer xzufiVersion="2.2.0"><nachrichtenkopf><nachrichtUUID>76b4df51-e824-49f7-8fec-b4af3152a263</nachrichtUUID>` +
		`<erstelltDatumZeit>` + created + `</erstelltDatumZeit></nachrichtenkopf>` + strings.Join(parts, "\n") + `</transfer>`
}

func files(messages ...string) (out []File) {
	for i, m := range messages {
		out = append(out, File{Name: fmt.Sprintf("%d.xml", i+1), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(m)), nil }})
	}
	return out
}

func whole(messages ...string) *Delivery {
	return &Delivery{Source: "sh", Full: true, Files: files(messages...)}
}

func change(messages ...string) *Delivery { return &Delivery{Source: "sh", Files: files(messages...)} }

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s.db.NoSync = true                  // tests kill no kernel
	t.Cleanup(func() { _ = s.Close() }) // also closed in the test
	return s
}

func store(t *testing.T) *Store {
	t.Helper()
	return opened(t, t.TempDir())
}

func judged() *Options {
	return &Options{Shrink: 0.1, Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

func imported(t *testing.T, s *Store, d *Delivery) *Report {
	t.Helper()
	r, err := s.Import(t.Context(), d, judged())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func exported(t *testing.T, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func options(t *testing.T) source.Options {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	return source.Options{Name: "sh", Path: "sh", Areas: areas}
}

// entries are those of the store, and those of its file of rows, which are the same.
func entries(t *testing.T, s *Store) []registry.Entry {
	t.Helper()
	var direct, read []registry.Entry
	into := func(list *[]registry.Entry) source.Emit {
		return func(e *registry.Entry) error {
			*list = append(*list, *e)
			return nil
		}
	}
	a, errA := s.Entries(t.Context(), options(t), into(&direct))
	b, errB := Read(t.Context(), bytes.NewReader(exported(t, s)), options(t), into(&read))
	var empty *source.Refusal
	if errors.As(errA, &empty) && empty.Cause == source.CauseEmpty {
		errA, errB = nil, nil
	}
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if d := cmp.Diff(a.Counts, b.Counts); d != "" {
		t.Fatalf("counts of store and file: %s", d)
	}
	if d := cmp.Diff(direct, read, cmp.AllowUnexported(registry.Leistung{})); d != "" {
		t.Fatalf("entries of store and file: %s", d)
	}
	return direct
}

// shown is an entry in a line.
func shown(t *testing.T, e *registry.Entry) string {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%s %s %s %s", e.Leistung, areas.ARS(e.Area), e.Kind, e.URL)
	for _, x := range e.Others {
		out += " " + x.Lang + "=" + x.URL
	}
	for _, f := range [...]struct{ name, text string }{{"oe", e.OE}, {"lb", e.LB}, {"od", e.OD}, {"role", e.Role}, {"title", e.Title}} {
		if f.text != "" {
			out += " " + f.name + "=" + f.text
		}
	}
	if e.Specialised {
		out += " specialised"
	}
	if !e.Begin.IsZero() || !e.End.IsZero() {
		out += fmt.Sprintf(" [%s, %s)", e.Begin.UTC().Format(time.DateOnly), e.End.UTC().Format(time.DateOnly))
	}
	return out
}

func allShown(t *testing.T, s *Store) (out []string) {
	t.Helper()
	for _, e := range entries(t, s) {
		out = append(out, shown(t, &e))
	}
	return out
}

const (
	ikfz    = "99036026017000"
	gewerbe = "99050012104000"
)

// beginning is a small delivery: a Leistung, a form for it in Flensburg, and the office there.
func beginning() []string {
	return []string{
		leistung(1, ikfz, ""), onlinedienst(2, link("de", "https://ikfz.example/de")+link("en", "https://ikfz.example/en")), authorityOf(3),
		competent(4, "Onlinedienst", 2, 1, "01001", "01", ""), competent(5, "Organisationseinheit", 3, 1, "010010000000", "01", ""),
	}
}

func TestAFormIsServedWhereItIsCompetent(t *testing.T) {
	t.Parallel()
	s := store(t)
	r := imported(t, s, whole(message(beginning()...)))
	if r.Written != 5 || r.Deleted != 0 || r.Objects != 5 {
		t.Errorf("%+v", r)
	}
	want := []string{
		ikfz + " 010010000000 service https://ikfz.example/de en=https://ikfz.example/en oe=L100012.OE.3 lb=L100012.LB.1 od=L100012.OD.2 role=01 title=Dienst 2",
	}
	if d := cmp.Diff(want, allShown(t, s)); d != "" {
		t.Error(d)
	}
	e := entries(t, s)[0]
	if want := "Leistung L100012/Leistung/1, Onlinedienst L100012/Onlinedienst/2"; e.Origin.Objects() != want || e.Origin.Source != "sh" || e.Origin.Line != 2 && e.Origin.Line != 1 {
		t.Errorf("origin %+v", e.Origin)
	}
	made, err := Made(bytes.NewReader(exported(t, s)), 1)
	want1 := "Leistung L100012/Leistung/1, Onlinedienst L100012/Onlinedienst/2, Zustaendigkeit L100012/ZustaendigkeitOnlinedienst/4, " +
		"Organisationseinheit L100012/Organisationseinheit/3, Zustaendigkeit L100012/ZustaendigkeitOrganisationseinheit/5"
	if err != nil || made != want1 {
		t.Errorf("%q, %v", made, err)
	}
	if _, err := Made(bytes.NewReader(exported(t, s)), 99); err == nil {
		t.Error("a row that there is not is made of something")
	}
}

// A re-delivery changes nothing, in whatever parts and order it comes.
func TestWhatIsDeliveredAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := beginning()
	imported(t, s, whole(message(parts...)))
	before := exported(t, s)
	r := imported(t, s, whole(message(parts[3:]...), message(parts[:3]...)))
	if r.Written != 0 || r.Deleted != 0 || r.Unchanged != 5 || r.Digest != "" {
		t.Errorf("%+v", r)
	}
	if r := imported(t, s, change(message(parts...))); r.Digest != "" || r.Unchanged != 5 {
		t.Errorf("%+v", r)
	}
	if !bytes.Equal(before, exported(t, s)) {
		t.Error("the rows are others")
	}
}

// The ends of a Zustaendigkeit may come after it, and go before it.
func TestEndsComeLate(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := beginning()
	for i := len(parts) - 1; i >= 0; i-- {
		if i < len(parts)-1 && len(entries(t, s)) != 0 {
			t.Errorf("with %d of %d objects there are entries", len(parts)-1-i, len(parts))
		}
		imported(t, s, change(message(parts[i])))
	}
	if n := len(entries(t, s)); n != 1 {
		t.Fatalf("%d entries", n)
	}
	imported(t, s, change(message(gone("Onlinedienst", "Onlinedienst", 2))))
	if n := len(entries(t, s)); n != 0 {
		t.Errorf("%d entries of a form that is gone", n)
	}
	if state, err := s.State(); err != nil || state.Rows != (RowCounts{Waiting: 1}) {
		t.Errorf("%+v, %v", state.Rows, err)
	}
	imported(t, s, change(message(parts[1])))
	if n := len(entries(t, s)); n != 1 {
		t.Errorf("%d entries of a form that is back", n)
	}
}

func TestALoescheTakesEffect(t *testing.T) {
	t.Parallel()
	s := store(t)
	imported(t, s, whole(message(beginning()...)))
	r := imported(t, s, change(message(
		gone("Zustaendigkeit", "ZustaendigkeitOnlinedienst", 4), gone("Zustaendigkeit", "ZustaendigkeitOnlinedienst", 99),
		gone("Zustaendigkeit", "ZustaendigkeitOrganisationseinheit", 4)))) // another identity with the same text
	if r.Deleted != 1 || r.Orphans != 2 || r.Objects != 4 {
		t.Errorf("%+v", r)
	}
	if n := len(entries(t, s)); n != 0 {
		t.Errorf("%d entries", n)
	}
	state, err := s.State()
	if err != nil || state.Systems["L100012"].Objects["Zustaendigkeit"] != 1 || state.Systems["L100012"].Newest.Format(time.RFC3339) != created {
		t.Errorf("%+v, %v", state.Systems["L100012"], err)
	}
}

// The order of two words about one object matters: the last holds.
func TestTheLastWordHolds(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := beginning()
	imported(t, s, whole(message(append(parts, gone("Zustaendigkeit", "ZustaendigkeitOnlinedienst", 4), onlinedienst(2, link("", "https://old.example/")))...),
		message(parts[3], onlinedienst(2, link("", "https://new.example/")))))
	if got := allShown(t, s); len(got) != 1 || !strings.Contains(got[0], "https://new.example/") {
		t.Errorf("%q", got)
	}
}

func TestAWholeDeliveryDeletesWhatItLacks(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := beginning()
	other := strings.ReplaceAll(message(parts...), "L100012", "B100019")
	imported(t, s, whole(message(parts...), other))
	r := imported(t, s, whole(message(append(parts[:3:3], parts[4])...)))
	if r.Deleted != 1 || r.Unchanged != 4 || r.Objects != 9 {
		t.Errorf("%+v", r)
	}
	if got := allShown(t, s); len(got) != 1 || !strings.Contains(got[0], "B100019") {
		t.Errorf("of another system there is %q", got)
	}
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, competent(1000+i, "Onlinedienst", 2, 1, "01001", "01", ""))
	}
	return out
}

func TestAnIncompleteDeliveryIsAShrink(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := append(beginning(), many(400)...)
	imported(t, s, whole(message(parts...)))
	before := exported(t, s)
	lacking := whole(message(parts[:300]...))
	_, err := s.Import(t.Context(), lacking, judged())
	var shrunk *Shrunk
	var refusal *source.Refusal
	if !errors.As(err, &shrunk) || !errors.As(err, &refusal) || refusal.Cause != source.CauseShrunk || !strings.Contains(err.Error(), "105 of 402 objects of class Zustaendigkeit") {
		t.Fatalf("%v", err)
	}
	if !bytes.Equal(before, exported(t, s)) {
		t.Error("a refused delivery has changed rows")
	}
	o := judged()
	o.Accept = shrunk.Digest
	if r, err := s.Import(t.Context(), lacking, o); err != nil || r.Deleted != 105 || r.Digest != shrunk.Digest {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.Import(t.Context(), whole(message(parts[:285]...)), judged()); err != nil || r.Deleted != 15 {
		t.Errorf("a few: %+v, %v", r, err)
	}
}

func causeOf(err error) source.Cause {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r.Cause
	}
	return ""
}

func TestDeliveriesThatCannotBeUsedChangeNothing(t *testing.T) {
	t.Parallel()
	s := store(t)
	imported(t, s, whole(message(beginning()...)))
	before := exported(t, s)
	good := message(onlinedienst(2, link("", "https://other.example/")))
	for name, c := range map[string]struct {
		d    *Delivery
		want source.Cause
	}{
		"no file":          {whole(), source.CauseEmpty},
		"no object":        {whole(message()), source.CauseEmpty},
		"only deletions":   {whole(message(gone("Onlinedienst", "Onlinedienst", 2))), source.CauseEmpty},
		"no XML":           {change(good, "nothing of it"), source.CauseSchema},
		"a broken file":    {change(good, strings.Replace(good, "</onlinedienst>", "</onlinedienste>", 1)), source.CauseSchema},
		"a file that ends": {change(good, good[:len(good)-40]), source.CauseTruncated},
	} {
		if _, err := s.Import(t.Context(), c.d, judged()); causeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Import(stop, change(good), judged()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, exported(t, s)) {
		t.Error("a refused delivery has changed rows")
	}
}

// An object with a fault costs itself only, and what there was of it stays.
func TestObjectsWithAFaultAreQuarantined(t *testing.T) {
	t.Parallel()
	s := store(t)
	parts := beginning()
	imported(t, s, whole(message(parts...)))
	bad := append([]string{}, parts...)
	bad[0] = leistung(1, "4711", "")
	bad[1] = onlinedienst(2, link("", "https://new.example/"))
	r := imported(t, s, whole(message(bad...)))
	if r.Quarantined != 1 || len(r.Faults) != 1 || r.Written != 1 || r.Deleted != 0 {
		t.Fatalf("%+v", r)
	}
	if text := r.Faults[0].String(); !strings.Contains(text, "1.xml:") || !strings.Contains(text, "L100012/Leistung/1") {
		t.Errorf("it is said so: %s", text)
	}
	if got := allShown(t, s); len(got) != 1 || !strings.Contains(got[0], ikfz+" 010010000000 service https://new.example/") {
		t.Errorf("%q", got)
	}
	state, err := s.State()
	if err != nil || state.Quarantined != 1 || len(state.Faults) != 1 {
		t.Errorf("%+v, %v", state, err)
	}
}
