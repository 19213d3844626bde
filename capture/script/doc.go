// Package script turns a text fixture into packets, for tests.
//
// A script says what a capture point saw, line by line, as packetdrill and
// tcpdump would write it. Sequence numbers, acknowledgements, checksums and IP
// identifications are filled in.
//
//	conn 10.0.0.1:40000 > 10.0.0.2:80
//	+0     handshake
//	+0     > P "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
//	+0.040 < A
//	+0     > P "hello"     # want nagle-delayed-ack "40.0 ms"
//
// # Directives
//
//	conn [NAME] CLIENT:PORT > SERVER:PORT [mss=N[/M]] [wscale=N[/M]] [isn=N[/M]] [win=N]
//	                      [legs=T[/U]] [ts] [midstream] [at=T]
//	start RFC3339         capture time of the clock's zero, 2026-01-01T00:00:00Z otherwise
//	clock T               from here on packets are stamped T off the script's clock; T may be negative
//	snaplen N             packets are cut to N bytes
//	dropped N             the source says that its kernel dropped N packets
//	truncated             the source ends in a read error, as a file cut in its last record
//	repeat N ... end      the lines between, N times; {i} in them is 0, 1, ..., {40000+i} a sum, {i*2} a product
//
// A pair N/M gives the client's value and the server's; one value is for
// both. isn defaults to a number of the connection's own, mss to 1460 (1440
// over IPv6), wscale to none, win (unscaled, as sent) to 64240; mss=0 leaves
// the option out. legs are the round trips from the capture point to the
// client and to the server, 100 µs each unless given: shorthands use them.
// ts puts a timestamp option (12 bytes) on every segment. midstream starts
// with the connection established. at=T sets the clock to T, in seconds
// after its zero.
//
// # Packets
//
//	TIME [NAME] > FLAGS ["TEXT"...] [OPTION...] [# COMMENT]
//
// TIME is +SECONDS after the line before, or @SECONDS after the clock's zero;
// a unit (+40ms) may be given. NAME is the connection's, the one last named or
// declared if left out. > goes from client to server, < back. Lines of
// different connections may stand in any order: packets are put in order of
// the script's clock, those of equal time stay as written.
//
// FLAGS are tcpdump's letters (S F R P U E W, and A or . for ACK). P and F
// bring the ACK flag with them; S and R do not: write S. and R. for those.
//
// TEXT is in Go's quotes; several are joined. Options:
//
//	len=N        N bytes of filler after the text
//	seq=N seq=±N sequence number, where the side's ISN is 0 (its first data byte 1), or off its next one
//	ack=N ack=±N acknowledgement, likewise in the other side's numbers, or off what this side has received
//	win=N id=N   window (unscaled) and IP identification
//	ttl=N        hop limit, 64 unless given
//	retransmit   once more what this side sent last that has a length; with text or len, that instead,
//	             at the same sequence number
//	split=N      sent as segments of at most N bytes, all at the same time
//	lost         captured, but the receiver never gets it
//	drop         the receiver gets it, but it is not captured
//	dup[=T]      captured twice, T later (50 µs unless given)
//	skew=T       stamped T off
//	snap=N       cut to N bytes
//	noack        without the ACK flag
//	badsum       with a wrong TCP checksum
//
// The acknowledgement is what that side has received without a hole by the
// lines so far, whoever was on the way: give ack= where a segment left before
// an earlier line arrived.
//
// Two shorthands take the place of direction and flags:
//
//	TIME [NAME] handshake          S, S. one server leg later, A one client leg later
//	TIME [NAME] > close            F. of that side, F. of the other a leg later, A
//
// # Expectations
//
//	# want RULE [SEVERITY] ["SUBSTRING"] [RULE ...]   on a packet's line: a finding whose first frame it is
//	                                                  on a line of its own: a finding anywhere
//	# silent                                          no finding at all
//	# abstains REASON...                              connections are counted as not judged for it
//
// RULE is a code or a name. Any other comment is one.
package script
