// SPDX-License-Identifier: EUPL-1.2

package http2

// cause names the one rule of framing that a client broke; what is wrong with a head is a message.HeadCause. The zero
// value means nothing is wrong.
type cause uint8

const (
	causeNone cause = iota
	causePreface
	causeNoSettings
	causeFrameSize
	causeFrameOrder
	causePadding
	causeStreamID
	causeIdleStream
	causeStreamClosed
	causeCompression
	causeSettings
	causeSelfDependency
	causePush
	causeZeroIncrement
	causeWindowOverflow
	causeWindowExceeded
	causeLength
	causeBodyTooLarge
	causeTrailersOpen
	causeAbuse

	causeCount
)

var causes = [causeCount]string{
	causeNone:           "",
	causePreface:        "h2-preface",
	causeNoSettings:     "h2-no-settings",
	causeFrameSize:      "h2-frame-size",
	causeFrameOrder:     "h2-frame-order",
	causePadding:        "h2-padding",
	causeStreamID:       "h2-stream-id",
	causeIdleStream:     "h2-idle-stream",
	causeStreamClosed:   "h2-stream-closed",
	causeCompression:    "h2-compression",
	causeSettings:       "h2-settings",
	causeSelfDependency: "h2-self-dependency",
	causePush:           "h2-push",
	causeZeroIncrement:  "h2-zero-increment",
	causeWindowOverflow: "h2-window-overflow",
	causeWindowExceeded: "h2-window-exceeded",
	causeLength:         "length-mismatch",
	causeBodyTooLarge:   "body-too-large",
	causeTrailersOpen:   "h2-trailers-open",
	causeAbuse:          "h2-abuse",
}

// Causes returns every text that Cause may give but "" and message.HeadCauses: a closed list.
func Causes() []string { return append([]string(nil), causes[causeNone+1:]...) }

// Abuse says how a client wasted our time.
type Abuse uint8

// The abuses, a closed list.
const (
	NotAbused         Abuse = iota
	RapidReset              // streams are reset by the client before they are answered, or opened beyond what is allowed
	ProvokedReset           // streams are reset by us, for what the client made of them
	ContinuationFlood       // a header block that does not end
	PingFlood               // PING
	SettingsFlood           // SETTINGS
	PriorityFlood           // PRIORITY, and other frames without an effect
	EmptyFrames             // DATA that carries little or nothing
	WindowUpdateFlood       // WINDOW_UPDATE that our answers do not explain
	HeaderBomb              // a header block that stands for far more than it says
	Abuses                  // how many there are
)

// String returns the word used in metrics and logs.
func (a Abuse) String() string {
	return [Abuses]string{
		"none", "rapid_reset", "provoked_reset", "continuation_flood", "ping_flood", "settings_flood", "priority_flood", "empty_frames",
		"window_update_flood", "header_bomb",
	}[a]
}

// A client has burst points to waste, and gets a new one every refill nanoseconds. What a frame costs is beside its use;
// what an honest client sends with its requests costs nothing. A reset costs ten: two hundred at once, when a page is
// left, and twenty per second for ever.
const (
	burst  = 2000
	refill = 5e6

	costReset  = 10 // a stream that comes to nothing, PING
	costFrame  = 1  // one of which few are explained
	costSmall  = 2  // DATA below smallData, WINDOW_UPDATE beyond what answers explain
	costChange = 20 // SETTINGS

	smallData    = 256
	smallMessage = 6 // the header of a client's frame of WebSocket, with its mask (RFC 6455, section 5.2)
)

// charge takes points for a waste of kind a; it returns Failed if there are no more.
func (s *Server) charge(a Abuse, points int64) Event {
	s.spent = max(s.spent, s.now) + points*refill
	if s.spent-s.now <= burst*refill {
		return More
	}
	return s.calm(a)
}

// Wasteful reports that the client has wasted some of our time just now, by a reset at least: whoever has better manners is
// served first.
func (s *Server) Wasteful() bool { return s.spent-s.now >= (costReset-1)*refill }

// calm ends the connection of who wastes our time.
func (s *Server) calm(a Abuse) Event {
	if s.abuse == NotAbused {
		s.abuse = a
	}
	return s.fail(EnhanceYourCalm, causeAbuse)
}
