package rules

// Code generated from config.go by go test ./rules -update; DO NOT EDIT.

// thresholdDoc returns the rule that a field of Config belongs to, and what it means.
func thresholdDoc(field string) (code, doc string) {
	switch field {
	case "TimeWait":
		return "", "how long a closed socket keeps its port"
	case "PortMin":
		return "", "first ephemeral port of a client"
	case "PortMax":
		return "", "last"
	case "NagleMinDelay":
		return "LAT001", "shortest delayed ACK"
	case "NagleMaxDelay":
		return "LAT001", "longest"
	case "NagleMinRelease":
		return "LAT001", "slack of the sender's answer to the ACK"
	case "NagleReleasePart":
		return "LAT001", "or this part of the delay, whichever is more"
	case "ColdWithin":
		return "LAT002", "how long ago the client may have closed a connection it could have used"
	case "ColdMinCost":
		return "LAT002", "least time lost by a pair"
	case "ColdPart":
		return "LAT002", "and least part of its transaction time"
	case "HOLMinWait":
		return "LAT004", "shortest wait behind a slower request"
	case "HOLOwnPart":
		return "LAT004", "its own time is less than this part of it"
	case "ExpectMinWait":
		return "LAT005", "shortest silence before the body"
	case "RoundTripMinCost":
		return "LAT006", "shortest round trip worth a finding"
	case "RoundTripMin":
		return "LAT006", "messages of a pair that lost one"
	case "ZeroWindowMin":
		return "LAT007", "shortest closed window"
	case "ZeroWindowWarn":
		return "LAT007", "from which on it is a warning"
	case "FullHandshakes":
		return "TLS001", "full handshakes that could have been resumed"
	case "KeepAliveRaceLag":
		return "KA001", "a program surely knew of a FIN this long after its kernel"
	case "KeepAliveTLSIdle":
		return "KA001", "KA001, KA002 on TLS: silence after which client data is a request"
	case "KeepAliveRightAfter":
		return "KA005", "a close this soon belongs to the response before"
	case "KeepAliveMassClose":
		return "KA005", "closes of one server within this are a shutdown"
	case "KeepAliveGrace":
		return "KA004", "a close this much before the advertised time-out is in time"
	case "ForgottenMinStall":
		return "KA003", "how long data must be sent in vain"
	case "CloseHonouredWithin":
		return "KA008", "from the last response to the close it announced"
	case "KeepAliveThinPart":
		return "KA011", "of the idle time-out that is used up"
	case "KeepAliveThinReuses":
		return "KA011", "such reuses of a pair"
	case "RetryWindow":
		return "PIP003", "longest time from a loss to its repetition"
	case "PoolIdle":
		return "REU001", "how long an ideal pool keeps an idle connection"
	case "AvoidableMin":
		return "REU001", "connections that need not have been opened"
	case "AvoidablePart":
		return "REU001", "and least part of the connections"
	case "AvoidableUsePart":
		return "REU001", "and of the transactions"
	case "MaxParallel":
		return "REU002", "connections of a pair open at once"
	case "UnusedAfter":
		return "REU003", "a connection without request this long is unused"
	case "UnusedProbe":
		return "REU003", "closed this soon by its opener, it was a probe"
	case "LeakMinIdle":
		return "REU004", "connections standing idle"
	case "LeakMinOpens":
		return "REU004", "connections opened in spite of them"
	case "LeakIdle":
		return "REU004", "idle this long they are forgotten"
	case "LeakGaps":
		return "REU004", "or this many times the usual gap between opens"
	case "CloseWaitAfter":
		return "REU005", "how long a side may take to close too"
	case "CloseWaitWarn":
		return "REU005", "from which on it is a warning"
	case "CloseWaitWarnCount":
		return "REU005", "or from so many at once"
	case "RequestLimitMax":
		return "REU006", "highest request limit called low"
	case "RequestLimitConns":
		return "REU006", "connections ended at the same number"
	case "TimeWaitMinCloses":
		return "TW001", "closes of a pair before it is judged"
	case "TimeWaitWarnPart":
		return "TW001", "of the ephemeral ports, held or projected"
	case "ServerTimeWaitMin":
		return "TW002", "least number held at the rate seen"
	}
	return "", ""
}
