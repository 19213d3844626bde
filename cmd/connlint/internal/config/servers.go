package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// Overrides returns the thresholds of servers that have their own, for
// [runner.Options], on top of the general ones. Where several entries of the
// configuration fit a server, later ones win over earlier ones.
func (s *Settings) Overrides(general *rules.Config) []rules.Override {
	var nets []netip.Prefix // and all addresses
	var ports []uint16      // and any
	for _, x := range s.Servers {
		if len(x.Thresholds) > 0 {
			nets, ports = append(nets, x.Match.Server.Net), append(ports, x.Match.Server.Port)
		}
	}
	if len(nets) == 0 {
		return nil
	}
	nets, ports = append(nets, netip.Prefix{}), append(ports, 0)
	// The narrowest first: networks contain each other or are apart.
	slices.SortFunc(nets, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(b.Bits(), a.Bits()), a.Addr().Compare(b.Addr()))
	})
	slices.SortFunc(ports, func(a, b uint16) int { return cmp.Compare(b, a) })
	var out []rules.Override
	for _, network := range slices.Compact(nets) {
		for _, port := range slices.Compact(ports) {
			c, own := *general, false
			for _, x := range s.Servers {
				if len(x.Thresholds) > 0 && within(network, port, x.Match.Server) {
					own = true
					for _, t := range x.Thresholds {
						t.Set(&c, t.Value)
					}
				}
			}
			if own {
				out = append(out, rules.Override{Servers: rules.Endpoints{Net: network, Port: port}, Config: &c})
			}
		}
	}
	return out
}

// within reports whether all servers of a network and port are among e.
func within(network netip.Prefix, port uint16, e rules.Endpoints) bool {
	return (!e.Net.IsValid() || network.IsValid() && e.Net.Contains(network.Addr()) && e.Net.Bits() <= network.Bits()) &&
		(e.Port == 0 || e.Port == port)
}

// maxServers is how many entries may have thresholds: what they come to
// together is worked out beforehand.
const maxServers = 500

// checkServers checks the thresholds of servers, which may contradict the
// general ones or those of another entry.
func (s *Settings) checkServers() error {
	n := 0
	for _, x := range s.Servers {
		if len(x.Thresholds) == 0 {
			continue
		}
		if n++; n > maxServers {
			return fmt.Errorf("%s: servers: thresholds for more than %d servers; give networks", x.place, maxServers)
		}
	}
	list := s.Overrides(s.Rules)
	for _, o := range list {
		if err := o.Config.Check(); err != nil {
			return fmt.Errorf("%s: servers.thresholds: for %v %w", s.blame(o.Servers, err), o.Servers, err)
		}
	}
	if len(list) > runner.MaxOverrides {
		return fmt.Errorf("%s: servers: %d combinations of networks and ports have thresholds of their own; at most %d can",
			s.Servers[0].place, len(list), runner.MaxOverrides)
	}
	return nil
}

// blame returns the place of the last threshold that err names and that holds
// for some servers.
func (s *Settings) blame(servers rules.Endpoints, err error) string {
	words := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ',' })
	place := ""
	for _, x := range s.Servers {
		for _, t := range x.Thresholds {
			if within(servers.Net, servers.Port, x.Match.Server) && slices.Contains(words, t.Name) {
				place = t.place
			}
		}
	}
	return place
}
