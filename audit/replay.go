package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Query says what to replay: one conversation, or all that a user took part in.
type Query struct {
	Conversation chat.Conversation // the zero value: see User
	User         chat.UserKey
	Since        time.Time // blocks made earlier are left out; the zero time: none
}

// Event is a record with where and when it was committed.
type Event struct {
	Partition    chat.Partition `json:"partition"`
	Revision     chat.Revision  `json:"revision"`
	Place        chat.Place     `json:"place"`
	Time         time.Time      `json:"time"`
	Kind         string         `json:"kind"` // message, refusal
	Conversation string         `json:"conversation"`
	From         chat.UserID    `json:"from"`
	Client       string         `json:"client"`
	IMEI         string         `json:"imei"`
	MessageID    string         `json:"messageId"`
	Seq          chat.Seq       `json:"seq,omitempty"`
	Body         string         `json:"body,omitempty"`
	Extra        string         `json:"extra,omitempty"`
	Erased       bool           `json:"erased,omitempty"`
	Code         chat.Code      `json:"code,omitempty"`
}

// Replay calls f with what happened, in the order of the log, from the log alone. Progress may be nil.
func Replay(ctx context.Context, log Log, q Query, progress func(done, total chat.Revision), f func(Event) error) error {
	last, err := log.LastRevision(ctx)
	if err != nil {
		return err
	}
	partition := chat.Partition(-1)
	if q.Conversation != (chat.Conversation{}) {
		partition = q.Conversation.Partition(log.Partitions())
	}
	return walk(ctx, log, last, func(raw streams.RawEntry) error {
		if progress != nil {
			progress(raw.Revision, last)
		}
		if partition >= 0 && raw.Partition != partition {
			return nil
		}
		block, err := chat.DecodeBlock(raw.Data)
		if err != nil {
			return &Fault{Partition: raw.Partition, Revision: raw.Revision, What: err.Error()}
		}
		if block.Time.Before(q.Since) {
			return nil
		}
		for i := range block.Records {
			if r := &block.Records[i]; q.wants(r) {
				if err := f(event(raw, block, log.Base(), i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (q *Query) wants(r *chat.Record) bool {
	if q.Conversation != (chat.Conversation{}) {
		return r.Conversation == q.Conversation
	}
	if r.Conversation.App != q.User.App {
		return false
	}
	_, takesPart := r.Conversation.Peer(q.User.User)
	return takesPart
}

func event(raw streams.RawEntry, block *chat.Block, base chat.Revision, index int) Event {
	r := &block.Records[index]
	e := Event{
		Partition: raw.Partition, Revision: raw.Revision, Place: chat.PlaceOf(base, raw.Revision, index), Time: block.Time.UTC(),
		Kind: "message", Conversation: r.Conversation.String(),
		From: r.Sender.User, Client: r.Sender.Client.String(), IMEI: r.Sender.IMEI, MessageID: r.MessageID,
		Seq: r.Seq, Body: r.Body, Extra: r.Extra, Erased: r.Erased, Code: r.Code,
	}
	if r.Kind == chat.RefusalRecord {
		e.Kind = "refusal"
	}
	return e
}

// String is the event as a line for people.
func (e Event) String() string {
	at := e.Time.Format("2006-01-02 15:04:05.000")
	switch {
	case e.Kind == "refusal":
		return fmt.Sprintf("%s  %-14d %s  %s refused %s: %s", at, e.Place, e.Conversation, e.From, e.MessageID, e.Code)
	case e.Erased:
		return fmt.Sprintf("%s  %-14d %s#%d  %s: (erased)", at, e.Place, e.Conversation, e.Seq, e.From)
	}
	return fmt.Sprintf("%s  %-14d %s#%d  %s: %q", at, e.Place, e.Conversation, e.Seq, e.From, e.Body)
}
