// SPDX-License-Identifier: EUPL-1.2

package main

import "github.com/pvgate/pvgate/bench/quicraw"

// Handshake messages that have no place in QUIC (RFC 9001, sections 6 and 8.3).
var (
	keyUpdate      = []byte{24, 0, 0, 1, 0}
	endOfEarlyData = []byte{5, 0, 0, 0}
)

// Streams by who opens them (RFC 9000, section 2.1).
const (
	clientBidi = 0
	serverBidi = 1 + 4*25 // that the server has not opened
	clientUni  = 2
	serverUni  = 3 // the control stream
)

// tooMany is more streams than there can be (RFC 9000, section 4.6).
const tooMany = 1<<60 + 1

// with adds a transport parameter, in the place of one of the same id.
func with(p quicraw.Parameter) func(*quicraw.Options) {
	return func(o *quicraw.Options) {
		o.Change = func(all []quicraw.Parameter) []quicraw.Parameter { return append(without(all, p.ID), p) }
	}
}

func without(all []quicraw.Parameter, id uint64) (rest []quicraw.Parameter) {
	for _, p := range all {
		if p.ID != id {
			rest = append(rest, p)
		}
	}
	return rest
}

func one(c quicraw.Code) []quicraw.Code { return []quicraw.Code{c} }

func frame(kind uint64, values ...uint64) []byte { return quicraw.AppendFrame(nil, kind, values...) }

// transportCases are the cases of h3spec (github.com/kazu-yamamoto/h3spec) about RFC 9000 and RFC 9001, by its titles. The
// numbers are those of our corpus.
var transportCases = []transportCase{
	{name: "h3spec/transport/1", sends: "STREAM with a large offset", want: one(quicraw.FlowControlError), level: quicraw.OneRTT, frames: quicraw.AppendStream(nil, clientBidi, 1<<40, []byte("x"), false)},
	{name: "h3spec/transport/2", sends: "no initial_source_connection_id", want: one(quicraw.TransportParameterError), hello: func(o *quicraw.Options) {
		o.Change = func(all []quicraw.Parameter) []quicraw.Parameter { return without(all, quicraw.InitialSourceID) }
	}},
	{name: "h3spec/transport/3", sends: "original_destination_connection_id", want: one(quicraw.TransportParameterError), hello: with(quicraw.Parameter{ID: quicraw.OriginalDestinationID, Value: make([]byte, 8)})},
	{name: "h3spec/transport/4", sends: "preferred_address", want: one(quicraw.TransportParameterError), hello: with(quicraw.Parameter{ID: quicraw.PreferredAddress, Value: append(append(make([]byte, 24), 8), make([]byte, 8+16)...)})},
	{name: "h3spec/transport/5", sends: "retry_source_connection_id", want: one(quicraw.TransportParameterError), hello: with(quicraw.Parameter{ID: quicraw.RetrySourceID, Value: make([]byte, 8)})},
	{name: "h3spec/transport/6", sends: "stateless_reset_token", want: one(quicraw.TransportParameterError), hello: with(quicraw.Parameter{ID: quicraw.StatelessResetToken, Value: make([]byte, 16)})},
	{name: "h3spec/transport/7", sends: "max_udp_payload_size of 1199", want: one(quicraw.TransportParameterError), hello: with(quicraw.Number(quicraw.MaxUDPPayloadSize, 1199))},
	{name: "h3spec/transport/8", sends: "ack_delay_exponent of 21", want: one(quicraw.TransportParameterError), hello: with(quicraw.Number(quicraw.AckDelayExponent, 21))},
	{name: "h3spec/transport/9", sends: "max_ack_delay of 2^14", want: one(quicraw.TransportParameterError), hello: with(quicraw.Number(quicraw.MaxAckDelay, 1<<14))},
	{name: "h3spec/transport/10", sends: "a frame of unknown type", want: one(quicraw.FrameEncodingError), level: quicraw.OneRTT, frames: frame(0x3f)},
	{name: "h3spec/transport/11", sends: "a packet without frames", want: one(quicraw.ProtocolViolation), level: quicraw.OneRTT},
	{name: "h3spec/transport/12", sends: "reserved bits in a Handshake packet", want: one(quicraw.ProtocolViolation), level: quicraw.Handshake, frames: quicraw.AppendPing(nil), flaw: quicraw.ReservedBits},
	{name: "h3spec/transport/13", sends: "PATH_CHALLENGE in a Handshake packet", want: one(quicraw.ProtocolViolation), level: quicraw.Handshake, frames: append(frame(quicraw.FramePathChallenge), make([]byte, 8)...)},
	{name: "h3spec/transport/14", sends: "reserved bits in a short header", want: one(quicraw.ProtocolViolation), level: quicraw.OneRTT, frames: quicraw.AppendPing(nil), flaw: quicraw.ReservedBits},
	{name: "h3spec/transport/15", sends: "RESET_STREAM for a send-only stream", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: frame(quicraw.FrameResetStream, serverUni, 0, 0)},
	{name: "h3spec/transport/16", sends: "STOP_SENDING for a stream that does not exist", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: frame(quicraw.FrameStopSending, serverBidi, 0)},
	{name: "h3spec/transport/17", sends: "NEW_TOKEN", want: one(quicraw.ProtocolViolation), level: quicraw.OneRTT, frames: append(frame(quicraw.FrameNewToken, 5), "token"...)},
	{name: "h3spec/transport/18", sends: "STREAM for a stream that the server has not opened", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: quicraw.AppendStream(nil, serverBidi, 0, []byte("x"), false)},
	{name: "h3spec/transport/19", sends: "STREAM for a send-only stream", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: quicraw.AppendStream(nil, serverUni, 0, []byte("x"), false)},
	{name: "h3spec/transport/20", sends: "MAX_STREAM_DATA for a stream that does not exist", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: frame(quicraw.FrameMaxStreamData, serverBidi, 1000)},
	{name: "h3spec/transport/21", sends: "MAX_STREAM_DATA for a receive-only stream", want: one(quicraw.StreamStateError), level: quicraw.OneRTT, frames: frame(quicraw.FrameMaxStreamData, clientUni, 1000)},
	{name: "h3spec/transport/22", sends: "MAX_STREAMS of 2^60+1", want: one(quicraw.FrameEncodingError), level: quicraw.OneRTT, frames: frame(quicraw.FrameMaxStreams, tooMany)},
	{name: "h3spec/transport/23", sends: "STREAMS_BLOCKED of 2^60+1", want: []quicraw.Code{quicraw.StreamLimitError, quicraw.FrameEncodingError}, level: quicraw.OneRTT, frames: frame(quicraw.FrameStreamsBlocked, tooMany)},
	{name: "h3spec/transport/24", sends: "NEW_CONNECTION_ID that retires itself", want: one(quicraw.FrameEncodingError), level: quicraw.OneRTT, frames: quicraw.AppendNewConnectionID(nil, 1, 2, make([]byte, 8))},
	{name: "h3spec/transport/25", sends: "NEW_CONNECTION_ID without an id", want: one(quicraw.FrameEncodingError), level: quicraw.OneRTT, frames: quicraw.AppendNewConnectionID(nil, 1, 0, nil)},
	{name: "h3spec/transport/26", sends: "HANDSHAKE_DONE", want: one(quicraw.ProtocolViolation), level: quicraw.OneRTT, frames: frame(quicraw.FrameHandshakeDone)},
	{name: "h3spec/transport/27", sends: "TLS KeyUpdate in a Handshake packet", want: one(quicraw.UnexpectedMessage), level: quicraw.Handshake, frames: quicraw.AppendCrypto(nil, 0, keyUpdate)},
	{name: "h3spec/transport/28", sends: "TLS KeyUpdate in a 1-RTT packet", want: one(quicraw.UnexpectedMessage), level: quicraw.OneRTT, frames: quicraw.AppendCrypto(nil, 0, keyUpdate)},
	{name: "h3spec/transport/29", sends: "no application protocol of the server's", want: one(quicraw.NoApplicationProtocol), hello: func(o *quicraw.Options) { o.TLS.NextProtos = []string{"unknown"} }},
	{name: "h3spec/transport/30", sends: "no quic_transport_parameters", want: one(quicraw.MissingExtension), hello: func(o *quicraw.Options) { o.NoParameters = true }},
	{name: "h3spec/transport/31", sends: "TLS EndOfEarlyData", want: one(quicraw.UnexpectedMessage), level: quicraw.Handshake, frames: quicraw.AppendCrypto(nil, 0, endOfEarlyData)},
	{name: "h3spec/transport/32", sends: "CRYPTO in a 0-RTT packet", want: one(quicraw.ProtocolViolation), story: earlyCrypto},
}
