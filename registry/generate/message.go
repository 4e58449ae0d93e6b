// SPDX-License-Identifier: EUPL-1.2

package generate

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry/xzufi"
)

// MessageWriter writes a message of XZuFi as editorial systems do: indented, with all attributes of each Identifikator,
// and with texts for citizens around what a gateway reads. [xzufi.Read] gives the same objects again.
type MessageWriter struct {
	w       *bufio.Writer
	buf     []byte
	version string
	depth   int
	// Filler is how many bytes of texts for citizens a Leistung gets.
	Filler int
}

// NewMessageWriter begins a message of a version ("2.1" to "2.3.1"); its head is m's.
func NewMessageWriter(w io.Writer, m *xzufi.Message) *MessageWriter {
	x := &MessageWriter{w: bufio.NewWriterSize(w, 1<<16), version: m.Version}
	space := strings.ReplaceAll(m.Version, ".", "_")
	for strings.Count(space, "_") < 2 {
		space += "_0"
	}
	x.buf = append(x.buf, `<?xml version="1.0" encoding="UTF-8"?>`...)
	x.buf = fmt.Appendf(x.buf, "\n<xzufi:transfer.operation.040301 xmlns:xzufi=\"http://xoev.de/schemata/xzufi/%s\" "+
		"xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xzufiVersion=\"%s\"", space, m.Version)
	x.attribute("produktbezeichnung", m.Product)
	x.attribute("produkthersteller", m.Vendor)
	x.buf = append(x.buf, '>')
	x.depth = 1
	x.begin("nachrichtenkopf")
	x.leaf("nachrichtUUID", m.UUID)
	if !m.Created.IsZero() {
		x.leaf("erstelltDatumZeit", m.Created.Format(time.RFC3339Nano))
	}
	x.party("empfaenger", m.Recipient)
	x.party("sender", m.Sender)
	x.end("nachrichtenkopf")
	x.leaf("transaktionID", m.Transaction)
	x.leaf("transaktionPosition", m.Position)
	return x
}

// Write writes a schreibe, or a loesche for a *[xzufi.Delete].
func (x *MessageWriter) Write(o xzufi.Object) error {
	if d, ok := o.(*xzufi.Delete); ok {
		x.open("loesche")
		x.attribute("klasse", d.Of.String())
		x.buf = append(x.buf, '>')
		x.depth++
		x.id("id", d.ID)
		x.end("loesche")
		return x.flush()
	}
	x.begin("schreibe")
	switch o := o.(type) {
	case *xzufi.Leistung:
		x.leistung(o)
	case *xzufi.Spezialisierung:
		x.spezialisierung(o)
	case *xzufi.Onlinedienst:
		x.linked("onlinedienst", "link", o.ID, o.Names, o.Links, o.Validity, o.Zustaendigkeiten)
	case *xzufi.Formular:
		x.linked("formular", "url", o.ID, o.Names, o.Links, o.Validity, o.Zustaendigkeiten)
	case *xzufi.Organisationseinheit:
		x.begin("organisationseinheit")
		x.id("id", o.ID)
		x.begin("name")
		x.texts("name", o.Names)
		x.end("name")
		x.competences(o.Zustaendigkeiten)
		x.periods(o.Validity)
		x.end("organisationseinheit")
	case *xzufi.Zustaendigkeit:
		x.begin("zustaendigkeitTransferObjekt")
		x.id("uebergeordnetesObjektID", o.Parent)
		x.competence(o)
		x.end("zustaendigkeitTransferObjekt")
	}
	x.end("schreibe")
	return x.flush()
}

// Close ends the message.
func (x *MessageWriter) Close() error {
	x.depth = 0
	x.buf = append(x.buf, "\n</xzufi:transfer.operation.040301>\n"...)
	if err := x.flush(); err != nil {
		return err
	}
	if err := x.w.Flush(); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

func (x *MessageWriter) flush() error {
	_, err := x.w.Write(x.buf)
	x.buf = x.buf[:0]
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

func (x *MessageWriter) leistung(o *xzufi.Leistung) {
	x.begin("leistung")
	x.id("id", o.ID)
	for _, k := range o.Keys {
		if strings.HasPrefix(x.version, "2.3") {
			x.leaf("referenzLeistungsschluessel", k.String())
		} else {
			x.code("referenzLeiKa", "urn:de:fim:leika:leistung", k.String())
		}
	}
	x.modules(o.Names)
	x.filler()
	for i := range o.Portals {
		x.link("modulUrsprungsportal", "uri", &o.Portals[i])
	}
	for _, t := range o.Types {
		x.code("typisierung", "urn:de:fim:leika:typisierung", t)
	}
	x.publisher(o.Publisher)
	x.areas("gueltigkeitGebietID", o.Areas)
	x.periods(o.Validity)
	x.end("leistung")
}

func (x *MessageWriter) spezialisierung(o *xzufi.Spezialisierung) {
	x.begin("spezialisierung")
	x.id("id", o.ID)
	x.id("leistungID", o.Leistung)
	x.areas("gebietID", o.Areas)
	x.modules(o.Names)
	for i := range o.Portals {
		x.link("modulUrsprungsportal", "uri", &o.Portals[i])
	}
	x.publisher(o.Publisher)
	x.periods(o.Validity)
	x.end("spezialisierung")
}

func (x *MessageWriter) linked(element, url string, id xzufi.ID, names []xzufi.Text, links []xzufi.Link, validity []xzufi.Period, zs []xzufi.Zustaendigkeit) {
	x.begin(element)
	x.id("id", id)
	x.texts("bezeichnung", names)
	for i := range links {
		x.link("link", url, &links[i])
	}
	x.competences(zs)
	x.periods(validity)
	x.end(element)
}

func (x *MessageWriter) competences(zs []xzufi.Zustaendigkeit) {
	for i := range zs {
		x.competence(&zs[i])
	}
}

func (x *MessageWriter) competence(z *xzufi.Zustaendigkeit) {
	x.begin("zustaendigkeit")
	if !z.ID.IsZero() {
		x.id("id", z.ID)
	}
	x.id("leistungID", z.Leistung)
	x.areas("gebietID", z.Areas)
	if z.Role != "" {
		x.code("rolle", "urn:xoev-de:fim:codeliste:zustaendigkeitsrolle", z.Role)
	}
	x.periods(z.Validity)
	x.end("zustaendigkeit")
}

// modules writes names as text modules 02, Leistungsbezeichnung.
func (x *MessageWriter) modules(names []xzufi.Text) {
	for i := range names {
		x.begin("modulText")
		x.code("leikaTextmodul", "urn:xoev-de:fim:codeliste:xzufi.leikatextmodule", "02")
		x.texts("inhalt", names[i:i+1])
		x.end("modulText")
	}
}

const sentence = "Die Leistung kann von jeder Person, die das 16. Lebensjahr vollendet hat, persönlich, schriftlich oder elektronisch beantragt werden; " +
	"erforderlich sind ein gültiger Personalausweis oder Reisepaß sowie die Unterlagen, die für Ihre Gemeinde genannt sind. "

func (x *MessageWriter) filler() {
	for module, left := 5, x.Filler; left > 0; module++ {
		x.begin("modulText")
		x.code("leikaTextmodul", "urn:xoev-de:fim:codeliste:xzufi.leikatextmodule", fmt.Sprintf("%02d", module))
		x.open("inhalt")
		x.attribute("languageCode", "de")
		x.buf = append(x.buf, ">&lt;p&gt;"...)
		for i := 0; i < 10 && left > 0; i++ {
			x.buf = append(x.buf, sentence...)
			left -= len(sentence)
		}
		x.buf = append(x.buf, "&lt;/p&gt;"...)
		x.closeLeaf("inhalt")
		x.end("modulText")
	}
}

func (x *MessageWriter) link(element, url string, l *xzufi.Link) {
	x.open(element)
	x.attribute("languageCode", l.Lang)
	x.buf = append(x.buf, '>')
	x.depth++
	if l.Type != "" {
		x.code("typ", "urn:xoev-de:fim:codeliste:onlinedienstlinktyp", l.Type)
	}
	x.leaf(url, l.URL)
	x.leaf("titel", l.Title)
	for _, p := range l.Parameters {
		x.begin("dynamischeParameter")
		x.code("typ", "urn:xoev-de:fim:codeliste:dynamischerparametertyp", p.Type)
		x.leaf("parameterName", p.Name)
		x.end("dynamischeParameter")
	}
	x.periods(l.Validity)
	x.end(element)
}

func (x *MessageWriter) publisher(id xzufi.ID) {
	if !id.IsZero() {
		x.begin("herausgeber")
		x.id("id", id)
		x.end("herausgeber")
	}
}

func (x *MessageWriter) texts(element string, texts []xzufi.Text) {
	for _, t := range texts {
		x.open(element)
		x.attribute("languageCode", t.Lang)
		x.buf = appendEscaped(append(x.buf, '>'), t.Text)
		x.closeLeaf(element)
	}
}

func (x *MessageWriter) areas(element string, areas []xzufi.Area) {
	for _, a := range areas {
		x.open(element)
		x.buf = append(x.buf, ` schemeAgencyID="destatis" schemeAgencyName="Statistisches Bundesamt" schemeID="urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs" schemeName="Regionalschlüssel" schemeVersionID="2021-11-30">`...)
		x.buf = append(x.buf, a...)
		x.closeLeaf(element)
	}
}

func (x *MessageWriter) periods(periods []xzufi.Period) {
	for _, p := range periods {
		x.begin("gueltigkeit")
		if !p.Begin.IsZero() {
			x.leaf("beginn", p.Begin.Format(time.RFC3339Nano))
		}
		if !p.End.IsZero() {
			x.leaf("ende", p.End.Format(time.RFC3339Nano))
		}
		x.end("gueltigkeit")
	}
}

func (x *MessageWriter) id(element string, id xzufi.ID) {
	x.open(element)
	x.attribute("schemeAgencyID", id.AgencyID)
	if id.AgencyID != "" {
		x.buf = append(x.buf, ` schemeAgencyName="Redaktionssystem der Verwaltung `...)
		x.buf = appendEscaped(x.buf, id.AgencyID)
		x.buf = append(x.buf, `" schemeDataURI="urn:xoev-de:fim:redaktion:`...)
		x.buf = appendEscaped(x.buf, id.AgencyID)
		x.buf = append(x.buf, '"')
	}
	x.attribute("schemeID", id.SchemeID)
	x.buf = append(x.buf, ` schemeName="Identifikatoren des Redaktionssystems" schemeURI="urn:xoev-de:fim:standard:xzufi:identifikator" schemeVersionID="1.0">`...)
	x.buf = appendEscaped(x.buf, id.Text)
	x.closeLeaf(element)
}

func (x *MessageWriter) party(element, name string) {
	if name != "" {
		x.begin(element)
		x.leaf("name", name)
		x.end(element)
	}
}

// code writes a code as it is written up to now: in an element without a namespace.
func (x *MessageWriter) code(element, list, code string) {
	x.open(element)
	x.attribute("listURI", list)
	x.buf = append(x.buf, ` listVersionID="2024-01-01"><code>`...)
	x.buf = appendEscaped(x.buf, code)
	x.buf = append(x.buf, "</code>"...)
	x.closeLeaf(element)
}

// leaf writes an element with a text, none for no text.
func (x *MessageWriter) leaf(element, text string) {
	if text != "" {
		x.open(element)
		x.buf = appendEscaped(append(x.buf, '>'), text)
		x.closeLeaf(element)
	}
}

func (x *MessageWriter) begin(element string) {
	x.open(element)
	x.buf = append(x.buf, '>')
	x.depth++
}

func (x *MessageWriter) end(element string) {
	x.depth--
	x.line()
	x.closeLeaf(element)
}

func (x *MessageWriter) open(element string) {
	x.line()
	x.buf = append(x.buf, "<xzufi:"...)
	x.buf = append(x.buf, element...)
}

func (x *MessageWriter) closeLeaf(element string) {
	x.buf = append(x.buf, "</xzufi:"...)
	x.buf = append(x.buf, element...)
	x.buf = append(x.buf, '>')
}

func (x *MessageWriter) line() {
	x.buf = append(x.buf, '\n')
	for range x.depth {
		x.buf = append(x.buf, "  "...)
	}
}

func (x *MessageWriter) attribute(name, value string) {
	if value != "" {
		x.buf = append(x.buf, ' ')
		x.buf = append(x.buf, name...)
		x.buf = appendEscaped(append(x.buf, '=', '"'), value)
		x.buf = append(x.buf, '"')
	}
}

func appendEscaped(dst []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
