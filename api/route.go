package api

import (
	"cmp"
	"crypto/md5" //nolint:gosec // the original's ring; nothing is kept secret by it
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// addressesFor returns where clients of a type may connect to edges, in order.
func addressesFor(edges []streams.Member, client chat.ClientType) []string {
	transport := "tcp"
	if client == chat.Web {
		transport = "ws"
	}
	var addrs []string
	for _, m := range edges {
		if m.Addrs[transport] != "" {
			addrs = append(addrs, m.Addrs[transport])
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

// choose picks an edge as an app wants it. Turn is the number of the choice, the first is 1: the original counted before it picked.
func choose(edges []string, model chat.RouteModel, user chat.UserID, turn uint64) (string, bool) {
	switch {
	case len(edges) == 0:
		return "", false
	case model == chat.RouteRandom:
		return edges[rand.IntN(len(edges))], true //nolint:gosec // any will do
	case model == chat.RouteRoundRobin:
		return edges[turn%uint64(len(edges))], true
	}
	return newRing(edges).find(string(user)), true
}

// ring is the original's consistent hashing: each edge has a point of its own on a circle of 32 bits, and two more.
type ring []point

type point struct {
	at   uint32
	edge string
}

func newRing(edges []string) ring {
	var r ring
	for _, edge := range edges {
		own := hash(edge)
		r = append(r, point{own, edge})
		for i := range 2 {
			r = append(r, point{hash("node" + strconv.FormatUint(uint64(own), 10) + strconv.Itoa(i)), edge})
		}
	}
	slices.SortStableFunc(r, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return r
}

// find returns the edge of the first point at a key's hash or after it, around the circle.
func (r ring) find(key string) string {
	i, _ := slices.BinarySearchFunc(r, hash(key), func(p point, at uint32) int { return cmp.Compare(p.at, at) })
	return r[i%len(r)].edge
}

func hash(s string) uint32 {
	sum := md5.Sum([]byte(s)) //nolint:gosec // the original's ring
	return binary.LittleEndian.Uint32(sum[:])
}

// splitAddr takes an address apart, for those who are told host and port one by one.
func splitAddr(addr string) (host string, port int64, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.ParseInt(text, 10, 32)
	return host, port, err
}
