package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	Kind         string         `json:"kind"` // message, refusal, read, recall, recall_refusal, group, setting
	Conversation string         `json:"conversation"`
	From         chat.UserID    `json:"from"`
	Client       string         `json:"client"`
	IMEI         string         `json:"imei"`
	MessageID    string         `json:"messageId"`
	Seq          chat.Seq       `json:"seq,omitempty"`
	Body         string         `json:"body,omitempty"`
	Extra        string         `json:"extra,omitempty"`
	Erased       bool           `json:"erased,omitempty"`
	Replaced     bool           `json:"replaced,omitempty"` // the app had the message say something else
	Code         chat.Code      `json:"code,omitempty"`

	ReadFrom chat.Seq     `json:"readFrom,omitempty"` // of a read: the position before
	Target   chat.Place   `json:"target,omitempty"`   // of a recall: the message's place
	Sender   chat.UserID  `json:"sender,omitempty"`   // of a recall: the message's
	Change   *GroupChange `json:"change,omitempty"`   // of a group's change
	Mute     *bool        `json:"mute,omitempty"`     // of a setting
	Top      *bool        `json:"top,omitempty"`      // of a setting
	Delete   bool         `json:"delete,omitempty"`   // of a setting
}

// GroupChange is what has changed in a group.
type GroupChange struct {
	What    string        `json:"what"` // created, joined, left, removed, role, muted, group_muted, destroyed, transferred, group_updated, updated
	Version int64         `json:"version"`
	Users   []chat.UserID `json:"users,omitempty"`
	Role    string        `json:"role,omitempty"`  // of joined and role: ordinary, manager, owner
	Until   *time.Time    `json:"until,omitempty"` // of muted
	On      *bool         `json:"on,omitempty"`    // of group_muted
	Info    string        `json:"info,omitempty"`  // of created, group_updated and updated: a JSON object
}

// Replay calls f with what happened, in the order of the log, from the log alone. Progress may be nil.
func Replay(ctx context.Context, log Log, q Query, progress func(done, total chat.Revision), f func(Event) error) error {
	last, err := log.LastRevision(ctx)
	if err != nil {
		return err
	}
	stays := make(map[chat.Conversation]*chat.Roster)
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
		for i := range block.Records {
			if wanted := q.wants(stays, chat.PlaceOf(log.Base(), raw.Revision, i), &block.Records[i]); wanted && !block.Time.Before(q.Since) {
				if err := f(event(raw, block, log.Base(), i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// wants reports whether a record belongs to what is asked for. It is told every record, and learns from them when the user was in which
// group.
func (q *Query) wants(stays map[chat.Conversation]*chat.Roster, place chat.Place, r *chat.Record) bool {
	c, user := r.Conversation, q.User.User
	switch {
	case q.Conversation != (chat.Conversation{}):
		return c == q.Conversation
	case c.App != q.User.App, r.Kind == chat.SettingRecord && r.Sender.User != user:
		return false
	case c.Kind == chat.Pair:
		_, takesPart := c.Peer(user)
		return takesPart
	}
	concerned := r.Sender.User == user
	if r.Kind == chat.GroupRecord && slices.Contains(r.Change.Users, user) {
		concerned = true
		if stays[c] == nil {
			stays[c] = &chat.Roster{}
		}
		his := *r.Change
		his.Users = []chat.UserID{user}
		stays[c].Fold(place, &his)
	}
	return concerned || stays[c] != nil && stays[c].Covers(user, place)
}

func event(raw streams.RawEntry, block *chat.Block, base chat.Revision, index int) Event {
	r := &block.Records[index]
	e := Event{
		Partition: raw.Partition, Revision: raw.Revision, Place: chat.PlaceOf(base, raw.Revision, index), Time: block.Time.UTC(),
		Kind: "message", Conversation: r.Conversation.String(),
		From: r.Sender.User, Client: r.Sender.Client.String(), IMEI: r.Sender.IMEI, MessageID: r.MessageID,
		Seq: r.Seq, Body: r.Body, Extra: r.Extra, Erased: r.Erased, Replaced: r.Replaced(), Code: r.Code,
	}
	switch r.Kind {
	case chat.MessageRecord:
	case chat.RefusalRecord:
		e.Kind = "refusal"
	case chat.ReadRecord:
		e.Kind, e.ReadFrom = "read", r.Read.From
	case chat.RecallRecord:
		e.Kind, e.Target, e.Sender = "recall", r.Recall.Place, r.Recall.Sender
	case chat.RecallRefusalRecord:
		e.Kind, e.Target = "recall_refusal", r.Recall.Place
	case chat.GroupRecord:
		e.Kind, e.Change = "group", groupChange(r.Change)
	case chat.SettingRecord:
		e.Kind, e.Delete = "setting", r.Setting.Delete
		e.Mute, e.Top = switched(r.Setting.Mute), switched(r.Setting.Top)
	}
	return e
}

func switched(s chat.Switch) *bool {
	if s == chat.Unset {
		return nil
	}
	on := s == chat.On
	return &on
}

var (
	changeNames = map[chat.ChangeKind]string{
		chat.GroupCreated: "created", chat.MembersJoined: "joined", chat.MemberLeft: "left", chat.MemberRemoved: "removed", chat.RoleSet: "role",
		chat.MemberMuted: "muted", chat.GroupMuted: "group_muted", chat.GroupDestroyed: "destroyed", chat.GroupTransferred: "transferred",
		chat.GroupUpdated: "group_updated", chat.MemberUpdated: "updated",
	}
	roleNames = map[chat.MemberRole]string{chat.Ordinary: "ordinary", chat.Manager: "manager", chat.Owner: "owner"}
)

func groupChange(c *chat.Change) *GroupChange {
	g := &GroupChange{What: changeNames[c.Kind], Version: c.Version, Users: c.Users, Info: c.Info}
	switch c.Kind { //nolint:exhaustive // the others say no more
	case chat.MembersJoined, chat.RoleSet:
		g.Role = roleNames[c.Role]
	case chat.MemberMuted:
		until := time.UnixMilli(c.Until).UTC()
		g.Until = &until
	case chat.GroupMuted:
		g.On = &c.On
	}
	return g
}

// String is the event as a line for people.
func (e Event) String() string {
	line := fmt.Sprintf("%s  %-14d %s", e.Time.Format("2006-01-02 15:04:05.000"), e.Place, e.Conversation)
	switch {
	case e.Kind == "refusal":
		return fmt.Sprintf("%s  %s refused %s: %s", line, e.From, e.MessageID, e.Code)
	case e.Kind == "read":
		return fmt.Sprintf("%s  %s has read up to #%d, from #%d", line, e.From, e.Seq, e.ReadFrom)
	case e.Kind == "recall":
		return fmt.Sprintf("%s  %s recalled %s's #%d", line, e.From, e.Sender, e.Seq)
	case e.Kind == "recall_refusal":
		return fmt.Sprintf("%s  %s refused the recall of #%d: %s", line, e.From, e.Seq, e.Code)
	case e.Kind == "group":
		return fmt.Sprintf("%s  %s", line, e.Change.line(e.From))
	case e.Kind == "setting":
		return fmt.Sprintf("%s  %s %s", line, e.From, e.sets())
	case e.Erased:
		return fmt.Sprintf("%s#%d  %s: (erased)", line, e.Seq, e.From)
	}
	return fmt.Sprintf("%s#%d  %s: %q", line, e.Seq, e.From, e.Body)
}

// sets tells in words what is set.
func (e *Event) sets() string {
	var words []string
	for _, s := range []struct {
		on        *bool
		does, not string
	}{{e.Mute, "mutes", "unmutes"}, {e.Top, "pins", "unpins"}} {
		switch {
		case s.on == nil:
		case *s.on:
			words = append(words, s.does)
		default:
			words = append(words, s.not)
		}
	}
	if e.Delete {
		words = append(words, "deletes his copy")
	}
	return strings.Join(words, ", ")
}

func (g *GroupChange) line(by chat.UserID) string {
	names := make([]string, len(g.Users))
	for i, u := range g.Users {
		names[i] = string(u)
	}
	line := fmt.Sprintf("v%d", g.Version)
	for _, word := range []string{strings.Join(names, ", "), g.What, g.Role} {
		if word != "" {
			line += " " + word
		}
	}
	if g.Until != nil {
		line += " until " + g.Until.Format(time.DateTime)
	}
	if g.On != nil {
		line += fmt.Sprintf(" %t", *g.On)
	}
	if g.Info != "" {
		line += " " + g.Info
	}
	if by != "" {
		line += ", by " + string(by)
	}
	return line
}
