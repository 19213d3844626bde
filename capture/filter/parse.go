package filter

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// SyntaxError says which word of an expression is at fault.
type SyntaxError struct {
	Text       string // the expression
	Start, End int    // the word, in bytes; Start == End == len(Text) at its end
	Reason     string
}

func (e *SyntaxError) Error() string {
	if e.Start >= len(e.Text) {
		return e.Reason
	}
	return fmt.Sprintf("%q: %s", e.Text[e.Start:e.End], e.Reason)
}

// Mark returns a line of spaces and carets that, set below the expression,
// points at the word.
func (e *SyntaxError) Mark() string {
	before := strings.Repeat(" ", len([]rune(e.Text[:e.Start])))
	return before + strings.Repeat("^", max(1, len([]rune(e.Text[e.Start:e.End]))))
}

// maxDepth bounds parentheses and negations one inside the other.
const maxDepth = 200

// direction says which of source and destination must match.
type direction uint8

const (
	either direction = iota
	src
	dst
	both
)

// qualifiers say what an address or port is looked for in. They hold until
// others are given.
type qualifiers struct {
	proto string // "", "ip", "ip6", "arp", "tcp", "udp"
	dir   direction
	kind  string // "", "host", "net", "port", "portrange"
	none  bool   // there are none to repeat
}

// word is a token: a word, a parenthesis or an operator.
type word struct {
	text       string
	start, end int
}

type parser struct {
	text  string
	rest  int  // where the next token is looked for
	cur   word // "" at the end
	depth int  // VLAN tags passed
	nest  int
	last  qualifiers
}

// parse returns the tree, nil for an empty expression.
func (p *parser) parse() (node, error) {
	p.last.none = true
	p.next()
	if p.cur.text == "" {
		return nil, nil
	}
	n, err := p.expr()
	if err != nil {
		return nil, err
	}
	if p.cur.text == ")" {
		return nil, p.fail(p.cur, "there is no ( that this closes")
	}
	return n, nil
}

func (p *parser) next() word {
	was := p.cur
	i := p.rest
	for i < len(p.text) && isSpace(p.text[i]) {
		i++
	}
	j := i
	switch {
	case j == len(p.text):
	case p.text[j] == '(' || p.text[j] == ')' || p.text[j] == '!' && !strings.HasPrefix(p.text[j:], "!="):
		j++
	case strings.HasPrefix(p.text[j:], "&&") || strings.HasPrefix(p.text[j:], "||"):
		j += 2
	default:
		for j < len(p.text) && !isSpace(p.text[j]) && !strings.ContainsRune("()", rune(p.text[j])) &&
			!strings.HasPrefix(p.text[j:], "&&") && !strings.HasPrefix(p.text[j:], "||") {
			j++
		}
	}
	p.cur, p.rest = word{p.text[i:j], i, j}, j
	return was
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) fail(w word, format string, args ...any) error {
	return &SyntaxError{Text: p.text, Start: w.start, End: w.end, Reason: fmt.Sprintf(format, args...)}
}

// expr parses terms joined by and and or, up to the end or a closing
// parenthesis.
func (p *parser) expr() (node, error) {
	left, err := p.term()
	if err != nil {
		return nil, err
	}
	for {
		var and bool
		switch p.cur.text {
		case "and", "&&":
			and = true
		case "or", "||":
		case "", ")":
			return left, nil
		default:
			return nil, p.fail(p.cur, "here and, or or the end is expected%s", p.advice())
		}
		p.next()
		right, err := p.term()
		if err != nil {
			return nil, err
		}
		left = pair{left, right, and}
	}
}

// advice says what to do about a word of tcpdump's that is not known here.
func (p *parser) advice() string {
	foreign := []string{"ether", "gateway", "proto", "protochain", "less", "greater", "len", "broadcast", "multicast",
		"inbound", "outbound", "ifname", "on", "mpls", "pppoed", "pppoes", "geneve", "iso", "wlan", "sctp", "icmp", "icmp6", "igmp",
		"rarp", "atalk", "llc", "link", "type", "subtype", "byte", "fddi", "tr", "ppp", "slip", "ah", "esp", "pim", "vrrp", "igrp"}
	w := p.cur.text
	if i := strings.IndexByte(w, '['); i >= 0 || slices.Contains(foreign, w) || strings.ContainsAny(w, "=<>") {
		return "; this part of tcpdump's language is not known here: let tcpdump compile it (tcpdump -ddd) and use --filter-ddd"
	}
	return ""
}

func (p *parser) term() (node, error) {
	if p.nest++; p.nest > maxDepth {
		return nil, p.fail(p.cur, "nested too deeply")
	}
	defer func() { p.nest-- }()
	switch p.cur.text {
	case "not", "!":
		p.next()
		n, err := p.term()
		return not{n}, err
	case "(":
		open := p.next()
		n, err := p.expr()
		if err != nil {
			return nil, err
		}
		if p.cur.text != ")" {
			return nil, p.fail(open, "this is not closed")
		}
		p.next()
		return n, nil
	}
	return p.primitive()
}

// words that may begin a primitive or follow in it.
func isWord(s string) bool {
	switch s {
	case "ip", "ip6", "arp", "tcp", "udp", "vlan", "src", "dst", "host", "net", "port", "portrange",
		"and", "or", "not", "&&", "||", "!", "(", ")", "mask", "":
		return true
	}
	return false
}

// primitive parses one test: its qualifiers and what they qualify.
func (p *parser) primitive() (node, error) {
	first := p.cur
	var q qualifiers
	given := false
	switch first.text {
	case "":
		return nil, p.fail(first, "the expression ends where a test is expected, such as port 80")
	case "vlan":
		p.next()
		return p.vlan()
	case "ip", "ip6", "arp", "tcp", "udp":
		q.proto, given = p.next().text, true
	}
	switch p.cur.text {
	case "src", "dst":
		p.direction(&q)
		given = true
	}
	switch p.cur.text {
	case "host", "net", "port", "portrange":
		q.kind, given = p.next().text, true
	}
	if !given {
		if isWord(first.text) {
			return nil, p.fail(first, "here a test is expected, such as port 80")
		}
		switch {
		case p.last.none && looksLikeAddress(first.text):
			return nil, p.fail(first, "an address follows a word such as host; write host %s", first.text)
		case p.last.none:
			return nil, p.fail(first, "no word of a filter%s%s", p.advice(), didYouMean(first.text))
		}
		q = p.last
		return p.value(q)
	}
	if q.kind == "" && q.dir == either && !looksLikeAddress(p.cur.text) {
		p.last = qualifiers{none: true}
		return protocol{q.proto, p.depth}, nil
	}
	p.last = q
	if p.cur.text == "(" {
		return p.values(q)
	}
	return p.value(q)
}

func (p *parser) direction(q *qualifiers) {
	q.dir = src
	other := "dst"
	if p.next().text == "dst" {
		q.dir, other = dst, "src"
	}
	if op := p.cur.text; op == "or" || op == "and" || op == "||" || op == "&&" {
		back := *p
		p.next()
		if p.cur.text != other {
			*p = back
			return
		}
		p.next()
		q.dir = either
		if op == "and" || op == "&&" {
			q.dir = both
		}
	}
}

// values parses values of the same qualifiers in parentheses, as in
// port (80 or 443).
func (p *parser) values(q qualifiers) (node, error) {
	if p.nest++; p.nest > maxDepth {
		return nil, p.fail(p.cur, "nested too deeply")
	}
	defer func() { p.nest-- }()
	open := p.next()
	one := func() (node, error) {
		negate := false
		for p.cur.text == "not" || p.cur.text == "!" {
			p.next()
			negate = !negate
		}
		var n node
		var err error
		if p.cur.text == "(" {
			n, err = p.values(q)
		} else {
			n, err = p.value(q)
		}
		if negate {
			n = not{n}
		}
		return n, err
	}
	left, err := one()
	for err == nil {
		var and bool
		switch p.cur.text {
		case "and", "&&":
			and = true
		case "or", "||":
		case ")":
			p.next()
			return left, nil
		case "":
			return nil, p.fail(open, "this is not closed")
		default:
			return nil, p.fail(p.cur, "here and, or or ) is expected")
		}
		p.next()
		var right node
		right, err = one()
		left = pair{left, right, and}
	}
	return nil, err
}

func (p *parser) vlan() (node, error) {
	n := vlan{id: -1, depth: p.depth}
	p.last = qualifiers{none: true}
	if w := p.cur; !isWord(w.text) {
		id, err := strconv.ParseUint(w.text, 0, 16)
		if err != nil || id > 4095 {
			return nil, p.fail(w, "no number of a VLAN, from 0 to 4095")
		}
		n.id = int(id)
		p.next()
	}
	if p.depth++; p.depth > 8 {
		return nil, p.fail(p.cur, "more VLAN tags than a packet has")
	}
	return n, nil
}

func looksLikeAddress(s string) bool {
	return len(s) > 0 && (s[0] >= '0' && s[0] <= '9' && strings.ContainsAny(s, ".:/") || strings.Contains(s, ":"))
}

// value parses an address, network, port or range and makes the test of it.
func (p *parser) value(q qualifiers) (node, error) {
	w := p.cur
	what := map[string]string{"": "an address", "host": "an address", "net": "a network", "port": "a port",
		"portrange": "a range of ports"}[q.kind]
	if isWord(w.text) {
		return nil, p.fail(w, "here %s is expected", what)
	}
	p.next()
	switch q.kind {
	case "port", "portrange":
		if q.proto != "" && q.proto != "tcp" && q.proto != "udp" {
			return nil, p.fail(w, "%s has no ports; tcp and udp have", q.proto)
		}
		return p.ports(q, w)
	}
	if q.proto == "tcp" || q.proto == "udp" {
		return nil, p.fail(w, "%s has no addresses; write %s and host %s", q.proto, q.proto, w.text)
	}
	if q.kind == "net" || q.kind == "" && strings.Contains(w.text, "/") {
		return p.network(q, w)
	}
	a, err := netip.ParseAddr(w.text)
	if err != nil || a.Zone() != "" {
		return nil, p.fail(w, "no IP address; host names are not looked up")
	}
	return p.address(q, w, netip.PrefixFrom(a, a.BitLen()))
}

func (p *parser) address(q qualifiers, w word, net netip.Prefix) (node, error) {
	if net.Addr().Is4In6() {
		net = netip.PrefixFrom(netip.AddrFrom16(net.Addr().As16()), net.Bits()) // as written: an IPv6 address
	}
	if net.Addr().Is4() && q.proto == "ip6" {
		return nil, p.fail(w, "an IPv4 address after ip6")
	}
	if !net.Addr().Is4() && (q.proto == "ip" || q.proto == "arp") {
		return nil, p.fail(w, "an IPv6 address after %s", q.proto)
	}
	return host{q.proto, q.dir, net, p.depth}, nil
}

// network parses 10.0.0.0/8, 10.0 (which is 10.0.0.0/16), 2001:db8::/32, and
// the mask that may follow.
func (p *parser) network(q qualifiers, w word) (node, error) {
	text, length, hasLength := strings.Cut(w.text, "/")
	bits := 0
	a, err := netip.ParseAddr(text)
	if err == nil && a.Zone() == "" {
		bits = a.BitLen()
	} else {
		a, bits, err = partial(text)
		if err != nil {
			return nil, p.fail(w, "no network, such as 10.0.0.0/8 or 2001:db8::/32")
		}
	}
	switch {
	case hasLength:
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || int(n) > a.BitLen() {
			return nil, p.fail(w, "the length of a network's prefix is from 0 to %d", a.BitLen())
		}
		bits = int(n)
	case p.cur.text == "mask":
		p.next()
		mask := p.next()
		m, err := netip.ParseAddr(mask.text)
		if err != nil || !m.Is4() || !a.Is4() {
			return nil, p.fail(mask, "no mask, such as 255.255.0.0")
		}
		bits = onesOf(m.As4())
		if bits < 0 {
			return nil, p.fail(mask, "a mask is ones, then zeros")
		}
	}
	net := netip.PrefixFrom(a, bits)
	if net.Masked().Addr() != a {
		return nil, p.fail(w, "bits are set behind the network's %d; write %v", bits, net.Masked())
	}
	return p.address(q, w, net)
}

func onesOf(mask [4]byte) int {
	v := uint32(mask[0])<<24 | uint32(mask[1])<<16 | uint32(mask[2])<<8 | uint32(mask[3])
	n := 0
	for v&(1<<31) != 0 {
		v <<= 1
		n++
	}
	if v != 0 {
		return -1
	}
	return n
}

var errNetwork = errors.New("no network")

// partial parses the first one to three numbers of an IPv4 address.
func partial(s string) (netip.Addr, int, error) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return netip.Addr{}, 0, errNetwork
	}
	var a [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, 0, errNetwork
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), 8 * len(parts), nil
}

func (p *parser) ports(q qualifiers, w word) (node, error) {
	n := port{proto: q.proto, dir: q.dir, depth: p.depth}
	from, to, isRange := strings.Cut(w.text, "-")
	if q.kind == "portrange" && isRange || isRange && isNumber(from) && isNumber(to) {
		if q.kind == "port" {
			return nil, p.fail(w, "one port is expected; for these write portrange %s", w.text)
		}
		lo, proto, err := p.service(q.proto, w, from)
		if err != nil {
			return nil, err
		}
		hi, other, err := p.service(q.proto, w, to)
		if err != nil {
			return nil, err
		}
		if proto != other {
			proto = ""
		}
		n.lo, n.hi, n.proto = min(lo, hi), max(lo, hi), proto
		return n, nil
	}
	v, proto, err := p.service(q.proto, w, w.text)
	n.lo, n.hi, n.proto = v, v, proto
	return n, err
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// service returns the port of a number or name, and the protocol: a name that
// only one has stands for that one.
func (p *parser) service(proto string, w word, name string) (uint16, string, error) {
	if isNumber(name) {
		v, err := strconv.ParseUint(name, 10, 16)
		if err != nil {
			return 0, "", p.fail(w, "ports are from 0 to 65535")
		}
		return uint16(v), proto, nil
	}
	t, tcp := lookup("tcp", name)
	u, udp := lookup("udp", name)
	switch {
	case !tcp && !udp:
		return 0, "", p.fail(w, "no port, and no service of that name")
	case !tcp && proto == "tcp":
		return 0, "", p.fail(w, "a service of udp")
	case !udp && proto == "udp":
		return 0, "", p.fail(w, "a service of tcp")
	case !tcp:
		return u, "udp", nil
	case !udp:
		return t, "tcp", nil
	}
	return t, proto, nil
}

// lookup finds a service in the system's list, without the network.
func lookup(network, name string) (port uint16, ok bool) {
	for _, c := range name { // LookupPort would take signs and numbers
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return 0, false
		}
	}
	if strings.Trim(name, "0123456789-") == "" {
		return 0, false
	}
	v, err := net.LookupPort(network, name)
	return uint16(v), err == nil
}

// didYouMean proposes a word for one that is mistyped by one letter, or two
// changed places.
func didYouMean(s string) string {
	for _, w := range []string{"tcp", "udp", "ip", "ip6", "arp", "vlan", "src", "dst", "host", "net", "port", "portrange", "not"} {
		if near(strings.ToLower(s), w) {
			return "; did you mean " + w + "?"
		}
	}
	return ""
}

func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch rest := b[i:]; {
	case len(b)-len(a) == 1:
		return a[i:] == rest[1:]
	case len(a) != len(b):
		return false
	case len(rest) >= 2 && len(a) > 2 && a[i] == rest[1] && a[i+1] == rest[0]:
		return a[i+2:] == rest[2:]
	default:
		return len(rest) == 0 || len(a) > 2 && a[i+1:] == rest[1:]
	}
}
