package edge

import (
	"context"
	"errors"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/wire"
)

// History answers what was said. A [chat.Error] is for the client; every other error means that it cannot tell now.
type History interface {
	Changes(ctx context.Context, user chat.UserKey, after chat.Place, limit int) (history.Summaries, error)
	Records(ctx context.Context, user chat.UserKey, of chat.Conversation, from, to chat.Place, descending bool, limit int) (history.Page, error)
	Messages(ctx context.Context, user chat.UserKey, of chat.Conversation, from, to chat.Seq, descending bool, limit int) (history.Page, error)
	Pull(ctx context.Context, user chat.UserKey, last chat.Place, limit int) (history.Pulled, error)
	Missed(ctx context.Context, d chat.Device, after chat.Place, upTo chat.Revision, limit int) (missed []chat.Item, truncated bool, err error)
	// End returns the log's newest revision, and PlaceAfter the last place of a revision.
	End(ctx context.Context) (chat.Revision, error)
	PlaceAfter(rev chat.Revision) chat.Place
}

// atOnce is how many questions for history an edge asks at once: each holds a connection to Postgres.
const atOnce = 8

// query is a question for history that makes sense: one of the three is set.
type query struct {
	frame   wire.Command
	request string // the client's own name of it
	of      chat.Conversation

	changes *wire.ChangesSince
	history *wire.HistoryOf
	pull    *wire.PullSince
}

// query reads a question for history.
func (s *session) query(f *wire.Up) (step, error) {
	q := &query{frame: f.Command}
	var negative bool
	switch f.Command {
	case wire.Changes:
		c, err := wire.ParseChangesSince(f.Body)
		if err != nil {
			return step{}, err
		}
		q.changes, q.request, negative = &c, c.RequestID, c.Cursor < 0 || c.Limit < 0
	case wire.Pull:
		p, err := wire.ParsePullSince(f.Body)
		if err != nil {
			return step{}, err
		}
		q.pull, q.request, negative = &p, p.RequestID, p.Last < 0 || p.Limit < 0
	default:
		h, err := wire.ParseHistoryOf(f.Body)
		if err != nil {
			return step{}, err
		}
		if q.of, err = s.where(h.Where); err != nil {
			return step{}, err
		}
		q.history, q.request = &h, h.RequestID
		negative = min(h.FromSeq, h.ToSeq) < 0 || min(h.FromPlace, h.ToPlace) < 0 || h.Limit < 0
	}
	if negative {
		return step{}, chat.Errorf(chat.BadParameter, "a bound or the limit is below 0")
	}
	return step{query: q}, checkLength("requestId", q.request, s.cfg.MaxMessageID)
}

// answer answers a question for history, on the connection's own reader: it holds up nobody else. Who asks faster than he reads waits: no
// further frame of his is read until there is room for the page.
func (c *conn) answer(ctx context.Context, q *query) {
	largest := c.edge.cfg.QueueBytes / 2
	if !c.out.await(ctx, largest) {
		return
	}
	if page := c.page(ctx, q, largest); c.out.await(ctx, page.size()) {
		c.send(page)
	}
}

// page returns the answer to a question.
func (c *conn) page(ctx context.Context, q *query, largest int) (page frame) {
	ctx, cancel := context.WithTimeout(ctx, c.edge.cfg.RequestTimeout)
	defer cancel()
	user := userOf(c.session.device)
	err := c.edge.asking.do(ctx, func(h History) (err error) {
		page, err = q.ask(ctx, h, user, largest)
		return err
	})
	if err != nil {
		if _, told := errors.AsType[chat.Error](err); !told {
			c.edge.cfg.Log.WarnContext(ctx, "history was not read", "device", c.session.device, "err", err)
			err = chat.Error{Code: chat.Unavailable}
		}
		r := refusal{command: q.frame, err: asError(err), messageID: q.request}
		st := r.step(c.session.protocol)
		c.edge.metrics.refuse(st.refused)
		page = st.answer
	}
	return page
}

// asking lets a few ask at a time.
type asking struct {
	history History // nil: there is none
	slots   chan struct{}
}

func newAsking(h History) asking { return asking{history: h, slots: make(chan struct{}, atOnce)} }

// do asks when it may.
func (a *asking) do(ctx context.Context, ask func(History) error) error {
	if a.history == nil {
		return chat.Error{Code: chat.Unavailable}
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return chat.Error{Code: chat.Busy}
	}
	defer func() { <-a.slots }()
	return ask(a.history)
}

// ask returns the answer, of about as many bytes at most; one record is always in it.
func (q *query) ask(ctx context.Context, h History, user chat.UserKey, largest int) (frame, error) {
	room := &budget{left: largest}
	switch {
	case q.changes != nil:
		s, err := h.Changes(ctx, user, q.changes.Cursor, int(q.changes.Limit))
		if err != nil {
			return frame{}, err
		}
		return local(q.frame, wire.AppendChangesPage(nil, changesPage(q.request, user.User, s, room))), nil
	case q.pull != nil:
		p, err := h.Pull(ctx, user, q.pull.Last, int(q.pull.Limit))
		if err != nil {
			return frame{}, err
		}
		return local(q.frame, wire.AppendPullPage(nil, pullPage(q.request, p, room))), nil
	}
	var p history.Page
	var err error
	if o := q.history; o.FromSeq != 0 || o.ToSeq != 0 {
		p, err = h.Messages(ctx, user, q.of, o.FromSeq, o.ToSeq, o.Descending, int(o.Limit))
	} else {
		p, err = h.Records(ctx, user, q.of, o.FromPlace, o.ToPlace, o.Descending, int(o.Limit))
	}
	if err != nil {
		return frame{}, err
	}
	return local(q.frame, wire.AppendHistoryPage(nil, historyPage(q.request, p, room))), nil
}

// budget is how many bytes an answer may still grow by, as they are sent: an escape is up to six bytes for one.
type budget struct {
	left    int
	begun   bool
	scratch []byte // what is measured
}

// take reports whether there is room for so many bytes more; for the first there is in any case.
func (b *budget) take(size int) bool {
	if b.begun && size > b.left {
		return false
	}
	b.begun = true
	b.left -= size
	return true
}

// takePage takes the room of a page, which is one record and a little around it.
func takePage[P any](b *budget, encode func([]byte, *P) []byte, page *P) bool {
	b.scratch = encode(b.scratch[:0], page)
	return b.take(len(b.scratch))
}

func changesPage(request string, user chat.UserID, s history.Summaries, room *budget) *wire.ChangesPage {
	page := &wire.ChangesPage{Code: chat.OK, RequestID: request, Cursor: s.Cursor, Completed: s.Completed}
	for i := range s.Summaries {
		x := &s.Summaries[i]
		peer, _ := x.Conversation.Peer(user)
		c := wire.ChangedConversation{
			Where: wire.WhereOf(x.Conversation, peer), Head: x.Head, ChangeAt: x.Place, Read: x.Read, PeerRead: x.PeerRead,
			Unread: int64(x.Unread), Left: x.Left, Mute: x.Muted, Top: x.Top, Deleted: x.Deleted,
		}
		if x.Newest != nil {
			last := wire.PlacedOf(&x.Newest.Record, x.Newest.Place)
			c.Last = &last
		}
		one := []wire.ChangedConversation{c}
		if !takePage(room, wire.AppendChangesPage, &wire.ChangesPage{Code: chat.OK, Conversations: one}) {
			page.Cursor, page.Completed = s.Summaries[i-1].Place, false
			break
		}
		page.Conversations = append(page.Conversations, c)
	}
	return page
}

func pullPage(request string, p history.Pulled, room *budget) *wire.PullPage {
	page := &wire.PullPage{Code: chat.OK, RequestID: request, Max: p.MaxKey, Completed: p.Completed, Truncated: p.Truncated}
	for i := range p.Messages {
		m := &p.Messages[i]
		one := []wire.Placed{wire.PlacedOf(&m.Record, m.Place)}
		if !takePage(room, wire.AppendPullPage, &wire.PullPage{Code: chat.OK, Messages: one}) {
			page.Max, page.Completed = p.Messages[i-1].Place, false
			break
		}
		page.Messages = append(page.Messages, one...)
	}
	return page
}

func historyPage(request string, p history.Page, room *budget) *wire.HistoryPage {
	page := &wire.HistoryPage{Code: chat.OK, RequestID: request, Completed: !p.More}
	for i := range p.Items {
		records := historyRecords(&p.Items[i])
		if !takePage(room, wire.AppendHistoryPage, &wire.HistoryPage{Code: chat.OK, Records: records}) {
			page.Completed = false
			break
		}
		page.Records = append(page.Records, records...)
	}
	return page
}

// historyRecords returns what an item is in a page: one record, but a group's change may be about several users.
func historyRecords(item *chat.Item) []wire.HistoryRecord {
	r, at := &item.Record, int64(0)
	if !item.Time.IsZero() {
		at = item.Time.UnixMilli()
	}
	switch r.Kind {
	case chat.MessageRecord:
		placed := wire.PlacedOf(r, item.Place)
		return []wire.HistoryRecord{{Message: &placed, Time: at}}
	case chat.RecallRecord:
		recalled := wire.RecalledOf(r, item.Place)
		return []wire.HistoryRecord{{Recall: &recalled, Time: at}}
	case chat.ReadRecord:
		read := wire.ReadPositionOf(r, item.Place)
		return []wire.HistoryRecord{{Read: &read, Time: at}}
	case chat.GroupRecord:
		events := wire.GroupEventsOf(r, item.Place)
		records := make([]wire.HistoryRecord, len(events))
		for i := range events {
			records[i] = wire.HistoryRecord{Group: &events[i], Time: at}
		}
		return records
	default:
		return nil
	}
}
