package hopbyhop

import (
	"bytes"
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// Correlate is the aggregate that brings both sides of a proxy together. Its
// fields bound what is kept: request keys, sightings for each, addresses, and
// requests with proxy fields.
type Correlate struct {
	Keys, PerKey, Hosts, Alone int
	// Verbatim takes a request that went on byte for byte, and whose Keep-Alive
	// and whose response's did, for the same one though nothing else ties them.
	Verbatim bool
}

// Hops is what is known of a capture's requests.
type Hops struct {
	Seen    accum.BottomK[accum.SmallestN[*hop.Sighting]] // by Sighting.Key
	Serving accum.BottomK[netip.Addr]                     // hosts that are sent requests
	Asked   accum.BottomK[netip.Addr]                     // hosts that answered 407
	// Alone holds origin-form requests with proxy fields whose senders do not
	// show in the request that they are proxies.
	Alone accum.SmallestN[*hop.Sighting]

	server netip.Addr // noted last in Serving
}

// Key puts all sightings into one value: the two sides of a proxy share no
// address.
func (Correlate) Key(s *hop.Sighting) (struct{}, bool) { return struct{}{}, true }

// Add notes a sighting.
func (c Correlate) Add(h *Hops, s *hop.Sighting) *Hops {
	h = accum.Made(h)
	if !s.Bare {
		if seen := h.Seen.At(s.Key, c.Keys); seen != nil {
			*seen = c.keep(*seen, s, c.PerKey)
		}
	}
	if server := s.Server.Addr(); server != h.server { // most requests go where the last one went
		h.server = server
		c.host(&h.Serving, server)
	}
	if s.Status == 407 {
		c.host(&h.Asked, s.Server.Addr())
	}
	if !s.Bare && s.ReqBits.Any(http1.HasProxyConnection|http1.HasProxyAuthorization) && originForm(s.Target) && !proxied(s.ReqBits) {
		h.Alone = c.keep(h.Alone, s, c.Alone)
	}
	return h
}

// Samples reports whether a request may be kept: its key may, and no PerKey
// earlier ones are.
func (c Correlate) Samples(h *Hops, s *hop.Sighting) bool {
	switch {
	case h == nil:
		return true
	case !h.Seen.Takes(s.Key):
		return false
	}
	seen := h.Seen.Get(s.Key)
	return seen == nil || len(*seen) < c.PerKey || s.Start.Time <= (*seen)[len(*seen)-1].Start.Time
}

// Limit implements rules.Sampler.
func (c Correlate) Limit(h *Hops) (bits http1.Bits, most uint64) {
	if h == nil {
		return 0, math.MaxUint64
	}
	return 0, h.Seen.Limit()
}

// keep adds a copy of s, if it is to be kept.
func (c Correlate) keep(to accum.SmallestN[*hop.Sighting], s *hop.Sighting, n int) accum.SmallestN[*hop.Sighting] {
	if n > 0 && len(to) >= n && !earlier(s, to[len(to)-1]) {
		return to
	}
	return to.Add(s.Clone(), n, compare)
}

func (c Correlate) host(set *accum.BottomK[netip.Addr], a netip.Addr) {
	if v := set.At(hashAddr(a), c.Hosts); v != nil {
		*v = lower(*v, a)
	}
}

// lower returns the lower of two addresses, of those that are valid: two that
// share a hash count as one, always the same.
func lower(a, b netip.Addr) netip.Addr {
	if !a.IsValid() || b.IsValid() && b.Less(a) {
		return b
	}
	return a
}

func hashAddr(a netip.Addr) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, b := range a.As16() {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h ^ h>>29
}

func earlier(a, b *hop.Sighting) bool { return compare(a, b) < 0 }

// compare orders sightings by time; no two of one capture are equal.
func compare(a, b *hop.Sighting) int {
	return cmp.Or(cmp.Compare(a.Start.Time, b.Start.Time), cmp.Compare(a.Start.Frame, b.Start.Frame),
		cmp.Compare(a.Start.Seq, b.Start.Seq), cmp.Compare(a.Conn, b.Conn),
		a.Client.Compare(b.Client), a.Server.Compare(b.Server),
		cmp.Compare(a.HeadHash, b.HeadHash), cmp.Compare(a.End.Time, b.End.Time), cmp.Compare(a.End.Frame, b.End.Frame))
}

// Merge returns what is known of both.
func (c Correlate) Merge(a, b *Hops) *Hops {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.Seen.Merge(&b.Seen, c.Keys, func(_ uint64, x, y *accum.SmallestN[*hop.Sighting]) { *x = x.Merge(*y, c.PerKey, compare) })
	hosts := func(_ uint64, x, y *netip.Addr) { *x = lower(*x, *y) }
	a.Serving.Merge(&b.Serving, c.Hosts, hosts)
	a.Asked.Merge(&b.Asked, c.Hosts, hosts)
	a.Alone = a.Alone.Merge(b.Alone, c.Alone, compare)
	return a
}

// pair is one request on both sides of a proxy.
type pair struct {
	in, out *hop.Sighting
	proof   proof
}

// Judge correlates, and reports what leaked.
func (c Correlate) Judge(p *rules.Pass, _ struct{}, h *Hops) {
	var pairs []pair
	for _, e := range h.Seen.All() {
		pairs = append(pairs, c.correlate(e.Value)...)
	}
	pairs = stable(pairs)

	// A proxy that passes on several values of Keep-Alive does not make them
	// up itself. One value may be its own default.
	keepAlives := map[netip.AddrPort][]uint64{}
	found := make([][]leak, len(pairs))
	for i, pr := range pairs {
		found[i] = leaks(pr.in, pr.out, h.Asked.Get(hashAddr(pr.in.Server.Addr())) != nil)
		for _, l := range found[i] {
			if v := keepAlives[pr.in.Server]; l.field.Name == "keep-alive" && !slices.Contains(v, l.field.Value) && len(v) < 2 {
				keepAlives[pr.in.Server] = append(v, l.field.Value)
			}
		}
	}
	type told struct {
		conn uint64
		at   wire.Seq
		name string
	}
	twoSided := map[told]bool{}
	for i, pr := range pairs {
		others := slices.ContainsFunc(found[i], func(l leak) bool { return l.field.Name != "keep-alive" })
		for _, l := range found[i] {
			if l.field.Name == "keep-alive" && !l.nominated && relayed(pr.in, pr.out) {
				continue // blind-relay
			}
			if l.field.Name != "keep-alive" || others || len(keepAlives[pr.in.Server]) > 1 {
				report(p, pr.in, pr.out, l)
				twoSided[told{pr.out.Conn, pr.out.Start.Seq, l.field.Name}] = true
			}
		}
	}
	for i := range h.Alone {
		s := h.Alone[i]
		a := s.Client.Addr()
		if a.IsLoopback() || h.Serving.Get(hashAddr(a)) == nil {
			continue // on one's own machine everybody serves
		}
		for _, name := range proxyFields(s.ReqBits) {
			if twoSided[told{s.Conn, s.Start.Seq, name}] {
				continue
			}
			f := oneSided(subject(p, s), name, "which serves requests itself", s.Start)
			f.Conn = s.Conn
			p.Report(f)
		}
	}
}

// proof is what ties two sightings together.
type proof uint8

const (
	sameProxy proof = 1 << iota // the address that was asked is the one that asks
	sameID                      // a trace or request id, the proxy's Via, or the client's address forwarded
	sameWords                   // several distinctive fields, or the response's Date with ETag or length
)

// correlate pairs the sightings of one key, which are in order of time.
func (c Correlate) correlate(s accum.SmallestN[*hop.Sighting]) (pairs []pair) {
	full := len(s) >= c.PerKey
	proofs := make([]proof, len(s)*len(s)) // [in][out]
	for i := range s {
		for j := i + 1; j < len(s); j++ {
			if nests(s[i], s[j]) && targets(s[i], s[j]) {
				p := ties(s[i], s[j])
				if p == 0 && c.Verbatim && verbatim(s[i], s[j]) {
					p = sameWords
				}
				proofs[i*len(s)+j] = p
			}
		}
	}
	for i := range s {
		if full && s[i].End.Time >= s[len(s)-1].Start.Time {
			continue // its other side may not have been kept
		}
		j := unique(func(j int) proof { return proofs[i*len(s)+j] }, len(s))
		if j < 0 || unique(func(i int) proof { return proofs[i*len(s)+j] }, len(s)) != i {
			continue
		}
		pairs = append(pairs, pair{s[i], s[j], proofs[i*len(s)+j]})
	}
	return pairs
}

// unique returns the only candidate of n, or else the only one with an id, or
// else the only one with id and address, as in a chain of proxies; -1 for none.
func unique(proofOf func(int) proof, n int) int {
	for _, want := range [...]proof{0, sameID, sameID | sameProxy} {
		found, count := -1, 0
		for i := range n {
			if p := proofOf(i); p != 0 && p&want == want {
				found = i
				count++
			}
		}
		if count == 1 {
			return found
		}
		if count == 0 {
			break
		}
	}
	return -1
}

// nests reports whether out can be what a proxy made of in: it began later, on
// another connection to another server, and was answered no later.
func nests(in, out *hop.Sighting) bool {
	switch {
	case in.Conn == out.Conn || in.Server == out.Server || in.Client == out.Client:
		return false
	case in.End.Frame == 0 || out.End.Frame == 0:
		return false
	case in.Start.Time > out.Start.Time || out.End.Time > in.End.Time:
		return false
	case in.Start.Seq == out.Start.Seq && in.Start.Ack == out.Start.Ack:
		return false // one connection, seen on both sides of a NAT
	}
	return in.Method == out.Method && bytes.Equal(in.MethodName, out.MethodName)
}

// targets reports whether the targets may be the same: equal but for the
// absolute form, or for another prefix.
func targets(in, out *hop.Sighting) bool {
	_, _, ok := rewrite(in.Target, out.Target)
	return ok
}

// rewrite returns the prefixes in which two paths differ. They share at least
// their last segment, which is not empty unless the paths are equal.
func rewrite(in, out []byte) (from, to []byte, ok bool) {
	a, b := hop.Path(in), hop.Path(out)
	if bytes.Equal(a, b) {
		return nil, nil, true
	}
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	// Back to the beginning of a path segment; a slash in the query is none.
	common := a[len(a)-n:]
	query := bytes.IndexByte(common, '?')
	if query < 0 {
		query = len(common)
	}
	start := bytes.IndexByte(common[:query], '/')
	if start < 0 || query-start < 2 {
		return nil, nil, false
	}
	common = common[start:]
	return a[:len(a)-len(common)], b[:len(b)-len(common)], true
}

// ties returns what ties the two together, 0 for nothing.
func ties(in, out *hop.Sighting) (p proof) {
	for _, id := range in.IDs {
		if slices.Contains(out.IDs, id) {
			p |= sameID
		}
	}
	named := slices.Contains(out.ForwardedFor, in.Client.Addr()) && !slices.Contains(in.ForwardedFor, in.Client.Addr())
	via := out.Via != 0 && out.Via == in.RespVia && out.Via != in.Via
	if named || via {
		p |= sameID
	}
	words := 0
	for i := range in.Fields {
		if f := &in.Fields[i]; f.Distinct && out.Field(f.ID, f.Value) != nil {
			words++
		}
	}
	echo := in.Echo != 0 && in.Echo == out.Echo
	if words >= 2 || echo {
		p |= sameWords
	}
	if sameHost(in.Client, out.Client) {
		// One host sent both: a program that asks two servers the same looks
		// much like a proxy beside its client. Only the proxy's own words, or
		// one response with the request's ids, tell them apart.
		if !named && !via && !(echo && (words >= 2 || p&sameID != 0)) {
			return 0
		}
	}
	if sameHost(in.Server, out.Client) {
		p |= sameProxy
	}
	return p
}

// stable leaves out pairs whose path was rewritten in a way that is not that
// of all others: a prefix must always become the same one, and one pair alone
// must have an id.
func stable(pairs []pair) []pair {
	type route struct {
		in, out netip.AddrPort
		from    string
	}
	type rewritten struct {
		to      string
		n       int
		several bool
	}
	routes := map[route]*rewritten{}
	of := func(pr pair) (route, string) {
		from, to, _ := rewrite(pr.in.Target, pr.out.Target)
		return route{pr.in.Server, pr.out.Server, string(from)}, string(to)
	}
	for _, pr := range pairs {
		k, to := of(pr)
		r := routes[k]
		if r == nil {
			r = &rewritten{to: to}
			routes[k] = r
		}
		r.n++
		r.several = r.several || r.to != to
	}
	return slices.DeleteFunc(pairs, func(pr pair) bool {
		k, to := of(pr)
		if k.from == to {
			return false
		}
		r := routes[k]
		return r.several || r.n < 2 && pr.proof&sameID == 0
	})
}
