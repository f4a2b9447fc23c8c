package history_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

const (
	plainApp = chat.AppID(10001)
	earlyApp = chat.AppID(10002) // new members see what was said before
	base     = chat.Revision(7)
)

// world is a log on a real broker, a real database that has some of it, and all of it in memory.
type world struct {
	t     *testing.T
	rand  *rand.Rand
	conn  *streams.Conn
	store *store.Store
	naive naive

	logs     [3]partitionLog
	heads    map[chat.Conversation]chat.Seq
	versions map[chat.Conversation]int64
	members  map[chat.Conversation][]chat.UserID
	reads    map[chat.ReadKey]chat.Seq
	recalled map[chat.Place]bool
	messages int
}

type partitionLog struct {
	tail, mark chat.Mark
	waiting    []chat.Entry // not applied
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	url := storetest.URL(t)
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(),
		`INSERT INTO app (app_id, keys, history_before_joining) VALUES ($1, '{k}', false), ($2, '{k}', true)`, plainApp, earlyApp); err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, seed)), store: storetest.Open(t, url),
		heads: make(map[chat.Conversation]chat.Seq), versions: make(map[chat.Conversation]int64),
		members: make(map[chat.Conversation][]chat.UserID), reads: make(map[chat.ReadKey]chat.Seq), recalled: make(map[chat.Place]bool),
	}
	w.conn = streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: len(w.logs), Base: base})
	w.naive.early = map[chat.AppID]bool{earlyApp: true}
	return w
}

func (w *world) history(cfg history.Config) *history.History {
	return history.New(cfg, w.conn, w.store)
}

// append puts records into the log: a block of those of each partition.
func (w *world) append(records ...chat.Record) {
	w.t.Helper()
	for p := range w.logs {
		var of []chat.Record
		for _, r := range records {
			if r.Conversation.Partition(len(w.logs)) == chat.Partition(p) {
				of = append(of, r)
			}
		}
		if len(of) > 0 {
			w.commit(chat.Partition(p), of)
		}
	}
}

func (w *world) commit(p chat.Partition, records []chat.Record) {
	w.t.Helper()
	l := &w.logs[p]
	k := &chat.Block{Partition: p, Prev: l.tail.Revision, Time: time.UnixMilli(1_700_000_000_000 + int64(len(w.naive.items))), Records: records}
	data := chat.AppendBlock(nil, k, l.tail.Hash)
	done := make(chan error, 1)
	var rev chat.Revision
	w.conn.Append(p, data, l.tail.Revision, func(r chat.Revision, err error) { rev = r; done <- err })
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	l.tail = chat.Mark{Revision: rev, Hash: k.Hash}
	l.waiting = append(l.waiting, chat.Entry{Revision: rev, Block: k})
	for i, r := range records {
		w.naive.items = append(w.naive.items, chat.Item{Place: chat.PlaceOf(base, rev, i), Time: k.Time, Record: r})
	}
}

// persist lets Postgres have some more blocks of a partition.
func (w *world) persist(p int, blocks int) {
	w.t.Helper()
	l := &w.logs[p]
	for blocks > 0 {
		n := 1 + w.rand.IntN(blocks)
		blocks -= n
		applied, err := w.store.Apply(w.t.Context(), chat.Partition(p), base, l.mark, l.waiting[:n])
		if err != nil {
			w.t.Fatal(err)
		}
		if len(applied.Rejected) > 0 {
			w.t.Fatalf("Postgres rejects %+v", applied.Rejected)
		}
		l.mark, l.waiting = applied.Mark, l.waiting[n:]
	}
}

func (w *world) end() chat.Place {
	var end chat.Revision
	for _, l := range w.logs {
		end = max(end, l.tail.Revision)
	}
	return chat.PlaceOf(base, end+1, 0) - 1
}

func (w *world) place() chat.Place {
	return chat.Place(w.rand.Int64N(int64(w.end()) + 2000))
}

func pick[T any](w *world, from []T) T { return from[w.rand.IntN(len(from))] }

var people = []chat.UserID{"ann", "bob", "cy", "dee"}

func (w *world) device(app chat.AppID, u chat.UserID) chat.Device {
	return chat.Device{App: app, User: u, Client: chat.Web, IMEI: pick(w, []string{"one", "two"})}
}

// step puts something that may happen into the log: several things at a time in one block or a few.
func (w *world) step() {
	w.t.Helper()
	touched := make(map[chat.Conversation]bool) // one thing a conversation: what is next depends on it
	var records []chat.Record
	for range 1 + w.rand.IntN(4) {
		if r, ok := w.happening(); ok && !touched[r.Conversation] {
			touched[r.Conversation] = true
			w.note(&r)
			records = append(records, r)
		}
	}
	w.append(records...)
}

func (w *world) happening() (chat.Record, bool) {
	app := pick(w, []chat.AppID{plainApp, plainApp, earlyApp})
	user := pick(w, people)
	of := chat.PairOf(app, user, pick(w, people))
	if w.rand.IntN(2) == 0 {
		of = chat.GroupOf(app, pick(w, []string{"g1", "g2"}))
	}
	r := chat.Record{Conversation: of, Sender: w.device(app, user)}
	present := of.Kind == chat.Pair || slices.Contains(w.members[of], user)
	switch draw := w.rand.IntN(11); {
	case of.Kind == chat.Group && (draw < 3 || len(w.members[of]) == 0):
		return w.change(r)
	case draw == 10 && w.naive.mine(of, chat.UserKey{App: app, User: user}):
		r.Kind, r.Setting = chat.SettingRecord, &chat.Setting{
			Mute: chat.Switch(w.rand.IntN(3)), Top: chat.Switch(w.rand.IntN(2)), Delete: w.rand.IntN(2) == 0,
		}
		return r, *r.Setting != chat.Setting{}
	case !present:
		return r, false
	case draw < 5:
		r.Kind, r.Seq = chat.ReadRecord, chat.Seq(w.rand.Int64N(int64(w.heads[of])+1))
		before := w.reads[chat.ReadKey{Conversation: of, User: user}]
		r.Read = &chat.Read{From: before}
		return r, r.Seq > before
	case draw < 6:
		return w.recall(r)
	case draw < 7:
		r.Kind, r.MessageID, r.Code = chat.RefusalRecord, fmt.Sprint("no", len(w.naive.items)), chat.SenderMuted
		return r, true
	}
	w.messages++
	r.Kind, r.Seq, r.MessageID, r.Body = chat.MessageRecord, w.heads[of]+1, fmt.Sprint("m", w.messages), fmt.Sprint("said ", w.messages)
	r.Digest = chat.DigestOf(r.Body, "")
	return r, true
}

func (w *world) recall(r chat.Record) (chat.Record, bool) {
	for range 20 {
		if len(w.naive.items) == 0 {
			break
		}
		m := pick(w, w.naive.items)
		if m.Record.Kind == chat.MessageRecord && m.Record.Conversation == r.Conversation && !w.recalled[m.Place] {
			r.Kind, r.Seq, r.MessageID = chat.RecallRecord, m.Record.Seq, fmt.Sprint("r", len(w.naive.items))
			r.Recall = &chat.Recall{Place: m.Place, Sender: m.Record.Sender.User, MessageID: m.Record.MessageID}
			return r, true
		}
	}
	return r, false
}

func (w *world) change(r chat.Record) (chat.Record, bool) {
	r.Kind, r.Sender = chat.GroupRecord, chat.Device{App: r.Sender.App, User: r.Sender.User}
	u, members := pick(w, people), w.members[r.Conversation]
	c := &chat.Change{Version: w.versions[r.Conversation] + 1, Users: []chat.UserID{u}}
	r.Change = c
	switch here := slices.Contains(members, u); {
	case w.versions[r.Conversation] == 0:
		c.Kind = chat.GroupCreated
	case w.rand.IntN(8) == 0:
		c.Kind, c.Users, c.Info = chat.GroupUpdated, nil, `{"groupName":"x"}`
	case w.rand.IntN(40) == 0:
		c.Kind, c.Users = chat.GroupDestroyed, nil
	case !here:
		c.Kind = chat.MembersJoined
	case w.rand.IntN(3) == 0:
		c.Kind, c.Role = chat.RoleSet, chat.Manager
	default:
		c.Kind = pick(w, []chat.ChangeKind{chat.MemberLeft, chat.MemberRemoved})
	}
	return r, true
}

// note remembers what follows from a record.
func (w *world) note(r *chat.Record) {
	of := r.Conversation
	switch r.Kind { //nolint:exhaustive // nothing follows from a refusal
	case chat.MessageRecord:
		w.heads[of] = r.Seq
	case chat.ReadRecord:
		w.reads[chat.ReadKey{Conversation: of, User: r.Sender.User}] = r.Seq
	case chat.RecallRecord:
		w.recalled[r.Recall.Place] = true
	case chat.GroupRecord:
		w.versions[of] = r.Change.Version
		switch r.Change.Kind { //nolint:exhaustive // the others let nobody in or out
		case chat.GroupCreated, chat.MembersJoined:
			w.members[of] = append(w.members[of], r.Change.Users...)
		case chat.MemberLeft, chat.MemberRemoved:
			w.members[of] = slices.DeleteFunc(w.members[of], func(u chat.UserID) bool { return u == r.Change.Users[0] })
		}
	}
}

// crowd lets many others into a group, so that it is wide.
func (w *world) crowd(of chat.Conversation) {
	w.t.Helper()
	for i := range 6 {
		users := make([]chat.UserID, chat.MaxChangeUsers)
		for j := range users {
			users[j] = chat.UserID(fmt.Sprintf("other%d", i*len(users)+j))
		}
		w.versions[of]++
		c := &chat.Change{Kind: chat.MembersJoined, Version: w.versions[of], Users: users}
		if c.Version == 1 {
			c.Kind, c.Users = chat.GroupCreated, users[:1]
		}
		w.append(chat.Record{Kind: chat.GroupRecord, Conversation: of, Sender: chat.Device{App: of.App}, Change: c})
	}
}
