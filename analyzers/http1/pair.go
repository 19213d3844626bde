package http1

import "github.com/connlint/connlint/capture/wire"

// answered is a request whose final response is complete, or whose response
// the connection's end cut off. The next requests are held against it: did
// their client know that end?
type answered struct {
	at     Mark
	end    wire.Seq // an ack that covers this knew the whole response
	method Method
	live   bool
}

// history holds the answered requests that the client may not have known of,
// oldest first, when there are several. On most connections there is never
// more than one, and it stands in the session itself.
type history struct {
	list   []entry
	first  int // of the live ones in list
	unsafe int // the first live one that is not idempotent, or len(list)
}

type entry struct {
	answered
	name  [maxMethod]byte
	nameN uint8
}

func (h *history) push(a answered, name []byte) {
	if h.first > len(h.list)/2 && h.first > 16 {
		n := copy(h.list, h.list[h.first:])
		h.list, h.unsafe, h.first = h.list[:n], h.unsafe-h.first, 0
	}
	x := entry{answered: a}
	x.nameN = uint8(copy(x.name[:], name))
	if h.unsafe == len(h.list) && a.method.Idempotent() {
		h.unsafe++
	}
	h.list = append(h.list, x)
}

func (h *history) pop() {
	h.first++
	for h.unsafe < h.first || h.unsafe < len(h.list) && h.list[h.unsafe].method.Idempotent() {
		h.unsafe++
	}
}

// remember adds t to the answered requests; end is the sequence number after
// its final response.
func (s *Session) remember(e *Env, t *Transaction, end wire.Seq) {
	if s.Abstains() {
		return
	}
	a := answered{at: t.Req.First, end: end, method: t.Method, live: true}
	if !s.last.live && a.method != Other {
		s.last = a
		return
	}
	if s.hist == nil {
		if n := len(e.history); n > 0 {
			s.hist, e.history = e.history[n-1], e.history[:n-1]
		} else {
			s.hist = new(history)
		}
	}
	if s.last.live {
		s.hist.push(s.last, nil)
		e.recent++
		s.last.live = false
	}
	if a.method != Other {
		s.last = a
	} else {
		s.hist.push(a, t.MethodName)
		e.recent++
	}
	if len(s.hist.list)-s.hist.first > e.opts.MaxOutstanding || e.recent > e.opts.MaxWaiting {
		s.doubts |= TooDeep
		s.dropHistory(e)
		s.last.live = false
	}
}

// judge says whether t was pipelined: sent before its client knew the end of
// an earlier response. All earlier requests are answered, or given up.
func (s *Session) judge(e *Env, t *Transaction) {
	if s.Abstains() {
		return
	}
	ack := t.Req.First.Ack
	if h := s.hist; h != nil {
		for h.first < len(h.list) && h.list[h.first].end.LessEq(ack) {
			h.pop()
			e.recent--
		}
		if h.first == len(h.list) {
			s.dropHistory(e)
		}
	}
	if s.hist == nil && s.last.live && s.last.end.LessEq(ack) {
		s.last.live = false
	}
	n := 0
	if h := s.hist; h != nil {
		n = len(h.list) - h.first
		t.Behind = h.list[h.first].at
		if h.unsafe < len(h.list) {
			x := &h.list[h.unsafe]
			t.BehindUnsafe = x.at
			if x.method != Other {
				t.BehindMethod = t.keepString(x.method.String())
			} else {
				t.BehindMethod = t.keep(x.name[:x.nameN], maxMethod)
			}
		}
	}
	if s.last.live {
		if n++; n == 1 {
			t.Behind = s.last.at
		}
		if t.BehindUnsafe.Frame == 0 && !s.last.method.Idempotent() {
			t.BehindUnsafe = s.last.at
			t.BehindMethod = t.keepString(s.last.method.String())
		}
	}
	if t.Depth = uint16(min(n, 1<<16-1)); n > 0 {
		t.Req.Bits |= Pipelined
	}
}

func (s *Session) dropHistory(e *Env) {
	if h := s.hist; h != nil {
		e.recent -= len(h.list) - h.first
		*h = history{list: h.list[:0]}
		e.history = append(e.history, h)
		s.hist = nil
	}
}

func (t *Transaction) keepString(v string) []byte {
	n := len(t.buf)
	t.buf = append(t.buf, v...)
	return t.buf[n:len(t.buf):len(t.buf)]
}

// enqueue begins a transaction whose request starts at at.
func (s *Session) enqueue(e *Env, at Mark) *Transaction {
	t := e.get()
	t.Index = s.index
	s.index++
	t.Req.First, t.Req.Last = at, at
	// Where no byte of the server is in the capture, requests that a later
	// ack shows answered must not pile up.
	for s.queued >= hiddenQueue && at.Ack.Sub(s.unanswered(s.head)) > 1 && s.head.Resp.First.Frame == 0 {
		s.giveUp(e, s.head)
	}
	if s.orphan && at.Seq.Less(s.orphanAck) {
		// The server had read this request when it sent a response that no
		// request was known for: the request comes too late to be paired.
		s.doubts |= LostClient
		t.late = true
		return t
	}
	if s.over > 0 || int(s.queued) >= e.opts.MaxOutstanding || s.queued > 0 && e.waiting >= e.opts.MaxWaiting {
		s.doubts |= TooDeep
		s.over++
		t.hidden = true
		return t
	}
	t.queued = true
	if s.tail == nil {
		s.head = t
	} else {
		s.tail.next = t
		t.waits = true
		e.waiting++
	}
	s.tail = t
	s.queued++
	return t
}

// unanswered returns the sequence number up to which a client can know the
// server without having got a byte of the answer to t, or of what of the answer
// is not in the capture. An ack one above is the server's FIN; one beyond that
// proves that the client got something that the capture has not.
func (s *Session) unanswered(t *Transaction) wire.Seq {
	if d := &s.d[Server]; d.has(seen) {
		return d.next.Max(t.Req.First.Ack)
	}
	return t.Req.First.Ack
}

// hiddenQueue is how many requests wait for a server that may only be missing
// from the capture.
const hiddenQueue = 64

// withdraw undoes enqueue for a request that turned out to be none.
func (s *Session) withdraw(e *Env, t *Transaction) {
	s.index--
	if !t.queued {
		if !t.late {
			s.over--
		}
		e.put(t)
		return
	}
	s.queued--
	if s.head == t {
		s.head, s.tail = nil, nil
	} else {
		p := s.head
		for p.next != t {
			p = p.next
		}
		p.next, s.tail = nil, p
	}
	if s.srv == t {
		s.srv = nil
	}
	e.put(t)
}

// finish tells the end of t and forgets it. A queued t is the queue's head.
func (s *Session) finish(e *Env, t *Transaction, o Outcome) {
	if t.queued {
		s.head = t.next
		if s.queued--; s.head == nil {
			s.tail = nil
		}
		t.next = nil
	}
	if s.cli == t {
		s.cli = nil
	}
	if s.srv == t {
		s.srv = nil
	}
	t.Outcome = o
	if h := &t.hash; h.on && !h.bad && t.Req.Complete {
		t.BodyHash, t.BodyHashOK = h.sum(), true
	}
	e.Sink.Done(t)
	e.put(t)
}

// hides reports whether the server's ack covers bytes of the client that were
// never seen here. One more than was seen is the client's FIN.
func (s *Session) hides(ack wire.Seq) bool {
	c := &s.d[Client]
	return !c.has(seen) || !s.synced || s.over > 0 || ack.Sub(c.next) > 1
}

// choose returns the request that a response beginning at at answers, nil for
// none that is known.
//
// Responses come in the order of the requests, so it is the first one open.
// Where bytes are lost, requests and responses may be missing in between.
// Then causality decides: the server has read the request (its ack), and the
// client sent the request before it knew any byte of the response. Of the
// requests that fit, the latest has the answer: its client had seen all
// earlier ones answered; of requests sent with the same knowledge, the first.
func (s *Session) choose(at Mark) *Transaction {
	t := s.head
	if s.synced && !s.d[Server].has(torn) {
		if t == nil || t.Resp.Complete || !t.Req.First.Seq.Less(at.Ack) {
			return nil
		}
		return t
	}
	if s.srv != nil && s.srv == t && t.Resp.First.Frame != 0 {
		t = t.next // its response had begun
	}
	var c *Transaction
	for ; t != nil && !t.Resp.Complete; t = t.next {
		if !t.Req.First.Seq.Less(at.Ack) || at.Seq.Less(t.Req.First.Ack) {
			break
		}
		if c == nil || c.Req.First.Ack != t.Req.First.Ack {
			c = t
		}
	}
	return c
}

// respond begins a response at at. With lost framing before it, it returns
// false where no request known or hidden can have caused it.
func (s *Session) respond(e *Env, at Mark) bool {
	d := &s.d[Server]
	t := s.choose(at)
	hidden := t == nil && s.hides(at.Ack)
	if t == nil && !hidden && d.has(torn) {
		return false
	}
	// A response that was begun and lost is over, and so is every request
	// before the one that is answered now.
	if r := s.srv; r != nil && r != t && r.Resp.First.Frame != 0 {
		s.giveUp(e, r)
	}
	for t != nil && s.head != t {
		s.giveUp(e, s.head)
	}
	d.flags &^= torn
	if t == nil {
		t = e.get()
		t.Index = s.index
		if t.hidden = hidden; hidden {
			s.orphan, s.orphanAck = true, at.Ack
		}
		t.reqOver = true
	}
	s.srv = t
	t.Resp.First, t.Resp.Last = at, at
	return true
}

// giveUp ends a transaction whose answer is lost.
func (s *Session) giveUp(e *Env, t *Transaction) {
	if t.queued {
		s.doubts |= LostServer
		s.dropHistory(e)
		s.last.live = false
		if s.cli == t {
			s.dropRequest(e)
		}
	}
	o := Unknown
	if t.Resp.Complete {
		o = Answered
	} else if !t.queued && !t.hidden {
		o = Unsolicited
	}
	s.finish(e, t, o)
}

// dropRequest stops following the request in progress.
func (s *Session) dropRequest(e *Env) {
	d := &s.d[Client]
	d.drop(e)
	d.state = lost
	s.cli = nil
}

// responseDone is called when the final response in progress is complete.
func (s *Session) responseDone(e *Env, end Mark) {
	t := s.srv
	s.srv = nil
	t.Resp.Complete, t.Resp.Last = true, end
	if !t.queued {
		o := Unsolicited
		if t.hidden {
			o = Unknown
			if s.over > 0 && s.queued == 0 {
				s.over--
			}
		}
		s.finish(e, t, o)
		return
	}
	s.synced = true
	s.judge(e, t)
	// A final response that came before the whole request did tells the
	// client to stop; what it sends next is not pipelined behind it.
	if (t.Req.Complete || t.reqOver) && t.Req.Last.Seq.LessEq(t.Resp.First.Ack) {
		s.remember(e, t, end.Seq)
	}
	if t.Req.Complete || t.reqOver {
		s.finish(e, t, Answered)
	}
}

// requestDone is called when the request in progress is complete, or will see
// no more bytes.
func (s *Session) requestDone(e *Env, end Mark, complete bool) {
	t := s.cli
	s.cli = nil
	if t == nil {
		return
	}
	t.reqOver = true
	t.Req.Complete, t.Req.Last = complete, end
	switch {
	case !t.queued:
		s.finish(e, t, Unknown)
	case t.Resp.Complete:
		s.finish(e, t, Answered)
	}
}

// Close ends the connection: by RST, or because the capture ended first
// (final). Every transaction under way is told with its outcome. Protocol,
// Doubts and Abstains still answer afterwards.
func (s *Session) Close(e *Env, reset, final bool) {
	s.flushJunk(e, Client)
	s.flushJunk(e, Server)
	s.closeHeads(e)
	if t := s.srv; t != nil && !t.queued {
		o := Unsolicited
		if t.hidden || s.d[Server].has(torn) {
			o = Unknown
		}
		s.finish(e, t, o)
	}
	if t := s.cli; t != nil && !t.queued {
		s.finish(e, t, Unknown)
	}
	for s.head != nil {
		t := s.head
		if t.Resp.Complete {
			s.finish(e, t, Answered)
			continue
		}
		base := s.unanswered(t)
		s.judge(e, t)
		s.remember(e, t, base.Add(2))
		o := Unanswered
		switch {
		case s.d[Server].has(torn) || s.cliAck.Sub(base) > 1:
			o = Unknown
		case final:
			o = Open
		case t.Resp.First.Frame != 0:
			o = Incomplete
		}
		if s.d[Server].has(torn) {
			s.doubts |= LostServer
		}
		s.finish(e, t, o)
	}
	s.dropHistory(e)
	s.d[Client].drop(e)
	s.d[Server].drop(e)
	*s = Session{proto: s.proto, doubts: s.doubts, index: s.index}
}
