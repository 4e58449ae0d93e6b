// SPDX-License-Identifier: EUPL-1.2

package exchange

// Body takes octets of the request body; BodyEnd says that there are no more. Both only gather: FlushRequest sends.
func (x *Exchange) Body(b []byte) {
	x.rec.BytesIn += int64(len(b))
	if x.state == relaying {
		x.earlyLeft -= len(b)
	}
	switch {
	case x.Parked():
		x.hold(b)
	case x.up != nil && !x.unasked:
		x.up.SendBody(b)
	}
}

// BodySink is where octets of the request body may be moved to instead of being given to Body, nil: nowhere; BodyMoved
// says how many were.
func (x *Exchange) BodySink() Sink {
	if x.up == nil || x.unasked || x.state != asking {
		return nil
	}
	return x.up.Sink()
}

// BodyMoved counts what was moved.
func (x *Exchange) BodyMoved(n int) {
	x.rec.BytesIn += int64(n)
	x.up.Moved(n)
}

// BodyEnd ends the request.
func (x *Exchange) BodyEnd() {
	if x.unasked {
		return // the backend has not got it whole
	}
	x.bodyEnded = true
	if x.up != nil {
		x.up.SendEnd()
	}
}

// FlushRequest sends what a batch of input has gathered. The exchange may be Over when it returns.
func (x *Exchange) FlushRequest() {
	switch {
	case x.up != nil:
		x.up.Flush()
	case x.looking.full && x.state == looksUp:
		x.unlooked()
	}
}

// WantsBody reports whether the client's input may be read now: nothing is, while what was read before still waits for
// the backend, while the client waits for 100, and after an early answer has taken its fill.
func (x *Exchange) WantsBody() bool {
	return x.up != nil && !x.expecting && x.earlyLeft > 0 && x.up.Pending() == 0
}

// Expecting reports that the client holds its body back until it sees 100.
func (x *Exchange) Expecting() bool { return x.expecting && !x.Over() }

// ExpectTimeout is called when the backend has said neither 100 nor anything else in time: we say it.
func (x *Exchange) ExpectTimeout() {
	if x.Expecting() && x.state == asking {
		x.proceed()
	}
}

func (x *Exchange) proceed() {
	x.expecting = false
	x.front.Continue()
	x.front.Resume()
}

// UpstreamInterim takes a 1xx answer. Only 100 has a meaning for the client, and only while it waits for it.
func (x *Exchange) UpstreamInterim(status int) {
	if status == 100 && x.Expecting() {
		x.proceed()
	}
}

// Stuck says that the client does not take what was sent: the backend is not read until Drained.
func (x *Exchange) Stuck() {
	if (x.state == relaying || x.state == tunnel) && x.up != nil {
		x.up.Pause()
	}
}

// Drained says that the client has taken what was sent.
func (x *Exchange) Drained() {
	if x.up != nil {
		x.up.Resume()
	}
	if x.state == tunnel {
		x.taken()
	}
}

// UpstreamSink is where octets of the answer's body may be moved to instead of being given to UpstreamData, nil: nowhere;
// UpstreamMoved says how many were.
func (x *Exchange) UpstreamSink() Sink {
	if x.state != relaying {
		return nil
	}
	return x.front.Sink()
}

// UpstreamMoved counts what was moved.
func (x *Exchange) UpstreamMoved(n int) { x.rec.BytesOut += int64(n) }

// UpstreamRoom says how much of the answer the client's side can pass on.
func (x *Exchange) UpstreamRoom() int { return x.front.Room() }

// UpstreamDrained says that the backend has taken what was sent.
func (x *Exchange) UpstreamDrained() {
	if x.state == tunnel {
		x.front.Resume()
		x.taken()
		return
	}
	if !x.Over() && x.WantsBody() {
		x.front.Resume()
	}
}
