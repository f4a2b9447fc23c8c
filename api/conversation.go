package api

import (
	"context"
	"strings"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

func (a *API) conversationEndpoints() []endpoint {
	return of("conversation",
		define("/v1/conversation/deleteConversation", "Deletes a conversation for a user alone: what was said before is no longer his to see.",
			forUsers, a.deleteConversation, chat.NotMember, chat.GroupMissing, chat.Busy),
		define("/v1/conversation/updateConversation", "Mutes a conversation for a user alone, or puts it to the top, or takes that back.",
			forUsers, a.updateConversation, chat.NothingToUpdate, chat.NotMember, chat.GroupMissing, chat.Busy),
		define("/v1/conversation/syncConversationList", "The operater's conversations that have changed, with what is newest and unread in them.",
			forUsers, a.syncConversations),
		define("/v1/conversation/unread", "How many messages a user has not read, in all of his conversations.",
			forUsers, a.countUnread),
	)
}

type conversationName struct {
	ConversationID string `json:"conversationId" is:"required,max=103" about:"The user's own name of it: 0_userId_otherUserId, or 1_userId_groupId."`
	FromID         string `json:"fromId" is:"max=50" about:"Whose conversation; without it the operater's."`
}

// parse returns the conversation that a user calls by this name. Ids may hold whatever stands between them: who asks is known.
func (n *conversationName) parse(user chat.Device) (chat.Conversation, error) {
	kind, rest, _ := strings.Cut(n.ConversationID, "_")
	other, fits := strings.CutPrefix(rest, string(user.User)+"_")
	switch {
	case !fits || other == "":
	case kind == "0":
		return chat.PairOf(user.App, user.User, chat.UserID(other)), nil
	case kind == "1":
		return chat.GroupOf(user.App, other), nil
	}
	return chat.Conversation{}, chat.Errorf(chat.BadParameter, "conversationId is not 0_%s_ and a user, nor 1_%s_ and a group", user.User, user.User)
}

func (a *API) deleteConversation(ctx context.Context, c *caller, in *conversationName) (none, error) {
	return none{}, a.set(ctx, c, in, chat.Setting{Delete: true, Silent: c.app.DeleteMode == chat.DeleteSilently})
}

type updateConversation struct {
	conversationName
	IsMute *int32 `json:"isMute" is:"enum=0|1" about:"1: its messages make no noise; absent: as it was."`
	IsTop  *int32 `json:"isTop" is:"enum=0|1" about:"1: it stands above the others; absent: as it was."`
}

func (a *API) updateConversation(ctx context.Context, c *caller, in *updateConversation) (none, error) {
	if in.IsMute == nil && in.IsTop == nil {
		return none{}, chat.Error{Code: chat.NothingToUpdate}
	}
	return none{}, a.set(ctx, c, &in.conversationName, chat.Setting{Mute: switchOf(in.IsMute), Top: switchOf(in.IsTop)})
}

// switchOf returns what a body says of a switch: 0 or 1, or nothing.
func switchOf(said *int32) chat.Switch {
	switch {
	case said == nil:
		return chat.Unset
	case *said == 0:
		return chat.Off
	}
	return chat.On
}

// set has the log take in what a user sets of a conversation.
func (a *API) set(ctx context.Context, c *caller, name *conversationName, setting chat.Setting) error {
	user, err := a.actor(c, name.FromID)
	if err != nil {
		return err
	}
	where, err := name.parse(user)
	if err != nil {
		return err
	}
	_, err = a.submit(ctx, &chat.Request{Kind: chat.AskSetting, Conversation: where, Sender: user, Setting: &setting})
	return err
}

// conversationRow is how a conversation stands for its owner.
type conversationRow struct {
	AppID            int32       `json:"appId"`
	ConversationID   string      `json:"conversationId"`
	ConversationType int32       `json:"conversationType" about:"0 a pair, 1 a group."`
	FromID           string      `json:"fromId" about:"Its owner."`
	ToID             string      `json:"toId" about:"The other user, or the group."`
	IsMute           int32       `json:"isMute"`
	IsTop            int32       `json:"isTop"`
	Sequence         int64       `json:"sequence" about:"Of its newest change; it grows with every one, over all conversations."`
	ReadSequence     int64       `json:"readSequence" about:"Up to which message he has read."`
	PeerReadSequence int64       `json:"peerReadSequence" about:"Of a pair, up to which the other user has."`
	MessageSequence  int64       `json:"messageSequence" about:"Of its newest message."`
	Unread           int64       `json:"unread"`
	Deleted          bool        `json:"deleted" about:"He has deleted it, and nothing was said since."`
	Left             bool        `json:"left" about:"He is no member of the group any more."`
	LastMessage      *messageRow `json:"lastMessage"`
}

func conversationRowOf(owner chat.UserID, s *history.Summary) conversationRow {
	of := s.Conversation
	row := conversationRow{
		AppID: int32(of.App), ConversationID: conversationID(of, owner), ConversationType: int32(of.Kind),
		FromID: string(owner), ToID: otherOf(of, owner), IsMute: flag(s.Muted), IsTop: flag(s.Top), Sequence: int64(s.Place),
		ReadSequence: int64(s.Read), PeerReadSequence: int64(s.PeerRead), MessageSequence: int64(s.Head), Unread: int64(s.Unread),
		Deleted: s.Deleted, Left: s.Left,
	}
	if s.Newest != nil {
		last := messageRowOf(owner, s.Newest)
		row.LastMessage = &last
	}
	return row
}

// size returns about how many bytes of an answer the row takes.
func (r *conversationRow) size() int {
	if r.LastMessage == nil {
		return 500
	}
	return 500 + r.LastMessage.size()
}

func (a *API) syncConversations(ctx context.Context, c *caller, in *syncSince) (*syncPage[conversationRow], error) {
	changes, err := a.history.Changes(ctx, c.key(), chat.Place(in.LastSequence), int(in.MaxLimit))
	if err != nil {
		return nil, err
	}
	out := &syncPage[conversationRow]{MaxSequence: int64(changes.Cursor), Completed: changes.Completed}
	out.DataList = make([]conversationRow, len(changes.Summaries))
	for i := range changes.Summaries {
		out.DataList[i] = conversationRowOf(c.user, &changes.Summaries[i])
	}
	out.fit(func(r *conversationRow) (int, int64) { return r.size(), r.Sequence })
	return out, nil
}

// withPlaces adds to a user's sequences that of his conversations and that of his groups: those of their newest changes.
func (a *API) withPlaces(ctx context.Context, user chat.UserKey, sequences map[string]int64) (map[string]int64, error) {
	conversations, groups, err := a.history.NewestPlaces(ctx, user)
	sequences["conversationSeq"], sequences["groupSeq"] = int64(conversations), int64(groups)
	return sequences, err
}

type unread struct {
	Total int64 `json:"total" about:"What the devices show: of all conversations."`
	Muted int64 `json:"muted" about:"Of those that he has muted, which is in the total, too."`
}

type whose struct {
	UserID string `json:"userId" is:"max=50" about:"Whose; without it the operater's."`
}

func (a *API) countUnread(ctx context.Context, c *caller, in *whose) (*unread, error) {
	owner, err := a.actor(c, in.UserID)
	if err != nil {
		return nil, err
	}
	n, err := a.history.TotalUnread(ctx, chat.UserKey{App: owner.App, User: owner.User})
	if err != nil {
		return nil, err
	}
	return &unread{Total: int64(n.Total), Muted: int64(n.Muted)}, nil
}
