package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
)

var team = chat.GroupOf(1, "team")

// postgres is a store that can be away.
type postgres struct {
	*store.Store
	away atomic.Bool
}

func (p *postgres) LookUp(ctx context.Context, n chat.Needs) (chat.Facts, error) {
	if p.away.Load() {
		return chat.Facts{}, errors.New("postgres is away")
	}
	return p.Store.LookUp(ctx, n)
}

// house is a log with one partition, a Postgres that has it up to a mark, and an edge with a session of each user.
type house struct {
	t       *testing.T
	conn    *streams.Conn
	db      *postgres
	tail    chat.Mark
	mark    chat.Mark
	unsaved []chat.Entry // after the mark
	version int64

	pushes *streams.Reader[streams.Pushed]
	heard  []string      // what the edge got and nobody has asked for yet
	served chat.Revision // what the edge was told
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{
		t: t, conn: streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1}),
		db: &postgres{Store: storetest.New(t)},
	}
	for i, u := range []chat.UserID{"alice", "bob", "carol", "dave"} {
		r := chat.Route{Device: chat.Device{App: 1, User: u}, Edge: "edge", Session: chat.SessionID(1 + i), Epoch: 1}
		if err := h.conn.PutRoute(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if h.pushes, err = h.conn.ReadPushes(t.Context(), h.conn.Generation(), "edge", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.pushes.Close)
	return h
}

// open runs the fan-out for an edge that has everything up to the tail.
func (h *house) open() *prometheus.Registry {
	h.t.Helper()
	announce(h.t, h.conn, "edge", h.tail.Revision)
	return run(h.t, h.conn, h.db)
}

// block appends a block.
func (h *house) block(records ...chat.Record) {
	h.t.Helper()
	block := &chat.Block{Prev: h.tail.Revision, Time: time.Now(), Records: records}
	data := chat.AppendBlock(nil, block, h.tail.Hash)
	done := make(chan error, 1)
	mark := chat.Mark{Hash: block.Hash}
	h.conn.Append(0, data, h.tail.Revision, func(rev chat.Revision, err error) { mark.Revision = rev; done <- err })
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
	h.tail = mark
	h.unsaved = append(h.unsaved, chat.Entry{Revision: mark.Revision, Block: block})
}

// save lets Postgres have the whole log.
func (h *house) save() {
	h.t.Helper()
	applied, err := h.db.Apply(h.t.Context(), 0, h.conn.Base(), h.mark, h.unsaved)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(applied.Rejected) > 0 {
		h.t.Fatalf("postgres refuses %v", applied.Rejected)
	}
	h.mark, h.unsaved = applied.Mark, nil
}

func (h *house) change(kind chat.ChangeKind, users ...chat.UserID) chat.Record {
	h.version++
	return chat.Record{
		Kind: chat.GroupRecord, Conversation: team, Sender: chat.Device{App: 1, User: "alice"},
		Change: &chat.Change{Kind: kind, Version: h.version, Users: users},
	}
}

func said(c chat.Conversation, by chat.UserID, seq chat.Seq) chat.Record {
	return chat.Record{
		Kind: chat.MessageRecord, Conversation: c, Sender: chat.Device{App: 1, User: by}, MessageID: fmt.Sprint(c, seq), Seq: seq,
		Digest: chat.DigestOf("hi", ""), Body: "hi",
	}
}

// want waits until the edge has got these frames, and fails if it gets any other. What was not handed out in its turn has a star.
func (h *house) want(want ...string) {
	h.t.Helper()
	late := time.After(10 * time.Second)
	for len(h.heard) < len(want) {
		select {
		case <-h.pushes.Ready():
			h.hear()
		case <-late:
			h.t.Fatalf("the edge got %q, want %q", h.heard, want)
		}
	}
	if diff := cmp.Diff(want, h.heard[:len(want)]); diff != "" {
		h.t.Fatalf("what the edge got (-want +got):\n%s", diff)
	}
	h.heard = h.heard[len(want):]
}

func (h *house) hear() {
	for _, p := range h.pushes.Take(1000) {
		if p.Push == nil {
			continue
		}
		h.served = max(h.served, p.Push.To)
		for _, d := range p.Push.Deliveries {
			slices.Sort(d.Sessions)
			star := ""
			if d.Revision == 0 {
				star = "*"
			}
			h.heard = append(h.heard, fmt.Sprint(star, wire.Command(d.Command), " to ", d.Sessions))
		}
	}
}

// wantNothing fails if the edge gets anything for a while.
func (h *house) wantNothing(why string) {
	h.t.Helper()
	still := time.After(1200 * time.Millisecond) // more than two questions
	for {
		select {
		case <-h.pushes.Ready():
			if h.hear(); len(h.heard) > 0 {
				h.t.Fatalf("the edge got %q: %s", h.heard, why)
			}
		case <-still:
			return
		}
	}
}

// value returns a metric without labels.
func value(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric(); f.GetName() == "whaleshark_fanout_"+name {
			return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestAGroupIsLookedUpAndFoldedOn has the beginning of a group in Postgres, what follows only in the log, and the rest still to come.
func TestAGroupIsLookedUpAndFoldedOn(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob", "carol"))
	h.save()
	h.block(h.change(chat.MembersJoined, "dave"), h.change(chat.MemberLeft, "carol"))
	h.open()
	h.block(said(team, "alice", 1))
	h.want("group_send_ack to [1]", "group_send to [2 4]")
	h.block(h.change(chat.MemberRemoved, "bob"))
	h.want("deleted_member to [1 2 4]")
	h.block(said(team, "alice", 2))
	h.want("group_send_ack to [1]", "group_send to [4]")
}

// TestPostgresKnowsWhatIsStillToBeHandedOut lets an edge be behind the log, of which Postgres has everything.
func TestPostgresKnowsWhatIsStillToBeHandedOut(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob"))
	announce(t, h.conn, "edge", h.tail.Revision)
	h.block(said(team, "alice", 1))
	h.block(h.change(chat.MemberRemoved, "bob"), h.change(chat.MembersJoined, "carol"))
	h.block(said(team, "alice", 2))
	h.save()
	run(t, h.conn, h.db)
	h.want(
		"group_send_ack to [1]", "group_send to [2]", "deleted_member to [1 2]", "added_member to [1 3]",
		"group_send_ack to [1]", "group_send to [3]",
	)
}

// TestANewGroupNeedsNoLookUp creates a group while Postgres is away.
func TestANewGroupNeedsNoLookUp(t *testing.T) {
	h := newHouse(t)
	h.db.away.Store(true)
	h.open()
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob"), said(team, "bob", 1))
	h.want("created_group to [1]", "added_member to [1 2]", "group_send_ack to [2]", "group_send to [1]")
}

// TestAColdGroupWaitsForPostgresAlone keeps Postgres away: the answers and what is said elsewhere go on, and what waits comes in its order.
func TestAColdGroupWaitsForPostgresAlone(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob"))
	h.save()
	h.db.away.Store(true)
	metrics := h.open()
	pair := chat.PairOf(1, "carol", "dave")
	recalled := chat.Record{
		Kind: chat.RecallRecord, Conversation: team, Sender: chat.Device{App: 1, User: "alice"}, Seq: 1,
		Recall: &chat.Recall{Place: chat.PlaceOf(h.conn.Base(), h.tail.Revision+1, 0), Sender: "alice", MessageID: fmt.Sprint(team, 1)},
	}
	h.block(said(team, "alice", 1), said(pair, "carol", 1))
	h.want("group_send_ack to [1]", "send_ack to [3]", "send to [4]")
	h.block(said(team, "alice", 2), h.change(chat.MembersJoined, "carol"), said(team, "bob", 3), said(pair, "carol", 2))
	h.want("group_send_ack to [1]", "group_send_ack to [2]", "send_ack to [3]", "send to [4]")
	h.block(recalled)
	h.want("recall_ack to [1]")
	h.wantNothing("postgres is away")
	if n := value(t, metrics, "parked_records"); n != 5 {
		t.Errorf("%v records are parked, want 5", n)
	}

	h.db.away.Store(false)
	h.want("*group_send to [2]", "*added_member to [1 2 3]", "*group_send to [1 3]", "*recall_notify to [2 3]")
	h.block(said(team, "bob", 4))
	h.want("group_send_ack to [2]", "group_send to [1 3]")
	if n := value(t, metrics, "parked_records"); n != 0 {
		t.Errorf("%v records are parked at the end", n)
	}
}

// TestTooMuchToWaitIsReadAgain lets more wait than the owner holds: pairs go on, and when Postgres is back the log is read again from where
// the waiting began.
func TestTooMuchToWaitIsReadAgain(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "bob"))
	h.save()
	h.db.away.Store(true)
	h.open()
	first, seq := h.tail.Revision+1, chat.Seq(0)
	for range 11 {
		var records []chat.Record
		for range 1000 {
			seq++
			records = append(records, said(team, "zoe", seq))
		}
		h.block(records...)
	}
	h.block(said(chat.PairOf(1, "carol", "dave"), "carol", 1))
	h.want("send_ack to [3]", "send to [4]")
	h.wantNothing("postgres is away")
	if h.served >= first {
		t.Errorf("the edge was told that it is served up to %d, and %d waits", h.served, first)
	}

	h.db.away.Store(false)
	for range seq {
		h.want("group_send to [2]")
	}
	h.want("send_ack to [3]", "send to [4]") // once more
	h.wantNothing("it has all")
	if h.served < h.tail.Revision {
		t.Errorf("the edge was told that it is served up to %d of %d", h.served, h.tail.Revision)
	}
}

// TestAReadReachesSendersOfLongAgo reads messages that are in Postgres alone.
func TestAReadReachesSendersOfLongAgo(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob", "carol"), said(team, "bob", 1), said(team, "carol", 2))
	h.save()
	h.block(said(team, "carol", 3))
	h.open()
	read := chat.Record{Kind: chat.ReadRecord, Conversation: team, Sender: chat.Device{App: 1, User: "alice"}, Seq: 1, Read: &chat.Read{}}
	h.block(read)
	h.want("*group_read_receipt to [2]")
	read.Seq, read.Read = 3, &chat.Read{From: 2}
	h.block(read)
	h.want("group_read_receipt to [3]") // the log has its sender
}

// TestTypingIsSeenAtOnceOrNever types in a group before anything was said in it, and after.
func TestTypingIsSeenAtOnceOrNever(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob"))
	h.save()
	metrics := h.open()
	types := func() {
		if err := h.conn.Signal(&chat.Signal{Kind: chat.Typing, Conversation: team, From: chat.Device{App: 1, User: "alice"}}); err != nil {
			t.Fatal(err)
		}
	}
	h.block(said(chat.PairOf(1, "carol", "dave"), "carol", 1))
	h.want("send_ack to [3]", "send to [4]") // the owner is there
	types()
	h.wantNothing("nobody waits for typing")
	if n := value(t, metrics, "typing_dropped_total"); n != 1 {
		t.Errorf("%v signs of typing were dropped, want 1", n)
	}
	h.block(said(team, "bob", 1))
	h.want("group_send_ack to [2]", "group_send to [1]")
	types()
	h.want("*typing to [2]")
}

// TestParkedRecordsOutliveARewind lets an edge come that is behind while a record is parked: the log is read again from before it, nothing
// is parked twice, and all of it comes in its order.
func TestParkedRecordsOutliveARewind(t *testing.T) {
	h := newHouse(t)
	h.block(h.change(chat.GroupCreated, "alice"), h.change(chat.MembersJoined, "bob"))
	h.save()
	h.db.away.Store(true)
	metrics := h.open()
	h.block(said(team, "alice", 1))
	h.want("group_send_ack to [1]")
	announce(t, h.conn, "late", 0)
	h.want("group_send_ack to [1]") // again; an edge drops it
	if n := value(t, metrics, "parked_records"); n != 3 {
		t.Errorf("%v records are parked, want the message and the group's beginning", n)
	}
	h.db.away.Store(false)
	h.want("*created_group to [1]", "*added_member to [1 2]", "*group_send to [2]")
	h.wantNothing("it has all")
}

// TestAStrangersTypingIsNotHeard types in a pair before and after something was said in it.
func TestAStrangersTypingIsNotHeard(t *testing.T) {
	h := newHouse(t)
	h.open()
	pair := chat.PairOf(1, "carol", "dave")
	typing := &chat.Signal{Kind: chat.Typing, Conversation: pair, From: chat.Device{App: 1, User: "carol"}}
	signal := func() {
		if err := h.conn.Signal(typing); err != nil {
			t.Fatal(err)
		}
	}
	h.block(said(chat.PairOf(1, "alice", "bob"), "alice", 1))
	h.want("send_ack to [1]", "send to [2]") // it listens
	signal()
	h.wantNothing("they have never spoken")
	h.block(said(pair, "carol", 1))
	h.want("send_ack to [3]", "send to [4]")
	signal()
	h.want("*typing to [4]")
}
