package webhook

import (
	"fmt"
	"net/netip"
	"syscall"
)

// inward are the networks that a webhook must not reach: what lies there is inside, or nobody's. The addresses that carry an IPv4 address
// within them are there as well, since a gateway would unwrap it.
var inward = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "5f00::/16", "fc00::/7", "fe80::/10",
	"fec0::/10", "ff00::/8",
)

func prefixes(all ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(all))
	for i, s := range all {
		parsed[i] = netip.MustParsePrefix(s)
	}
	return parsed
}

// public reports whether an address is one of the internet's.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // an IPv4 address in IPv6's clothes is one; a prefix holds no address with a zone
	for _, p := range inward {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// refuseInward is called with the address that is about to be dialed: after the name was resolved, so that no answer of a name server
// leads inside.
func refuseInward(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q cannot be read", address)
	}
	if !public(to.Addr()) {
		return fmt.Errorf("%s is not an address of the internet; --hook-private allows it", to.Addr())
	}
	return nil
}
