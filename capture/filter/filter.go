// Package filter compiles the everyday part of tcpdump's filter language to
// BPF, for the kernel and for packets of a file alike.
//
// The language is that of pcap-filter(7), cut down to
//
//	[ip|ip6|arp] [src|dst|src or dst|src and dst] host ADDRESS
//	[ip|ip6|arp] [src|dst|…] net NETWORK[/LENGTH], net NETWORK mask MASK
//	[tcp|udp] [src|dst|…] port PORT, portrange FIRST-LAST
//	tcp, udp, ip, ip6, arp, vlan [ID]
//
// with and, or, not (&&, ||, !) and parentheses. As there, and and or bind
// alike, from left to right; "port 80 or 443" repeats the qualifiers; vlan
// moves what follows it behind the tag; host and net without a protocol find
// ARP too; a port is not looked for in later fragments or behind IPv6
// extension headers. Names of services are those of the system; host names are
// not looked up. Whatever else tcpdump understands can be had as the output of
// tcpdump -ddd, see [ReadDDD].
package filter

import (
	"fmt"

	"github.com/connlint/connlint/capture"
)

// Filter decides which packets are looked at. Its zero value and nil take all.
type Filter struct {
	text string
	tree node
	vlan bool
	ddd  Program
}

// New parses an expression. An empty one takes all packets. An error is a
// [SyntaxError].
func New(text string) (*Filter, error) {
	p := parser{text: text}
	tree, err := p.parse()
	if err != nil {
		return nil, err
	}
	f := &Filter{text: text, tree: tree, vlan: p.depth > 0}
	// Whether it is too long does not hang on the link type by much: said here,
	// where the expression is at hand.
	if _, err := f.For(capture.LinkSLL2); err != nil {
		return nil, err
	}
	return f, nil
}

// Compiled returns a filter that runs p on every packet, whatever its link
// type: p is made for one.
func Compiled(p Program) *Filter { return &Filter{ddd: p} }

// String returns the expression.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// For returns the program for packets of a link type; nil takes all.
func (f *Filter) For(l capture.LinkType) (Program, error) {
	if f == nil {
		return nil, nil
	}
	if f.ddd != nil {
		return f.ddd, nil
	}
	if f.tree == nil {
		return nil, nil
	}
	h, ok := headerOf(l)
	if !ok {
		return nil, fmt.Errorf("filters do not know link type %v", l)
	}
	return compile(f.tree, h)
}

// Kernel returns the program to attach to a packet socket of Linux that
// delivers whole frames of the link type, or, if cooked, what begins at the
// network header; nil takes all. The socket of an expression with vlan gets
// all: the kernel has taken the tags off, and [Filter.For] is to be run on the
// packets once they are back. For other expressions it is as in tcpdump: they
// see a packet without its tag.
func (f *Filter) Kernel(l capture.LinkType, cooked bool) (Program, error) {
	if f == nil || f.tree == nil || f.vlan {
		return nil, nil
	}
	h, ok := headerOf(l)
	if cooked {
		h, ok = header{kind: kernelType}, true
	}
	if !ok {
		return nil, fmt.Errorf("filters do not know link type %v", l)
	}
	return compile(f.tree, h)
}

// InKernel reports whether all that the filter asks is answered by the program
// of [Filter.Kernel].
func (f *Filter) InKernel() bool { return f == nil || f.ddd == nil && !f.vlan }
