package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// A message that is acknowledged and no row is a fault, even if later ones are rows.
func TestMissingRow(t *testing.T) {
	url := storetest.URL(t)
	target := &Target{Store: storetest.Open(t, url)}
	pair := chat.PairOf(1, "alice", "bob")
	block := &chat.Block{Time: time.Now()}
	for i := range 5 {
		block.Records = append(block.Records, chat.Record{
			Kind: chat.MessageRecord, Conversation: pair, Sender: chat.Device{App: 1, User: "alice"}, MessageID: fmt.Sprint(i), Seq: chat.Seq(i + 1),
			Digest: chat.DigestOf("hi", ""), Body: "hi",
		})
	}
	chat.AppendBlock(nil, block, chat.Hash{})
	if _, err := target.Store.Apply(t.Context(), 0, 0, chat.Mark{}, []chat.Entry{{Revision: 1, Block: block}}); err != nil {
		t.Fatal(err)
	}
	rows := func() (int64, *faults) {
		var f faults
		_, n, err := target.awaitRows(t.Context(), []store.Range{{Conversation: pair, First: 1, Last: 5}}, f.add)
		if err != nil {
			t.Fatal(err)
		}
		return n, &f
	}
	if n, f := rows(); n != 5 || f.total() != 0 {
		t.Errorf("%d rows, faults %+v; want 5 and none", n, f.examples)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "DELETE FROM message WHERE seq = 3"); err != nil {
		t.Fatal(err)
	}
	if n, f := rows(); n != 4 || f.counts[faultRow] != 1 {
		t.Errorf("%d rows, faults %+v; want 4 and one", n, f.examples)
	}
}
