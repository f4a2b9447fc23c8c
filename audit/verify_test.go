package audit_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// rows stands for a database.
type rows struct {
	marks    map[chat.Partition]chat.Mark
	messages []store.Message
}

func (r *rows) Marks(context.Context) (map[chat.Partition]chat.Mark, error) { return r.marks, nil }

func (r *rows) Messages(_ context.Context, lo, hi chat.Place, _ int) ([]store.Message, error) {
	var page []store.Message
	for _, m := range r.messages {
		if lo <= m.Place && m.Place < hi {
			page = append(page, m)
		}
	}
	return page, nil
}

func (r *rows) Rejected(context.Context, chat.Place, chat.Place) ([]store.Rejected, error) {
	return nil, nil
}

func (r *rows) Memberships(context.Context, store.StayKey, int) ([]store.Stay, store.StayKey, error) {
	return nil, store.StayKey{}, nil
}

func (r *rows) Settings(context.Context, store.SettingKey, int) ([]store.UserSettings, store.SettingKey, error) {
	return nil, store.SettingKey{}, nil
}

var pair = chat.PairOf(10001, "alice", "bob")

// message is the nth of alice's to bob.
func message(n int) chat.Record {
	body := "message number " + string(rune('a'+n))
	return chat.Record{
		Kind: chat.MessageRecord, Conversation: pair, Sender: chat.Device{App: 10001, User: "alice", Client: chat.Web, IMEI: "w"},
		MessageID: "m" + string(rune('a'+n)), Seq: chat.Seq(n), Body: body, Digest: chat.DigestOf(body, ""),
	}
}

// write appends three blocks of two messages each to the log, each as change leaves it, and returns the rows that belong to them.
func write(t *testing.T, c *streams.Conn, change func(n int, data []byte) []byte) *rows {
	t.Helper()
	p := pair.Partition(c.Partitions())
	r := &rows{marks: make(map[chat.Partition]chat.Mark)}
	var tail chat.Mark
	for n := range 3 {
		b := &chat.Block{
			Partition: p, Prev: tail.Revision, Time: time.Now(), Records: []chat.Record{message(2*n + 1), message(2*n + 2)},
		}
		data := change(n, chat.AppendBlock(nil, b, tail.Hash))
		done := make(chan error, 1)
		c.Append(p, data, tail.Revision, func(rev chat.Revision, err error) {
			tail = chat.Mark{Revision: rev, Hash: b.Hash}
			done <- err
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for i, record := range b.Records {
			r.messages = append(r.messages, store.Message{Place: chat.PlaceOf(c.Base(), tail.Revision, i), ID: record.ID(), Record: record})
		}
	}
	r.marks[p] = tail
	return r
}

func asIs(_ int, data []byte) []byte { return data }

// flip changes a word of the second block.
func flip(from, to string) func(int, []byte) []byte {
	return func(n int, data []byte) []byte {
		if n != 1 {
			return data
		}
		return bytes.Replace(data, []byte(from), []byte(to), 1)
	}
}

func TestVerifyNamesTheFault(t *testing.T) {
	p := pair.Partition(4)
	place := func(rev chat.Revision, index int) chat.Place { return chat.PlaceOf(0, rev, index) }
	for name, test := range map[string]struct {
		log  func(n int, data []byte) []byte
		rows func(*rows)
		want *audit.Fault
	}{
		"none": {asIs, func(*rows) {}, nil},
		"a body is another": {
			flip("number d", "number D"), func(*rows) {},
			&audit.Fault{Partition: p, Revision: 2, Conversation: pair, Place: place(2, 0), What: "the body does not fit its digest"},
		},
		"an id is another": {
			flip("\x02md", "\x02mD"), func(*rows) {},
			&audit.Fault{Partition: p, Revision: 2, What: "the block's hash does not follow from the block before it"},
		},
		"a block cannot be read": {
			func(n int, data []byte) []byte { return data[:len(data)-n/2] }, func(*rows) {},
			&audit.Fault{Partition: p, Revision: 3, What: "decode block: short or garbled encoding"},
		},
		"a row is missing": {
			asIs, func(r *rows) { r.messages = append(r.messages[:3], r.messages[4:]...) },
			&audit.Fault{Partition: p, Revision: 2, Conversation: pair, Place: place(2, 1), What: "postgres does not have the message"},
		},
		"the mark is of another log": {
			asIs, func(r *rows) { r.messages = r.messages[:4]; r.marks[p] = chat.Mark{Revision: 2, Hash: r.marks[p].Hash} },
			&audit.Fault{Partition: p, Revision: 2, What: "postgres's mark is at this revision, with another hash"},
		},
		"a row is another": {
			asIs, func(r *rows) { r.messages[5].Record.Body = "!" },
			&audit.Fault{Partition: p, Revision: 3, Conversation: pair, Place: place(3, 1), What: "postgres has another body"},
		},
		"a row is of another request": {
			asIs, func(r *rows) { r.messages[5].Record.Asked = chat.DigestOf("something else", "") },
			&audit.Fault{
				Partition: p, Revision: 3, Conversation: pair, Place: place(3, 1), What: "postgres has another digest of what was asked for",
			},
		},
		"a row is one too many": {
			asIs, func(r *rows) { r.messages = append(r.messages, store.Message{Place: place(3, 7), Record: message(7)}) },
			&audit.Fault{Partition: p, Revision: 3, Conversation: pair, Place: place(3, 7), What: "postgres has a message that the log does not"},
		},
		"the database is ahead": {
			asIs, func(r *rows) { r.marks[p] = chat.Mark{Revision: 9} },
			&audit.Fault{Partition: p, Revision: 9, What: "postgres has this revision, and the log does not"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 4})
			r := write(t, c, test.log)
			test.rows(r)
			report, err := audit.Verify(t.Context(), c, r, nil)
			var got *audit.Fault
			if !errors.As(err, &got) && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("another fault (-want +got):\n%s", diff)
			}
			if err == nil && (report.Blocks != 3 || report.Messages != 6 || report.Rows != 6 || report.Conversations != 1) {
				t.Errorf("the report is %+v, want 3 blocks, 6 messages and rows, 1 conversation", report)
			}
		})
	}
}

// lossy is a log that passes over a revision, as the broker does with what it cannot read.
type lossy struct {
	*streams.Conn
	newest bool // the newest one
}

func (l lossy) Entry(ctx context.Context, rev chat.Revision) (streams.RawEntry, bool, error) {
	if l.newest {
		return streams.RawEntry{}, false, nil
	}
	return l.Conn.Entry(ctx, rev)
}

func TestVerifyDoesNotWaitForWhatTheBrokerCannotRead(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	r := write(t, c, asIs)
	_, err := audit.Verify(t.Context(), lossy{c, true}, r, nil)
	if want := "revision 3: the broker does not give this revision"; err == nil || err.Error() != want {
		t.Errorf("verify says %v, want %q", err, want)
	}
}
