package store

import (
	"context"
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

// Apply writes what the entries tell, which follow the mark from in the log of partition p, and moves the mark behind them: all in one
// transaction, or nothing. If the partition's mark is not from, it returns [ErrMarkMoved].
//
// A record that Postgres refuses for itself is put aside, with its cause, and stops nothing. Whatever the number of records, it
// takes a handful of statements for each kind; each refusal costs some more.
func (s *Store) Apply(ctx context.Context, p chat.Partition, base chat.Revision, from chat.Mark, entries []chat.Entry) (Applied, error) {
	if len(entries) == 0 {
		return Applied{Mark: from}, nil
	}
	f, err := newFold(base, from, entries)
	if err != nil {
		return Applied{}, fmt.Errorf("apply to partition %s: %w", p, err)
	}
	last := entries[len(entries)-1]
	b := &batch{fold: f, partition: p, to: chat.Mark{Revision: last.Revision, Hash: last.Block.Hash}, wide: s.wide}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return b.write(ctx, tx, from) }); err != nil {
		return Applied{}, fmt.Errorf("apply to partition %s: %w", p, err)
	}
	return Applied{Mark: b.to, Messages: b.written(), Rejected: b.rejected}, nil
}

// batch is one Apply under way.
type batch struct {
	*fold
	partition chat.Partition
	to        chat.Mark
	wide      int // more members make a group wide
	rejected  []Rejected
	aside     map[chat.Place]bool // what is rejected
}

// write moves the mark first: it is the fence.
func (b *batch) write(ctx context.Context, tx pgx.Tx, from chat.Mark) error {
	q := db.New(tx)
	if err := moveMark(ctx, q, b.partition, from, b.to); err != nil {
		return err
	}
	if len(b.conversations) == 0 {
		return nil
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, pgx.Tx) error
	}{
		{"advance conversations", b.putConversations},
		{"add messages", b.putMessages},
		{"add known ids", b.addKnownIDs},
		{"recall messages", b.recallEarlier},
		{"add records", b.putRecords},
		{"fold groups", b.foldGroups},
		{"touch members", b.touchMembers},
		{"move read positions", b.putReads},
		{"put settings", b.putSettings},
		{"put rejected records aside", b.addRejected},
	} {
		if err := step.do(ctx, tx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
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

// putConversations moves the conversations on, and rejects what is in those that are refused.
func (b *batch) putConversations(ctx context.Context, tx pgx.Tx) error {
	if err := put(ctx, tx, b.conversations, advance, func(c *conversationRow, cause error) { c.refusal = cause }); err != nil {
		return err
	}
	for _, m := range b.messages {
		if cause := m.conversation.refusal; cause != nil {
			b.rejectMessage(m, cause)
		}
	}
	b.recalls, b.records, b.reads = b.accepted(b.recalls), b.accepted(b.records), b.accepted(b.reads)
	return nil
}

// accepted returns the records whose conversations have not been refused, and rejects the others.
func (b *batch) accepted(all []*placed) []*placed {
	kept := all[:0]
	for _, p := range all {
		if cause := p.conversation.refusal; cause != nil {
			b.reject(p, cause)
		} else {
			kept = append(kept, p)
		}
	}
	return kept
}

// advance moves the conversations' heads, and learns their ids.
func advance(ctx context.Context, q *db.Queries, conversations []*conversationRow) error {
	var arg db.AdvanceConversationsParams
	byToken := make(map[string]*conversationRow, len(conversations))
	for _, c := range conversations {
		byToken[c.token] = c
		arg.AppIds = append(arg.AppIds, int32(c.conversation.App))
		arg.Tokens = append(arg.Tokens, c.token)
		arg.Kinds = append(arg.Kinds, int16(c.conversation.Kind))
		arg.Lesser = append(arg.Lesser, c.conversation.A)
		arg.Greater = append(arg.Greater, c.conversation.B)
		arg.Heads = append(arg.Heads, int64(c.head))
		arg.LastPlaces = append(arg.LastPlaces, int64(c.lastPlace))
		arg.Changed = append(arg.Changed, int64(c.changed))
	}
	rows, err := q.AdvanceConversations(ctx, arg)
	for _, row := range rows {
		c := byToken[row.Token]
		c.id, c.groupPlace, c.wide = row.ConversationID, chat.Place(row.GroupPlace), row.Wide
	}
	return err
}

func (b *batch) putMessages(ctx context.Context, tx pgx.Tx) error {
	rows := b.messages
	if len(b.rejected) > 0 {
		rows = make([]*messageRow, 0, len(b.messages))
		for _, m := range b.messages {
			if !b.aside[m.place] {
				rows = append(rows, m)
			}
		}
	}
	return put(ctx, tx, rows, addMessages, b.rejectMessage)
}

func addMessages(ctx context.Context, q *db.Queries, rows []*messageRow) error {
	n := len(rows)
	arg := db.AddMessagesParams{
		Places: make([]int64, n), ConversationIds: make([]int64, n), Seqs: make([]int64, n), MessageTimes: make([]int64, n),
		CreatedAts: make([]time.Time, n), Identities: make([]chat.ID, n), ClientTypes: make([]int32, n), Digests: make([][]byte, n),
		Asked: make([][]byte, n), Senders: make([]string, n), Imeis: make([]string, n), MessageIds: make([]string, n),
		Recalled: make([]int64, n), Erased: make([]bool, n), Bodies: make([]string, n), Extras: make([]string, n),
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
		arg.Asked[i] = asked(r.record)
		arg.Senders[i] = string(r.record.Sender.User)
		arg.Imeis[i] = r.record.Sender.IMEI
		arg.MessageIds[i] = r.record.MessageID
		arg.Recalled[i] = int64(r.recalled)
		if arg.Erased[i] = r.record.Erased || r.recalled != 0; !arg.Erased[i] {
			arg.Bodies[i] = r.record.Body
			arg.Extras[i] = r.record.Extra
		}
	}
	return q.AddMessages(ctx, arg)
}

func (b *batch) addKnownIDs(ctx context.Context, tx pgx.Tx) error {
	if len(b.messages) == 0 {
		return nil
	}
	prefixes := make([]byte, 0, 8*len(b.messages))
	for _, r := range b.messages {
		prefixes = append(prefixes, r.id[:8]...)
	}
	return db.New(tx).AddKnownIDs(ctx, int32(b.partition), int64(b.messages[0].place), prefixes) //nolint:gosec // partitions are few
}

// written returns how many messages were not rejected.
func (b *batch) written() int {
	n := len(b.messages)
	for i := range b.rejected {
		if b.rejected[i].Record.Kind == chat.MessageRecord {
			n--
		}
	}
	return n
}
