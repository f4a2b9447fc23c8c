package store

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// queueGroups asks for groups. One that is not there has a state, too: that of version 0, of the mark.
func queueGroups(batch *pgx.Batch, needs chat.Needs, found map[chat.Conversation]chat.GroupState) {
	if len(needs.Groups) == 0 {
		return
	}
	tokens, byToken := make([]string, len(needs.Groups)), make(map[string]chat.Conversation, len(needs.Groups))
	for i, c := range needs.Groups {
		tokens[i] = c.String()
		byToken[tokens[i]] = c
	}
	var row db.GroupsByTokenRow
	args := []any{int32(needs.Partition), tokens, int64(needs.EndedBefore)} //nolint:gosec // partitions are few
	dst := []any{
		&row.Token, &row.Version, &row.Muted, &row.Destroyed, &row.GroupPlace, &row.Mark,
		&row.UserID, &row.Joined, &row.LeftPlace, &row.Role, &row.MutedUntil, &row.Place,
	}
	queue(batch, db.GroupsByToken, args, dst, func() error {
		c := byToken[row.Token]
		g := chat.GroupState{
			Version: row.Version, Muted: row.Muted, Destroyed: row.Destroyed, At: chat.Place(row.GroupPlace),
			Mark: chat.Revision(row.Mark), Members: found[c].Members, //nolint:gosec // it was written from a revision
		}
		if row.Joined != 0 {
			g.Members = append(g.Members, chatStay(row.UserID, row.Joined, row.LeftPlace, row.Role, row.MutedUntil, row.Place))
		}
		found[c] = g
		return nil
	})
}

func queueReads(batch *pgx.Batch, keys []chat.ReadKey, found map[chat.ReadKey]chat.Seq) {
	if len(keys) == 0 {
		return
	}
	numbers, tokens, users := make([]int32, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		numbers[i], tokens[i], users[i] = int32(i), k.Conversation.String(), string(k.User)
	}
	var row db.ReadsByKeyRow
	queue(batch, db.ReadsByKey, []any{numbers, tokens, users}, []any{&row.Number, &row.Seq}, func() error {
		found[keys[row.Number]] = chat.Seq(row.Seq)
		return nil
	})
}

// queueTargets also asks for the messages that were put aside: they may be recalled like any other.
func queueTargets(batch *pgx.Batch, targets []chat.Target, found map[chat.Target]chat.Targeted) {
	if len(targets) == 0 {
		return
	}
	n := len(targets)
	numbers, tokens, seqs, places := make([]int32, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, t := range targets {
		numbers[i], tokens[i] = int32(i), t.Conversation.String()
		seqs[i], places[i] = int64(t.Seq), int64(t.Place)
	}
	var row db.TargetsByKeyRow
	dst := []any{&row.Number, &row.Sender, &row.MessageID, &row.Seq, &row.Place, &row.CreatedAt, &row.Recalled}
	queue(batch, db.TargetsByKey, []any{numbers, tokens, seqs, places}, dst, func() error {
		found[targets[row.Number]] = chat.Targeted{
			Sender: chat.UserID(row.Sender), MessageID: row.MessageID, Seq: chat.Seq(row.Seq), Place: chat.Place(row.Place),
			Time: row.CreatedAt, Recalled: row.Recalled,
		}
		return nil
	})
	queueRejectedTargets(batch, tokens, targets, found)
}

func queueRejectedTargets(batch *pgx.Batch, tokens []string, wanted []chat.Target, found map[chat.Target]chat.Targeted) {
	var row db.RejectedByTokenRow
	dst := []any{&row.Place, &row.Seq, &row.Token, &row.Recalled, &row.Record}
	queue(batch, db.RejectedByToken, []any{tokens}, dst, func() error {
		record, at, err := decodeRecord(row.Record)
		if err != nil {
			return fmt.Errorf("rejected record at place %d: %w", row.Place, err)
		}
		message := chat.Targeted{
			Sender: record.Sender.User, MessageID: record.MessageID, Seq: record.Seq, Place: chat.Place(row.Place),
			Time: at, Recalled: row.Recalled,
		}
		for _, t := range wanted {
			named := t.Seq == message.Seq || t.Seq == 0 && t.Place == message.Place
			if _, there := found[t]; !there && named && t.Conversation == record.Conversation {
				found[t] = message
			}
		}
		return nil
	})
}

func queueSenders(batch *pgx.Batch, ranges []chat.SeqRange, found map[chat.SeqRange][]chat.UserID) {
	if len(ranges) == 0 {
		return
	}
	n := len(ranges)
	numbers, tokens, after, to := make([]int32, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, r := range ranges {
		numbers[i], tokens[i], after[i], to[i] = int32(i), r.Conversation.String(), int64(r.After), int64(r.To)
	}
	var row db.SendersByRangeRow
	queue(batch, db.SendersByRange, []any{numbers, tokens, after, to}, []any{&row.Number, &row.Sender}, func() error {
		r := ranges[row.Number]
		found[r] = append(found[r], chat.UserID(row.Sender))
		return nil
	})
}
