// SPDX-License-Identifier: EUPL-1.2

package http1

import "github.com/pvgate/pvgate/gateway/message"

// cause names the one rule a message broke. A byte instead of a string keeps the
// machines small; the zero value means nothing is wrong.
type cause uint8

const (
	causeNone cause = iota

	// Lines.
	causeBareCR
	causeBareLF
	causeObsFold
	causeNoColon
	causeEmptyName
	causeSpaceBeforeColon
	causeBadName
	causeBadValue
	causeLineTooLong
	causeHeadTooLarge
	causeTooManyFields

	// Request line.
	causeEmptyLines
	causeNotHTTP
	causeBadMethod
	causeMethodRefused
	causeBadTarget
	causeTargetForm
	causeScheme
	causeHTTP09
	causeBadVersion
	causeVersion

	// Host.
	causeMissingHost
	causeDuplicateHost
	causeBadHost
	causeHostMismatch

	// Framing.
	causeBadLength
	causeDuplicateLength
	causeLengthAndCoding
	causeCodingOnHTTP10
	causeBadCoding
	causeUnknownCoding
	causeExpectation
	causeBodyTooLarge
	causeChunkSize
	causeChunkExtension
	causeChunkLineTooLong
	causeChunkEnd
	causeChunkOverhead

	// Responses.
	causeStatusLine
	causeStatusCode
	causeInterimFlood
	causeInterimFraming
	causeStraySwitch
	causeBadSwitch
	causeExtraBytes
	causeNoResponse
	causeTruncated

	causeCount
)

type causeInfo struct {
	text     string
	request  message.Fault
	response message.Fault
}

// Most causes are the same fault on one side of the gateway; the exceptions are
// the limits and what has a status of its own. (The function is one table, and
// long as a table is.)
var causes = makeCauses()

func makeCauses() (t [causeCount]causeInfo) {
	texts := [causeCount]string{
		causeNone:             "",
		causeBareCR:           "bare-cr",
		causeBareLF:           "bare-lf",
		causeObsFold:          "obs-fold",
		causeNoColon:          "no-colon",
		causeEmptyName:        "empty-name",
		causeSpaceBeforeColon: "space-before-colon",
		causeBadName:          "bad-name",
		causeBadValue:         "bad-value",
		causeLineTooLong:      "line-too-long",
		causeHeadTooLarge:     "head-too-large",
		causeTooManyFields:    "too-many-fields",
		causeEmptyLines:       "empty-lines",
		causeNotHTTP:          "not-http",
		causeBadMethod:        "bad-method",
		causeMethodRefused:    "method-refused",
		causeBadTarget:        "bad-target",
		causeTargetForm:       "target-form",
		causeScheme:           "scheme",
		causeHTTP09:           "http-0.9",
		causeBadVersion:       "bad-version",
		causeVersion:          "version",
		causeMissingHost:      "missing-host",
		causeDuplicateHost:    "duplicate-host",
		causeBadHost:          "bad-host",
		causeHostMismatch:     "host-mismatch",
		causeBadLength:        "bad-length",
		causeDuplicateLength:  "duplicate-length",
		causeLengthAndCoding:  "length-and-coding",
		causeCodingOnHTTP10:   "coding-on-http-1.0",
		causeBadCoding:        "bad-coding",
		causeUnknownCoding:    "unknown-coding",
		causeExpectation:      "expectation",
		causeBodyTooLarge:     "body-too-large",
		causeChunkSize:        "chunk-size",
		causeChunkExtension:   "chunk-extension",
		causeChunkLineTooLong: "chunk-line-too-long",
		causeChunkEnd:         "chunk-end",
		causeChunkOverhead:    "chunk-overhead",
		causeStatusLine:       "status-line",
		causeStatusCode:       "status-code",
		causeInterimFlood:     "interim-flood",
		causeInterimFraming:   "interim-framing",
		causeStraySwitch:      "stray-101",
		causeBadSwitch:        "bad-101",
		causeExtraBytes:       "extra-bytes",
		causeNoResponse:       "no-response",
		causeTruncated:        "truncated",
	}
	for c := range t {
		t[c] = causeInfo{texts[c], message.FaultGrammar, message.FaultResponseGrammar}
	}
	t[causeNone] = causeInfo{"", message.FaultNone, message.FaultNone}

	t[causeLineTooLong].request = message.FaultURITooLong
	t[causeHeadTooLarge].request = message.FaultHeadTooLarge
	t[causeTooManyFields].request = message.FaultHeadTooLarge
	t[causeMethodRefused].request = message.FaultMethod
	t[causeVersion].request = message.FaultVersion
	t[causeUnknownCoding].request = message.FaultCoding
	t[causeExpectation].request = message.FaultExpectation
	t[causeBodyTooLarge].request = message.FaultBodyTooLarge
	t[causeChunkOverhead].request = message.FaultBodyTooLarge

	t[causeLineTooLong].response = message.FaultResponseHeadTooLarge
	t[causeHeadTooLarge].response = message.FaultResponseHeadTooLarge
	t[causeTooManyFields].response = message.FaultResponseHeadTooLarge
	t[causeUnknownCoding].response = message.FaultResponseCoding
	t[causeBadSwitch].response = message.FaultUpgrade
	t[causeNoResponse].response = message.FaultLost
	t[causeTruncated].response = message.FaultIncomplete
	return t
}

// Causes returns every text that Cause may give but "": a closed list.
func Causes() []string {
	texts := make([]string, 0, causeCount-1)
	for _, c := range causes[causeNone+1:] {
		texts = append(texts, c.text)
	}
	return texts
}
