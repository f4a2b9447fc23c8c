package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// TestReplacedMessagesKeepWhatWasAskedFor: whether it stands, was recalled, or was put aside.
func TestReplacedMessagesKeepWhatWasAskedFor(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE message ADD CONSTRAINT poison CHECK (body <> 'poison')`)
	replaced := func(id, body string) chat.Record {
		r := message("alice", "bob", id, body)
		r.Asked = chat.DigestOf("asked for as "+id, "")
		return r
	}
	var l testLog
	entry := l.block(replaced("m1", "****"), replaced("m2", "!"), replaced("m3", "poison"), message("alice", "bob", "m4", "as it is"))
	applied := apply(t, s, chat.Mark{}, entry)
	target := chat.PlaceOf(base, entry.Revision, 1)
	recall := l.block(chat.Record{
		Kind: chat.RecallRecord, Conversation: entry.Block.Records[1].Conversation, Sender: entry.Block.Records[1].Sender, MessageID: "r", Seq: 2,
		Recall: &chat.Recall{Place: target, Sender: "alice", MessageID: "m2"},
	})
	apply(t, s, applied.Mark, recall)

	wanted := want(entry)
	wanted[1].Record.Body, wanted[1].Record.Extra, wanted[1].Record.Erased = "", "", true
	wanted[1].Recalled = chat.PlaceOf(base, recall.Revision, 0)
	if diff := cmp.Diff([]store.Message{wanted[0], wanted[1], wanted[3]}, rows(t, s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	rejected, err := s.Rejected(t.Context(), 0, 1<<53)
	if err != nil || len(rejected) != 1 {
		t.Fatalf("put aside: %v, %v; want one", rejected, err)
	}
	if diff := cmp.Diff(wanted[2].Record, rejected[0].Record); diff != "" {
		t.Errorf("put aside (-want +got):\n%s", diff)
	}

	ids, stored := make([]chat.ID, 4), make(map[chat.ID]chat.Stored)
	for i, m := range wanted {
		ids[i] = m.ID
		stored[m.ID] = chat.Stored{Seq: m.Record.Seq, Place: m.Place, Digest: m.Record.AskedFor(), Recalled: i == 1, Replaced: i < 3}
	}
	facts, err := s.LookUp(t.Context(), chat.Needs{IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, facts.IDs); diff != "" {
		t.Errorf("what a repeat is held against (-want +got):\n%s", diff)
	}
}
