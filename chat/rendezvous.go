package chat

import "hash/fnv"

// Rendezvous returns the node that owns a partition: the one with the highest hash of (partition, node). When a node comes or goes, only
// its own partitions move. False if there are no nodes.
func Rendezvous(p Partition, nodes []NodeID) (NodeID, bool) {
	var owner NodeID
	var best uint64
	for _, n := range nodes {
		h := fnv.New64a()
		h.Write([]byte(p.String()))
		h.Write([]byte{0})
		h.Write([]byte(n))
		score := mix(h.Sum64())
		if owner == "" || score > best || score == best && n > owner {
			owner, best = n, score
		}
	}
	return owner, owner != ""
}

// mix spreads a hash whose inputs differ in few bits over all of its own.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
