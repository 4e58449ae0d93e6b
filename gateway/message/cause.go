// SPDX-License-Identifier: EUPL-1.2

package message

// HeadCause names the one rule that a request head of HTTP/2 or HTTP/3 broke. The zero value means nothing is wrong.
type HeadCause uint8

// The causes. Those whose Fault is FaultGrammar make the request malformed (RFC 9113, section 8.1.1; RFC 9114, section
// 4.1.2); the others can be answered.
const (
	HeadFine HeadCause = iota
	HeadBadName
	HeadUpperCase
	HeadBadValue
	HeadTooLarge
	HeadTooManyFields
	HeadLineTooLong
	HeadPseudoUnknown
	HeadPseudoOrder
	HeadPseudoTwice
	HeadPseudoMissing
	HeadConnection
	HeadBadMethod
	HeadMethodRefused
	HeadBadTarget
	HeadTargetForm
	HeadScheme
	HeadMissingHost
	HeadDuplicateHost
	HeadBadHost
	HeadHostMismatch
	HeadBadLength
	HeadDuplicateLength
	HeadLengthMismatch
	HeadExpectation
	HeadBodyTooLarge

	headCauses
)

var headCauseTexts = [headCauses]string{
	HeadFine:            "",
	HeadBadName:         "bad-name",
	HeadUpperCase:       "upper-case-name",
	HeadBadValue:        "bad-value",
	HeadTooLarge:        "head-too-large",
	HeadTooManyFields:   "too-many-fields",
	HeadLineTooLong:     "line-too-long",
	HeadPseudoUnknown:   "pseudo-unknown",
	HeadPseudoOrder:     "pseudo-order",
	HeadPseudoTwice:     "pseudo-twice",
	HeadPseudoMissing:   "pseudo-missing",
	HeadConnection:      "connection-field",
	HeadBadMethod:       "bad-method",
	HeadMethodRefused:   "method-refused",
	HeadBadTarget:       "bad-target",
	HeadTargetForm:      "target-form",
	HeadScheme:          "scheme",
	HeadMissingHost:     "missing-host",
	HeadDuplicateHost:   "duplicate-host",
	HeadBadHost:         "bad-host",
	HeadHostMismatch:    "host-mismatch",
	HeadBadLength:       "bad-length",
	HeadDuplicateLength: "duplicate-length",
	HeadLengthMismatch:  "length-mismatch",
	HeadExpectation:     "expectation",
	HeadBodyTooLarge:    "body-too-large",
}

// String returns the constant sub-cause for the log, http1's word where it has the same rule.
func (c HeadCause) String() string {
	if c >= headCauses {
		return "unknown"
	}
	return headCauseTexts[c]
}

// Fault returns what is wrong.
func (c HeadCause) Fault() Fault {
	switch c {
	case HeadFine:
		return FaultNone
	case HeadTooLarge, HeadTooManyFields:
		return FaultHeadTooLarge
	case HeadLineTooLong:
		return FaultURITooLong
	case HeadMethodRefused:
		return FaultMethod
	case HeadExpectation:
		return FaultExpectation
	case HeadBodyTooLarge:
		return FaultBodyTooLarge
	default:
		return FaultGrammar
	}
}

// HeadCauses returns every text that a cause may have but "": a closed list.
func HeadCauses() []string { return append([]string(nil), headCauseTexts[HeadFine+1:]...) }
