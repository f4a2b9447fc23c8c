package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

func (a *API) storedMessageEndpoints() []endpoint {
	return of("message",
		define("/v1/message/syncOfflineMessageList", "The messages of all conversations of the operater after a messageKey.",
			forUsers, a.syncOfflineMessages),
		define("/v1/message/syncP2PMessage", "The messages with another user after a messageSequence; without toId those with all others, after a messageKey.",
			forUsers, a.syncPairMessages),
		define("/v1/message/syncGroupMessage", "The messages of a group after a messageSequence, as far as they are the user's to see.",
			forUsers, a.syncGroupMessages, chat.NotMember),
		define("/v1/message/batchSyncMessage", "The messages of many conversations, after a messageSequence each.",
			forUsers, a.batchSyncMessages, chat.NotMember),
	)
}

func (a *API) syncOfflineMessages(ctx context.Context, c *caller, in *syncSince) (*pulledPage, error) {
	p, err := a.history.Pull(ctx, c.key(), chat.Place(in.LastSequence), int(in.MaxLimit))
	if err != nil {
		return nil, err
	}
	return pulled(c.user, &p), nil
}

type syncPair struct {
	syncSince
	UserID string `json:"userId" is:"max=50" about:"Whose messages; without it the operater's."`
	ToID   string `json:"toId" is:"max=50" about:"The other user; without it all others, and lastSequence and maxSequence are messageKeys."`
}

func (a *API) syncPairMessages(ctx context.Context, c *caller, in *syncPair) (*pulledPage, error) {
	owner, err := a.actor(c, in.UserID)
	if err != nil {
		return nil, err
	}
	key := chat.UserKey{App: owner.App, User: owner.User}
	if in.ToID == "" {
		p, err := a.history.PullPairs(ctx, key, chat.Place(in.LastSequence), int(in.MaxLimit))
		if err != nil {
			return nil, err
		}
		return pulled(owner.User, &p), nil
	}
	return a.syncMessages(ctx, key, chat.PairOf(key.App, key.User, chat.UserID(in.ToID)), &in.syncSince)
}

type syncGroup struct {
	syncSince
	UserID  string `json:"userId" is:"max=50" about:"Who asks; without it the operater."`
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
}

func (a *API) syncGroupMessages(ctx context.Context, c *caller, in *syncGroup) (*pulledPage, error) {
	owner, err := a.actor(c, in.UserID)
	if err != nil {
		return nil, err
	}
	return a.syncMessages(ctx, chat.UserKey{App: owner.App, User: owner.User}, chat.GroupOf(owner.App, in.GroupID), &in.syncSince)
}

// lastSequence is above all that there are; clients may name any number.
const lastSequence = 1 << 53

// syncMessages returns what one conversation has after a number.
func (a *API) syncMessages(ctx context.Context, owner chat.UserKey, of chat.Conversation, in *syncSince) (*pulledPage, error) {
	first := chat.Seq(min(in.LastSequence, lastSequence)) + 1
	p, err := a.history.Messages(ctx, owner, of, first, 0, false, int(in.MaxLimit))
	if err != nil {
		return nil, err
	}
	return numbered(owner.User, in.LastSequence, &p), nil
}

// The numbers that conversationType has where many are synced: the original's store service counted from 1.
const (
	batchPair  = 1
	batchGroup = 2
)

type batchSync struct {
	UserID        string          `json:"userId" is:"max=50" about:"Whose conversations; without it the operater's."`
	Conversations []batchSyncItem `json:"conversations" is:"max=100" about:"Which; none: the 100 newest, the newest first, from their beginning."`
	MaxCount      int32           `json:"maxCount" about:"How many messages of each may come; 0, or more than 100: 100."`
}

type batchSyncItem struct {
	ConversationID   string `json:"conversationId" is:"required,max=50" about:"The other user, or the group."`
	ConversationType int32  `json:"conversationType" is:"required,enum=1|2" about:"1 a pair, 2 a group."`
	Sequence         int64  `json:"sequence" is:"max=9007199254740992" about:"The messageSequence up to which it is known."`
}

func (i *batchSyncItem) conversation(owner chat.UserKey) chat.Conversation {
	if i.ConversationType == batchGroup {
		return chat.GroupOf(owner.App, i.ConversationID)
	}
	return chat.PairOf(owner.App, owner.User, chat.UserID(i.ConversationID))
}

type batchSynced struct {
	ConversationList []batchSyncedItem `json:"conversationList"`
	Completed        bool              `json:"completed" about:"There are no more messages in these conversations."`
	HasMore          bool              `json:"hasMore" about:"There are more conversations, if none were named: see syncConversationList."`
}

type batchSyncedItem struct {
	ConversationID   string       `json:"conversationId"`
	ConversationType int32        `json:"conversationType"`
	MaxSequence      int64        `json:"maxSequence"`
	Completed        bool         `json:"completed"`
	Messages         []messageRow `json:"messages"`
	DataList         []messageRow `json:"dataList" about:"The same as messages."`
}

func (a *API) batchSyncMessages(ctx context.Context, c *caller, in *batchSync) (*batchSynced, error) {
	device, err := a.actor(c, in.UserID)
	if err != nil {
		return nil, err
	}
	owner := chat.UserKey{App: device.App, User: device.User}
	out := &batchSynced{Completed: true}
	wanted := make([]history.Wanted, len(in.Conversations))
	for i := range in.Conversations {
		x := &in.Conversations[i]
		wanted[i] = history.Wanted{Conversation: x.conversation(owner), After: chat.Seq(x.Sequence)}
	}
	if len(wanted) == 0 {
		if wanted, out.HasMore, err = a.newest(ctx, owner); err != nil {
			return nil, err
		}
	}
	pages, err := a.history.Batch(ctx, owner, wanted, int(in.MaxCount), pageRoom)
	if err != nil {
		return nil, err
	}
	out.ConversationList = make([]batchSyncedItem, len(pages))
	for i := range pages {
		out.ConversationList[i] = batchSyncedItemOf(owner.User, &wanted[i], &pages[i])
		out.Completed = out.Completed && out.ConversationList[i].Completed
	}
	return out, nil
}

// newest returns a user's newest conversations, of which nothing is known.
func (a *API) newest(ctx context.Context, owner chat.UserKey) ([]history.Wanted, bool, error) {
	conversations, more, err := a.history.Newest(ctx, owner, history.PageLimit)
	wanted := make([]history.Wanted, len(conversations))
	for i, of := range conversations {
		wanted[i].Conversation = of
	}
	return wanted, more, err
}

func batchSyncedItemOf(owner chat.UserID, w *history.Wanted, p *history.Page) batchSyncedItem {
	messages := numbered(owner, int64(w.After), p)
	item := batchSyncedItem{
		ConversationID: otherOf(w.Conversation, owner), ConversationType: batchPair,
		MaxSequence: messages.MaxSequence, Completed: messages.Completed, Messages: messages.DataList, DataList: messages.DataList,
	}
	if w.Conversation.Kind == chat.Group {
		item.ConversationType = batchGroup
	}
	return item
}
