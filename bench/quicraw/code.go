// SPDX-License-Identifier: EUPL-1.2

package quicraw

import "fmt"

// Code is why a connection was closed by the transport (RFC 9000, section 20.1).
type Code uint64

// Codes that tests ask for.
const (
	InternalError           Code = 0x01
	FlowControlError        Code = 0x03
	StreamLimitError        Code = 0x04
	StreamStateError        Code = 0x05
	FrameEncodingError      Code = 0x07
	TransportParameterError Code = 0x08
	ConnectionIDLimitError  Code = 0x09
	ProtocolViolation       Code = 0x0a
	UnexpectedMessage       Code = 0x100 + 10 // TLS alerts (section 20.1, CRYPTO_ERROR)
	MissingExtension        Code = 0x100 + 109
	NoApplicationProtocol   Code = 0x100 + 120
)

var codeNames = map[Code]string{
	0x00: "NO_ERROR", InternalError: "INTERNAL_ERROR", 0x02: "CONNECTION_REFUSED", FlowControlError: "FLOW_CONTROL_ERROR",
	StreamLimitError: "STREAM_LIMIT_ERROR", StreamStateError: "STREAM_STATE_ERROR", 0x06: "FINAL_SIZE_ERROR",
	FrameEncodingError: "FRAME_ENCODING_ERROR", TransportParameterError: "TRANSPORT_PARAMETER_ERROR",
	ConnectionIDLimitError: "CONNECTION_ID_LIMIT_ERROR", ProtocolViolation: "PROTOCOL_VIOLATION", 0x0b: "INVALID_TOKEN",
	0x0c: "APPLICATION_ERROR", 0x0d: "CRYPTO_BUFFER_EXCEEDED", 0x0e: "KEY_UPDATE_ERROR", 0x0f: "AEAD_LIMIT_REACHED",
	UnexpectedMessage: "TLS unexpected_message", MissingExtension: "TLS missing_extension", NoApplicationProtocol: "TLS no_application_protocol",
}

func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	if c >= 0x100 && c < 0x200 {
		return fmt.Sprintf("TLS alert %d", c-0x100)
	}
	return fmt.Sprintf("%#x", uint64(c))
}

// Close is how a server closed a connection. It is the error of whatever was under way.
type Close struct {
	Code        Code
	Frame       uint64 // the type of the frame that was wrong; 0 if none was
	Application bool   // Code is one of the application's
	Reason      string
}

func (c *Close) Error() string {
	who := ""
	if c.Application {
		who = " by the application"
	}
	return fmt.Sprintf("closed%s: %v %s", who, c.Code, c.Reason)
}
