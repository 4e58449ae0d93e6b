// SPDX-License-Identifier: EUPL-1.2

package http2

import "encoding/binary"

// Settings (RFC 9113, section 6.5.2; RFC 9218, section 2.1).
const (
	settingTableSize            = 0x1
	settingPush                 = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindow        = 0x4
	settingMaxFrame             = 0x5
	settingMaxHeaderListSize    = 0x6
	settingExtendedConnect      = 0x8
	settingNoPriorities         = 0x9

	settingLen = 6
)

// settingsFrame takes SETTINGS and acknowledges it.
func (s *Server) settingsFrame(f *frame, b []byte) Event {
	switch {
	case f.flags&flagAck != 0 && f.length > 0, f.length%settingLen != 0:
		return s.fail(FrameSizeError, causeFrameSize)
	case f.flags&flagAck != 0:
		return s.charge(SettingsFlood, costFrame)
	}
	if s.greeted {
		if s.charge(SettingsFlood, costChange) == Failed {
			return Failed
		}
	}
	s.greeted = true
	window := s.initialWindow
	for ; len(b) > 0; b = b[settingLen:] {
		value := binary.BigEndian.Uint32(b[2:])
		switch binary.BigEndian.Uint16(b) {
		case settingTableSize:
			s.forget = s.forget || s.remembers && value < tableSize
		case settingPush, settingNoPriorities, settingExtendedConnect:
			if value > 1 {
				return s.fail(ProtocolError, causeSettings)
			}
		case settingInitialWindow:
			if value > maxWindow {
				return s.fail(FlowControlError, causeSettings)
			}
			window = int64(value)
		case settingMaxFrame:
			if value < maxFrame || value > 1<<24-1 {
				return s.fail(ProtocolError, causeSettings)
			}
		}
	}
	s.control = appendFrame(s.control, 0, typeSettings, flagAck, 0)
	return s.rewindow(window)
}

// rewindow changes the windows of all answers with the initial one (RFC 9113, section 6.9.2).
func (s *Server) rewindow(window int64) Event {
	more := window - s.initialWindow
	s.initialWindow = window
	if more == 0 {
		return More
	}
	for i, id := range s.streams.ids {
		if id == 0 {
			continue
		}
		x := &s.streams.all[i]
		if x.window += more; x.window > maxWindow {
			return s.fail(FlowControlError, causeWindowOverflow)
		}
	}
	if more > 0 && s.streams.live > 0 {
		return Writable
	}
	return More
}

// windowUpdateFrame takes WINDOW_UPDATE.
func (s *Server) windowUpdateFrame(f *frame, b []byte) (Event, Stream) {
	if f.length != 4 {
		return s.fail(FrameSizeError, causeFrameSize), NoStream
	}
	if s.explained > 0 {
		s.explained--
	} else if s.charge(WindowUpdateFlood, costSmall) == Failed {
		return Failed, NoStream
	}
	more := int64(binary.BigEndian.Uint32(b) & maxWindow)
	if f.id == 0 {
		return s.widen(more), NoStream
	}
	if s.idle(f.id) {
		return s.fail(ProtocolError, causeIdleStream), NoStream
	}
	st := s.streams.find(f.id)
	if st == NoStream || s.streams.all[st].closed != notEnded {
		return More, NoStream
	}
	x := &s.streams.all[st]
	switch {
	case more == 0:
		return s.streamError(st, ProtocolError, causeZeroIncrement)
	case x.window+more > maxWindow:
		return s.streamError(st, FlowControlError, causeWindowOverflow)
	}
	shut := x.window <= 0
	if x.window += more; shut && x.window > 0 {
		return Writable, st
	}
	return More, NoStream
}

// widen opens the connection's window.
func (s *Server) widen(more int64) Event {
	switch {
	case more == 0:
		return s.fail(ProtocolError, causeZeroIncrement)
	case s.window+more > maxWindow:
		return s.fail(FlowControlError, causeWindowOverflow)
	}
	shut := s.window <= 0
	if s.window += more; shut {
		return Writable
	}
	return More
}
