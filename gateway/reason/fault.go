// SPDX-License-Identifier: EUPL-1.2

package reason

import "github.com/pvgate/pvgate/gateway/message"

// OfFault returns the reason for what went wrong on the wire. A fault it does
// not know is Internal: somebody added one and forgot this place, which the
// test of this function notices first.
func OfFault(f message.Fault) Code {
	switch f {
	case message.FaultNone:
		return None
	case message.FaultGrammar:
		return BadRequest
	case message.FaultPath:
		return BadPath
	case message.FaultURITooLong:
		return URITooLong
	case message.FaultHeadTooLarge:
		return HeadTooLarge
	case message.FaultBodyTooLarge:
		return BodyTooLarge
	case message.FaultCoding:
		return CodingUnsupported
	case message.FaultVersion:
		return VersionUnsupported
	case message.FaultExpectation:
		return ExpectationFailed
	case message.FaultMethod:
		return MethodRefused
	case message.FaultTimeout:
		return RequestTimeout
	case message.FaultLoop:
		return LoopDetected
	case message.FaultRefused:
		return ConnectRefused
	case message.FaultConnectTimeout:
		return ConnectTimeout
	case message.FaultTLS:
		return TLSFailed
	case message.FaultCertificate:
		return TLSCertificate
	case message.FaultLost:
		return ConnectionLost
	case message.FaultWriteTimeout:
		return WriteTimeout
	case message.FaultResponseTimeout:
		return ResponseTimeout
	case message.FaultResponseGrammar:
		return ResponseInvalid
	case message.FaultResponseHeadTooLarge:
		return ResponseHeadTooLarge
	case message.FaultResponseCoding:
		return ResponseCoding
	case message.FaultUpgrade:
		return UpgradeFailed
	case message.FaultIncomplete:
		return ResponseIncomplete
	case message.FaultDown:
		return BackendDown
	case message.FaultLocal:
		return LocalResource
	case message.FaultAddress:
		return AddressRefused
	case message.FaultDNS:
		return DNSFailed
	case message.FaultDNSTimeout:
		return DNSTimeout
	default:
		return Internal
	}
}
