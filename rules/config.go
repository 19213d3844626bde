package rules

import (
	"strings"
	"time"
)

// Config holds the thresholds of all rules. Its zero value is useless; start
// from [Defaults].
type Config struct {
	Redact Redaction

	TimeWait time.Duration // how long a closed socket keeps its port
	PortMin  int           // first ephemeral port of a client
	PortMax  int           // last

	NagleMinDelay    time.Duration // LAT001: shortest delayed ACK
	NagleMaxDelay    time.Duration // longest
	NagleMinRelease  time.Duration // slack of the sender's answer to the ACK
	NagleReleasePart float64       // or this part of the delay, whichever is more

	ColdWithin       time.Duration // LAT002: how long ago the client may have closed a connection it could have used
	ColdMinCost      time.Duration // least time lost by a pair
	ColdPart         float64       // and least part of its transaction time
	HOLMinWait       time.Duration // LAT004: shortest wait behind a slower request
	HOLOwnPart       float64       // its own time is less than this part of it
	ExpectMinWait    time.Duration // LAT005: shortest silence before the body
	RoundTripMinCost time.Duration // LAT006: shortest round trip worth a finding
	RoundTripMin     int           // messages of a pair that lost one
	ZeroWindowMin    time.Duration // LAT007: shortest closed window
	ZeroWindowWarn   time.Duration // from which on it is a warning
	FullHandshakes   int           // TLS001: full handshakes that could have been resumed

	KeepAliveRaceLag    time.Duration // KA001, KA002: a program surely knew of a FIN this long after its kernel
	KeepAliveTLSIdle    time.Duration // KA001, KA002 on TLS: silence after which client data is a request
	KeepAliveRightAfter time.Duration // KA005, KA009: a close this soon belongs to the response before
	KeepAliveMassClose  time.Duration // KA005: closes of one server within this are a shutdown
	KeepAliveGrace      time.Duration // KA004: a close this much before the advertised time-out is in time
	ForgottenMinStall   time.Duration // KA003: how long data must be sent in vain
	CloseHonouredWithin time.Duration // KA008: from the last response to the close it announced
	KeepAliveThinPart   float64       // KA011: of the idle time-out that is used up
	KeepAliveThinReuses int           // KA011: such reuses of a pair

	RetryWindow time.Duration // PIP003, PIP004: longest time from a loss to its repetition

	PoolIdle           time.Duration // REU001: how long an ideal pool keeps an idle connection
	AvoidableMin       int           // REU001: connections that need not have been opened
	AvoidablePart      float64       // REU001: and least part of the connections
	AvoidableUsePart   float64       // REU001: and of the transactions
	MaxParallel        int           // REU002: connections of a pair open at once
	UnusedAfter        time.Duration // REU003: a connection without request this long is unused
	UnusedProbe        time.Duration // REU003: closed this soon by its opener, it was a probe
	LeakMinIdle        int           // REU004: connections standing idle
	LeakMinOpens       int           // REU004: connections opened in spite of them
	LeakIdle           time.Duration // REU004: idle this long they are forgotten
	LeakGaps           float64       // REU004: or this many times the usual gap between opens
	CloseWaitAfter     time.Duration // REU005: how long a side may take to close too
	CloseWaitWarn      time.Duration // REU005: from which on it is a warning
	CloseWaitWarnCount int           // REU005: or from so many at once
	RequestLimitMax    int           // REU006: highest request limit called low
	RequestLimitConns  int           // REU006: connections ended at the same number

	TimeWaitMinCloses int     // TW001: closes of a pair before it is judged
	TimeWaitWarnPart  float64 // of the ephemeral ports, held or projected

	ServerTimeWaitMin int // TW002: least number held at the rate seen
}

// Defaults returns the thresholds of the catalogue.
func Defaults() *Config {
	return &Config{
		TimeWait: time.Minute, PortMin: 32768, PortMax: 60999,
		NagleMinDelay: 20 * time.Millisecond, NagleMaxDelay: 550 * time.Millisecond,
		NagleMinRelease: 3 * time.Millisecond, NagleReleasePart: 0.1,
		ColdWithin: 10 * time.Second, ColdMinCost: 100 * time.Millisecond, ColdPart: 0.1,
		HOLMinWait: 100 * time.Millisecond, HOLOwnPart: 0.25,
		ExpectMinWait:    300 * time.Millisecond,
		RoundTripMinCost: 20 * time.Millisecond, RoundTripMin: 3,
		ZeroWindowMin: 200 * time.Millisecond, ZeroWindowWarn: time.Second,
		FullHandshakes:   3,
		KeepAliveRaceLag: 10 * time.Millisecond, KeepAliveTLSIdle: time.Second, KeepAliveRightAfter: 100 * time.Millisecond,
		KeepAliveMassClose: time.Second, KeepAliveGrace: time.Second, ForgottenMinStall: time.Second,
		CloseHonouredWithin: 5 * time.Second, KeepAliveThinPart: 0.8, KeepAliveThinReuses: 3,
		RetryWindow: 30 * time.Second,
		PoolIdle:    10 * time.Second, AvoidableMin: 5, AvoidablePart: 0.5, AvoidableUsePart: 0.2,
		MaxParallel: 6, UnusedAfter: 10 * time.Second, UnusedProbe: time.Second,
		LeakMinIdle: 10, LeakMinOpens: 5, LeakIdle: 10 * time.Second, LeakGaps: 5,
		CloseWaitAfter: 10 * time.Second, CloseWaitWarn: time.Minute, CloseWaitWarnCount: 3,
		RequestLimitMax: 100, RequestLimitConns: 3,
		TimeWaitMinCloses: 50, TimeWaitWarnPart: 0.1,
		ServerTimeWaitMin: 1000,
	}
}

// Override is a Config that holds in place of the general one for connections
// to some servers.
type Override struct {
	Servers Endpoints
	Config  *Config
}

// Ports returns how many ephemeral ports a client has towards one server.
func (c *Config) Ports() int { return c.PortMax - c.PortMin + 1 }

// Redaction says what of the traffic's words may be shown.
type Redaction uint8

// The redactions.
const (
	RedactDefault Redaction = iota // credentials and query values are hidden
	RedactAll                      // every path segment and host too
	RedactNone
)

// Host returns a host name, hidden if r hides it. Credentials, which do not
// belong there, are hidden by default.
func (r Redaction) Host(s string) string {
	switch {
	case r == RedactAll && s != "":
		return "***"
	case r == RedactDefault:
		return withoutUserinfo(s)
	}
	return s
}

// withoutUserinfo hides what stands before the host in an authority.
func withoutUserinfo(authority string) string {
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		return "***@" + authority[at+1:]
	}
	return authority
}

// Target returns a request target with the parts hidden that r hides.
func (r Redaction) Target(s string) string {
	switch r {
	case RedactNone:
		return s
	case RedactAll:
		return "/***"
	}
	if start := authority(s); start >= 0 {
		end := len(s)
		if i := strings.IndexAny(s[start:], "/?#"); i >= 0 {
			end = start + i
		}
		s = s[:start] + withoutUserinfo(s[start:end]) + s[end:]
	}
	path, query, ok := strings.Cut(s, "?")
	if !ok {
		return s
	}
	var b strings.Builder
	b.WriteString(path)
	b.WriteByte('?')
	for i, kv := range strings.Split(query, "&") {
		if i > 0 {
			b.WriteByte('&')
		}
		k, _, has := strings.Cut(kv, "=")
		switch {
		case has:
			b.WriteString(k + "=***")
		default: // a query without names is a value
			b.WriteString("***")
		}
	}
	return b.String()
}

// authority returns where the authority of a request target begins, -1 if it
// has none: absolute form, the form of CONNECT, or two slashes.
func authority(s string) int {
	if i := strings.Index(s, "://"); i >= 0 {
		return i + 3
	}
	switch {
	case strings.HasPrefix(s, "//"):
		return 2
	case !strings.HasPrefix(s, "/"):
		return 0
	}
	return -1
}
