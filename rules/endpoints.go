package rules

import (
	"net/netip"
	"strconv"
)

// Endpoints are the addresses of a network, or all, with one port or any.
type Endpoints struct {
	Net  netip.Prefix // of unmapped addresses without zone; invalid for all addresses
	Port uint16       // 0 for any
}

// Has reports whether a is one of them.
func (e Endpoints) Has(a netip.AddrPort) bool {
	return (!e.Net.IsValid() || e.Net.Contains(a.Addr().Unmap().WithZone(""))) && (e.Port == 0 || e.Port == a.Port())
}

// String returns e as a configuration spells it: "10.0.0.9:8080",
// "10.0.0.0/8", ":8080", or "" for all.
func (e Endpoints) String() string {
	switch {
	case !e.Net.IsValid() && e.Port == 0:
		return ""
	case !e.Net.IsValid():
		return ":" + strconv.Itoa(int(e.Port))
	case e.Port != 0 && e.Net.IsSingleIP():
		return netip.AddrPortFrom(e.Net.Addr(), e.Port).String()
	case e.Port != 0:
		return e.Net.String() + " port " + strconv.Itoa(int(e.Port)) // of two entries together: no configuration has it
	case e.Net.IsSingleIP():
		return e.Net.Addr().String()
	}
	return e.Net.String()
}
