package tlsinfo

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
)

// write is what one side sent at once.
type write struct {
	side http1.Side
	b    []byte
}

// wiretap notes what two TLS peers write to each other.
type wiretap struct {
	mu     sync.Mutex
	writes []write
}

// queue is one direction of a connection: unlike net.Pipe's, its writer does
// not wait for the reader.
type queue struct {
	mu   sync.Mutex
	more sync.Cond
	b    bytes.Buffer
	done bool
}

func newQueue() *queue {
	q := &queue{}
	q.more.L = &q.mu
	return q
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = true
	q.more.Broadcast()
}

// tapped is one end of a connection, whose writes are noted.
type tapped struct {
	net.Conn // nil: what is not needed
	tap      *wiretap
	side     http1.Side
	in, out  *queue
}

func (c *tapped) Read(b []byte) (int, error) {
	q := c.in
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.b.Len() == 0 && !q.done {
		q.more.Wait()
	}
	return q.b.Read(b)
}

func (c *tapped) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.writes = append(c.tap.writes, write{c.side, bytes.Clone(b)})
	c.tap.mu.Unlock()
	q := c.out
	q.mu.Lock()
	defer q.mu.Unlock()
	q.more.Broadcast()
	return q.b.Write(b)
}

func (c *tapped) Close() error                     { c.out.close(); return nil }
func (c *tapped) SetDeadline(time.Time) error      { return nil }
func (c *tapped) SetReadDeadline(time.Time) error  { return nil }
func (c *tapped) SetWriteDeadline(time.Time) error { return nil }

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// talk has a client ask and a server answer once, over pipes, and returns what
// they wrote. With notify both close as TLS asks for.
func talk(t *testing.T, client, server *tls.Config, notify bool) []write {
	t.Helper()
	var tap wiretap
	up, down := newQueue(), newQueue()
	a := &tapped{tap: &tap, side: http1.Client, in: down, out: up}
	b := &tapped{tap: &tap, side: http1.Server, in: up, out: down}
	server.Certificates = []tls.Certificate{certificate()}
	c, s := tls.Client(a, client), tls.Server(b, server)
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 100)
		_, err := io.ReadFull(s, buf)
		if err == nil {
			_, err = s.Write(make([]byte, 40_000))
		}
		s.Read(buf[:1]) // to the client's end
		if notify {
			s.Close()
		}
		b.Close()
		done <- err
	}()
	if _, err := c.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 40_000)); err != nil {
		t.Fatal(err)
	}
	if notify {
		c.Close()
	}
	a.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return tap.writes
}

// follow hands writes to a State in pieces of at most size bytes, each a frame,
// and returns it. Each acknowledges all before it.
func follow(p *Pool, writes []write, size int) *State {
	st := &State{}
	var sent [2]int
	frame := uint64(0)
	for _, w := range writes {
		for b := w.b; len(b) > 0; {
			n := min(size, len(b))
			frame++
			st.Data(p, w.side, b[:n], http1.Mark{Time: int64(frame), Frame: frame, Seq: wire.Seq(sent[w.side]), Ack: wire.Seq(sent[1-w.side])})
			sent[w.side] += n
			b = b[n:]
		}
	}
	return st
}

func summary(st *State) Summary {
	var s Summary
	st.Summary(&s)
	return s
}

// facts is what does not depend on how the bytes were cut up.
func facts(s Summary) Summary {
	s.Start = http1.Mark{Seq: s.Start.Seq, Frame: min(s.Start.Frame, 1)}
	s.Done = http1.Mark{Seq: s.Done.Seq, Frame: min(s.Done.Frame, 1)}
	s.Next = [2]wire.Seq{}
	return s
}

func TestHandshakes(t *testing.T) {
	base := func(version uint16) (c, s *tls.Config) {
		c = &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
		s = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		return c, s
	}
	for _, test := range []struct {
		name    string
		version uint16
		change  func(c, s *tls.Config)
		again   func(c, s *tls.Config) // a second connection, which is the one looked at
		quiet   bool
		want    Summary
	}{
		{name: "1.2 full", version: tls.VersionTLS12,
			want: Summary{ALPN: "http/1.1", Handshake: Full, Offer: NotOffered}},
		{name: "1.2 resumed", version: tls.VersionTLS12, again: func(c, s *tls.Config) {},
			change: func(c, s *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(0) },
			want:   Summary{ALPN: "http/1.1", Handshake: Resumed, Offer: Offered}},
		{name: "1.2 refused", version: tls.VersionTLS12,
			change: func(c, s *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(0) },
			again:  func(c, s *tls.Config) { s.SetSessionTicketKeys([][32]byte{{1}}) },
			want:   Summary{ALPN: "http/1.1", Handshake: Full, Offer: Offered}},
		{name: "1.2 of a client of 1.3", version: tls.VersionTLS13,
			change: func(c, s *tls.Config) { s.MaxVersion = tls.VersionTLS12 },
			want:   Summary{Version: VersionTLS12, ALPN: "http/1.1", Handshake: Full, Offer: NotOffered}},
		{name: "1.3 full", version: tls.VersionTLS13,
			want: Summary{Handshake: Full, Offer: NotOffered}},
		{name: "1.3 resumed", version: tls.VersionTLS13, again: func(c, s *tls.Config) {},
			change: func(c, s *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(0) },
			want:   Summary{Handshake: Resumed, Offer: Offered}},
		{name: "1.3 refused", version: tls.VersionTLS13,
			change: func(c, s *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(0) },
			again:  func(c, s *tls.Config) { s.SetSessionTicketKeys([][32]byte{{1}}) },
			want:   Summary{Handshake: Full, Offer: Offered}},
		{name: "1.3 after a retry", version: tls.VersionTLS13,
			change: func(c, s *tls.Config) {
				c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
				s.CurvePreferences = []tls.CurveID{tls.CurveP384}
			},
			want: Summary{Handshake: Full, Offer: NotOffered, Retried: true}},
		{name: "1.3 resumed after a retry", version: tls.VersionTLS13, again: func(c, s *tls.Config) {},
			change: func(c, s *tls.Config) {
				c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
				s.CurvePreferences = []tls.CurveID{tls.CurveP384}
			},
			want: Summary{Handshake: Resumed, Offer: Offered, Retried: true}},
		{name: "1.2 without notice", version: tls.VersionTLS12, quiet: true,
			want: Summary{ALPN: "http/1.1", Handshake: Full, Offer: NotOffered, Notify: [2]Notify{NotNotified, NotNotified}}},
		{name: "1.3 without notice", version: tls.VersionTLS13, quiet: true,
			want: Summary{Handshake: Full, Offer: NotOffered, Notify: [2]Notify{NotNotified, NotNotified}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s := base(test.version)
			if test.change != nil {
				test.change(c, s)
			}
			writes := talk(t, c, s, !test.quiet)
			if test.again != nil {
				test.again(c, s)
				writes = talk(t, c, s, !test.quiet)
			}
			want := test.want
			if want.Version == 0 {
				want.Version = test.version
			}
			want.SNI, want.OffersH2, want.OffersHTTP1 = "shop.test", true, true
			if !test.quiet {
				want.Notify = [2]Notify{Notified, Notified}
			}
			var p Pool
			whole := facts(summary(follow(&p, writes, 1<<20)))
			want.Start, want.Done = whole.Start, whole.Done
			if whole.Start.Frame == 0 || whole.Done.Frame == 0 {
				t.Errorf("begins at %+v, done at %+v", whole.Start, whole.Done)
			}
			if test.quiet && whole.Notify[http1.Server] == NotifyUnknown {
				want.Notify[http1.Server] = NotifyUnknown // its last record may be as short as any
			}
			if d := cmp.Diff(want, whole); d != "" {
				t.Error(d)
			}
			for _, size := range []int{1, 2, 3, 5, 7, 64, 1460} {
				st := follow(&p, writes, size)
				if d := cmp.Diff(whole, facts(summary(st))); d != "" {
					t.Errorf("in pieces of %d:\n%s", size, d)
				}
				for side := range http1.Side(2) {
					if at, known := st.Boundary(side); !at || !known {
						t.Errorf("in pieces of %d: side %d ends inside a record: %v %v", size, side, at, known)
					}
				}
				st.Close(&p)
			}
		})
	}
}

// TestGaps leaves bytes out: what is told then is what the whole tells, or
// nothing.
func TestGaps(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(0)
		server := &tls.Config{}
		for range 2 {
			writes := talk(t, &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: cache}, server, true)
			var p Pool
			whole := summary(follow(&p, writes, 1<<20))
			for i, w := range writes {
				for _, cut := range [][2]int{{0, 1}, {3, 4}, {6, 20}, {40, 100}, {90, 91}, {100, len(w.b)}, {len(w.b) - 1, len(w.b)}, {0, len(w.b)}} {
					from, to := cut[0], min(cut[1], len(w.b))
					if from < 0 || from >= to {
						continue
					}
					st := &State{}
					var sent [2]int
					for j, w := range writes {
						m := http1.Mark{Frame: uint64(j + 1), Time: int64(j), Seq: wire.Seq(sent[w.side]), Ack: wire.Seq(sent[1-w.side])}
						sent[w.side] += len(w.b)
						if j != i {
							st.Data(&p, w.side, w.b, m)
							continue
						}
						st.Data(&p, w.side, w.b[:from], m)
						st.Gap(&p, w.side, to-from)
						m.Seq = m.Seq.Add(to)
						st.Data(&p, w.side, w.b[to:], m)
					}
					got := summary(st)
					if got.SNI != whole.SNI && got.SNI != "" || got.Version != whole.Version && got.Version != 0 ||
						got.Handshake != whole.Handshake && got.Handshake != UnknownHandshake ||
						got.Offer != whole.Offer && got.Offer != OfferUnknown ||
						got.Done.Frame != 0 && got.Done.Frame != whole.Done.Frame {
						t.Errorf("%x: write %d of %d without [%d:%d] of %d: %+v\nwhole: %+v", version, i, len(writes), from, to, len(w.b), got, whole)
					}
					for side := range got.Notify {
						if got.Notify[side] == NotNotified {
							t.Errorf("%x: write %d without [%d:%d]: side %d has not announced its end", version, i, from, to, side)
						}
					}
					st.Close(&p)
				}
			}
		}
	}
}

// TestEarlyBytesOfOthers checks that what is no TLS costs nothing.
func TestEarlyBytesOfOthers(t *testing.T) {
	var p Pool
	for _, b := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00", "\x16\x02", "\x80\x2e\x01"} {
		st := &State{}
		st.Data(&p, http1.Client, []byte(b), http1.Mark{Frame: 1})
		if at, known := st.Boundary(http1.Client); known {
			t.Errorf("%q: records are followed: %v", b, at)
		}
	}
}

func TestAlerts(t *testing.T) {
	hello := "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + string(make([]byte, 32)) + "\x00\x00\x02\x13\x01\x01\x00\x00\x00"
	for _, test := range []struct {
		name, b string
		want    Notify
	}{
		{"close_notify", "\x15\x03\x03\x00\x02\x01\x00", Notified},
		{"fatal", "\x15\x03\x03\x00\x02\x02\x28", Notified},
		{"warning", "\x15\x03\x03\x00\x02\x01\x70", NotifyUnknown},
		{"encrypted", "\x15\x03\x03\x00\x1a" + string(make([]byte, 26)), Notified},
		{"unfinished", "\x15\x03\x03\x00\x02\x01", NotifyUnknown},
	} {
		var p Pool
		st := follow(&p, []write{{http1.Client, []byte(hello)}, {http1.Client, []byte(test.b)}}, 1)
		s := summary(st)
		if s.Notify[http1.Client] != test.want || s.Start.Frame == 0 {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}

func records(n, size int) []byte {
	var b []byte
	for range n {
		b = append(b, 23, 3, 3, byte(size>>8), byte(size))
		b = append(b, make([]byte, size)...)
	}
	return b
}

// TestNoAllocations holds that neither records nor, once the pool is warm,
// whole connections cost an allocation.
func TestNoAllocations(t *testing.T) {
	var p Pool
	st := &State{}
	b := records(50, 1000)
	st.Data(&p, http1.Client, b, http1.Mark{Frame: 1})
	if n := testing.AllocsPerRun(100, func() {
		for i := 0; i < len(b); i += 1460 {
			st.Data(&p, http1.Client, b[i:min(i+1460, len(b))], http1.Mark{Frame: 2})
		}
	}); n != 0 {
		t.Errorf("%v allocations for records", n)
	}
	writes := talk(t, &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true}, &tls.Config{}, true)
	run := func(size int) {
		st := State{}
		for _, w := range writes {
			for b := w.b; len(b) > 0; b = b[min(size, len(b)):] {
				st.Data(&p, w.side, b[:min(size, len(b))], http1.Mark{Frame: 1})
			}
		}
		st.Close(&p)
	}
	run(100)
	if n := testing.AllocsPerRun(100, func() { run(100) }); n != 0 {
		t.Errorf("%v allocations for a connection", n)
	}
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 256 {
		t.Errorf("a TLS connection takes %d bytes", n)
	}
	t.Log(unsafe.Sizeof(State{}), unsafe.Sizeof(session{}))
}

func BenchmarkRecords(b *testing.B) {
	var p Pool
	st := &State{}
	data := records(40, 1400)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		st.Data(&p, http1.Server, data, http1.Mark{Frame: 1})
	}
}

// FuzzData cuts two directions in pieces and checks that nothing panics, that
// what is said does not depend on the pieces, and that lost bytes do not make
// the walker read beyond a record.
func FuzzData(f *testing.F) {
	seedRecorded(f)
	f.Add([]byte("\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"+string(make([]byte, 32))+"\x00\x00\x02\x13\x01\x01\x00\x00\x00"),
		[]byte("\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03"+string(make([]byte, 32))+"\x00\x13\x01\x00\x00\x00"), uint8(1), uint16(0))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x40\x00\x17\x03\x03\x00\x00"), []byte("\x15\x03\x03\x00\x02\x01\x00"), uint8(3), uint16(9))
	f.Fuzz(func(t *testing.T, c, s []byte, size uint8, gap uint16) {
		if len(c) == 0 || len(s) == 0 || !header(c) || !header(s) {
			return // nothing is followed until something looks like TLS
		}
		var p Pool
		writes := []write{{http1.Client, c}, {http1.Server, s}, {http1.Client, records(1, 30)}, {http1.Server, records(1, 30)}}
		whole := follow(&p, writes, 1<<20)
		parts := follow(&p, writes, int(size)+1)
		if d := cmp.Diff(facts(summary(whole)), facts(summary(parts))); d != "" {
			t.Fatalf("in pieces of %d: %s", int(size)+1, d)
		}
		whole.Gap(&p, http1.Client, int(gap))
		whole.Data(&p, http1.Client, s, http1.Mark{Frame: 99})
		for side := range whole.s.halves() {
			if h := &whole.s.half[side]; cap(h.buf) > 2*maxHello {
				t.Fatalf("%d bytes held of a hello", cap(h.buf))
			}
		}
		whole.Close(&p)
		parts.Close(&p)

		var ch clientHello
		var sh serverHello
		ch.parse(c)
		sh.parse(s)
	})
}

// halves returns the directions, none of nil.
func (s *session) halves() []half {
	if s == nil {
		return nil
	}
	return s.half[:]
}
