package api

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// sayCodes are those with which the log refuses a message, whomever it is to.
var sayCodes = []chat.Code{chat.UserMissing, chat.SenderMuted, chat.SenderForbidden}

// friendCodes are those with which it refuses one between two users who are not friends as they must be.
var friendCodes = []chat.Code{
	chat.FriendDeleted, chat.DeletedByFriend, chat.FriendBlocked, chat.BlockedByFriend, chat.RelationMissing,
}

// memberCodes are those with which it refuses one in a group.
var memberCodes = []chat.Code{chat.GroupMissing, chat.NotMember, chat.GroupIsMuted, chat.MemberIsMuted, chat.GroupIsGone}

func (a *API) messageEndpoints() []endpoint {
	return of("message",
		define("/v1/message/send", "Says something to a user, as if a device of the sender had sent it: it is checked, numbered, kept and pushed.",
			forUsers, a.sendMessage, slices.Concat(sayCodes, friendCodes, []chat.Code{chat.MessageIDReused, chat.Vetoed, chat.Busy})...),
		define("/v1/group/sendMessage", "Says something in a group, likewise.",
			forUsers, a.sendGroupMessage, slices.Concat(sayCodes, memberCodes, []chat.Code{chat.MessageIDReused, chat.Vetoed, chat.Busy})...),
		define("/v1/message/p2pCheckSend", "Tells whether a message to a user would be refused now, and with which code.",
			forUsers, a.checkSend, slices.Concat(sayCodes, friendCodes)...),
		define("/v1/message/groupCheckSend", "Tells whether a message to a group would be refused now, and with which code; toId is the group's id.",
			forUsers, a.checkGroupSend, slices.Concat(sayCodes, memberCodes)...),
		define("/v1/message/recall", "Takes a message back: its sender may for a while, managers and the owner of a group at any time.",
			forUsers, a.recallMessage, chat.RecallTooLate, chat.RecalledAlready, chat.MessageMissing, chat.NotYours, chat.NotMember,
			chat.GroupMissing, chat.Busy),
		define("/v1/message/read", "Says up to where a user has read a conversation; a position that is further on already stays.",
			forUsers, a.readMessages, chat.NotMember, chat.GroupMissing, chat.Busy),
	)
}

// saying is what is to be said, to whomever.
type saying struct {
	MessageID       string `json:"messageId" is:"max=128" about:"The sender's own id of the message: one that comes again is not said again. Without one it gets one."`
	FromID          string `json:"fromId" is:"max=50" about:"Who says it; without it the operater."`
	MessageBody     string `json:"messageBody" is:"required,max=65536" about:"What is said: at most 64 KiB, extra included."`
	Extra           string `json:"extra" is:"max=65536" about:"What the clients want to know beside it."`
	MessageTime     int64  `json:"messageTime" about:"The sender's own time in Unix milliseconds; without it the server's."`
	MessageRandom   int64  `json:"messageRandom" is:"min=-9223372036854775808" about:"Passed over."`
	BadgeMode       int32  `json:"badgeMode" about:"Passed over."`
	MessageLifeTime int64  `json:"messageLifeTime" about:"Passed over."`
}

type toUser struct {
	saying
	ToID string `json:"toId" is:"required,max=50" about:"To whom it is said."`
}

type toGroup struct {
	saying
	GroupID string `json:"groupId" is:"required,max=50" about:"The group in which it is said."`
}

// placed is a message's place, as far as it is known.
type placed struct {
	MessageID       string `json:"messageId,omitzero"`
	MessageTime     int64  `json:"messageTime,omitzero"`
	MessageKey      int64  `json:"messageKey,omitzero"`
	MessageSequence int64  `json:"messageSequence,omitzero"`
}

func (a *API) sendMessage(ctx context.Context, c *caller, in *toUser) (*placed, error) {
	return a.say(ctx, c, &in.saying, in.ToID, "")
}

func (a *API) sendGroupMessage(ctx context.Context, c *caller, in *toGroup) (*placed, error) {
	return a.say(ctx, c, &in.saying, "", in.GroupID)
}

// say also answers with the message's id when it fails: whoever sends again must know it.
func (a *API) say(ctx context.Context, c *caller, in *saying, to, group string) (*placed, error) {
	sender, err := a.actor(c, in.FromID)
	if err != nil {
		return nil, err
	}
	if n := len(in.MessageBody) + len(in.Extra); n > wire.DefaultLimits.Body {
		return nil, chat.Errorf(chat.BadParameter, "messageBody and extra have %d bytes; at most %d may be", n, wire.DefaultLimits.Body)
	}
	where, err := conversationOf(sender, to, group)
	if err != nil {
		return nil, err
	}
	q := &chat.Request{
		Kind: chat.AskMessage, Conversation: where, Sender: sender, MessageID: in.MessageID, Body: in.MessageBody, Extra: in.Extra,
		MessageTime: in.MessageTime,
	}
	if q.MessageID == "" {
		q.MessageID, q.First = rand.Text(), true
	}
	if q.MessageTime == 0 {
		q.MessageTime = a.cfg.now().UnixMilli()
	}
	answer, err := a.submit(ctx, q)
	return &placed{
		MessageID: q.MessageID, MessageTime: q.MessageTime, MessageKey: int64(answer.Place), MessageSequence: int64(answer.Seq),
	}, err
}

// What was decided a moment ago may not be in the log yet: for so long a refusal is not believed that Postgres knows nothing of.
const (
	lagging  = 2 * time.Second
	askAgain = 20 * time.Millisecond
)

// submit asks the log, and returns what became of it; if that is not what was asked for it is also an error. Who has created a group, or added a
// friend, may speak there with his next request.
func (a *API) submit(ctx context.Context, q *chat.Request) (chat.Answer, error) {
	again, lags := time.NewTicker(askAgain), time.Now().Add(lagging)
	defer again.Stop()
	for {
		answer, err := a.conn.Ask(ctx, q)
		if err != nil || answer.Code == chat.OK {
			return answer, err
		}
		if time.Now().After(lags) || !a.isAllowed(ctx, q, answer.Code) {
			return answer, chat.Error{Code: answer.Code}
		}
		q.First = false
		select {
		case <-again.C:
		case <-ctx.Done():
			return answer, chat.Error{Code: answer.Code}
		}
	}
}

// decided are the codes of what Postgres decides, and the log hears of.
var decided = slices.Concat(sayCodes, friendCodes, memberCodes)

// isAllowed reports whether Postgres would not refuse with a code with which the log has refused.
func (a *API) isAllowed(ctx context.Context, q *chat.Request, refused chat.Code) bool {
	if !slices.Contains(decided, refused) {
		return false
	}
	code, err := a.store.MaySay(ctx, q.Conversation, q.Sender.User, a.cfg.now())
	return err == nil && code == chat.OK
}

// actor returns the device that acts: the caller's, in his own name or in that of a user for whom he may act.
func (a *API) actor(c *caller, named string) (chat.Device, error) {
	d := c.device
	if named != "" {
		d.User = chat.UserID(named)
	}
	return d, a.mayActFor(c, d.User)
}

// conversationOf returns the conversation that a body names: a group, or else a pair of the user and another.
func conversationOf(user chat.Device, to, group string) (chat.Conversation, error) {
	switch {
	case group != "":
		return chat.GroupOf(user.App, group), nil
	case to != "":
		return chat.PairOf(user.App, user.User, chat.UserID(to)), nil
	}
	return chat.Conversation{}, chat.Errorf(chat.BadParameter, "toId or groupId is missing")
}

type checkSend struct {
	FromID  string `json:"fromId" is:"required,max=50" about:"Who would say something."`
	ToID    string `json:"toId" is:"required,max=50" about:"To whom, or in which group."`
	Command int32  `json:"command" about:"Passed over: the path says what is asked."`
}

func (a *API) checkSend(ctx context.Context, c *caller, in *checkSend) (none, error) {
	return none{}, a.check(ctx, c, in, in.ToID, "")
}

func (a *API) checkGroupSend(ctx context.Context, c *caller, in *checkSend) (none, error) {
	return none{}, a.check(ctx, c, in, "", in.ToID)
}

func (a *API) check(ctx context.Context, c *caller, in *checkSend, to, group string) error {
	sender, err := a.actor(c, in.FromID)
	if err != nil {
		return err
	}
	where, err := conversationOf(sender, to, group)
	if err != nil {
		return err
	}
	code, err := a.store.MaySay(ctx, where, sender.User, a.cfg.now())
	if err == nil && code != chat.OK {
		err = chat.Error{Code: code}
	}
	return err
}

// place names a conversation, in whose name something is done there, and with which message.
type place struct {
	FromID          string `json:"fromId" is:"max=50" about:"Who does it; without it the operater."`
	ToID            string `json:"toId" is:"max=50" about:"The other user of the conversation, unless groupId is given."`
	GroupID         string `json:"groupId" is:"max=50" about:"The group."`
	MessageSequence int64  `json:"messageSequence" about:"The message's number in the conversation."`
}

type recallMessage struct {
	place
	MessageKey int64 `json:"messageKey" is:"max=9007199254740992" about:"The message's key, if its number is not given."`
}

func (a *API) recallMessage(ctx context.Context, c *caller, in *recallMessage) (*placed, error) {
	q, err := a.about(c, chat.AskRecall, &in.place)
	if err != nil {
		return nil, err
	}
	if in.MessageSequence == 0 {
		if q.Place = chat.Place(in.MessageKey); q.Place == 0 {
			return nil, chat.Errorf(chat.BadParameter, "messageSequence and messageKey are missing")
		}
	}
	answer, err := a.submit(ctx, q)
	if err != nil {
		return nil, err
	}
	return &placed{MessageKey: int64(answer.Place), MessageSequence: int64(answer.Seq)}, nil
}

// readUpTo is where a user's read position is.
type readUpTo struct {
	MessageSequence int64 `json:"messageSequence"`
}

func (a *API) readMessages(ctx context.Context, c *caller, in *place) (*readUpTo, error) {
	q, err := a.about(c, chat.AskRead, in)
	if err != nil {
		return nil, err
	}
	if q.Seq == 0 {
		return nil, chat.Errorf(chat.BadParameter, "messageSequence is missing")
	}
	q.Named = chat.UserID(in.ToID)
	answer, err := a.submit(ctx, q)
	if err != nil {
		return nil, err
	}
	return &readUpTo{MessageSequence: int64(answer.Seq)}, nil
}

// about returns a request that is about a message.
func (a *API) about(c *caller, kind chat.RequestKind, in *place) (*chat.Request, error) {
	user, err := a.actor(c, in.FromID)
	if err != nil {
		return nil, err
	}
	where, err := conversationOf(user, in.ToID, in.GroupID)
	return &chat.Request{Kind: kind, Conversation: where, Sender: user, Seq: chat.Seq(in.MessageSequence)}, err
}
