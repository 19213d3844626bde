package catalog

// Precedence says which finding stands where two have one cause on one
// connection: for a rule's code, the codes it silences. Conditions that codes
// cannot express are the rules' own: which of FRM008, FRM006 and FRM002 extra
// bytes are, that CLS002 silences FRM002 of the request only, that FRM001
// becomes REU001's cause, REU001 takes in the cost of LAT002 and TLS001, and
// TW003 becomes TW001's evidence.
func Precedence() map[string][]string {
	return map[string][]string{
		"HOP002": {"HOP001", "KA006", "KA010", "CLS006"},
		"FRM004": {"FRM001", "FRM002", "FRM008"},
		"FRM001": {"KA005"},
		"FRM008": {"FRM002", "FRM006"},
		"FRM006": {"FRM002", "FRM008"},
		"KA007":  {"KA001", "KA002", "CLS002"},
		"KA006":  {"KA007"},
		"KA002":  {"KA001", "CLS002"},
		"KA003":  {"KA001", "CLS003", "CLS006"},
		"CLS005": {"CLS006", "KA005", "PIP003"},
		"KA005":  {"KA001", "CLS006", "KA004"},
		"KA001":  {"CLS003", "CLS006"},
		"PIP003": {"CLS006", "KA001"},
		"CLS001": {"CLS003", "CLS006"},
		"CLS002": {"FRM002", "CLS003"},
		"CLS004": {"FRM002", "FRM003", "PIP003", "CLS003"},
		"FRM002": {"CLS006", "KA005"},
		"FRM003": {"CLS006", "KA005"},
		"REU001": {"REU006"},
		"TW001":  {"TW002"},
		"LAT001": {"LAT006"},
	}
}
