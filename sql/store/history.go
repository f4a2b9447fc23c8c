package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Snapshot is the database at one moment: whatever is read from it fits together, the marks included. It is used by one goroutine.
type Snapshot struct{ q *db.Queries }

// Look calls f with the database as it is at one moment. If Postgres is away, the error holds a [chat.Error] that says so.
func (s *Store) Look(ctx context.Context, f func(*Snapshot) error) error {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error { return f(&Snapshot{db.New(tx)}) })
	if _, told := errors.AsType[chat.Error](err); !told && Unavailable(err) {
		return fmt.Errorf("%w: %w", chat.Error{Code: chat.Unavailable}, err)
	}
	return err
}

// Marks returns the marks of all partitions that have one.
func (s *Snapshot) Marks(ctx context.Context) (map[chat.Partition]chat.Mark, error) {
	return marks(ctx, s.q)
}

// HistoryBeforeJoining tells whether a group's new members see what was said before.
func (s *Snapshot) HistoryBeforeJoining(ctx context.Context, app chat.AppID) (bool, error) {
	before, err := s.q.HistoryBeforeJoining(ctx, int32(app))
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read what new members of app %v see: %w", app, err)
	}
	return before, nil
}

// ChangedTalks returns the user's conversations with a record after a place, in the order of their newest one, at most limit of them, without
// those whose numbers are except.
func (s *Snapshot) ChangedTalks(
	ctx context.Context, user chat.UserKey, after chat.Place, except []int64, limit int,
) ([]chat.Talk, error) {
	if except == nil {
		except = []int64{}
	}
	rows, err := s.q.ChangedTalks(ctx, db.ChangedTalksParams{
		AppID: int32(user.App), UserID: string(user.User), After: int64(after), ExceptIds: except, MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read what has changed for %v: %w", user.User, err)
	}
	talks := make([]chat.Talk, len(rows))
	for i := range rows {
		talks[i] = chatTalk(user.App, &rows[i])
	}
	return talks, s.addStays(ctx, user.User, talks)
}

// Talks returns those of the conversations that Postgres has, in no order.
func (s *Snapshot) Talks(ctx context.Context, user chat.UserKey, conversations []chat.Conversation) ([]chat.Talk, error) {
	if len(conversations) == 0 {
		return nil, nil
	}
	rows, err := s.q.TalksByToken(ctx, string(user.User), tokensOf(conversations))
	if err != nil {
		return nil, fmt.Errorf("read conversations of %v: %w", user.User, err)
	}
	talks := make([]chat.Talk, len(rows))
	for i := range rows {
		row := db.ChangedTalksRow(rows[i])
		talks[i] = chatTalk(user.App, &row)
	}
	return talks, s.addStays(ctx, user.User, talks)
}

// ChangedGroups returns the user's groups that have changed after a place, in the order of their newest changes, and those that he has left after
// it, by his leaving; at most limit of them, without those whose numbers are except.
func (s *Snapshot) ChangedGroups(
	ctx context.Context, user chat.UserKey, after chat.Place, except []int64, limit int,
) ([]chat.Talk, error) {
	if except == nil {
		except = []int64{}
	}
	rows, err := s.q.ChangedGroups(ctx, db.ChangedGroupsParams{
		AppID: int32(user.App), UserID: string(user.User), After: int64(after), ExceptIds: except, MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read what groups of %v have changed: %w", user.User, err)
	}
	talks := make([]chat.Talk, len(rows))
	for i, row := range rows {
		talks[i] = chat.Talk{
			Number: row.ConversationID, Conversation: chat.GroupOf(user.App, row.A),
			Version: row.Version, VersionAt: chat.Place(row.GroupPlace), Destroyed: row.Destroyed,
		}
	}
	return talks, s.addStays(ctx, user.User, talks)
}

// NewestPlaces returns where the newest change of any of the user's conversations stands, and the newest of any of his groups; 0: there is none.
func (s *Snapshot) NewestPlaces(ctx context.Context, user chat.UserKey) (conversations, groups chat.Place, err error) {
	row, err := s.q.NewestPlaces(ctx, int32(user.App), string(user.User))
	if err != nil {
		return 0, 0, fmt.Errorf("read what has changed last for %v: %w", user.User, err)
	}
	return chat.Place(row.OfConversations), chat.Place(row.OfGroups), nil
}

func chatTalk(app chat.AppID, row *db.ChangedTalksRow) chat.Talk {
	return chat.Talk{
		Number:       row.ConversationID,
		Conversation: chat.Conversation{App: app, Kind: chat.Kind(row.Kind), A: row.A, B: row.B}, //nolint:gosec // 0 or 1
		Head:         chat.Seq(row.Head),
		Changed:      chat.Place(row.Changed),
		Version:      row.Version,
		VersionAt:    chat.Place(row.GroupPlace),
		Destroyed:    row.Destroyed,
		Read:         chat.Seq(row.OwnRead),
		PeerRead:     chat.Seq(row.PeerRead),
		Settings:     chatSettings(row.Mute, row.Top, row.Cleared, row.SetPlace),
	}
}

// addStays reads the user's stays in those of the conversations that are groups.
func (s *Snapshot) addStays(ctx context.Context, user chat.UserID, talks []chat.Talk) error {
	groups := make(map[int64]*chat.Talk)
	var ids []int64
	for i := range talks {
		if t := &talks[i]; t.Conversation.Kind == chat.Group {
			groups[t.Number] = t
			ids = append(ids, t.Number)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.q.StaysOf(ctx, ids, string(user))
	if err != nil {
		return fmt.Errorf("read the stays of %v: %w", user, err)
	}
	for i := range rows {
		row, t := &rows[i], groups[rows[i].ConversationID]
		t.Stays = append(t.Stays, chatStay(string(user), row.Joined, row.LeftPlace, row.Role, row.MutedUntil, row.Place))
	}
	return nil
}

// Unread counts, for each conversation's number, the messages of others within the spans and above their seqs that were not recalled. Recalled
// are the places of some that were recalled since. Each span is counted up to limit.
func (s *Snapshot) Unread(
	ctx context.Context, user chat.UserID, spans []chat.Span, recalled []chat.Place, limit int,
) (map[int64]int, error) {
	unread := make(map[int64]int, len(spans))
	if len(spans) == 0 {
		return unread, nil
	}
	ids, afters, befores := spanArrays(spans)
	arg := db.UnreadOfParams{
		ConversationIds: ids, Afters: afters, Befores: befores, Seqs: make([]int64, len(spans)), UserID: string(user),
		Recalled: make([]int64, len(recalled)), MaxRows: int32(limit), //nolint:gosec // a few thousand
	}
	for i := range spans {
		arg.Seqs[i] = int64(spans[i].Seq)
	}
	for i, p := range recalled {
		arg.Recalled[i] = int64(p)
	}
	rows, err := s.q.UnreadOf(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("count what %v has not read: %w", user, err)
	}
	for _, row := range rows {
		unread[row.ConversationID] += int(row.Unread)
	}
	return unread, nil
}

// ReadPositions returns the read positions at after < place < before, in no order.
func (s *Snapshot) ReadPositions(ctx context.Context, spans []chat.Span, readers []chat.UserID, after, before chat.Place) ([]chat.Item, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	arg := db.ReadPositionsParams{After: int64(after), Before: int64(before)}
	conversations := conversationsOf(spans)
	for i := range spans {
		arg.ConversationIds = append(arg.ConversationIds, spans[i].Number)
		arg.UserIds = append(arg.UserIds, string(readers[i]))
	}
	rows, err := s.q.ReadPositions(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("read the read positions: %w", err)
	}
	items := make([]chat.Item, len(rows))
	for i, row := range rows {
		c := conversations[row.ConversationID]
		items[i] = chat.Item{Place: chat.Place(row.Place), Record: chat.Record{
			Kind: chat.ReadRecord, Conversation: c, Sender: chat.Device{App: c.App, User: chat.UserID(row.UserID)},
			Seq: chat.Seq(row.Seq), Read: &chat.Read{},
		}}
	}
	return items, nil
}

// PlacesOfSeqs returns the places of the first message with a seq of at least first and of the last one with a seq of at most last; 0: there is none.
func (s *Snapshot) PlacesOfSeqs(ctx context.Context, number int64, first, last chat.Seq) (lo, hi chat.Place, err error) {
	row, err := s.q.PlacesOfSeqs(ctx, number, int64(first), int64(last))
	if err != nil {
		return 0, 0, fmt.Errorf("find seqs %d to %d: %w", first, last, err)
	}
	return chat.Place(row.FirstPlace), chat.Place(row.LastPlace), nil
}
