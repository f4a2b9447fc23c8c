package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Applied is what one Apply has done.
type Applied struct {
	Mark     chat.Mark // the partition's new mark
	Messages int       // rows written
	Rejected []Rejected
}

// Apply writes the messages of the entries, which follow the mark from in the log of partition p, and moves the mark behind them: all
// in one transaction, or nothing. If the partition's mark is not from, it returns [ErrMarkMoved].
//
// A message that Postgres refuses for itself is put aside, with its cause, and stops nothing. Whatever the number of messages, it
// takes a handful of statements; each refusal costs some more.
func (s *Store) Apply(ctx context.Context, p chat.Partition, base chat.Revision, from chat.Mark, entries []chat.Entry) (Applied, error) {
	if len(entries) == 0 {
		return Applied{Mark: from}, nil
	}
	b, err := newBatch(p, base, from, entries)
	if err != nil {
		return Applied{}, fmt.Errorf("apply to partition %s: %w", p, err)
	}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return b.write(ctx, tx, from) }); err != nil {
		return Applied{}, fmt.Errorf("apply to partition %s: %w", p, err)
	}
	return Applied{Mark: b.to, Messages: len(b.rows) - len(b.rejected), Rejected: b.rejected}, nil
}

// batch is the rows of one Apply.
type batch struct {
	partition     chat.Partition
	to            chat.Mark
	rows          []*messageRow
	conversations []*conversationRow
	rejected      []Rejected
}

type messageRow struct {
	place        chat.Place
	id           chat.ID
	time         time.Time
	record       *chat.Record
	conversation *conversationRow
}

type conversationRow struct {
	id        int64
	app       chat.AppID
	token     string
	head      chat.Seq
	lastPlace chat.Place
	refusal   error
}

func newBatch(p chat.Partition, base chat.Revision, from chat.Mark, entries []chat.Entry) (*batch, error) {
	last := entries[len(entries)-1]
	b := &batch{partition: p, to: chat.Mark{Revision: last.Revision, Hash: last.Block.Hash}}
	conversations := make(map[chat.Conversation]*conversationRow)
	prev := from.Revision
	for _, e := range entries {
		if e.Block.Prev != prev {
			return nil, fmt.Errorf("the block of revision %d follows revision %d, not %d", e.Revision, e.Block.Prev, prev)
		}
		prev = e.Revision
		for i := range e.Block.Records {
			if r := &e.Block.Records[i]; r.Kind == chat.MessageRecord {
				b.add(conversations, chat.PlaceOf(base, e.Revision, i), e.Block.Time, r)
			}
		}
	}
	return b, nil
}

func (b *batch) add(conversations map[chat.Conversation]*conversationRow, place chat.Place, at time.Time, r *chat.Record) {
	c := conversations[r.Conversation]
	if c == nil {
		c = &conversationRow{app: r.Conversation.App, token: r.Conversation.String()}
		conversations[r.Conversation] = c
		b.conversations = append(b.conversations, c)
	}
	c.head, c.lastPlace = max(c.head, r.Seq), place
	b.rows = append(b.rows, &messageRow{place: place, id: r.ID(), time: at, record: r, conversation: c})
}

// write moves the mark first: it is the fence.
func (b *batch) write(ctx context.Context, tx pgx.Tx, from chat.Mark) error {
	q := db.New(tx)
	if err := moveMark(ctx, q, b.partition, from, b.to); err != nil {
		return err
	}
	if len(b.rows) == 0 {
		return nil
	}
	if err := put(ctx, tx, b.conversations, advance, func(c *conversationRow, cause error) { c.refusal = cause }); err != nil {
		return fmt.Errorf("advance conversations: %w", err)
	}
	if err := put(ctx, tx, b.accepted(), addMessages, b.reject); err != nil {
		return fmt.Errorf("add messages: %w", err)
	}
	if err := b.addKnownIDs(ctx, q); err != nil {
		return fmt.Errorf("add known ids: %w", err)
	}
	if err := b.addRejected(ctx, q); err != nil {
		return fmt.Errorf("put rejected records aside: %w", err)
	}
	return nil
}

// accepted returns the rows whose conversations have not been refused, and rejects the others.
func (b *batch) accepted() []*messageRow {
	rows := make([]*messageRow, 0, len(b.rows))
	for _, r := range b.rows {
		if cause := r.conversation.refusal; cause != nil {
			b.reject(r, cause)
		} else {
			rows = append(rows, r)
		}
	}
	return rows
}

// reject notes the cause without the refusal's detail, which would quote the message.
func (b *batch) reject(r *messageRow, cause error) {
	b.rejected = append(b.rejected, Rejected{Place: r.place, Partition: b.partition, Record: *r.record, Cause: cause.Error()})
}

// put writes rows; if Postgres refuses one for itself, it writes the halves, and so finds each that is refused with few statements.
func put[R any](
	ctx context.Context, tx pgx.Tx, rows []R,
	write func(context.Context, *db.Queries, []R) error, refuse func(R, error),
) error {
	if len(rows) == 0 {
		return nil
	}
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error { return write(ctx, db.New(savepoint), rows) })
	if !refused(err) {
		return err
	}
	if len(rows) == 1 {
		refuse(rows[0], err)
		return nil
	}
	half := len(rows) / 2
	if err := put(ctx, tx, rows[:half], write, refuse); err != nil {
		return err
	}
	return put(ctx, tx, rows[half:], write, refuse)
}

// advance moves the conversations' heads, and learns their ids.
func advance(ctx context.Context, q *db.Queries, conversations []*conversationRow) error {
	var arg db.AdvanceConversationsParams
	byToken := make(map[string]*conversationRow, len(conversations))
	for _, c := range conversations {
		byToken[c.token] = c
		arg.AppIds = append(arg.AppIds, int32(c.app))
		arg.Tokens = append(arg.Tokens, c.token)
		arg.Heads = append(arg.Heads, int64(c.head))
		arg.LastPlaces = append(arg.LastPlaces, int64(c.lastPlace))
	}
	rows, err := q.AdvanceConversations(ctx, arg)
	for _, row := range rows {
		byToken[row.Token].id = row.ConversationID
	}
	return err
}

func addMessages(ctx context.Context, q *db.Queries, rows []*messageRow) error {
	n := len(rows)
	arg := db.AddMessagesParams{
		Places: make([]int64, n), ConversationIds: make([]int64, n), Seqs: make([]int64, n), MessageTimes: make([]int64, n),
		CreatedAts: make([]time.Time, n), Identities: make([]chat.ID, n), ClientTypes: make([]int32, n), Digests: make([][]byte, n),
		Senders: make([]string, n), Imeis: make([]string, n), MessageIds: make([]string, n),
		Erased: make([]bool, n), Bodies: make([]string, n), Extras: make([]string, n),
	}
	for i, r := range rows {
		arg.Places[i] = int64(r.place)
		arg.ConversationIds[i] = r.conversation.id
		arg.Seqs[i] = int64(r.record.Seq)
		arg.MessageTimes[i] = r.record.MessageTime
		arg.CreatedAts[i] = r.time
		arg.Identities[i] = r.id
		arg.ClientTypes[i] = int32(r.record.Sender.Client)
		arg.Digests[i] = r.record.Digest[:]
		arg.Senders[i] = string(r.record.Sender.User)
		arg.Imeis[i] = r.record.Sender.IMEI
		arg.MessageIds[i] = r.record.MessageID
		arg.Erased[i] = r.record.Erased
		arg.Bodies[i] = r.record.Body
		arg.Extras[i] = r.record.Extra
	}
	return q.AddMessages(ctx, arg)
}

func (b *batch) addKnownIDs(ctx context.Context, q *db.Queries) error {
	prefixes := make([]byte, 0, 8*len(b.rows))
	for _, r := range b.rows {
		prefixes = append(prefixes, r.id[:8]...)
	}
	return q.AddKnownIDs(ctx, int32(b.partition), int64(b.rows[0].place), prefixes) //nolint:gosec // partitions are few
}

func (b *batch) addRejected(ctx context.Context, q *db.Queries) error {
	for i := range b.rejected {
		r := &b.rejected[i]
		if err := q.AddRejectedRecord(ctx, db.AddRejectedRecordParams{
			Place: int64(r.Place), Seq: int64(r.Record.Seq), Identity: r.Record.ID(),
			Partition: int32(r.Partition), //nolint:gosec // partitions are few
			Digest:    r.Record.Digest[:], Token: r.Record.Conversation.String(), Cause: r.Cause, Record: encodeRecord(r.Record),
		}); err != nil {
			return err
		}
	}
	return nil
}

var errNotOneRecord = errors.New("not a block of one record")

// encodeRecord returns a record in the log's own form: a block that holds it alone, without a chain.
func encodeRecord(r chat.Record) []byte {
	return chat.AppendBlock(nil, &chat.Block{Records: []chat.Record{r}}, chat.Hash{})
}

func decodeRecord(b []byte) (chat.Record, error) {
	block, err := chat.DecodeBlock(b)
	if err != nil {
		return chat.Record{}, err
	}
	if len(block.Records) != 1 {
		return chat.Record{}, errNotOneRecord
	}
	return block.Records[0], nil
}
