package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

func TestTheCopyTakesTheLogsPlace(t *testing.T) {
	start := func(dir string) *broker.Broker {
		b, err := broker.Start(broker.Config{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	connect := func(b *broker.Broker) *streams.Conn {
		c, err := streams.Connect(t.Context(), streams.Config{URL: b.URL(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	dir := t.TempDir()
	from, to := start(t.TempDir()), start(dir)
	c := connect(from)
	tail := say(t, c, chat.Mark{}, 1)
	tail = say(t, c, tail, 2)

	args := []string{"audit", "copy", "--data", t.TempDir(), "--nats", from.URL(), "--to", to.URL()}
	fails(t, "there is no message at place 7", append(args, "--erase", "7")...)
	place := chat.PlaceOf(0, tail.Revision, 0)
	prints(t, "", "revisions 1 to 2, 2 blocks with 2 messages", append(args, "--erase-recalled", "--erase", fmt.Sprintf("%d,1024", place))...)
	fails(t, "holds 2 blocks of a log already", args...)
	verify := []string{"audit", "verify", "--data", t.TempDir(), "--nats", to.URL(), "--database", storetest.URL(t)}
	prints(t, "", "2 blocks, 2 messages", verify...)
	prints(t, "", "alice: (erased)", "audit", "replay", "--data", t.TempDir(), "--nats", to.URL(), "--user", "alice")

	c.Close()
	from.Close()
	to.Close()
	c = connect(start(dir))
	if next := say(t, c, tail, 3); next.Revision != 3 {
		t.Errorf("the next block has revision %d, want 3", next.Revision)
	}
}

// say appends alice's nth message to bob, as a sequencer does.
func say(t *testing.T, c *streams.Conn, tail chat.Mark, n chat.Seq) chat.Mark {
	t.Helper()
	pair := chat.PairOf(10001, "alice", "bob")
	b := &chat.Block{Partition: pair.Partition(c.Partitions()), Prev: tail.Revision, Time: time.Now(), Records: []chat.Record{{
		Kind: chat.MessageRecord, Conversation: pair, Sender: chat.Device{App: 10001, User: "alice", Client: chat.Web, IMEI: "w"},
		MessageID: fmt.Sprint("m", n), Seq: n, Body: "hi", Digest: chat.DigestOf("hi", ""),
	}}}
	data := chat.AppendBlock(nil, b, tail.Hash)
	next := make(chan chat.Mark, 1)
	c.Append(b.Partition, data, tail.Revision, func(rev chat.Revision, err error) {
		if err != nil {
			t.Error(err)
		}
		next <- chat.Mark{Revision: rev, Hash: b.Hash}
	})
	return <-next
}
