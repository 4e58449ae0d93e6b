// SPDX-License-Identifier: EUPL-1.2

package reason

// Lang is one of the languages our own answers are written in.
type Lang uint8

// German is what is spoken when nobody asks for anything else.
const (
	German Lang = iota
	English
)

// String returns the language tag (RFC 5646).
func (l Lang) String() string {
	if l == English {
		return "en"
	}
	return "de"
}

// Text is what a citizen reads: a title of a few words and one plain
// paragraph. It names nobody; names of places and portals are added by pages.
type Text struct{ Title, Paragraph string }

// Title returns a short name for the reason in the given language.
func (c Code) Title(l Lang) string { return c.Text(l).Title }

// Text returns title and paragraph in the given language.
func (c Code) Text(l Lang) Text {
	if c >= count {
		c = Internal
	}
	if l == English {
		return english[c]
	}
	return german[c]
}

// The German texts address the citizen and say who has to act. They promise
// nothing and claim no legal position.
var german = [Count]Text{
	None:                {"Weitergeleitet", "Die Antwort stammt vom zuständigen Portal."},
	Handover:            {"Weiter zum zuständigen Portal", "Sie werden an das Portal weitergeleitet, das diese Leistung für den gewählten Ort anbietet."},
	BadRequest:          {"Anfrage nicht lesbar", "Die Anfrage entspricht nicht den Regeln des Internet-Protokolls HTTP und wurde deshalb nicht weitergegeben. Ihr Programm oder ein Gerät auf dem Weg hat sie so gesendet."},
	BadPath:             {"Adresse nicht zulässig", "Die Adresse enthält Zeichen, die verschieden gelesen werden können. Sie wurde deshalb nicht weitergegeben. Bitte rufen Sie die Seite über den ursprünglichen Link auf."},
	RequestTimeout:      {"Anfrage zu langsam", "Die Anfrage kam nicht rechtzeitig vollständig an. Bitte prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal."},
	BodyTooLarge:        {"Anfrage zu groß", "Die gesendeten Daten sind größer, als hier angenommen wird. Bitte senden Sie kleinere Dateien."},
	URITooLong:          {"Adresse zu lang", "Die aufgerufene Adresse ist länger, als hier angenommen wird."},
	HeadTooLarge:        {"Kopfzeilen zu groß", "Die Kopfzeilen der Anfrage sind zu groß. Häufig hilft es, die Cookies dieser Seite zu löschen."},
	ExpectationFailed:   {"Erwartung nicht erfüllbar", "Das sendende Programm verlangt ein Verhalten, das hier nicht unterstützt wird."},
	Misdirected:         {"Falscher Server", "Unter diesem Namen wird hier nichts angeboten. Bitte prüfen Sie die Adresse."},
	CodingUnsupported:   {"Übertragungsart nicht unterstützt", "Das sendende Programm benutzt eine Übertragungsart, die hier nicht unterstützt wird."},
	VersionUnsupported:  {"HTTP-Version nicht unterstützt", "Das sendende Programm benutzt eine Fassung von HTTP, die hier nicht unterstützt wird."},
	MethodRefused:       {"Methode nicht erlaubt", "Diese Adresse kann nur abgerufen werden. Ein Formular können Sie erst auf dem zuständigen Portal absenden."},
	SenderUnknown:       {"Absender nicht bekannt", "Diese Schnittstelle steht nur Portalen offen, die hier eingetragen sind. Das anfragende Portal ist es nicht."},
	AdminRefused:        {"Kein Zugriff auf die Verwaltung", "Für diese Funktion fehlt die Berechtigung."},
	NotFound:            {"Seite nicht gefunden", "Unter dieser Adresse gibt es hier nichts. Bitte prüfen Sie die Adresse oder beginnen Sie bei dem Portal, von dem Sie kommen."},
	InvalidLeistung:     {"Leistungsschlüssel nicht lesbar", "Der Schlüssel der Leistung besteht aus 14 Ziffern. Der Link, dem Sie gefolgt sind, enthält einen anderen Wert."},
	InvalidArea:         {"Ortsschlüssel nicht lesbar", "Der Schlüssel des Ortes (ARS oder AGS) besteht aus 2, 3, 5, 8, 9 oder 12 Ziffern. Der Link, dem Sie gefolgt sind, enthält einen anderen Wert."},
	ConflictingKeys:     {"Widersprüchliche Angaben", "Leistung, Ort oder Sprache sind in der Anfrage mehrfach oder mit verschiedenen Werten angegeben. Es ist deshalb nicht klar, was gemeint ist."},
	UnknownArea:         {"Ort nicht bekannt", "Diesen Ortsschlüssel gibt es im amtlichen Gemeindeverzeichnis an diesem Tag nicht."},
	AreaRequired:        {"Bitte wählen Sie einen Ort", "Welches Portal zuständig ist, hängt vom genauen Ort ab. Bitte wählen Sie Ihre Gemeinde oder das Gebiet, in dem Sie die Leistung brauchen."},
	Ambiguous:           {"Mehrere Angebote", "Für diese Leistung sind an diesem Ort mehrere gleichrangige Angebote eingetragen. Bitte wählen Sie das passende aus."},
	UnknownLeistung:     {"Leistung nicht eingetragen", "Zu diesem Leistungsschlüssel ist im Verzeichnis kein Online-Angebot eingetragen. Das heißt nicht, dass es die Leistung nicht gibt: Ihre Behörde vor Ort oder die Rufnummer 115 kann weiterhelfen."},
	NoRoute:             {"Kein Online-Angebot für diesen Ort", "Für diesen Ort ist im Verzeichnis kein Portal eingetragen, das die Leistung online anbietet. Ihre Behörde vor Ort oder die Rufnummer 115 kann weiterhelfen."},
	NotJoined:           {"Hier noch nicht angeschlossen", "Es gibt für diese Leistung einen gemeinsamen Online-Dienst. Der gewählte Ort ist daran nach den vorliegenden Einträgen nicht oder nicht mehr angeschlossen."},
	NotAnApplication:    {"Kein Antrag", "Zu diesem Schlüssel gehört eine Information, kein Antrag, der online gestellt werden kann."},
	Expired:             {"Angebot beendet", "Das eingetragene Angebot war befristet und ist abgelaufen. Ein gültiges ist für diesen Ort nicht eingetragen."},
	Gone:                {"Angebot eingestellt", "Dieses Angebot wurde vom Betreiber beendet."},
	TargetRefused:       {"Eintrag nicht verwendbar", "Das zuständige Angebot ist im Verzeichnis mit einer Adresse eingetragen, die nicht verwendet werden darf. Der Eintrag muss von der Stelle berichtigt werden, die ihn pflegt."},
	RegistryUnavailable: {"Verzeichnis nicht verfügbar", "Das Verzeichnis der Zuständigkeiten ist im Augenblick nicht verfügbar. Bitte versuchen Sie es später noch einmal."},
	Maintenance:         {"Wartung", "Das zuständige Portal wird gerade gewartet. Bitte versuchen Sie es später noch einmal."},
	SenderLimited:       {"Anteil ausgeschöpft", "Das Portal, von dem Sie kommen, hat mehr Anfragen gesendet, als für es vereinbart sind. An Ihnen liegt es nicht. Bitte versuchen Sie es in Kürze noch einmal."},
	AbuseBrake:          {"Sehr viele Anfragen aus diesem Netz", "Aus dem Netz, aus dem Ihre Anfrage kommt, treffen ungewöhnlich viele Anfragen ein. Bitte versuchen Sie es später noch einmal."},
	BackendLimited:      {"Portal ausgelastet", "Das zuständige Portal nimmt im Augenblick nicht mehr Anfragen an. Bitte versuchen Sie es in Kürze noch einmal."},
	BackendBusy:         {"Portal ausgelastet", "Das zuständige Portal bearbeitet gerade so viele Anfragen, wie es zugleich kann. Bitte versuchen Sie es in Kürze noch einmal."},
	QueueTimeout:        {"Portal ausgelastet", "Ihre Anfrage hat gewartet, das zuständige Portal wurde aber nicht rechtzeitig frei. Bitte versuchen Sie es in Kürze noch einmal."},
	Waiting:             {"Warteraum", "Das zuständige Portal ist stark gefragt. Ihre Anfrage wartet; Sie müssen nichts tun."},
	BackendDown:         {"Portal nicht erreichbar", "Das zuständige Portal ist im Augenblick nicht in Betrieb. Bitte versuchen Sie es später noch einmal."},
	DNSFailed:           {"Portal nicht erreichbar", "Der Name des zuständigen Portals lässt sich im Augenblick nicht auflösen."},
	DNSTimeout:          {"Portal nicht erreichbar", "Der Name des zuständigen Portals konnte nicht rechtzeitig aufgelöst werden."},
	AddressRefused:      {"Adresse nicht zulässig", "Das zuständige Portal ist unter einer Adresse eingetragen, die nicht verwendet werden darf. Der Eintrag muss berichtigt werden."},
	ConnectRefused:      {"Portal nicht erreichbar", "Das zuständige Portal nimmt im Augenblick keine Verbindungen an. Bitte versuchen Sie es später noch einmal."},
	ConnectTimeout:      {"Portal nicht erreichbar", "Das zuständige Portal hat nicht rechtzeitig auf den Verbindungsversuch geantwortet. Bitte versuchen Sie es später noch einmal."},
	TLSFailed:           {"Keine sichere Verbindung", "Zum zuständigen Portal kam keine verschlüsselte Verbindung zustande."},
	TLSCertificate:      {"Zertifikat nicht gültig", "Das zuständige Portal hat sich nicht gültig ausgewiesen. Deshalb wurde nichts dorthin gesendet."},
	ConnectionLost:      {"Verbindung zum Portal abgebrochen", "Das zuständige Portal hat die Verbindung geschlossen, bevor eine Antwort kam. Ob es die Anfrage bearbeitet hat, ist hier nicht bekannt."},
	WriteTimeout:        {"Portal antwortet nicht", "Das zuständige Portal hat die gesendeten Daten nicht rechtzeitig angenommen."},
	ResponseTimeout:     {"Portal antwortet nicht", "Das zuständige Portal hat nicht rechtzeitig geantwortet. Ob es die Anfrage bearbeitet hat, ist hier nicht bekannt."},
	ResponseInvalid:     {"Antwort nicht lesbar", "Die Antwort des zuständigen Portals entspricht nicht den Regeln von HTTP und wurde deshalb nicht weitergegeben."},
	ResponseHeadTooLarge: {
		"Antwort nicht lesbar",
		"Die Kopfzeilen der Antwort des zuständigen Portals sind zu groß. Die Antwort wurde deshalb nicht weitergegeben.",
	},
	ResponseCoding:     {"Antwort nicht lesbar", "Das zuständige Portal hat in einer Übertragungsart geantwortet, die hier nicht unterstützt wird."},
	UpgradeFailed:      {"Protokollwechsel misslungen", "Das zuständige Portal hat den angefragten Wechsel des Protokolls nicht richtig beantwortet."},
	ResponseIncomplete: {"Antwort unvollständig", "Die Antwort des zuständigen Portals brach ab, nachdem sie begonnen hatte."},
	ClientGone:         {"Verbindung beendet", "Das anfragende Programm hat die Verbindung beendet, bevor die Antwort vollständig war."},
	LoopDetected:       {"Anfrage dreht sich im Kreis", "Die Anfrage ist hier schon einmal vorbeigekommen. Die Weiterleitung ist falsch eingerichtet; der Betreiber muss sie berichtigen."},
	Overloaded:         {"Vermittlung ausgelastet", "Diese Vermittlungsstelle ist selbst ausgelastet. Das zuständige Portal ist davon nicht betroffen. Bitte versuchen Sie es in Kürze noch einmal."},
	LocalResource:      {"Vermittlung ausgelastet", "Dieser Vermittlungsstelle fehlt im Augenblick ein Betriebsmittel. Bitte versuchen Sie es in Kürze noch einmal."},
	Draining:           {"Vermittlung startet neu", "Diese Vermittlungsstelle wird gerade beendet. Bitte versuchen Sie es sofort noch einmal."},
	Internal:           {"Fehler der Vermittlung", "In dieser Vermittlungsstelle ist ein Fehler aufgetreten. Er wurde festgehalten. Bitte nennen Sie bei Rückfragen die angegebene Kennung."},
}

var english = [Count]Text{
	None:                {"Passed on", "The answer comes from the responsible portal."},
	Handover:            {"On to the responsible portal", "You are being sent to the portal that offers this service for the place you chose."},
	BadRequest:          {"Request not readable", "The request breaks the rules of HTTP and was therefore not passed on. Your program, or a device on the way, sent it like this."},
	BadPath:             {"Address not accepted", "The address contains characters that can be read in different ways. It was therefore not passed on. Please open the page through its original link."},
	RequestTimeout:      {"Request too slow", "The request did not arrive completely in time. Please check your connection and try again."},
	BodyTooLarge:        {"Request too large", "The data sent is larger than what is accepted here. Please send smaller files."},
	URITooLong:          {"Address too long", "The address is longer than what is accepted here."},
	HeadTooLarge:        {"Header fields too large", "The header fields of the request are too large. Deleting the cookies of this site often helps."},
	ExpectationFailed:   {"Expectation cannot be met", "The sending program asks for a behaviour that is not supported here."},
	Misdirected:         {"Wrong server", "Nothing is offered here under this name. Please check the address."},
	CodingUnsupported:   {"Transfer coding not supported", "The sending program uses a transfer coding that is not supported here."},
	VersionUnsupported:  {"HTTP version not supported", "The sending program uses a version of HTTP that is not supported here."},
	MethodRefused:       {"Method not allowed", "This address can only be retrieved. A form can be sent once you are on the responsible portal."},
	SenderUnknown:       {"Sender not known", "This interface is open only to portals registered here. The portal that asked is not."},
	AdminRefused:        {"No access to administration", "The right to use this function is missing."},
	NotFound:            {"Page not found", "There is nothing at this address. Please check the address, or start again at the portal you came from."},
	InvalidLeistung:     {"Service key not readable", "The key of a service (Leistungsschlüssel) has 14 digits. The link you followed contains something else."},
	InvalidArea:         {"Area key not readable", "The key of a place (ARS or AGS) has 2, 3, 5, 8, 9 or 12 digits. The link you followed contains something else."},
	ConflictingKeys:     {"Contradicting information", "Service, place or language are given more than once or with different values. It is therefore not clear what is meant."},
	UnknownArea:         {"Place not known", "This area key does not exist in the official directory of municipalities on this day."},
	AreaRequired:        {"Please choose a place", "Which portal is responsible depends on the exact place. Please choose your municipality, or the area in which you need the service."},
	Ambiguous:           {"Several offers", "Several offers of equal rank are registered for this service in this place. Please choose the one that fits."},
	UnknownLeistung:     {"Service not registered", "No online offer is registered for this service key. That does not mean the service does not exist: your local authority, or the number 115 within Germany, can help."},
	NoRoute:             {"No online offer for this place", "No portal is registered that offers this service online for this place. Your local authority, or the number 115 within Germany, can help."},
	NotJoined:           {"Not connected here", "There is a shared online service for this matter. According to the entries at hand, the chosen place is not, or no longer, connected to it."},
	NotAnApplication:    {"Not an application", "This key stands for information, not for an application that can be made online."},
	Expired:             {"Offer ended", "The registered offer was limited in time and has ended. No valid one is registered for this place."},
	Gone:                {"Offer withdrawn", "The operator has ended this offer."},
	TargetRefused:       {"Entry not usable", "The responsible offer is registered with an address that must not be used. The body that maintains the entry has to correct it."},
	RegistryUnavailable: {"Registry not available", "The registry of responsibilities is not available at the moment. Please try again later."},
	Maintenance:         {"Maintenance", "The responsible portal is under maintenance. Please try again later."},
	SenderLimited:       {"Share used up", "The portal you come from has sent more requests than agreed for it. This is not your doing. Please try again shortly."},
	AbuseBrake:          {"Very many requests from this network", "Unusually many requests arrive from the network your request comes from. Please try again later."},
	BackendLimited:      {"Portal at its limit", "The responsible portal accepts no more requests at the moment. Please try again shortly."},
	BackendBusy:         {"Portal at its limit", "The responsible portal is handling as many requests as it can at once. Please try again shortly."},
	QueueTimeout:        {"Portal at its limit", "Your request waited, but the responsible portal did not become free in time. Please try again shortly."},
	Waiting:             {"Waiting room", "The responsible portal is in high demand. Your request is waiting; you need not do anything."},
	BackendDown:         {"Portal not reachable", "The responsible portal is not in service at the moment. Please try again later."},
	DNSFailed:           {"Portal not reachable", "The name of the responsible portal cannot be resolved at the moment."},
	DNSTimeout:          {"Portal not reachable", "The name of the responsible portal could not be resolved in time."},
	AddressRefused:      {"Address not permitted", "The responsible portal is registered with an address that must not be used. The entry has to be corrected."},
	ConnectRefused:      {"Portal not reachable", "The responsible portal accepts no connections at the moment. Please try again later."},
	ConnectTimeout:      {"Portal not reachable", "The responsible portal did not answer the attempt to connect in time. Please try again later."},
	TLSFailed:           {"No secure connection", "No encrypted connection to the responsible portal could be made."},
	TLSCertificate:      {"Certificate not valid", "The responsible portal did not identify itself validly. Nothing was sent to it."},
	ConnectionLost:      {"Connection to the portal lost", "The responsible portal closed the connection before an answer came. Whether it processed the request is not known here."},
	WriteTimeout:        {"Portal does not answer", "The responsible portal did not accept the data sent in time."},
	ResponseTimeout:     {"Portal does not answer", "The responsible portal did not answer in time. Whether it processed the request is not known here."},
	ResponseInvalid:     {"Answer not readable", "The answer of the responsible portal breaks the rules of HTTP and was therefore not passed on."},
	ResponseHeadTooLarge: {
		"Answer not readable",
		"The answer of the responsible portal has header fields that are too large. It was therefore not passed on.",
	},
	ResponseCoding:     {"Answer not readable", "The responsible portal answered in a transfer coding that is not supported here."},
	UpgradeFailed:      {"Change of protocol failed", "The responsible portal did not answer the requested change of protocol properly."},
	ResponseIncomplete: {"Answer incomplete", "The answer of the responsible portal broke off after it had begun."},
	ClientGone:         {"Connection ended", "The asking program ended the connection before the answer was complete."},
	LoopDetected:       {"Request runs in circles", "The request has been here before. The forwarding is set up wrongly; the operator has to correct it."},
	Overloaded:         {"Gateway at its limit", "This gateway itself is overloaded. The responsible portal is not affected. Please try again shortly."},
	LocalResource:      {"Gateway at its limit", "This gateway is short of a resource at the moment. Please try again shortly."},
	Draining:           {"Gateway restarting", "This gateway is shutting down. Please try again at once."},
	Internal:           {"Gateway failure", "A failure occurred in this gateway. It has been recorded. Please quote the identifier shown when you ask about it."},
}
