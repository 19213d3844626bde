package http1

// message returns the message of side in progress. There is one in every
// state of a body.
func (s *Session) message(side Side) *Message {
	if side == Client {
		return &s.cli.Req
	}
	return &s.srv.Resp
}

// bodyStep takes in bytes of a body: counted, not looked at but for chunk
// framing (RFC 9112 §7.1). It returns how many.
func (s *Session) bodyStep(e *Env, side Side, d *dir, b []byte, m Mark) int {
	msg := s.message(side)
	if msg.BodyFirst.Frame == 0 {
		msg.BodyFirst = m
	}
	n := len(b)
	switch d.state {
	case untilClose:
	case body:
		if side == Server && d.has(segment) && s.headOnly(msg, b[0], m) {
			s.complete(e, side, d, msg.Last)
			return s.step(e, side, d, b, m)
		}
		n = int(min(int64(n), d.rem))
		d.rem -= int64(n)
		s.hash(e, side, b[:n])
	case chunkData:
		n = int(min(int64(n), d.rem))
		if d.rem -= int64(n); d.rem == 0 {
			d.state, d.sub = chunkEnd, 0
		}
		s.hash(e, side, b[:n])
	default:
		return s.chunkStep(e, side, d, b, m)
	}
	msg.Body += int64(n)
	msg.Last = m.at(n)
	if d.state == body && d.rem == 0 {
		s.complete(e, side, d, msg.Last)
	}
	return n
}

// headOnly reports whether the response in progress, to a request that is not
// in the capture, was to HEAD: the client has sent its next request knowing
// the response to its head's end and no more, and a status line seems to
// follow there.
func (s *Session) headOnly(msg *Message, c byte, m Mark) bool {
	return msg.Body == 0 && s.srv.hidden && s.head != nil && c == 'H' &&
		s.head.Req.First.Ack == m.Seq && s.head.Req.First.Seq.Less(m.Ack)
}

func (s *Session) hash(e *Env, side Side, b []byte) {
	if side == Client && s.cli.hash.on {
		s.cli.hash.write(b, e.opts.MaxHash)
	}
}

// What dir.sub says in the states of chunk framing.
const (
	sizeDigit = 1 // chunkSize: a digit was seen
	sawCR     = 1 // chunkExt, chunkEnd, trailer: the byte before is CR
	inLine    = 2 // trailer: the line is not empty
)

// chunkStep takes in chunk framing.
func (s *Session) chunkStep(e *Env, side Side, d *dir, b []byte, m Mark) int {
	msg := s.message(side)
	for i, c := range b {
		ok := true
		switch d.state {
		case chunkSize:
			h := hexDigit(c)
			switch {
			case h < 16 && d.rem < 1<<59:
				d.rem = d.rem<<4 | int64(h)
				d.sub = sizeDigit
			case h < 16 || d.sub != sizeDigit:
				ok = false
			case c == '\n':
				s.chunkLF(e, side, m.at(i))
				d.sizeDone()
			case c == ';' || c == ' ' || c == '\t':
				d.state, d.sub = chunkExt, 0
			case c == '\r':
				d.state, d.sub = chunkExt, sawCR
			default:
				ok = false
			}
		case chunkExt:
			if c == '\n' {
				if d.sub != sawCR {
					s.chunkLF(e, side, m.at(i))
				}
				d.sizeDone()
				break
			}
			d.sub = 0
			if c == '\r' {
				d.sub = sawCR
			}
		case chunkEnd:
			switch {
			case c == '\r' && d.sub == 0:
				d.sub = sawCR
			case c == '\n':
				if d.sub != sawCR {
					s.chunkLF(e, side, m.at(i))
				}
				d.state, d.rem, d.sub = chunkSize, 0, 0
			default:
				ok = false
			}
		case trailer:
			switch {
			case c == '\n' && d.sub != inLine:
				if d.sub != sawCR {
					s.chunkLF(e, side, m.at(i))
				}
				msg.Body += int64(i + 1)
				msg.Last = m.at(i + 1)
				s.complete(e, side, d, msg.Last)
				return i + 1
			case c == '\n':
				d.sub = 0
			case c == '\r' && d.sub == 0:
				d.sub = sawCR
			default:
				d.sub = inLine
			}
		}
		if !ok {
			msg.Body += int64(i)
			msg.Last = m.at(i)
			s.badChunk(e, side, d, b[i:i+1], msg.Last)
			return len(b) // what follows is lost to the next segment
		}
		if d.state == chunkData {
			msg.Body += int64(i + 1)
			msg.Last = m.at(i + 1)
			return i + 1
		}
	}
	msg.Body += int64(len(b))
	msg.Last = m.at(len(b))
	return len(b)
}

// sizeDone ends a chunk's size line.
func (d *dir) sizeDone() {
	if d.state, d.sub = chunkData, 0; d.rem == 0 {
		d.state = trailer
	}
}

// chunkLF tells once a message that its chunk framing has a bare LF.
func (s *Session) chunkLF(e *Env, side Side, at Mark) {
	d := &s.d[side]
	msg := s.message(side)
	if d.has(lfTold) || msg.Bits.Any(BareLF) {
		return
	}
	d.flags |= lfTold
	msg.Bits |= BareLF
	e.fault = Anomaly{Kind: LFOnly, Side: side, At: at, Bytes: []byte{'\n'}}
	e.Sink.Anomaly(&e.fault, s.transaction(side))
}

func (s *Session) transaction(side Side) *Transaction {
	if side == Client {
		return s.cli
	}
	return s.srv
}

// badChunk gives the message's framing up. What a server sent of a response
// stays; its end is unknown.
func (s *Session) badChunk(e *Env, side Side, d *dir, b []byte, at Mark) {
	e.fault = Anomaly{Kind: BadChunkSize, Side: side, At: at, Bytes: b, Length: d.rem}
	e.Sink.Anomaly(&e.fault, s.transaction(side))
	s.message(side).Framing = Unframed
	s.loseStep(e, side, d, NotFramed)
}

// loseStep is called where a direction's framing is lost; a message in
// progress stays unfinished.
func (s *Session) loseStep(e *Env, side Side, d *dir, why Doubt) {
	d.drop(e)
	d.state = lost
	d.flags |= segment
	if side == Server {
		d.flags |= torn
		s.doubts |= why
		return
	}
	s.synced = false
	s.doubts |= LostClient
	if t := s.cli; t != nil {
		s.requestDone(e, t.Req.Last, false)
	}
}

func hexDigit(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case lower(c)-'a' < 6:
		return lower(c) - 'a' + 10
	}
	return 16
}

// Gap says that n bytes of side are missing from the capture: cut by its snap
// length (cut), or lost; either way they reached the other side. m.Seq is the
// first of them. Inside a body of known
// length the step is kept; elsewhere the next message is looked for.
func (s *Session) Gap(e *Env, side Side, n int, _ bool, m Mark) {
	if s.proto > HTTP1 || n <= 0 {
		return
	}
	d := s.know(side, m, m.Seq.Add(n))
	d.frame = uint32(m.Frame)
	switch d.state {
	case untilClose, body, chunkData:
		msg := s.message(side)
		k := n
		if d.state != untilClose {
			k = int(min(int64(n), d.rem))
			d.rem -= int64(k)
		}
		if side == Client {
			s.cli.hash.bad = true
		}
		msg.Body += int64(k)
		msg.Gaps += int64(k)
		msg.Last = m.at(k)
		if d.state == chunkData && d.rem == 0 {
			d.state, d.sub = chunkEnd, 0
		}
		if d.state == body && d.rem == 0 {
			s.complete(e, side, d, msg.Last)
		}
		if k == n {
			d.flags |= segment
			return
		}
		if d.state == chunkEnd {
			msg.Body += int64(n - k)
			msg.Gaps += int64(n - k)
			msg.Last = m.at(n)
		}
	case chunkSize, chunkExt, chunkEnd, trailer:
		msg := s.message(side)
		msg.Body += int64(n)
		msg.Gaps += int64(n)
		msg.Last = m.at(n)
	case junk:
		s.flushJunk(e, side)
	case head, try, hold:
		s.cutHead(e, side, d, m)
	}
	why := LostClient
	if side == Server {
		why = LostServer
	}
	s.loseStep(e, side, d, why)
}

// cutHead ends the head in progress at a gap. With its start line whole it is
// a message, its end unknown.
func (s *Session) cutHead(e *Env, side Side, d *dir, m Mark) {
	h := d.buf
	d.buf = nil
	defer e.putBuf(h)
	if h.scan == 0 {
		if d.state == head {
			s.unopen(e, side)
		}
		d.state = lost
		return
	}
	e.p.parse(side, h.b, true)
	if h.over {
		e.p.info.merge(&h.info)
		e.p.info.bits |= Truncated
	}
	s.headDone(e, side, d, h.at, m, true)
}

// End says that the FIN of side is next; m.Seq is its sequence number. A body
// that ends with the connection is complete.
func (s *Session) End(e *Env, side Side, m Mark) {
	if s.proto > HTTP1 {
		return
	}
	d := s.know(side, m, m.Seq.Add(1))
	s.flushJunk(e, side)
	if d.state == untilClose {
		s.complete(e, side, d, m)
	}
}

// closeHeads fills in what is known of heads that the connection's end cut
// off.
func (s *Session) closeHeads(e *Env) {
	if d := &s.d[Server]; d.state == hold {
		s.unhold(e, d) // too few bytes, and still a response
	}
	if d := &s.d[Client]; d.state == head && s.cli != nil && d.buf != nil {
		if _, ok := e.p.parse(Client, d.buf.b, true); ok {
			s.cli.words(&e.p)
		}
	}
	if d := &s.d[Server]; d.state == head && s.srv != nil && d.buf != nil {
		if _, ok := e.p.parse(Server, d.buf.b, true); ok {
			if e.p.status < 200 && e.p.status != 101 {
				s.unopen(e, Server)
			} else {
				s.srv.Resp.Status, s.srv.Resp.Version = e.p.status, e.p.version
			}
		}
	}
}
