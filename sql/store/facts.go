package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// LookUp answers what a sequencer asks, in one round trip: one statement for each kind of fact that is needed.
func (s *Store) LookUp(ctx context.Context, needs chat.Needs) (chat.Facts, error) {
	facts := chat.Facts{
		Apps:      make(map[chat.AppID]chat.App, len(needs.Apps)),
		Users:     make(map[chat.UserKey]chat.User, len(needs.Users)),
		Relations: make(map[chat.RelationKey]chat.Relation, len(needs.Relations)),
		Heads:     make(map[chat.Conversation]chat.Seq, len(needs.Heads)),
		IDs:       make(map[chat.ID]chat.Stored, len(needs.IDs)),
		Groups:    make(map[chat.Conversation]chat.GroupState, len(needs.Groups)),
		Reads:     make(map[chat.ReadKey]chat.Seq, len(needs.Reads)),
		Targets:   make(map[chat.Target]chat.Targeted, len(needs.Targets)),
		Senders:   make(map[chat.SeqRange][]chat.UserID, len(needs.Senders)),
	}
	var batch pgx.Batch
	queueApps(&batch, needs.Apps, facts.Apps)
	queueUsers(&batch, needs.Users, facts.Users)
	queueRelations(&batch, needs.Relations, facts.Relations)
	queueHeads(&batch, needs.Heads, facts.Heads)
	queueIDs(&batch, needs.IDs, facts.IDs)
	queueGroups(&batch, needs, facts.Groups)
	queueReads(&batch, needs.Reads, facts.Reads)
	queueTargets(&batch, needs.Targets, facts.Targets)
	queueSenders(&batch, needs.Senders, facts.Senders)
	if batch.Len() == 0 {
		return facts, nil
	}
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return chat.Facts{}, fmt.Errorf("look up facts: %w", err)
	}
	return facts, nil
}

// queue puts a query into the batch; each row that it finds is scanned into dst and then put away.
func queue(batch *pgx.Batch, query string, args, dst []any, put func() error) {
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, dst, put)
		return err
	})
}

func queueApps(batch *pgx.Batch, ids []chat.AppID, found map[chat.AppID]chat.App) {
	if len(ids) == 0 {
		return
	}
	var row db.AppsByIDRow
	dst := []any{
		&row.AppID, &row.Keys, &row.CheckFriend, &row.CheckBlack, &row.LoginPolicy, &row.HistoryBeforeJoining, &row.RouteModel,
		&row.DeleteMode, &row.HookFailClosed, &row.HookUrl, &row.HookSecrets, &row.Hooks,
	}
	queue(batch, db.AppsByID, []any{ids}, dst, func() error {
		found[chat.AppID(row.AppID)] = chatApp(db.AppsRow(row))
		row.Keys, row.HookSecrets, row.Hooks = nil, nil, nil // the app has them now
		return nil
	})
}

func queueUsers(batch *pgx.Batch, keys []chat.UserKey, found map[chat.UserKey]chat.User) {
	if len(keys) == 0 {
		return
	}
	apps, users := make([]int32, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		apps[i], users[i] = int32(k.App), string(k.User)
	}
	var row db.UsersByKeyRow
	dst := []any{&row.AppID, &row.UserID, &row.UserType, &row.Forbidden, &row.Silent}
	queue(batch, db.UsersByKey, []any{apps, users}, dst, func() error {
		key := chat.UserKey{App: chat.AppID(row.AppID), User: chat.UserID(row.UserID)}
		found[key] = chat.User{Forbidden: row.Forbidden, Silent: row.Silent, Admin: row.UserType == adminUser}
		return nil
	})
}

func queueRelations(batch *pgx.Batch, keys []chat.RelationKey, found map[chat.RelationKey]chat.Relation) {
	if len(keys) == 0 {
		return
	}
	apps, from, to := make([]int32, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		apps[i], from[i], to[i] = int32(k.App), string(k.From), string(k.To)
	}
	var row db.RelationsByKeyRow
	dst := []any{&row.AppID, &row.FromID, &row.ToID, &row.Deleted, &row.Blocked}
	queue(batch, db.RelationsByKey, []any{apps, from, to}, dst, func() error {
		key := chat.RelationKey{App: chat.AppID(row.AppID), From: chat.UserID(row.FromID), To: chat.UserID(row.ToID)}
		found[key] = chat.Relation{Deleted: row.Deleted, Blocked: row.Blocked}
		return nil
	})
}

func queueHeads(batch *pgx.Batch, conversations []chat.Conversation, found map[chat.Conversation]chat.Seq) {
	if len(conversations) == 0 {
		return
	}
	tokens, byToken := make([]string, len(conversations)), make(map[string]chat.Conversation, len(conversations))
	for i, c := range conversations {
		tokens[i] = c.String()
		byToken[tokens[i]] = c
	}
	var row db.HeadsByTokenRow
	queue(batch, db.HeadsByToken, []any{tokens}, []any{&row.Token, &row.Head}, func() error {
		c := byToken[row.Token]
		found[c] = max(found[c], chat.Seq(row.Head))
		return nil
	})
}

func queueIDs(batch *pgx.Batch, ids []chat.ID, found map[chat.ID]chat.Stored) {
	if len(ids) == 0 {
		return
	}
	var row db.MessagesByIdentityRow
	dst := []any{&row.Identity, &row.Seq, &row.Place, &row.Digest, &row.Recalled, &row.Replaced}
	queue(batch, db.MessagesByIdentity, []any{ids}, dst, func() error {
		if s, ok := found[row.Identity]; ok && s.Place < chat.Place(row.Place) {
			return nil // the first one is the message
		}
		found[row.Identity] = chat.Stored{
			Seq: chat.Seq(row.Seq), Place: chat.Place(row.Place), Digest: chatDigest(row.Digest), Recalled: row.Recalled, Replaced: row.Replaced,
		}
		return nil
	})
}

// chatDigest takes a digest of another length, which only somebody else can have written, for a wrong one.
func chatDigest(b []byte) (d chat.Digest) {
	copy(d[:], b)
	return d
}
