package api

import (
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestSequences(t *testing.T) {
	h := open(t)
	var seqs map[string]int64
	h.ask("/v1/user/getUserSequence", "alice", body{"userId": "alice"}).want(chat.OK, &seqs)
	if seqs["friendShipSeq"] != 0 {
		t.Errorf("the sequences are %v; want 0 of what has not happened", seqs)
	}
	h.ask("/v1/user/getUserSequence", "alice", body{}).want(chat.BadParameter).mentions("userId")
	h.device("alice", "one")
}
