package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// TestOutgoingComesInPages reads the outbox on from each row, past one that cannot be read.
func TestOutgoingComesInPages(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, url, `UPDATE outbox SET change = 'garbage' WHERE outbox_id = 2`)
	got := make(map[int64]string)
	after := int64(0)
	for {
		page, err := s.Outgoing(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			after = o.ID
			if o.Fault != nil {
				got[o.ID] = o.Conversation.A + " cannot be read"
			} else {
				got[o.ID] = string(o.Change.Users[0])
			}
		}
	}
	want := map[int64]string{1: "bantanger", 2: "27a35ff2f9be4cc9a8d3db1ad3322804 cannot be read", 3: "10001", 4: "alice", 5: "lld"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
}
