// SPDX-License-Identifier: EUPL-1.2

package pages

// layout is the one page. It needs no script and nothing from elsewhere; every
// value passes html/template's contextual escaping. Landmarks, one h1, a
// language on every foreign link and visible focus are there for people who
// use it without eyes or without a mouse.
const layout = `<!DOCTYPE html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Heading}} – {{.T.Brand}}</title>
<link rel="stylesheet" href="/_pv/static/pv.css">
</head>
<body>
<header><p><a href="{{.Home}}">{{.T.Brand}}</a> {{.T.Claim}}</p></header>
<main>
<h1>{{.Heading}}</h1>
{{- range .Paragraphs}}
<p>{{.}}</p>
{{- end}}
{{- with .Facts}}
<dl>
{{- range .}}
<dt>{{.Name}}</dt><dd>{{.Value}}</dd>
{{- end}}
</dl>
{{- end}}
{{- range .Lists}}
<h2>{{.Heading}}</h2>
<ul>
{{- range .Items}}
<li>{{if .URL}}<a href="{{.URL}}"{{with .Lang}} lang="{{.}}" hreflang="{{.}}"{{end}}>{{.Title}}</a>{{else}}{{.Title}}{{end}}{{with .Note}} <small>{{.}}</small>{{end}}</li>
{{- end}}
</ul>
{{- end}}
</main>
<footer>
<p>{{.T.What}}</p>
{{- with .Footer}}
<p>{{range .}}<a href="{{.URL}}"{{with .Lang}} lang="{{.}}" hreflang="{{.}}"{{end}}>{{.Title}}</a> {{end}}</p>
{{- end}}
{{- with .Trace}}
<p><small>{{$.T.Trace}} <code>{{.}}</code></small></p>
{{- end}}
</footer>
</body>
</html>
`

// Stylesheet is /_pv/static/pv.css. Text on its ground has a contrast of at
// least 7:1 in both schemes (WCAG 2.2, 1.4.6).
const Stylesheet = `:root{color-scheme:light dark}
body{margin:0 auto;max-width:44rem;padding:1rem 1.25rem;font:1.0625rem/1.55 system-ui,sans-serif;color:#1b1b1b;background:#fff}
a{color:#003a70}
a:focus-visible{outline:3px solid #003a70;outline-offset:3px}
header{border-bottom:3px solid #003a70;margin-bottom:1.5rem}
footer{border-top:1px solid #8a8a8a;margin-top:2.5rem;font-size:.9375rem}
h1{font-size:1.625rem;line-height:1.25}
h2{font-size:1.1875rem}
li{margin:.4rem 0}
dt{font-weight:600}
dd{margin:0 0 .5rem;overflow-wrap:anywhere}
code{font-size:.9em;overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){
body{color:#f2f2f2;background:#14171a}
a{color:#a9d1ff}
a:focus-visible{outline-color:#a9d1ff}
header{border-color:#a9d1ff}
}
`

// page is what layout shows.
type page struct {
	Lang       string
	T          *words
	Home       string
	Heading    string
	Paragraphs []string
	Facts      []fact
	Lists      []list
	Footer     []item
	Trace      string
}

type fact struct{ Name, Value string }

type list struct {
	Heading string
	Items   []item
}

type item struct {
	Title string
	URL   any // string or template.URL; nil or "" for plain text
	Lang  string
	Note  string
}

// words are the page's own words in one language.
type words struct {
	Brand, Claim, What, Trace                             string
	Service, Place, Portal, Contact, Until, Ended, Since  string
	Value, Hint, Source, Offer, Joined, Why, Where, Limit string
	RetryAfter, RetrySeconds                              string
	Choices, Candidates, Near, Help, Instead, Successor   string
	About, Other, OtherLang, Status, Fault, Code, Reasons string
	HomeTitle, HomeText, HomeUse, HomeReasons             string
	Faults                                                [7]string // by reason.Fault
}

// vocabulary is indexed by reason.Lang.
var vocabulary = [2]words{
	{
		Brand: "pvgate", Claim: "Vermittlung im Portalverbund",
		What:    "Diese Vermittlungsstelle führt Anfragen nach Verwaltungsleistungen zum zuständigen Portal. Sie nimmt selbst keine Anträge an.",
		Trace:   "Kennung für Rückfragen:",
		Service: "Leistung", Place: "Ort", Portal: "Portal", Contact: "Ansprechstelle", Until: "Bis", Ended: "Beendet am", Since: "Seit",
		Value: "Angegeben war", Hint: "Hinweis", Source: "Eingetragen in", Offer: "Gemeinsamer Dienst", Joined: "Angeschlossene Gebiete",
		Why: "Begründung", Where: "Widerspruch zwischen", Limit: "Grenze",
		RetryAfter: "Erneut versuchen nach", RetrySeconds: "Sekunden",
		Choices: "Orte zur Auswahl", Candidates: "Angebote zur Auswahl", Near: "War das gemeint?", Help: "Hilfe", Instead: "Inzwischen", Successor: "Nachfolger",
		About: "Was bedeutet das?", Other: "English", OtherLang: "en", Status: "HTTP-Status", Fault: "Zu handeln hat", Code: "Kennwort", Reasons: "Alle Gründe",
		HomeTitle:   "Vermittlung im Portalverbund",
		HomeText:    "Unter dieser Adresse arbeitet eine Vermittlungsstelle zwischen Verwaltungsportalen von Bund, Ländern und Kommunen. Sie findet zu einer Leistung und einem Ort das zuständige Portal und leitet dorthin weiter.",
		HomeUse:     "Links haben die Form /leistung/{Leistungsschlüssel}/{Ortsschlüssel}. Sie stehen auf den Seiten der Portale; hier gibt es keine Suche.",
		HomeReasons: "Warum eine Anfrage nicht weitergeleitet wurde, steht in der Antwort als ein Wort aus einer festen Liste.",
		Faults: [7]string{
			"niemand", "wer anfragt", "das sendende Portal", "der Betreiber dieser Vermittlungsstelle",
			"wer den Eintrag im Verzeichnis pflegt", "das zuständige Portal", "diese Vermittlungsstelle",
		},
	},
	{
		Brand: "pvgate", Claim: "gateway of the Portalverbund",
		What:    "This gateway leads requests for public services to the responsible portal. It accepts no applications itself.",
		Trace:   "Identifier to quote:",
		Service: "Service", Place: "Place", Portal: "Portal", Contact: "Contact", Until: "Until", Ended: "Ended on", Since: "Since",
		Value: "Given was", Hint: "Hint", Source: "Registered in", Offer: "Shared service", Joined: "Connected areas",
		Why: "Reason given", Where: "Contradiction between", Limit: "Limit",
		RetryAfter: "Try again after", RetrySeconds: "seconds",
		Choices: "Places to choose from", Candidates: "Offers to choose from", Near: "Did you mean", Help: "Help", Instead: "Meanwhile", Successor: "Successor",
		About: "What does this mean?", Other: "Deutsch", OtherLang: "de", Status: "HTTP status", Fault: "Has to act", Code: "Code", Reasons: "All reasons",
		HomeTitle:   "Gateway of the Portalverbund",
		HomeText:    "At this address works a gateway between the administrative portals of the German federation, its Länder and municipalities. For a service and a place it finds the responsible portal and leads there.",
		HomeUse:     "Links have the form /leistung/{key of the service}/{key of the place}. They stand on the pages of the portals; there is no search here.",
		HomeReasons: "Why a request was not led on is said in the answer, as one word from a fixed list.",
		Faults: [7]string{
			"nobody", "whoever asks", "the sending portal", "the operator of this gateway",
			"whoever maintains the registry's entry", "the responsible portal", "this gateway",
		},
	},
}
