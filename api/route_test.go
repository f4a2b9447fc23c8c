package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

var threeEdges = []string{"10.0.0.1:19002", "10.0.0.2:19002", "10.0.0.3:19002"}

// TestConsistentHashing holds the ring against the original's.
func TestConsistentHashing(t *testing.T) {
	for _, c := range []struct {
		user string
		hash uint32
		edge string
	}{
		{"lld", 1894320901, "10.0.0.1:19002"},
		{"bantanger", 452741938, "10.0.0.2:19002"},
		{"10001", 893034456, "10.0.0.3:19002"},
		{"10002", 3368551313, "10.0.0.1:19002"},
	} {
		if got := hash(c.user); got != c.hash {
			t.Errorf("the hash of %s is %d; want %d", c.user, got, c.hash)
		}
		if got, _ := choose(threeEdges, chat.RouteHash, chat.UserID(c.user), 1); got != c.edge {
			t.Errorf("%s goes to %s; want %s", c.user, got, c.edge)
		}
	}
	counts := make(map[string]int)
	for i := range 30_000 {
		counts[newRing(threeEdges).find(fmt.Sprint("user", i))]++
	}
	if got := fmt.Sprint(counts); got != "map[10.0.0.1:19002:11687 10.0.0.2:19002:9725 10.0.0.3:19002:8588]" {
		t.Errorf("30,000 users go to %s", got)
	}
}

// TestOneEdgeLess moves only those who were with the edge that has gone.
func TestOneEdgeLess(t *testing.T) {
	before, after := newRing(threeEdges), newRing(threeEdges[:2])
	for i := range 1000 {
		user := fmt.Sprint("user", i)
		if was, is := before.find(user), after.find(user); was != threeEdges[2] && was != is {
			t.Errorf("%s moved from %s to %s", user, was, is)
		}
	}
}

func TestOtherModels(t *testing.T) {
	var turns []string
	for turn := range uint64(4) {
		edge, _ := choose(threeEdges, chat.RouteRoundRobin, "anybody", turn+1)
		turns = append(turns, edge[7:8])
	}
	if got := strings.Join(turns, " "); got != "2 3 1 2" {
		t.Errorf("one after the other comes out as %s; want 2 3 1 2", got)
	}
	for range 100 {
		if edge, ok := choose(threeEdges, chat.RouteRandom, "anybody", 1); !ok || !slices.Contains(threeEdges, edge) {
			t.Fatalf("at random comes out as %q", edge)
		}
	}
	for _, model := range []chat.RouteModel{chat.RouteRandom, chat.RouteRoundRobin, chat.RouteHash} {
		if edge, ok := choose(nil, model, "anybody", 1); ok {
			t.Errorf("of no edges %q is chosen", edge)
		}
	}
}

func TestAddresses(t *testing.T) {
	edges := []streams.Member{
		{Node: "b", Addrs: map[string]string{"tcp": "h2:1", "ws": "h2:2"}},
		{Node: "a", Addrs: map[string]string{"tcp": "h1:1", "ws": "h1:2"}},
		{Node: "c", Addrs: map[string]string{"ws": "h3:2"}},
	}
	for client, want := range map[chat.ClientType]string{chat.Web: "h1:2 h2:2 h3:2", chat.WebAPI: "h1:1 h2:1", chat.Android: "h1:1 h2:1"} {
		if got := strings.Join(addressesFor(edges, client), " "); got != want {
			t.Errorf("for %s there are %s; want %s", client, got, want)
		}
	}
}
